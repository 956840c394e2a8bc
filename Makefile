# Every target sets up what it needs. `VENV=path make ...` shares one environment between clones.
VENV ?= .venv
PYTHON ?= python3
SCALE ?=
JOBS ?= 1
# threads that wait do not spin: a training that shares its cores would be ten times slower; freed
# memory is kept for the next step: mapping it anew costs a third of a step
export OMP_WAIT_POLICY ?= PASSIVE
export MALLOC_MMAP_THRESHOLD_ ?= 1073741824
export MALLOC_TRIM_THRESHOLD_ ?= 2147483647

bin := $(abspath $(VENV))/bin
stamp := $(VENV)/.vidssl-ready
lab_settings := $(VENV)/etc/jupyter/labconfig/default_setting_overrides.json
run := $(bin)/vidssl run -j $(JOBS) $(if $(SCALE),--scale $(SCALE))
# threads of one test process: two of them share the machine
pytest := OMP_NUM_THREADS=1 $(bin)/pytest -n 2 --dist loadscope

.PHONY: help setup demo test test-full bench lab reproduce notebooks doctor
.DEFAULT_GOAL := help

help:
	@echo "make demo       MoSI end to end in ten minutes: notebooks, and a figure in figures/"
	@echo "make test       all tests but the slow ones"
	@echo "make lab        JupyterLab on notebooks/"
	@echo "make reproduce  every table and figure of the mini scale, resumable (hours)"
	@echo "make test-full  slow tests too"
	@echo "make bench      the benchmarks"
	@echo "make notebooks  regenerate the .ipynb beside each notebooks/*.py"
	@echo "make doctor     check this machine"

setup: $(stamp)

$(stamp): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "vidssl needs Python 3.11 or newer; point at one with: make PYTHON=python3.12"; exit 1; }
	@test -x $(bin)/python || $(PYTHON) -m venv $(VENV) || \
	  { echo "could not make $(VENV); on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }
	@echo "installing the pinned packages into $(VENV): about 5 minutes and 6 GB the first time"
	$(bin)/python -m pip install --constraint constraints.txt --editable '.[test]'
	@touch $@

demo: $(stamp)
	$(run) demo

reproduce: $(stamp)
	$(run) reproduce

test: $(stamp)
	$(pytest) -m "not slow and not bench"

test-full: $(stamp)
	$(pytest) -m "not bench"

bench: $(stamp)
	$(bin)/pytest -s -m bench tests/benchmarks

lab: $(lab_settings)
	$(bin)/jupyter lab notebooks --FileContentsManager.post_save_hook=vidssl.runs.clean_page.after_saving $(if $(filter 0,$(shell id -u)),--allow-root)

# A paired .py opens as the notebook it is; the setting stays inside the environment.
$(lab_settings): $(stamp)
	$(bin)/jupytext-config --settings-file $@ set-default-viewer python

notebooks: $(stamp)
	$(bin)/vidssl pair

doctor: $(stamp)
	$(bin)/vidssl doctor
