"""What TimeBalance's targets ask of its pages, at the scales where that is more than a name."""

import json

import pytest

from vidssl import runs
from vidssl.runs.graph import load
from vidssl.runs.records import read_whole

UCF101 = {"1", "5", "10", "20", "50"}


def given(graph, target, name):
    """The parameters of a job behind a target."""
    [job] = [job for job in graph.behind(target) if job.name == name]
    return json.loads(job.params)


@pytest.fixture
def listed():
    """The graph at paper scale with one file of labelled videos for each of some shares."""

    def make(*shares, more=()):
        graph = load("paper")
        lists = {share: f"lists/ucf_{share}.txt" for share in shares}
        told = {"label_lists": lists, "methods": ["average", "fixmatch", *more]}
        graph.sections["targets"]["timebalance_main"].update(told)
        return graph

    return make


def test_published_lists_of_all_shares_make_one_table(listed):
    graph = listed(*UCF101)
    teacher = given(graph, "timebalance_main", "timebalance_teacher-tclr-s0")
    assert teacher["label_lists"] == [f"lists/ucf_{100 * f:g}.txt" for f in teacher["fractions"]]
    assert {f"{100 * f:g}" for f in teacher["fractions"]} == UCF101
    for row in ("timebalance", "supervised", "fixmatch"):
        student = given(graph, "timebalance_main", f"timebalance_student-{row}-f20-s0")
        assert student["label_list"] == "lists/ucf_20.txt"


def test_a_share_without_a_list_is_named(listed):
    with pytest.raises(ValueError, match=r"label_lists has no list of 50 % labels \(it has"):
        listed(*UCF101 - {"50"}).behind("timebalance_main")


@pytest.mark.parametrize("target", ["timebalance_ablation", "timebalance_length"])
def test_the_share_of_the_other_tables_is_one_that_teachers_learn(target):
    graph = load("mini")
    graph.sections["targets"].setdefault("timebalance_main", {}).update(percents=["1", "10"])
    with pytest.raises(ValueError, match=r"percent: 5 is none of the .* \(1, 10\): name one"):
        graph.behind(target)


@pytest.mark.parametrize(
    ("percents", "said"),
    [
        (["one"], "percents: 'one' is no share above 0 and up to 100"),
        ([5, 0], "percents: '0' is no share"),
        (["150"], "percents: '150' is no share"),
        (["nan"], "percents: 'nan' is no share"),
        ([], "timebalance_main: percents must name one or more"),
    ],
)
@pytest.mark.parametrize("target", ["timebalance_main", "timebalance_networks"])
def test_a_share_that_is_none_is_refused_before_anything_starts(target, percents, said):
    graph = load("paper")
    graph.sections["targets"][target]["percents"] = percents
    with pytest.raises(ValueError, match=said.replace("timebalance_main", target)):
        graph.behind(target)


def test_shares_may_be_numbers(listed):
    graph = listed()
    lists = {1: "lists/one.txt", 10: "lists/ten.txt"}
    graph.sections["targets"]["timebalance_main"].update(percents=[1, 10], label_lists=lists)
    teacher = given(graph, "timebalance_main", "timebalance_teacher-tclr-s0")
    assert (teacher["fractions"], teacher["label_lists"]) == ([0.01, 0.1], [*lists.values()])


def test_lists_and_a_row_that_takes_none_are_refused(listed):
    with pytest.raises(ValueError, match="leave motionfit out of methods"):
        listed(*UCF101, more=["motionfit"]).behind("timebalance_main")


def test_longer_pretraining_counts_in_what_its_scale_counts_in():
    for scale, name, usual in (("mini", "steps", 1000), ("paper", "epochs", 100)):
        longer = given(load(scale), "timebalance_length", "timebalance_teacher-invariant-x3-s0")
        assert longer[name] == 3 * usual


@pytest.mark.parametrize("scale", ["paper", "paper-hmdb51", "paper-kinetics"])
def test_3d_resnet50_is_asked_as_the_page_prints_it(scale):
    graph = load(scale)
    asked = graph.question("timebalance_networks")
    rows = {cell.row for cell in asked.cells}
    assert rows == {"supervised", "TimeBalance", "supervised, R3D-50", "TimeBalance, R3D-50"}
    shares = {cell.column for cell in asked.cells}
    assert shares == set(graph.settings("timebalance_main", percents=[], label_lists={}, seeds=[],
                                        headline_seeds=[], methods=[])["percents"])  # fmt: skip
    teacher = given(graph, "timebalance_networks", "timebalance_teacher-distinctive-R3D-50-s0")
    assert (teacher["backbone"], teacher["size"], teacher["lr"]) == ("slow_r50", 224, 0.005)
    share = min(shares, key=float)
    student = f"timebalance_student-timebalance-R3D-50-f{share}-s0"
    told = given(graph, "timebalance_networks", student)
    assert (told["backbone"], told["size"], told["lr"]) == ("slow_r50", 224, 0.0001)
    assert "timebalance_teacher-tclr-R3D-50-s0" in told["pretrained"]


def test_sweeps_come_from_the_scale_file():
    asked = load("smoke").question("timebalance_ablation")
    assert "s of 2 clips" in {cell.column for cell in asked.cells}
    assert runs.scale_file("smoke")["targets"]["timebalance_ablation"]["other_clips"] == {"2": 1}


def test_metrics_that_a_record_had_no_room_for_are_read_from_its_run(tmp_path):
    """101 classes do not fit into a record; another run of that name is not asked."""
    full = {"run": "paper-teacher-s0", "scale": "paper", "notebook": "30_timebalance_teachers",
            "parameters": {}, "metrics": {"loss": 1.0, "per_class": [0.5] * 101}, "commit": "a",
            "seconds": 2.0}  # fmt: skip
    short = {**full, "metrics": {"loss": 1.0}, "only_in_run_json": ["per_class"]}
    record, run = tmp_path / "records/paper-teacher-s0.json", tmp_path / "paper/teacher-s0/run.json"
    for path, told in ((record, short), (run, full)):
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(told))
    assert read_whole(record)["metrics"] == full["metrics"]
    run.write_text(json.dumps({**full, "seconds": 3.0}))
    assert read_whole(record)["metrics"] == {"loss": 1.0}
    run.unlink()
    assert read_whole(record)["metrics"] == {"loss": 1.0}
