"""Kernels that begin at once: forked from a process that has imported what pages import.

Python's, torch's and Jupyter's own beginning takes longer than most pages at smoke scale. All else
is as in any kernel: a process of its own, variables of its own, messages over sockets. vidssl is
imported by each page.
"""

import multiprocessing
import os
import signal
import sys

from jupyter_client import AsyncKernelManager

PRELOADED = ["accelerate", "av", "captum.attr", "cv2", "ipykernel.kernelapp", "ipywidgets"]
PRELOADED += ["joblib", "matplotlib.pyplot", "pandas", "scipy.stats", "seaborn", "skimage"]
PRELOADED += ["sklearn.cluster", "sklearn.linear_model", "sklearn.manifold", "torch._dynamo"]
PRELOADED += ["torchvision"]


def forking():
    """Of processes that are forked from one that has imported ``PRELOADED``."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    return context


class ForkedKernels(AsyncKernelManager):
    """Starts them, for nbclient's ``kernel_manager_class``."""

    async def _async_launch_kernel(self, kernel_cmd, **options):
        """As jupyter_client's own, but that the command is not started as a new program."""
        words = kernel_cmd[kernel_cmd.index("ipykernel_launcher") + 1 :]
        self.provisioner.process = Started(words)
        self._reconcile_connection_info(self.provisioner.connection_info)


class Started:
    """A forked kernel, with what jupyter_client asks of a `subprocess.Popen`."""

    stdin = stdout = stderr = None

    def __init__(self, words):
        told = (words, os.getcwd(), dict(os.environ))
        self._process = forking().Process(target=be_a_kernel, args=told)
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


def be_a_kernel(words, folder, environment):
    from ipykernel.kernelapp import IPKernelApp

    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    os.environ["JPY_PARENT_PID"] = str(os.getppid())  # a kernel ends with its parent
    multiprocessing.set_start_method("fork", force=True)  # of loading workers, as in any run
    sys.argv = ["ipykernel_launcher", *words]
    IPKernelApp.launch_instance(argv=words)
