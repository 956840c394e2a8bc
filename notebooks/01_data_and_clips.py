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
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
frames = 8
frame_stride = 7
size = 32  # px
short_side = 40  # px
augmentation = {
    "flip": 0.5,
    "color": [0.5, 0.5, 0.5, 0.25],
    "grey": 0.3,
}  # what is not named is off
videos_shown = 6

# %%
from vidssl import runs

run = runs.start("01_data_and_clips", globals())

# %%
from collections import Counter

from vidssl.data import backend

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
import numpy as np

from vidssl.data import read_clip, readable_videos, resize_short_side, video_length
from vidssl.visualize.widgets import FramePlayer

one_each = {}
for record in splits.train:
    one_each.setdefault(record.class_name or record.video_id, record)
step = max(1, len(one_each) // videos_shown)
chosen = list(one_each.values())[::step][:videos_shown]
run.make_videos(chosen)
asked, chosen = chosen, list(readable_videos(chosen))
if unreadable := [r.path for r in asked if r not in chosen]:
    print("not shown, for it cannot be read to its end:", *unreadable, sep="\n  ")
if not chosen:
    raise runs.ParameterError(
        f"none of {len(asked)} videos can be read to its end: copy them again, or show others by "
        "root or videos_shown"
    )
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
# A clip of $N$ frames at stride $s$ that starts at frame $t$ shows the frames
#
# $$t,\; t + s,\; \dots,\; t + (N - 1)\,s$$
#
# A training clip starts anywhere it fits; a test video is covered by evenly spread clips. A video
# shorter than the clip's span $(N - 1)\,s + 1$ is continued by running backwards from its end, so
# that motion never jumps.

# %%
from vidssl.data import clip_span, random_clip, uniform_clips

span = clip_span(frames, frame_stride)
length = lengths[0]
print(f"{frames} frames at stride {frame_stride} span {span} of {length} frames")
print("a training clip:", random_clip(length, frames, frame_stride, np.random.default_rng(seed)))
print("three test clips:", *uniform_clips(length, frames, frame_stride, 3), sep="\n  ")
print("of a 10-frame video:", uniform_clips(10, frames, frame_stride, 1)[0])

# %% [markdown]
# The last line goes up and down again: the ten-frame video was read to its end and back.
#
# ## Which part, in which colours
#
# Training clips go through an *augmentation*: a random crop, a mirrored or another tinted picture,
# with one draw for all frames of a clip and another draw every epoch. How strong it is, is the
# parameter `augmentation`; its fields and what each means:

# %%
import inspect

from vidssl.data import Augmentation

print(inspect.getdoc(Augmentation).partition("Args:\n")[2].partition("Raises:")[0])

# %%
from vidssl import protocol, visualize

clips = protocol.Clips.of(run.params)
augmented, plain = clips.training(chosen, seed), clips.even(chosen, 1)
strips = [plain[0]["clips"][0], *(augmented[epoch, 0]["clips"][0] for epoch in range(3))]
captions = ["test: centre crop", *(f"training, epoch {epoch}" for epoch in range(3))]
figure = visualize.film_strip(
    strips, titles=captions, note=f"{chosen[0].class_name or chosen[0].video_id}, {size} px"
)
figure

# %%
FramePlayer(strips, captions, alt="one video, augmented anew every epoch")

# %% [markdown]
# Within a row the tint does not change: colours that flickered would be motion, too. Test clips
# are cut from the centre and left as they are.
#
# A sample depends on the seed, the epoch and the video's number alone, not on what was read before
# it or by how many processes; so a run that was stopped goes on with the very clips it would have
# seen.

# %%
first, again, other = (augmented[epoch, 0]["clips"] for epoch in (1, 1, 2))
print("epoch 1 twice:", "the same" if (first == again).all() else "DIFFERENT")
print("epochs 1 and 2:", "the same" if first.equal(other) else "different")

# %% [markdown]
# ## The known truth
#
# Of an embedded video everything is known: where the sprite is (outlined), how every pixel moves
# (colours give the direction, their strength the speed), and when one sub-action gives way to the
# next. So a method's explanation can be checked, not only its accuracy.

# %%
if dataset == "embedded":
    from IPython.display import display

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
shared = {r.video_id for r in splits.train} & {r.video_id for r in splits.test}
run.finish(
    {
        "train_videos": len(splits.train),
        "test_videos": len(splits.test),
        "videos_in_both": len(shared),
    }
)

# %% [markdown]
# ## What to try next
#
# - `frame_stride = 1`: what of the motion is left in a clip of eight neighbouring frames?
# - `augmentation = {"scale": [0.5, 1.0], "erase": 1.0}`: crops of any size, with a black rectangle.
# - `dataset = "folder"` and `root` with videos of your own.
# - [02_supervised_baseline](02_supervised_baseline.ipynb): what a network makes of these clips.
