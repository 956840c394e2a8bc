"""JupyterLab on a copy of notebooks/, driven by keyboard in headless Chromium."""

import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import papermill
import pytest

from vidssl import models, runs
from vidssl.data import synthetic
from vidssl.models.pretrained import save_pretrained

REPOSITORY = Path(__file__).parents[2]
TOKEN = secrets.token_hex(16)
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# No news dialog, and every cell in the page: by default those out of sight are not drawn.
LAB_SETTINGS = {
    "apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    "notebook-extension/tracker": {"windowingMode": "none"},
}


class LabPage:
    """One notebook in JupyterLab; ``page`` is playwright's."""

    def __init__(self, page):
        self.page = page

    def run_all(self, seconds: float = 120) -> None:
        """Run > Run All Cells, and wait until no prompt holds a star; fail on a cell's error."""
        self.page.get_by_role("menuitem", name="Run", exact=True).click()
        self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        self.page.wait_for_function(
            """() => {
                const prompts = [...document.querySelectorAll('.jp-InputPrompt')]
                    .map((prompt) => prompt.textContent);
                return prompts.some((text) => /\\d/.test(text))
                    && !prompts.some((text) => text.includes('*'));
            }""",
            timeout=1000 * seconds,
        )
        failed = self.page.locator('[data-mime-type="application/vnd.jupyter.error"]')
        assert failed.count() == 0, failed.first.inner_text()

    def focus(self, selector: str) -> None:
        """Put the keyboard's focus on the first such element."""
        self.page.locator(selector).first.wait_for()
        self.page.locator(selector).first.focus()

    def press(self, *keys: str) -> None:
        for key in keys:
            self.page.keyboard.press(key)

    def control(self, role: str, name: str):
        """A control as a screen reader knows it: by role and name."""
        return self.page.get_by_role(role, name=name, exact=True).first

    def said(self, number: int = 0) -> str:
        """The line below the controls."""
        return self.page.locator(".vidssl-said").nth(number).inner_text()

    def wait_until(self, fits, what: str, seconds: float = 30) -> None:
        self._poll(fits, bool, seconds, what)

    def wait_until_said(self, fits, seconds: float = 30, number: int = 0) -> str:
        return self._poll(lambda: self.said(number), fits, seconds, "another line")

    def pixels(self) -> list[str]:
        """What the canvases of all frame players show, each as the text of a PNG."""
        self.page.locator(".vidssl-player-canvas").first.wait_for()
        return self.page.evaluate(
            """() => [...document.querySelectorAll('.vidssl-player-canvas')]
                .map((canvas) => canvas.toDataURL())"""
        )

    def wait_for_other_pixels(self, before: list[str], seconds: float = 30) -> list[str]:
        """The canvases once they show something else than ``before``."""
        return self._poll(self.pixels, lambda now: now != before, seconds, "the picture to change")

    def counter(self) -> str:
        """The first player's "frame 0 of 0 to 15"."""
        return self.page.locator(".vidssl-player-counter").first.inner_text()

    def wait_for_counter(self, text: str, seconds: float = 10) -> None:
        self._poll(self.counter, lambda now: now == text, seconds, f"{text!r}")

    def _poll(self, read, fits, seconds: float, what: str):
        for _ in range(int(10 * seconds)):
            seen = read()
            if fits(seen):
                return seen
            self.page.wait_for_timeout(100)
        raise AssertionError(f"waited {seconds} s for {what}; still {str(seen)[:200]}")


@pytest.fixture(scope="session")
def chromium() -> str:
    """Path of a Chromium; environment variable VIDSSL_CHROMIUM names another one."""
    pytest.importorskip(
        "playwright", reason="browser tests need playwright: pip install playwright"
    )
    path = os.environ.get("VIDSSL_CHROMIUM") or shutil.which("chromium") or "/usr/bin/chromium"
    if not os.access(path, os.X_OK):
        pytest.skip(f"browser tests need Chromium, none at {path}: apt-get install chromium")
    return path


@pytest.fixture(scope="session")
def notebooks(tmp_path_factory) -> Path:
    """A copy of notebooks/ that JupyterLab serves; tests may add notebooks of their own."""
    folder = tmp_path_factory.mktemp("lab") / "notebooks"
    shutil.copytree(REPOSITORY / "notebooks", folder)
    return folder


@pytest.fixture(scope="session")
def lab_url(chromium, notebooks) -> str:
    """Address of a JupyterLab that is stopped, with its kernels, after the last test."""
    port = _free_port()
    log = notebooks.parent / "jupyterlab.log"
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
    command += ["--ip=127.0.0.1", f"--port={port}", "--ServerApp.port_retries=0"]
    command += [f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={notebooks}"]
    environment = _lab_environment(notebooks.parent / "settings")
    with log.open("w") as out:
        server = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        _wait_until_up(server, port, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()  # JupyterLab shuts its kernels down before it ends
        try:
            server.wait(20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


@pytest.fixture(scope="session")
def smoke_page(notebooks, tmp_path_factory):
    """``smoke_page("13_mosi_gradcam")`` -> a notebook for `open_notebook`, not executed: the page
    with its smoke parameters, or others, and given data and what it needs of earlier pages."""
    place = tmp_path_factory.mktemp("pages")
    numbers = {"scale": "smoke", **runs.scale_file("smoke").get("data", {})}
    synthetic.make_dataset(place / "data", **numbers, workers=1, progress=False)

    def asked(notebook: str, **others) -> str:
        name = "-".join(["page", notebook, *sorted(others)])
        if not (notebooks / f"{name}.ipynb").exists():
            _prepare(notebook, place, notebooks, name, **_needs(notebook, place), **others)
        return f"{name}.ipynb"

    return asked


def _needs(notebook: str, place: Path) -> dict[str, str]:
    """What a page is given of earlier pages, made now."""

    def untrained():
        about = {"backbone": "r2plus1d_10", "width": 0.25, "dataset": "none", "seed": 0}
        network = models.build("r2plus1d_10", num_classes=9, width=0.25)
        return str(save_pretrained(network, place / "untrained.pt", **about))

    def made(page, name, **parameters):
        return _prepare(page, place, place, name, run=True, **parameters)

    if notebook == "13_mosi_gradcam":
        return {"mosi_weights": untrained()}
    if notebook == "14_mosi_clusters":
        return {"pretrained": untrained()}
    if notebook == "22_motionfit_pseudo_labels":
        return {"motion_model": str(made("21_motionfit_motion_model", "model") / "motion_model.pt")}
    if notebook in ("31_timebalance_similarity", "33_timebalance_weights"):
        page, both = "30_timebalance_teachers", ("invariant", "distinctive")
        return {name: str(made(page, f"teacher-{name}", objective=name)) for name in both}
    return {}


def _prepare(notebook, place, where, name, *, run=False, **parameters) -> Path:
    """The page with its smoke parameters, executed or not; its run is ``<place>/smoke/<name>``."""
    folder = place / "smoke" / name
    if (folder / "run.json").exists():
        return folder
    parameters["run_folder"] = str(folder)
    if "root" in runs.declared_parameters(REPOSITORY / "notebooks" / f"{notebook}.py"):
        parameters.setdefault("root", str(place / "data"))
    papermill.execute_notebook(
        str(REPOSITORY / "notebooks" / f"{notebook}.ipynb"), str(where / f"{name}.ipynb"),
        parameters=runs.parameters_for(notebook, "smoke", parameters), kernel_name="python3",
        prepare_only=not run, progress_bar=False, cwd=str(place), execution_timeout=300,
    )  # fmt: skip
    return folder


@pytest.fixture(scope="session")
def browser(chromium):
    """Headless Chromium; each page opened in it has an empty profile."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def dark(lab_url, notebooks):
    """JupyterLab's dark theme, for pages that are opened from now on."""
    file = notebooks.parent / "settings" / "lab" / "@jupyterlab" / "apputils-extension"
    file = file / "themes.jupyterlab-settings"
    file.write_text(json.dumps({"theme": "JupyterLab Dark"}))
    yield
    file.unlink()


@pytest.fixture
def open_notebook(browser, lab_url):
    """``open_notebook("10_x.ipynb")`` -> LabPage, closed after the test."""
    with _opener(browser, lab_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def open_for_all(browser, lab_url):
    """As `open_notebook`; the page stays open for all tests of a file."""
    with _opener(browser, lab_url) as opened:
        yield opened


@contextmanager
def _opener(browser, lab_url):
    contexts = []

    def opened(name: str, *, kernel: bool = True, **looks) -> LabPage:
        looks = {"viewport": {"width": 1280, "height": 1000}, **looks}
        contexts.append(browser.new_context(**looks))
        page = contexts[-1].new_page()
        page.goto(f"{lab_url}/lab/tree/{name}?token={TOKEN}&reset", timeout=60_000)
        page.locator(".jp-Notebook").first.wait_for(timeout=60_000)
        if kernel:
            _wait_for_kernel(page, f"{lab_url}/api/sessions?token={TOKEN}", name)
        return LabPage(page)

    try:
        yield opened
    finally:
        for context in contexts:
            context.close()


def _wait_for_kernel(page, sessions_url: str, name: str) -> None:
    """Until the page is connected to an idle kernel: cells run earlier are silently dropped."""
    for _ in range(600):
        sessions = page.request.get(sessions_url).json()
        kernels = [session["kernel"] for session in sessions if session["path"] == name]
        if any(k["execution_state"] == "idle" and k["connections"] for k in kernels):
            page.locator(".jp-Notebook-ExecutionIndicator[data-status='idle']").wait_for()
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{name} had no ready kernel within 60 s (does it name one?): {sessions}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _lab_environment(folder: Path) -> dict[str, str]:
    """The user's own Jupyter settings stay out; the package is the one under test."""
    for name, settings in LAB_SETTINGS.items():
        file = folder / "lab" / "@jupyterlab" / f"{name}.jupyterlab-settings"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(settings))
    return os.environ | {
        "JUPYTERLAB_SETTINGS_DIR": str(folder / "lab"),
        "JUPYTERLAB_WORKSPACES_DIR": str(folder / "workspaces"),
        "JUPYTER_CONFIG_DIR": str(folder / "config"),
        "JUPYTER_RUNTIME_DIR": str(folder / "runtime"),
        "IPYTHONDIR": str(folder / "ipython"),
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
    }


def _wait_until_up(server: subprocess.Popen, port: int, log: Path) -> None:
    request = f"http://127.0.0.1:{port}/api/status?token={TOKEN}"
    for _ in range(120):
        try:
            urllib.request.urlopen(request, timeout=5).close()
            return
        except OSError:
            assert server.poll() is None, f"JupyterLab ended early:\n{log.read_text()[-2000:]}"
            time.sleep(0.5)
    raise AssertionError(f"JupyterLab did not answer within 60 s:\n{log.read_text()[-2000:]}")
