# %% [markdown]
# # Data and clips
#
# **Question.** What does a network see of a video: which frames, which part of the picture, in
# which colours?
#
# | | |
# | --- | --- |
# | needs | any data set (`dataset`, `root`); by default the embedded one |
# | takes | 30 s |
# | gives | players, film strips, the known truth of the embedded data |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # embedded, folder, ucf101, hmdb51, kinetics
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
frames = 8
frame_stride = 7
size = 32  # px
short_side = 40  # px
videos_shown = 6

# %%
from vidssl import runs

run = runs.start("01_data_and_clips", globals())

# %%
from collections import Counter

import numpy as np
from IPython.display import display

from vidssl import visualize
from vidssl.data import (
    ClipDataset,
    TestTransform,
    TrainTransform,
    backend,
    clip_span,
    random_clip,
    read_clip,
    resize_short_side,
    uniform_clips,
    video_length,
)
from vidssl.visualize.widgets import FramePlayer

splits = run.open_dataset(whole=False)  # embedded videos are made when they are looked at
print(f"decoder: {backend()}")
print(f"{len(splits.train)} training and {len(splits.test)} test videos")
for subset in ("train", "test"):
    counts = Counter(r.class_name or "unlabelled" for r in getattr(splits, subset))
    print(f"{subset}:", ", ".join(f"{name} {n}" for name, n in sorted(counts.items())))

# %% [markdown]
# ## Videos
#
# One video of each of a few classes. With the player in focus, **space** plays and pauses, the
# **arrow keys** step, **home** and **end** jump.

# %%
one_each = {}
for record in splits.train:
    one_each.setdefault(record.class_name or record.video_id, record)
step = max(1, len(one_each) // videos_shown)
chosen = list(one_each.values())[::step][:videos_shown]
run.make_videos(chosen)
lengths = [video_length(record.path) for record in chosen]
shortest = min(min(lengths), 64)
videos = [resize_short_side(read_clip(r.path, lambda n: np.arange(shortest)), 96) for r in chosen]
FramePlayer(
    videos,
    [f"{r.class_name or r.video_id} ({n} frames)" for r, n in zip(chosen, lengths)],
    alt="videos of the data set",
)

# %% [markdown]
# ## Which frames
#
# A training clip starts anywhere; a test video is covered by evenly spread clips. Gaps between
# frames are exactly the stride. A video shorter than the clip's span is continued by running
# backwards from its end, so that motion never jumps.

# %%
span = clip_span(frames, frame_stride)
length = lengths[0]
print(f"{frames} frames at stride {frame_stride} span {span} of {length} frames")
print("a training clip:", random_clip(length, frames, frame_stride, np.random.default_rng(seed)))
print("three test clips:", *uniform_clips(length, frames, frame_stride, 3), sep="\n  ")
print("of a 10-frame video:", uniform_clips(10, frames, frame_stride, 1)[0])

# %% [markdown]
# ## Which part, in which colours
#
# Training clips are cropped, flipped and recoloured at random, with one draw for all frames of a
# clip; another draw every epoch. Test clips are cut from the centre and left as they are.

# %%
settings = {"frames": frames, "stride": frame_stride}
augmented = ClipDataset(
    chosen, **settings, transform=TrainTransform(size=size, short_side=short_side), seed=seed
)
plain = ClipDataset(
    chosen, **settings, transform=TestTransform(size=size, short_side=short_side), seed=seed
)
strips = [plain[(0, 0)]["clip"]] + [augmented[(epoch, 0)]["clip"] for epoch in range(3)]
display(
    visualize.film_strip(
        strips,
        titles=["centre crop", *(f"training, epoch {epoch}" for epoch in range(3))],
        note=f"{chosen[0].class_name or chosen[0].video_id}, {size} px",
    )
)
FramePlayer(
    strips,
    ["centre crop", *(f"epoch {epoch}" for epoch in range(3))],
    alt="one video, augmented anew every epoch",
)

# %% [markdown]
# ## The known truth
#
# Of an embedded video everything is known: where the sprite is (outlined), how every pixel moves
# (colours give the direction, their strength the speed), and when one sub-action gives way to the
# next. So a method's explanation can be checked, not only its accuracy.

# %%
if dataset == "embedded":
    from vidssl.data import synthetic
    from vidssl.visualize.flow import truth_strip

    of_class = {r.class_name: r for r in splits.train}
    groups = {c.name: c.group for c in synthetic.CLASSES}
    ordered = next((r for n, r in of_class.items() if groups[n] == "ordered"), splits.train[0])
    scene = run.scene_of(ordered)
    truth = synthetic.truth(scene)
    figure = truth_strip(
        synthetic.render(scene),
        truth.flow,
        truth.mask,
        truth.boundaries,
        note=f"{ordered.class_name}: sprite outlined, flow below",
    )
    display(figure)
    print(f"{ordered.video_id}: {truth.class_group}, boundaries at frames {truth.boundaries}")

# %% [markdown]
# ## A file that cannot be read
#
# is named, with the reason. In training the next readable video takes its place and the run's
# record names it; in evaluation it counts as wrong.

# %%
from vidssl.core import UnreadableVideo

broken = run.folder / "cut_short.mp4"
with open(chosen[0].path, "rb") as whole:
    broken.write_bytes(whole.read()[:800])
try:
    read_clip(str(broken), np.arange)
    refused = ""
except UnreadableVideo as error:
    refused = str(error)
broken.unlink()
print(refused)

# %% [markdown]
# ## What one should see
#
# Players that step, strips whose frames belong together, and one clear line about the broken file.

# %%
assert "cut_short.mp4" in refused
assert not {r.video_id for r in splits.train} & {r.video_id for r in splits.test}
assert np.all(
    np.diff(random_clip(200, frames, frame_stride, np.random.default_rng(0))) == frame_stride
)
first, again = augmented[(1, 0)]["clip"], augmented[(1, 0)]["clip"]
assert (first == again).all(), "a sample depends on its seed, epoch and index alone"
assert (first != augmented[(2, 0)]["clip"]).any()
run.finish({"train_videos": len(splits.train), "test_videos": len(splits.test)})
