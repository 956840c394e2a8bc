"""Notebooks under nbval without its waits: it and its kernel are forked from a process that has
imported what they import.

Python's, torch's and Jupyter's own beginning takes longer than most pages at smoke scale. All else
is as from the command line: processes of their own, variables of their own, messages over sockets.
vidssl is imported by each page.
"""

import asyncio
import multiprocessing
import os
import signal
import sys

from jupyter_client.manager import KernelManager

PRELOADED = ["accelerate", "av", "captum.attr", "cv2", "ipykernel.kernelapp", "ipywidgets"]
PRELOADED += ["joblib", "matplotlib.pyplot", "pandas", "pytest", "scipy.stats"]
PRELOADED += ["seaborn", "skimage", "sklearn.cluster", "sklearn.linear_model", "sklearn.manifold"]
PRELOADED += ["torch._dynamo", "torchvision"]


def forking():
    """Of processes that are forked from one that has imported ``PRELOADED``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


def nbval(notebook, seconds):
    """Whether a notebook passes ``pytest --nbval-lax`` in its folder, each cell within so many
    seconds, and what pytest printed."""
    log = notebook.with_suffix(".nbval.txt")
    told = (notebook, seconds, log, dict(os.environ))
    process = forking().Process(target=_be_nbval, args=told)
    process.start()
    try:
        process.join()
    finally:
        process.kill()
    return process.exitcode == 0, log.read_text(encoding="utf-8", errors="replace")


def _be_nbval(notebook, seconds, log, environment):
    import nbval.kernel
    import pytest

    os.chdir(notebook.parent)
    os.environ.clear()
    os.environ.update(environment)
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(file, stream)
    nbval.kernel.KernelManager = ForkedKernels
    command = ["--nbval-lax", "-p", "no:cacheprovider", "-q", f"--nbval-cell-timeout={seconds}"]
    sys.exit(pytest.main([*command, notebook.name]))


class ForkedKernels(KernelManager):
    """Its kernel is forked from this process instead of started as a new program."""

    async def _async_launch_kernel(self, kernel_cmd, **options):
        words = kernel_cmd[kernel_cmd.index("ipykernel_launcher") + 1 :]
        self.provisioner.process = Started(words)
        self._reconcile_connection_info(self.provisioner.connection_info)


class Started:
    """A forked kernel, with what jupyter_client asks of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, words):
        context = multiprocessing.get_context("fork")
        self._process = context.Process(target=_be_a_kernel, args=(words,))
        self._process.start()
        self.pid = self._process.pid

    def poll(self):
        return self._process.exitcode

    def wait(self):
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number):
        os.kill(self.pid, number)

    def terminate(self):
        self.send_signal(signal.SIGTERM)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def _be_a_kernel(words):
    from ipykernel.kernelapp import IPKernelApp

    sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__  # pytest's are this process's no more
    asyncio.set_event_loop(asyncio.new_event_loop())
    os.environ["JPY_PARENT_PID"] = str(os.getppid())  # a kernel ends with its parent
    multiprocessing.set_start_method("fork", force=True)  # of loading workers, as in any run
    sys.argv = ["ipykernel_launcher", *words]
    IPKernelApp.launch_instance(argv=words)
