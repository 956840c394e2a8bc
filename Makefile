# Every target sets up what it needs. `VENV=path make ...` shares one environment between clones: it
# is used as it is, never installed into from a second one, and runs the code of the clone it is
# called in.
VENV ?= .venv
PYTHON ?= python3
SCALE ?=
JOBS ?= 1
# threads that wait do not spin: a training that shares its cores would be ten times slower
export OMP_WAIT_POLICY ?= PASSIVE

# kernels and Snakemake's children, too, import this clone's package
export PYTHONPATH := $(CURDIR)$(if $(PYTHONPATH),:$(PYTHONPATH))
# a paired .py opens as the notebook it is
export JUPYTER_CONFIG_PATH := $(CURDIR)/notebooks/.jupyter$(if $(JUPYTER_CONFIG_PATH),:$(JUPYTER_CONFIG_PATH))

bin := $(abspath $(VENV))/bin
# ready, missing, stale (this clone's own) or foreign (another's): see vidssl/runs/ready.py
state := $(shell $(PYTHON) vidssl/runs/ready.py . $(VENV) 2>/dev/null)
run := $(bin)/vidssl run -j $(JOBS) $(if $(SCALE),--scale $(SCALE))
# threads of one test process: two of them share the machine
pytest := OMP_NUM_THREADS=1 $(bin)/pytest -n 2 --dist loadscope --no-loadscope-reorder

.PHONY: help setup demo lint test test-full bench lab reproduce notebooks doctor
.DEFAULT_GOAL := help

help:
	@echo "make demo       MoSI end to end in ten minutes: notebooks, and a figure in figures/"
	@echo "make test       all tests but the slow ones, after ruff"
	@echo "make lab        JupyterLab on notebooks/"
	@echo "make reproduce  every table and figure of the mini scale, resumable (hours)"
	@echo "make test-full  slow tests too"
	@echo "make bench      speeds as ratios, in one table and figures/benchmarks.csv"
	@echo "make notebooks  regenerate the .ipynb beside each notebooks/*.py"
	@echo "make doctor     check this machine"

ifeq ($(firstword $(state)),ready)
setup:
else ifeq ($(firstword $(state)),foreign:)
setup:
	@echo "VENV=$(VENV) is not what this clone needs and not its own to change: $(state)"
	@echo "bring it up to date where it was installed, or leave VENV out: make then sets up .venv here"
	@exit 1
else
setup:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "vidssl needs Python 3.11 or newer; point at one with: make PYTHON=python3.12"; exit 1; }
	@test -x $(bin)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "could not make $(VENV); on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "installing the pinned packages into $(VENV): about 5 minutes and 6 GB the first time" \
	  "($(or $(state),missing))"
	$(bin)/python -m pip install --constraint constraints.txt --editable '.[test]'
endif

demo: setup
	$(run) demo

reproduce: setup
	$(run) reproduce

test: setup lint
	$(pytest) -m "not slow and not bench"

test-full: setup
	$(pytest) -m "not bench"

lint: setup
	$(bin)/ruff check .
	$(bin)/ruff format --check .

bench: setup
	$(bin)/pytest -s -m bench --ratios figures/benchmarks.csv tests/benchmarks tests/browser

lab: setup
	$(bin)/jupyter lab notebooks \
	  --FileContentsManager.post_save_hook=vidssl.runs.clean_page.after_saving \
	  $(if $(filter 0,$(shell id -u)),--allow-root)

notebooks: setup
	$(bin)/vidssl pair

doctor: setup
	$(bin)/vidssl doctor
