"""What a page needs of earlier runs: found by one rule, or named with what to run first."""

import json
import os
import re

import pytest
import torch
from tiny_project import REPOSITORY, empty_project

from vidssl import models, runs
from vidssl.models.pretrained import save_pretrained
from vidssl.runs.earlier import explore_folder, located
from vidssl.runs.notebooks import notebook_cells

PRETRAIN, BASELINE, TRANSFER = "11_mosi_pretrain", "02_supervised_baseline", "03_transfer"
TEACHERS, SIMILARITY = "30_timebalance_teachers", "31_timebalance_similarity"
WEIGHTS = runs.Need("pretrained", PRETRAIN, ("backbone.pt",))


@pytest.fixture
def project(tmp_path, monkeypatch):
    """The project's own pages and scales, nothing run yet; a kernel stands in notebooks/."""
    made = empty_project(tmp_path / "project")
    monkeypatch.chdir(made / "notebooks")
    return made


def leave(path):
    """A file that a run left; weights of no network."""
    torch.save({}, path) if path.suffix == ".pt" else path.write_text("x")


def explored(notebook, *files, **params):
    """What exploring a page by hand leaves: its folder, with ``files``."""
    run = runs.start(notebook, params)
    for name in files:
        leave(run.folder / name)
    run.finish({})
    return run.folder


def executed(project, notebook, name, *files, status="finished", **params):
    """What a run made by a command leaves."""
    folder = project / "papermill_runs" / name
    folder.mkdir(parents=True)
    for file in files:
        leave(folder / file)
    told = runs.declared_parameters(project / "notebooks" / f"{notebook}.py") | params
    if status:
        told = {"notebook": notebook, "status": status, "parameters": told}
        (folder / "run.json").write_text(json.dumps(told))
    return folder


def later(folder, seconds):
    for path in folder.iterdir():
        os.utime(path, (path.stat().st_mtime + seconds,) * 2)


def found(*needs, page=BASELINE, **params):
    return runs.start(page, params).inputs(*needs)


def test_nothing_run_names_the_page_and_the_command(project):
    with pytest.raises(runs.MissingInput) as refused:
        found(WEIGHTS)
    assert str(refused.value).splitlines() == [
        "02_supervised_baseline needs pretrained: no run of 11_mosi_pretrain has left backbone.pt",
        "  by hand:    open 11_mosi_pretrain.ipynb, run all its cells, then this page again",
        "  by command: vidssl execute 11_mosi_pretrain papermill_runs/mine/11_mosi_pretrain "
        "-p data_seed 0",
        "  or give pretrained the path of a file",
    ]
    assert refused.value._render_traceback_() == [f"MissingInput: {refused.value}"]


def test_a_file_that_is_no_checkpoint_is_refused_in_one_line(project, tmp_path):
    (tmp_path / "cut.pt").write_bytes(b"PK")
    with pytest.raises(runs.MissingInput) as refused:
        found(WEIGHTS, pretrained=str(tmp_path / "cut.pt"))
    [line] = str(refused.value).splitlines()
    assert line.startswith(f"pretrained: {tmp_path / 'cut.pt'} cannot be read as a checkpoint")
    assert line.endswith("take a run of 11_mosi_pretrain")


def test_a_later_run_without_its_files_is_told(project, capsys):
    whole = executed(project, PRETRAIN, "demo/mosi_pretrain", "backbone.pt")
    later(whole, -100)
    half = explored(PRETRAIN)
    assert found(WEIGHTS) == [str(whole / "backbone.pt")]
    told = capsys.readouterr().out
    assert f"{half.relative_to(project)} was begun later and has not got so far" in told
    leave(half / "backbone.pt")
    assert found(WEIGHTS) == [str(half / "backbone.pt")]
    assert "begun later" not in capsys.readouterr().out


def test_the_advice_carries_data_and_settings(project, tmp_path):
    (tmp_path / "my videos").mkdir()
    need = runs.Need("pretrained", PRETRAIN, ("backbone.pt",), {"mask_ratio": []})
    own = {"dataset": "folder", "root": str(tmp_path / "my videos")}
    own["dataset_options"] = {"test_groups": ["9"]}
    with pytest.raises(runs.MissingInput) as refused:
        found(need, scale="smoke", **own)
    told = str(refused.value)
    options = "dataset_options = {'test_groups': ['9']}"
    assert f"set dataset = 'folder', root = '{tmp_path}/my videos', {options}" in told
    assert "papermill_runs/mine/11_mosi_pretrain-smoke-my_videos-mask_ratio --scale smoke" in told
    options = '-p dataset_options \'{"test_groups": ["9"]}\''
    assert f"-p root '{tmp_path}/my videos' {options} -p mask_ratio '[]'" in told


def test_a_page_explored_by_hand_is_found_and_a_command_s_run_too(project, capsys):
    by_command = executed(project, PRETRAIN, "mini/mosi_pretrain-xy-s0", "backbone.pt")
    assert found(WEIGHTS) == [str(by_command / "backbone.pt")]
    assert "made by a command" in capsys.readouterr().out
    by_hand = explored(PRETRAIN, "backbone.pt")
    assert found(WEIGHTS) == [str(by_hand / "backbone.pt")]
    assert "papermill_runs/explore/11_mosi_pretrain/mini/backbone.pt, explored by hand" in (
        capsys.readouterr().out
    )


def test_of_a_command_s_runs_the_usual_one_then_the_newest(project):
    usual = executed(project, PRETRAIN, "mini/xy", "backbone.pt", data_seed=1)
    odd = executed(project, PRETRAIN, "mini/k3", "backbone.pt", data_seed=1, k=3)
    later(odd, 60)
    asked = {"data_seed": 1}
    assert found(WEIGHTS, **asked) == [str(usual / "backbone.pt")]
    again = executed(project, PRETRAIN, "variants/a/mini/xy", "backbone.pt", data_seed=1)
    later(again, 90)
    assert found(WEIGHTS, **asked) == [str(again / "backbone.pt")]
    with_k3 = runs.Need("pretrained", PRETRAIN, ("backbone.pt",), {"k": 3})
    assert found(with_k3, **asked) == [str(odd / "backbone.pt")]


def test_a_run_on_the_same_data_goes_first(project, tmp_path):
    (tmp_path / "mine").mkdir()
    own = {"dataset": "folder", "root": str(tmp_path / "mine")}
    on_mine = executed(project, PRETRAIN, "mine/a", "backbone.pt", **own)
    later(explored(PRETRAIN, "backbone.pt"), 60)
    assert found(WEIGHTS, **own) == [str(on_mine / "backbone.pt")]


def test_two_explorations_never_share_a_folder(project):
    """Page 31 finds both teachers, explored one after the other."""
    files = ("backbone.pt", "teacher.pt", "finetuned-10.pt")
    folders = [explored(TEACHERS, *files, objective=kind) for kind in ("invariant", "distinctive")]
    needs = runs.teacher_needs(0.1)
    assert found(*needs, page=SIMILARITY) == [str(folder) for folder in folders]
    names = {
        explore_folder(project, TEACHERS, {"scale": "mini", "pretrained": name}).name
        for name in ("a b", "a+b", "a_b", "x" * 200, "x" * 201)
    }
    assert len(names) == 5
    assert max(map(len, names)) < 120


def test_all_that_is_missing_is_named_at_once(project):
    explored(TEACHERS, "backbone.pt", "teacher.pt", "finetuned-10.pt", objective="invariant")
    with pytest.raises(runs.MissingInput) as refused:
        found(*runs.teacher_needs(0.5), page=SIMILARITY)
    told = str(refused.value)
    assert told.count("31_timebalance_similarity needs") == 2
    assert "explore/30_timebalance_teachers/mini was begun and has not got so far" in told
    assert "set objective = 'distinctive', fractions = [0.5], run all its cells" in told
    assert "30_timebalance_teachers-distinctive-fractions05" in told


def test_a_half_finished_run_is_named_and_not_taken(project):
    folder = executed(project, PRETRAIN, "mini/stopped", "backbone.pt", status="")
    (folder / f"{PRETRAIN}.ipynb").write_text("{}")
    with pytest.raises(runs.MissingInput, match=r"mini/stopped was begun and has not got so far"):
        found(WEIGHTS)


@pytest.mark.parametrize("text", ["", "[]", '{"notebook": "11_mosi_pretrain"}', "\xff"])
def test_what_an_older_version_left_is_passed_over(project, text):
    folder = executed(project, PRETRAIN, "mini/old", "backbone.pt")
    (folder / "run.json").write_bytes(text.encode("latin-1"))
    with pytest.raises(runs.MissingInput, match="no run of 11_mosi_pretrain"):
        found(WEIGHTS)


def test_a_run_of_an_unknown_scale_is_no_error(project):
    folder = executed(project, PRETRAIN, "mini/old", "backbone.pt", scale="tiny", gone=1)
    assert found(WEIGHTS) == [str(folder / "backbone.pt")]


def test_paths_count_from_the_project_too(project):
    """A kernel stands in notebooks/; what the tool prints begins at the project."""
    folder = executed(project, PRETRAIN, "mini/a", "backbone.pt")
    for given in ("papermill_runs/mini/a/backbone.pt", "papermill_runs/mini/a",
                  "../papermill_runs/mini/a/backbone.pt"):  # fmt: skip
        [path] = found(WEIGHTS, pretrained=given)
        assert os.path.samefile(path, folder / "backbone.pt")
    namespace = {"dataset": "folder", "root": "papermill_runs/mini"}
    assert runs.start(PRETRAIN, namespace).params["root"] == str(project / "papermill_runs/mini")
    assert namespace["root"] == str(project / "papermill_runs/mini"), "as later cells see it"
    assert located("../notebooks", project) is not None


def test_a_path_that_is_not_there_names_both_places(project):
    given = "papermill_runs/none/backbone.pt"
    with pytest.raises(runs.MissingInput, match=r"pretrained='.*': there is no such file") as told:
        found(WEIGHTS, pretrained=given)
    assert str(project / "notebooks") in str(told.value)
    for parameters in (
        {"dataset": "folder", "root": "nowhere"},
        {"label_list": "none.txt"},
        {"dataset": "ucf101", "root": ".", "dataset_options": {"annotations": "lists"}},
    ):
        with pytest.raises(runs.MissingInput, match="there is no such file or folder"):
            runs.start(BASELINE, dict(parameters))
    for parameters, message in (
        ({"dataset": "folder"}, "needs root"),
        ({"dataset": "hmdb51", "root": "."}, "needs dataset_options.annotations"),
        ({"dataset": "foldr", "root": "."}, "did you mean 'folder'"),
        (
            {"dataset": "folder", "root": ".", "dataset_options": {"split": 1}},
            "dataset='folder' does not know the option 'split': it belongs to ucf101, hmdb51",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            runs.start(BASELINE, dict(parameters))


def test_a_folder_that_lacks_a_file_says_what_it_has(project):
    folder = executed(project, TEACHERS, "mini/t", "backbone.pt", "teacher.pt", "finetuned-5.pt")
    with pytest.raises(runs.MissingInput, match=r"has no finetuned-10\.pt \(it has .*finetuned-5"):
        found(*runs.teacher_needs(0.1), page=SIMILARITY, invariant=str(folder))


def test_another_network_than_the_page_builds_is_refused_at_once(project):
    about = {"backbone": "r2plus1d_10", "width": 0.25, "dataset": "none", "seed": 0}
    model = models.build("r2plus1d_10", num_classes=0, width=0.25)
    weights = save_pretrained(model, project / "a.pt", **about)
    need = runs.Need("pretrained", settings={"backbone": "r2plus1d_10", "width": 0.125})
    with pytest.raises(runs.MissingInput, match=r"width=0\.25 instead of width=0\.125"):
        found(need, pretrained=str(weights))
    need = runs.Need("pretrained", settings={"backbone": "r2plus1d_10", "width": 0.25})
    assert found(need, pretrained=str(weights)) == [str(weights)]


def test_what_is_found_stands_in_the_parameters_and_the_rest_stays_empty(project, capsys):
    weights = explored(PRETRAIN, "backbone.pt") / "backbone.pt"
    run = runs.start("24_motionfit_retrieval", {"starts": {"mosi": ""}})
    entry = runs.Need("starts.mosi", PRETRAIN, ("backbone.pt",))
    optional = runs.Need("teacher_features", "22_motionfit_pseudo_labels", ("features.npz",),
                         required=False)  # fmt: skip
    skipped = runs.Need("motion_predictions", PRETRAIN, ("none",), when=False)
    assert run.inputs(entry, optional, skipped) == [str(weights), "", ""]
    assert run.params["starts"] == {"mosi": str(weights)}
    assert "24_motionfit_retrieval, left out: teacher_features" in capsys.readouterr().out


def test_a_recorded_run_looks_for_nothing_optional(project, tmp_path):
    explored(PRETRAIN, "backbone.pt")
    need = runs.Need("pretrained", PRETRAIN, ("backbone.pt",), required=False)
    assert found(need, run_folder=str(tmp_path / "run")) == [""]
    assert found(need) != [""]


# --- every page --------------------------------------------------------------------------------

AT_FIRST = {  # page -> the pages that it names at once where nothing has been run
    TRANSFER: [PRETRAIN],
    "14_mosi_clusters": [PRETRAIN],
    "22_motionfit_pseudo_labels": ["21_motionfit_motion_model"],
    "23_motionfit_self_training": ["22_motionfit_pseudo_labels"],
    "24_motionfit_retrieval": ["23_motionfit_self_training"],
    SIMILARITY: [TEACHERS, TEACHERS],
    "32_timebalance_student": [TEACHERS, TEACHERS, SIMILARITY],
    "33_timebalance_weights": [TEACHERS, TEACHERS, SIMILARITY],
}


def first_cells(page, **given):
    """Run a page's parameters and its first cell of code, as a kernel does; its variables."""
    path = REPOSITORY / "notebooks" / f"{page}.py"
    code = [cell for cell in notebook_cells(path.read_text()) if cell.kind == "code"]
    parameters, first = code[:2]
    assert "parameters" in parameters.tags
    assert f'runs.start("{page}", globals())' in first.source
    namespace = {}
    exec(parameters.source, namespace)
    namespace.update(given)
    exec(first.source, namespace)
    return namespace


@pytest.mark.parametrize("page", runs.notebook_names(REPOSITORY))
def test_a_page_opened_on_its_own_stops_in_its_first_cell_or_needs_nothing(project, page):
    if page not in AT_FIRST:
        assert first_cells(page)["run"].folder.is_dir()
        return
    with pytest.raises(runs.MissingInput) as refused:
        first_cells(page)
    told = str(refused.value)
    named = [line.split()[1] for line in told.splitlines() if "by hand:" in line]
    assert len(re.findall(r"no run of (\w+)", told)) == len(AT_FIRST[page])
    assert re.findall(r"no run of (\w+)", told) == AT_FIRST[page]
    assert re.findall(r"vidssl execute (\w+)", told) == AT_FIRST[page]
    assert len(named) == len(AT_FIRST[page])


@pytest.mark.parametrize("page", runs.notebook_names(REPOSITORY))
def test_no_later_cell_looks_for_an_earlier_run(page):
    path = REPOSITORY / "notebooks" / f"{page}.py"
    code = [cell.source for cell in notebook_cells(path.read_text()) if cell.kind == "code"]
    asking = ("run.inputs", "run.starts", "explored(")
    assert not any(each in source for source in code[2:] for each in asking)


def test_pages_without_a_trained_network_say_so_loudly(project, capsys):
    found = first_cells("13_mosi_gradcam")
    told = capsys.readouterr().out
    assert found["untrained"]
    assert "ONLY A NETWORK WITH RANDOM WEIGHTS IS SHOWN" in told
    assert told.count("by command: vidssl execute") == 3
    explored(PRETRAIN, "backbone.pt", mask_ratio=[])
    found = first_cells("13_mosi_gradcam")
    assert not found["untrained"]
    assert (found["mosi_weights"], found["supervised_weights"]) == ("", "")
    assert found["mosi_unmasked_weights"].endswith("backbone.pt")


def test_mars_needs_the_teacher_s_features_and_retrieval_alone_does_not(project):
    page = "24_motionfit_retrieval"
    with pytest.raises(runs.MissingInput) as refused:
        first_cells(page, starts={"scratch": ""})
    assert "needs teacher_features: no run of 22_motionfit_pseudo_labels" in str(refused.value)
    small = {"scale": "smoke", "mars": False, "videos_per_class": 1}
    assert first_cells(page, starts={}, **small)["rgb_predictions"] == ""


def test_labels_alone_need_no_teacher(project):
    assert first_cells("32_timebalance_student", method="supervised")["similarities"] == ""
    assert first_cells(TRANSFER, starts={"scratch": ""})["starts"] == {"scratch": ""}


def test_a_word_that_is_wrong_is_refused_before_earlier_runs_are_asked_for(project):
    with pytest.raises(ValueError, match=r"blend='similarty'.*did you mean 'similarity'"):
        first_cells("32_timebalance_student", blend="similarty")


def test_starts_are_found_by_the_method_s_name(project, tmp_path):
    with pytest.raises(runs.MissingInput, match=r"needs starts\.motionfit: no run of 23_motionfit"):
        first_cells(TRANSFER, starts={"scratch": "", "motionfit": ""})
    weights = explored(PRETRAIN, "backbone.pt") / "backbone.pt"
    about = {"backbone": "r2plus1d_10", "width": 0.125, "dataset": "none", "seed": 0}
    save_pretrained(models.build("r2plus1d_10", num_classes=0, width=0.125), weights, **about)
    found = first_cells(TRANSFER)
    assert found["starts"] == {"scratch": "", "mosi": str(weights)}
    assert found["run"].params["starts"] == found["starts"], "the record says what was used"
    own = first_cells(TRANSFER, starts={"mine": str(weights)})
    assert own["starts"] == {"mine": str(weights)}
    with pytest.raises(runs.ParameterError, match=r"no page makes weights of 'mine'; give their"):
        first_cells(TRANSFER, starts={"mine": ""})
    with pytest.raises(runs.ParameterError, match=r"of 'mosy'.*did you mean 'mosi'\?$"):
        first_cells(TRANSFER, starts={"mosy": ""})
    with pytest.raises(runs.ParameterError, match=r'starts is empty: .*starts=\{"scratch": ""\}'):
        first_cells(TRANSFER, starts={})
    with pytest.raises(runs.MissingInput, match=r"starts\.mine='none\.pt': there is no such file"):
        first_cells(TRANSFER, starts={"mine": "none.pt"})
