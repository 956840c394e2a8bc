"""Notebooks 10 to 15 at smoke scale."""

import pytest
from PIL import Image
from smoke import execute

from vidssl import models
from vidssl.models.pretrained import save_pretrained


def test_pseudo_motion(place):
    done = execute("10_mosi_pseudo_motion", place, "pseudo_motion")
    assert done["metrics"]["labels"] == 9
    assert set(done["expectations"].values()) == {"held"}, "signs and squares"
    for suffix in ("png", "webp"):
        assert (place / "figures" / f"smoke_mosi_pseudo_motion.{suffix}").exists()


def test_pretrain_transfer_and_table(place):
    """Weights, transfers with them and without, and the table of these records."""
    pretrained = execute("11_mosi_pretrain", place, "mosi_pretrain-xy-s0")
    assert pretrained["status"] == "finished"
    weights = place / "smoke" / "mosi_pretrain-xy-s0" / "backbone.pt"
    asked = {"scratch": "", "mosi": str(weights)}
    twins = execute("03_transfer", place, "twins", starts=asked)
    assert twins["metrics"]["test_videos"] == 8
    assert "mosi is ahead of scratch" in twins["expectations"]
    for start, name in {"scratch": "scratch", "xy": "mosi"}.items():
        execute("03_transfer", place, f"mosi_transfer-{start}-n2-s0", starts={name: asked[name]})
    execute("15_mosi_tables", place, "mosi_lowshot")
    table = (place / "figures" / "smoke_mosi_lowshot.csv").read_text().splitlines()
    assert table[0] == "table,row,column,metric,mean,ci95,seeds,scale,dataset,paper"
    for row in ("scratch", "MoSI", "static frame", "chance"):
        assert any(line.startswith(f"mosi_lowshot,{row},2,top1_accuracy,") for line in table)


def test_a_label_list_frozen_stages_and_validation_groups(place, tmp_path):
    lines = (place / "data" / "ucfTrainTestlist" / "trainlist01.txt").read_text().splitlines()
    named = [line.split()[0].removesuffix(".mp4") for line in lines]
    labels = [int(line.split()[1]) - 1 for line in lines]
    chosen = [f"{video} 16 {label}" for video, label in zip(named, labels)][::2]
    (tmp_path / "half.txt").write_text("\n".join(chosen))
    done = execute(
        "03_transfer",
        place,
        "from_list",
        starts={"scratch": ""},
        label_list=str(tmp_path / "half.txt"),
        videos_per_class=0,
        frozen_stages=["stem", "conv2"],
    )
    assert done["metrics"]["labelled"] == len(chosen)
    held_out = execute(
        "02_supervised_baseline", place, "on_validation", validation=0.3, videos_per_class=0
    )
    assert held_out["metrics"]["labelled"] + held_out["metrics"]["test_videos"] == len(lines)
    assert held_out["data_hash"] != done["data_hash"]


@pytest.fixture(scope="module")
def untrained(place):
    """A network as `11_mosi_pretrain` leaves it, but for its training."""
    about = {"backbone": "r2plus1d_10", "width": 0.25, "dataset": "none", "seed": 0}
    return str(
        save_pretrained(
            models.build("r2plus1d_10", num_classes=9, width=0.25), place / "a.pt", **about
        )
    )


def test_gradcam_and_clusters(place, untrained):
    looked = execute(
        "13_mosi_gradcam",
        place,
        "gradcam",
        mosi_weights=untrained,
        supervised_weights=untrained,
    )
    metrics = looked["metrics"]
    for role in ("mosi", "supervised", "scratch", "chance"):
        assert 0 < metrics[f"{role}_energy_inside_score"] < 1
        assert 0 <= metrics[f"{role}_pointing_game_accuracy"] <= 1
    assert not any(name.startswith("mosi_unmasked") for name in metrics)
    figures = place / "figures"
    for name in ("gradcam", "failures", "attention_energy", "attention_pointing", "pan"):
        assert (figures / f"smoke_mosi_{name}.png").exists()
    scores = (place / "smoke" / "gradcam" / "attention_per_video.csv").read_text()
    assert len(scores.splitlines()) == 1 + metrics["videos"]
    grouped = execute("14_mosi_clusters", place, "clusters", pretrained=untrained)
    assert 0 <= grouped["metrics"]["mosi_unmasked_class_nmi_score"] <= 1
    assert len((figures / "smoke_mosi_clusters.csv").read_text().splitlines()) == 1 + 8


def test_gradcam_and_clusters_of_ones_own_videos(place, untrained, moving_videos):
    """No truth is known: pictures, and nothing that would need it."""
    own = {"dataset": "folder", "root": str(moving_videos), "publish": False, "frame_stride": 2}
    looked = execute("13_mosi_gradcam", place, "own_gradcam", mosi_weights=untrained, **own)
    assert "mosi_energy_inside_score" not in looked["metrics"]
    assert (place / "smoke" / "own_gradcam" / "mosi_gradcam.png").exists()
    grouped = execute("14_mosi_clusters", place, "own_clusters", pretrained=untrained, **own)
    assert "scratch_class_purity_score" in grouped["metrics"]
    assert "scratch_motion_purity_score" not in grouped["metrics"]


def test_a_folder_of_images_and_a_folder_of_videos(place, moving_videos, tmp_path):
    """The same notebooks on one's own files: flat photographs, then <class>/<file> videos."""
    photographs = pytest.importorskip("skimage.data")
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        Image.fromarray(getattr(photographs, name)()).save(tmp_path / f"{name}.png")
    own = {"dataset": "folder", "root": str(tmp_path)}
    pretrained = execute("11_mosi_pretrain", place, "own_images", **own)
    assert pretrained["failed_count"] == 0
    transferred = execute(
        "03_transfer",
        place,
        "own_videos",
        dataset="folder",
        root=str(moving_videos),
        starts={"mosi": str(place / "smoke" / "own_images" / "backbone.pt")},
        videos_per_class=3,
        dataset_options={"test_groups": ["left/0", "left/1", "right/0", "right/1"]},
    )
    assert transferred["metrics"]["test_videos"] == 4
    assert transferred["metrics"]["chance"] == 0.5
