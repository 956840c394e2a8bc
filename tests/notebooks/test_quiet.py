"""Pages are quiet: no red boxes, no decoder's lines, no more videos made than are looked at."""

import nbformat
import papermill
import pytest
from tiny_project import REPOSITORY, empty_project

from vidssl import runs


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A fresh clone: the pages and the scales, nothing made yet."""
    made = empty_project(tmp_path / "project")
    monkeypatch.chdir(made / "notebooks")
    monkeypatch.setenv("VIDSSL_DECODER", "pyav")
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY))
    return made


def by_hand(page, project, **parameters):
    """Run a page as JupyterLab does, in notebooks/ and without a folder; its outputs."""
    out = project / "out.ipynb"
    papermill.execute_notebook(
        f"{page}.ipynb",
        str(out),
        parameters=parameters,
        kernel_name="python3",
        cwd=".",
        progress_bar=False,
        execution_timeout=300,
        extra_arguments=["--IPKernelApp.log_level=40"],
    )
    return outputs(out)


def outputs(path):
    cells = nbformat.read(path, as_version=4).cells
    return [o for cell in cells if cell.cell_type == "code" for o in cell.outputs]


def text_of(found, stream):
    return "".join(o.text for o in found if o.output_type == "stream" and o.name == stream)


def test_the_first_page_shows_a_few_videos_and_makes_no_others(project):
    found = by_hand("01_data_and_clips", project, scale="smoke", videos_shown=2)
    assert text_of(found, "stderr") == ""
    told = text_of(found, "stdout")
    [broken] = [line for line in told.splitlines() if "cannot be decoded" in line]
    assert "cut_short.mp4" in broken
    assert "explored by hand: later pages find its files in papermill_runs/explore/01" in told
    data = project / "papermill_runs" / "data" / "smoke-seed0"
    assert len(list(data.rglob("*.mp4"))) == 2
    assert runs.overview(project)[0]["page"] == "01_data_and_clips"


def test_torch_s_profiler_writes_nothing_of_its_own(project):
    assert text_of(by_hand("93_performance", project, scale="smoke"), "stderr") == ""


def test_a_damaged_video_is_named_by_pages_that_show_some(project):
    root = runs.embedded_data("smoke", 0, str(project / "papermill_runs"))
    first = min(root.rglob("v_*_g08_c01.mp4"))  # the first video to train on
    first.write_bytes(first.read_bytes()[:800])
    for page in ("01_data_and_clips", "20_motionfit_flow"):
        told = text_of(by_hand(page, project, scale="smoke"), "stdout")
        assert f"not shown, for it cannot be read to its end:\n  {first}\n" in told


def test_a_folder_without_a_readable_video_is_a_sentence(project):
    for place in ("left/a", "left/b", "right/a", "right/b"):
        path = project / "own" / f"{place}.mp4"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"no video")
    with pytest.raises(papermill.PapermillExecutionError, match="none of 2 videos can be read"):
        by_hand("01_data_and_clips", project, dataset="folder", root=str(project / "own"))
    [error] = [o for o in outputs(project / "out.ipynb") if o.output_type == "error"]
    assert error.ename == "ParameterError"


def test_a_page_that_lacks_its_input_shows_one_message_and_no_code(project):
    with pytest.raises(papermill.PapermillExecutionError, match="no run of 11_mosi_pretrain"):
        by_hand("03_transfer", project)
    [error] = [o for o in outputs(project / "out.ipynb") if o.output_type == "error"]
    assert error.ename == "MissingInput"
    assert error.traceback == [f"MissingInput: {error.evalue}"]
    assert not (project / "papermill_runs" / "data").exists(), "nothing was made before"
