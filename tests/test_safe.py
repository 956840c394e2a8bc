"""Nothing that is opened runs code, no name leaves its folder, no text reaches a shell."""

import ast
import os
import re
import subprocess
from contextlib import suppress
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from tiny_project import REPOSITORY, make_project

from vidssl import models, processes, runs
from vidssl.data import open_dataset, read_folder, read_video_list
from vidssl.files import plain_name
from vidssl.inference import load_predictions
from vidssl.models.pretrained import load_pretrained, load_with_head
from vidssl.models.released import CheckpointError, read_checkpoint
from vidssl.runs.figures import save_figure
from vidssl.runs.parameters import read_yaml, scale_file
from vidssl.training import Checkpoints, TrainConfig

# --- calls that run what they read ----------------------------------------------------------------

RUNS_WHAT_IT_READS = (
    r"(pickle|cloudpickle|dill|marshal|joblib|shelve)\.(load|loads|open|Unpickler)",
    r"torch\.(load|jit\.load|hub\.load.*|package\..*)",
    r"(np|numpy)\.load|pd\.read_pickle|pandas\.read_pickle",
    r"yaml\.(load|load_all|unsafe_load.*|full_load.*)",
    r"eval|exec|__import__|importlib\.import_module|runpy\.\w+",
    r"os\.(system|popen|exec\w+|spawn\w+)|subprocess\.(getoutput|getstatusoutput)|pty\.spawn",
    r".*\.(extractall|unpack_archive)|tempfile\.mktemp",
)
ALLOWED = {  # (file, call): why it may
    ("vidssl/models/released.py", "torch.load"): "its unpickler makes tensors and calls no other",
    ("vidssl/processes.py", "pickle.load"): "reads what its caller left in a folder of mode 700",
    ("vidssl/runs/parameters.py", "yaml.load"): "its loader is a SafeLoader",
    ("vidssl/runs/promises.py", "eval"): "of conditions of the project's own pages, without calls",
    ("vidssl/runs/speed.py", "exec"): "of the cells of the project's own pages",
    ("vidssl/runs/graph.py", "exec"): "of the project's own .smk files, which are code",
}


def unsafe_calls(source: str) -> list[str]:
    """Calls in Python source that may run what they read, and ones that reach a shell."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    return [name for call in calls if (name := _unsafe(call))]


def _unsafe(call: ast.Call) -> str:
    name = ast.unparse(call.func)
    given = {word.arg: ast.unparse(word.value) for word in call.keywords}
    if given.get("shell", "False") != "False" or given.get("allow_pickle", "False") != "False":
        return name
    known = any(re.fullmatch(pattern, name) for pattern in RUNS_WHAT_IT_READS)
    plain = name in ("np.load", "numpy.load") or given.get("weights_only") == "True"
    return name if known and not plain else ""


SOURCES = [*(REPOSITORY / "vidssl").rglob("*.py"), *(REPOSITORY / "notebooks").glob("*.py")]
SOURCES += [*(REPOSITORY / "papermill_runs").glob("*.smk")]


def test_no_call_runs_what_it_reads():
    found = {
        (str(path.relative_to(REPOSITORY)), name)
        for path in SOURCES
        for name in unsafe_calls(path.read_text(encoding="utf-8"))
    }
    assert found == set(ALLOWED)


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=trusted)",
        "pickle.loads(text)",
        "yaml.load(text, Loader)",
        "eval(text)",
        "subprocess.run(words, shell=True)",
        "os.system(command)",
        "joblib.load(path)",
        "tarfile.open(path).extractall(folder)",
    ],
)
def test_a_planted_one_is_found(line):
    assert unsafe_calls(f"def f():\n    return {line}")


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path, weights_only=True)",
        "np.load(path)",
        "yaml.safe_load(text)",
        "json.loads(text)",
        "subprocess.run(words, shell=False)",
        "model.eval()",
        "ast.literal_eval(text)",
    ],
)
def test_and_no_other(line):
    assert unsafe_calls(line) == []


# --- files that want to run something -------------------------------------------------------------


class Payload:
    """Pickled: the making of a folder."""

    def __init__(self, folder):
        self.folder = str(folder)

    def __reduce__(self):
        return os.mkdir, (self.folder,)


@pytest.fixture
def trap(tmp_path):
    """A folder that is there if anything ran."""
    yield tmp_path / "ran"
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("place", ["bare", "weights", "about", "state_dict", "key"])
def test_weights_that_hold_code(tmp_path, trap, legacy, place):
    network = models.build("r3d_10_dilated", num_classes=2, width=0.0625)
    good = {"weights": network.state_dict(), "about": {}}
    contents = {"bare": Payload(trap), "key": {**good, "more": Payload(trap)}}
    content = contents.get(place, {**good, place: Payload(trap)})
    path = tmp_path / "w.pt"
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    for load in (read_checkpoint, load_with_head, lambda path: load_pretrained(network, path)):
        with suppress(CheckpointError):  # some hold all that is needed beside it
            load(path)


def test_programs_and_archives_are_no_weights(tmp_path):
    path = tmp_path / "w.pt"
    with ZipFile(path, "w") as archive:  # torch knows a program by this name
        archive.writestr("w/constants.pkl", b"")
    with pytest.raises(CheckpointError, match=r"w\.pt cannot be read.*TorchScript"):
        read_checkpoint(path)


def test_weights_that_hold_themselves_end(tmp_path):
    content = {}
    content["state_dict"] = content
    torch.save(content, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match=r"w\.pt: holds under state_dict"):
        load_pretrained(
            models.build("r3d_10_dilated", num_classes=2, width=0.0625), tmp_path / "w.pt"
        )


def test_a_checkpoint_that_holds_code_is_passed_over(tmp_path, trap, capsys):
    checkpoints = Checkpoints(tmp_path, TrainConfig(epochs=1, batch_size=1))
    torch.save({"model": Payload(trap)}, checkpoints.newest)
    model = torch.nn.Linear(1, 1)
    assert checkpoints.restore(model, torch.optim.SGD(model.parameters(), lr=1.0)) is None
    assert "checkpoint.pt cannot be read" in capsys.readouterr().out


def test_arrays_that_hold_code(tmp_path, trap):
    np.savez(tmp_path / "p.npz", video_id=np.array(["a"]), mosi=np.array([Payload(trap)]))
    with pytest.raises(ValueError, match=r"p\.npz.*allow_pickle"):
        load_predictions(tmp_path / "p.npz")


@pytest.mark.parametrize("tag", ["object/apply:os.mkdir", "object/new:os.mkdir", "name:os.mkdir"])
def test_parameters_that_hold_code(trap, tag):
    with pytest.raises(ValueError, match="could not determine a constructor"):
        read_yaml(f"a: !!python/{tag} ['{trap}']")


def test_parameters_that_multiply_end():
    layers = [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    for text in ("\n".join(["a0: &a0 [1]", *layers]), "&a [*a]"):
        with pytest.raises(ValueError, match="aliases that hold each other"):
            read_yaml(text)
    with pytest.raises(ValueError, match="brackets in each other"):
        read_yaml("[" * 100_000)


# --- names ----------------------------------------------------------------------------------------

NAMES = ["../x", "/x", "a/b", "..", ".", "", " ", "a\0b", "a\nb", "..\\x", "C:x", "x" * 300]


@pytest.mark.parametrize("name", NAMES)
def test_names_of_runs_and_figures_stay_in_their_folder(tmp_path, name):
    graph = runs.load_graph("smoke", {"runs_root": str(tmp_path / "runs")}, REPOSITORY)
    with pytest.raises(ValueError, match=r"run .*(plain name|longer)"):
        graph.run("11_mosi_pretrain", name)
    run = runs.Run("x", tmp_path / "smoke" / "a", {"scale": "smoke"}, tmp_path, True)
    for publish in (False, True):
        with pytest.raises(ValueError, match=r"figure .*(plain name|longer)"):
            run.save_figure(None, name, data=[{"a": 1}], alt="a", dataset="x", publish=publish)
    with pytest.raises(ValueError, match=r"figure .*(plain name|longer)"):
        save_figure(None, name, data=[{"a": 1}], alt="a", scale="s", dataset="x", folder=tmp_path)
    if name:
        with pytest.raises(ValueError, match=r"part .*(plain name|longer)"):
            run.outputs(name)
    assert not any(tmp_path.rglob("*"))


@pytest.mark.parametrize("name", ["mosi", "k=2, x.y", "Größe", "finetuned-0.05", "..x", "10:30"])
def test_plain_names_are_taken(name):
    assert plain_name(name, "run") == name


@pytest.mark.parametrize("name", ["../x", "../papermill_runs/smoke", "a\0b", "/x", "."])
def test_names_of_scales_and_pages_stay_in_their_folder(tmp_path, name):
    project = make_project(tmp_path / "project")
    (project / "x.yaml").write_text("common: {}\n")
    (project / "x.py").write_text("")
    for find in (lambda: scale_file(name, project), lambda: runs.notebook_path(name, project)):
        with pytest.raises(ValueError, match=r"unknown|must be"):
            find()


@pytest.mark.parametrize(
    "name", ["../a.mp4", "b/../../a.mp4", "/etc/a.mp4", "..\\a.mp4", "C:/a.mp4"]
)
def test_videos_of_a_list_lie_below_their_folder(tmp_path, name):
    (tmp_path / "list.txt").write_text(f"clap/a.mp4 9 0\n{name} 9 0\n")
    with pytest.raises(ValueError, match=r"list\.txt, line 2: .* not lie below"):
        read_video_list(tmp_path / "list.txt", tmp_path)


def test_links_to_folders_above_end(tmp_path):
    (tmp_path / "wave").mkdir()
    (tmp_path / "wave" / "a.mp4").write_bytes(b"x")
    (tmp_path / "elsewhere.mp4").symlink_to(tmp_path / "wave" / "a.mp4")
    for name in ("one", "two"):
        (tmp_path / "wave" / name).symlink_to(tmp_path)
    records = read_folder(tmp_path, labelled=False)
    assert [record.video_id for record in records] == ["elsewhere", "wave/a"]
    (tmp_path / "elsewhere.mp4").unlink()
    with pytest.raises(ValueError, match="only one video"):
        open_dataset("folder", tmp_path)


# --- shells and servers ---------------------------------------------------------------------------

NASTY = "$(touch ran) `touch ran`; touch ran & | > ran\n'\"\\ {x} *"


def test_a_parameter_reaches_the_run_through_the_shell_as_it_is(tmp_path, trap):
    project = make_project(tmp_path / "project")
    config = {"overrides": {"dataset": NASTY}, "project": str(project)}
    graph = runs.load_graph("mini", config, project)
    job = graph.run("90_tiny", "x")
    command = f"printf '%s\\0' {job.arguments}"
    done = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True)
    words = done.stdout.decode().split("\0")
    assert words[words.index("dataset") + 1] == NASTY


def test_the_snakefile_has_one_shell_line_and_it_quotes():
    text = (REPOSITORY / "papermill_runs" / "Snakefile").read_text(encoding="utf-8")
    [lines] = re.findall(r"shell:\s*(.*\n.*)", text)
    quoted = '"cd {graph.project:q} && {graph.python:q} -m vidssl.cli {params.arguments} "'
    assert [line.strip() for line in lines.splitlines()] == [quoted, "+ graph.options(job)"]


def test_a_launcher_is_words_and_no_shell_line():
    command = processes._command(2, "srun --x 'a b'; touch $(ran)", 0)
    assert command[:5] == ["srun", "--x", "a b;", "touch", "$(ran)"]


def test_the_lab_keeps_its_token_and_answers_this_machine_alone():
    from jupyter_server.auth.identity import PasswordIdentityProvider
    from jupyter_server.serverapp import ServerApp

    text = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    recipe = text.partition("\nlab:")[2].partition("\n\n")[0]
    options = re.findall(r"--[\w.-]+", recipe)
    assert set(options) == {"--FileContentsManager.post_save_hook", "--allow-root"}
    for path in (REPOSITORY / "notebooks" / ".jupyter").rglob("*.*"):
        assert not re.search("token|password|ip|origin|xsrf", path.read_text(encoding="utf-8"))
    server = ServerApp()
    assert server.ip in ("localhost", "127.0.0.1")
    assert len(PasswordIdentityProvider(parent=server).token) > 30


def test_browser_tests_do_likewise():
    text = (REPOSITORY / "tests" / "browser" / "conftest.py").read_text(encoding="utf-8")
    assert "--ip=127.0.0.1" in text
    assert "TOKEN = secrets.token_hex(16)" in text
