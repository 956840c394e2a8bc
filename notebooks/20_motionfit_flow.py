# %% [markdown]
# # MotionFit: optical flow
#
# **Question.** What does a network see that sees motion alone, and how good is that motion?
#
# MotionFit's first network looks at optical flow instead of pictures: two numbers a pixel, how far
# its content moves to the right (u) and down (v) until the next frame. The paper computes it with
# TV-L1 (Zach et al., 2007). Here five methods stand side by side; of the embedded videos the true
# flow is known, so each one's error can be seen.
#
# | | |
# | --- | --- |
# | needs | any data set (`dataset`, `root`); by default the embedded one |
# | takes | 1 min |
# | gives | a playground, errors against the true flow, the figure `motionfit_flow` |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
method = "fast"  # reference, fast, torch, dis, farneback
frames = 33  # of each video, from its first on
short_side = 96  # px, at which flow is computed
videos_shown = 6
compared = ["reference", "fast", "torch", "dis", "farneback"]
compared_pairs = 4  # pairs of frames of each video shown
seed = 0

# %%
from vidssl import runs
from vidssl.core import one_of
from vidssl.data import readable_videos
from vidssl.motion import METHODS

run = runs.start("20_motionfit_flow", globals())
one_of("method", method, METHODS)
if frames < 2:
    raise ValueError(f"frames must be at least 2, the ends of a field of flow; got {frames}")
splits = run.open_dataset(whole=False)  # embedded videos are made when they are looked at
one_each = {}
for record in splits.train:
    one_each.setdefault(record.class_name or record.video_id, record)
chosen = dict(list(one_each.items())[:: max(1, len(one_each) // videos_shown)][:videos_shown])
run.make_videos(chosen.values())
readable = list(readable_videos(chosen.values()))
if unreadable := [record.path for record in chosen.values() if record not in readable]:
    print("not shown, for it cannot be read to its end:", *unreadable, sep="\n  ")
chosen = {name: record for name, record in chosen.items() if record in readable}
print(f"{len(chosen)} videos: {', '.join(chosen)}")

# %% [markdown]
# ## What is minimised
#
# Of two frames $I_0$ and $I_1$, TV-L1 seeks the flow $u$ under which a pixel keeps its grey level,
# and which changes as little as possible from pixel to pixel:
#
# $$\min_u \sum_x |\nabla u_1(x)| + |\nabla u_2(x)| + \lambda \, |I_1(x + u(x)) - I_0(x)|$$
#
# Both terms are absolute values, so a few large violations are borne: motion may jump at the rim of a
# thing, and a pixel may be hidden. The second frame is warped by the flow found so far and the data
# term made linear around it; what is left is convex, and solved by steps of $u$ and of a dual variable.

# %%
from vidssl import visualize
from vidssl.motion.tv_l1 import primal_dual

visualize.source(primal_dual)

# %% [markdown]
# This is our own, for whole batches on a GPU (`torch`). It begins on a small picture and carries what
# it finds to the larger ones: motion of many pixels is a small one there.

# %%
from functools import cache, lru_cache

import numpy as np

from vidssl.data import read_clip, resize_short_side
from vidssl.data.flow_files import resize_flow
from vidssl.motion import optical_flow


@cache
def pictures(name):
    """The first frames of a video, (T, H, W, 3) uint8."""
    shown = read_clip(chosen[name].path, lambda length: np.arange(min(length, frames)))
    return resize_short_side(shown, short_side)


@cache
def truth(name):
    """The known flow (T-1, H, W, 2) in px and the sprite's mask (T-1, H, W), else None."""
    if dataset != "embedded":
        return None
    from vidssl.data import synthetic

    known = synthetic.truth(run.scene_of(chosen[name]))
    count, height, width = pictures(name).shape[:3]
    flow = resize_flow(known.flow[: count - 1], height, width)
    same_size = known.mask.shape[1:] == (height, width)
    return flow, known.mask[: count - 1] if same_size else None


# %%
@lru_cache(maxsize=512)
def pair_flow(name, by, settings, first):
    """The flow (H, W, 2) from frame ``first`` to the next by a method."""
    pair = pictures(name)[first : first + 2]
    return optical_flow(pair, by, **dict(settings))[0]


def estimated(name, by, settings=()):
    """The flow (T-1, H, W, 2) of a video by a method."""
    steps = range(len(pictures(name)) - 1)
    return np.stack([pair_flow(name, by, settings, first) for first in steps])


# %% [markdown]
# ## Playground
#
# Choose the video, the method and its parameters. **Colours**: the hue is the direction, the
# strength the speed, as the wheel says. **Arrows** are drawn four times as long as the motion.
# With the player in focus, **space** plays and pauses and the **arrow keys** step.
#
# *lambda* weighs the data against smoothness: small values smooth, large ones follow every noise.
# *warps* is how often the second frame is warped anew at each size: few are quick but lose fast
# motion.

# %%
import time

from vidssl.visualize.flow import flow_to_rgb

OWN = "its own"
NAMES = {"reference": "lambda_", "fast": "lambda_", "torch": "attachment"}


def settings_of(by, weight, warps):
    given = {NAMES[by]: weight, "warps": warps} if by in NAMES else {}
    return tuple((name, value) for name, value in given.items() if value != OWN)


def in_rounds(video, by, settings):
    """Flow (T-1, H, W, 2), zero where it is not known so far, and the pairs that are known: the pair
    in view first, then the others, a third of a second at a time."""
    count = len(pictures(video)) - 1
    flow = np.zeros((count, *pictures(video).shape[1:3], 2), np.float32)
    begun, at = -1.0, min(player.frame, count - 1)
    order = np.roll(np.arange(count), -at).tolist()
    for done, first in enumerate(order, 1):
        flow[first] = pair_flow(video, by, settings, first)
        if done == count or time.perf_counter() - begun > 0.3:
            yield flow, order[:done]
            begun = time.perf_counter()


@lru_cache(maxsize=1024)
def pair_colors(name, by, settings, first, largest):
    """One field in colours (H, W, 3); ``by`` may be the truth."""
    known = by == "true flow"
    return flow_to_rgb(
        truth(name)[0][first] if known else pair_flow(name, by, settings, first), largest
    )


# %%
from vidssl.visualize import Marks
from vidssl.visualize.flow import flow_legend, largest_speed
from vidssl.visualize.widgets import FramePlayer, Picture

player = FramePlayer(alt="a video beside its optical flow, and the true flow where it is known")
legend = Picture()


def speed(flow):
    """Mean length (px) of the vectors of a field (..., H, W, 2)."""
    return float(np.hypot(flow[..., 0], flow[..., 1]).mean())


def in_colors(name, by, settings, pairs, largest):
    """Fields as frames of a player, white where they are not known so far."""
    frames = np.full_like(pictures(name)[:-1], 255)
    for first in pairs:
        frames[first] = pair_colors(name, by, settings, first, largest)
    return frames


def show_fields(video, by, settings, fields, pairs, view, largest):
    shown = pictures(video)[:-1]
    if view == "colours":
        known = {by: pairs, "true flow": range(len(shown))}
        clips = [in_colors(video, f, settings, known[f], largest) for f in fields]
        player.show([shown, *clips], ["RGB", *fields])
    else:
        marks = [Marks(field=field) for field in fields.values()]
        player.show([shown] * len(fields), list(fields), marks=marks)
    wheel = f"the hue of each direction; full colour at {largest:.1f} px a frame"
    if legend.alt != wheel:
        legend.show(flow_legend(largest), wheel)


# %%
import ipywidgets as widgets

from vidssl.visualize.widgets import Playground, controls


def show_flow(video, by, view, weight, warps):
    ignored = "" if by in NAMES or (weight, warps) == (OWN, OWN) else f"; {by} has no such setting"
    true, settings = truth(video), settings_of(by, weight, warps)
    for flow, pairs in in_rounds(video, by, settings):
        largest = largest_speed(flow if true is None else true[0])
        fields = {by: flow} if true is None else {by: flow, "true flow": true[0]}
        show_fields(video, by, settings, fields, pairs, view, largest)
        if len(pairs) < len(flow):
            yield f"{len(pairs)} of {len(flow)} pairs of frames"
    if true is None:
        yield f"mean speed {speed(flow):.2f} px a frame{ignored}"
    else:
        error, still = speed(flow - true[0]), speed(true[0])
        yield f"end-point error {error:.3f} px; {still:.3f} px if nothing moved{ignored}"


panel = controls(
    show_flow,
    video=widgets.Dropdown(options=list(chosen)),
    by=widgets.Dropdown(options=list(METHODS), value=method, description="method"),
    view=widgets.ToggleButtons(options=["colours", "arrows"]),
    weight=widgets.SelectionSlider(
        options=[0.02, 0.05, 0.1, OWN, 0.2, 0.4, 0.8], value=OWN, description="lambda"
    ),
    warps=widgets.SelectionSlider(options=[1, 2, 3, OWN, 8], value=OWN),
)
Playground([panel, player, legend])

# %% [markdown]
# ## How far off, and what it costs
#
# Each method on the same pairs of frames. The end-point error is the mean distance between the
# estimated and the true motion of a pixel; *in the sprite* it counts only where the moving thing
# is. `reference` is OpenCV's TV-L1 with its own defaults, `fast` the same with less work, `torch`
# our own.

# %%
import pandas as pd


def errors_of(flow, name, t):
    """Distances (px) from the true flow of pair ``t``: of all pixels, and of those in the sprite."""
    if truth(name) is None:
        return np.array([]), np.array([])
    true, mask = truth(name)
    error = np.linalg.norm(flow - true[t], axis=-1)
    return error.ravel(), error[mask[t]] if mask is not None else np.array([])


def measured(by):
    """A row of the table: errors and cost of a method over the pairs of all videos shown."""
    all_pixels, inside, seconds, pairs = [], [], 0.0, 0
    for name in chosen:
        for t in np.linspace(0, len(pictures(name)) - 2, compared_pairs).round().astype(int):
            began = time.process_time()
            flow = optical_flow(pictures(name)[t : t + 2], by)[0]
            seconds, pairs = seconds + time.process_time() - began, pairs + 1
            errors = errors_of(flow, name, t)
            all_pixels.append(errors[0])
            inside.append(errors[1])
    means = [
        float(each.mean()) if each.size else None for each in map(np.hstack, (all_pixels, inside))
    ]
    row = {"method": by, "end_point_error": means[0], "in_the_sprite": means[1]}
    return row | {"milliseconds": 1e3 * seconds / pairs}


rows = [measured(by) for by in compared]
pd.DataFrame(rows).style.format(precision=3, na_rep="unknown").format(
    "{:.0f}", ["milliseconds"]
).hide()

# %% [markdown]
# On the embedded videos Farneback's method errs most over all pixels, least inside the sprite, and takes
# next to no time: mini-scale runs take it for that.
#
# ## How it is stored
#
# A value is kept in 8 bits: motion beyond 20 px is clipped, a step is 0.16 px, and no motion stays
# exactly none.
#
# $$q = \mathrm{round}(127 f / 20) + 128$$
#
# `vidssl flow ROOT FOLDER` does so for a whole data set, in parallel and in shards; a run that was
# stopped goes on where it was.

# %%
from vidssl.data.flow_files import decode_flow, encode_flow, read_flow, write_flow

visualize.source(encode_flow, decode_flow)

# %%
first = next(iter(chosen))
flow = estimated(first, method)
codes = encode_flow(flow)
path = write_flow(run.folder / "example.npz", codes, method=method, short_side=short_side)
stored = decode_flow(read_flow(path))
in_file = path.stat().st_size / len(codes)
rounding = float(np.abs(stored - np.clip(flow, -20, 20)).max())
path.unlink()
print(f"{in_file:.0f} bytes a field, {100 * in_file / codes[0].nbytes:.0f} % of its 8-bit values")
print(f"largest rounding error {rounding:.3f} px (half a step is {10 / 127:.3f} px)")

# %% [markdown]
# ## Pictures beside their flow

# %%
from vidssl.visualize.flow import flow_strips

moving = max(chosen, key=lambda name: largest_speed(estimated(name, method)))
strips = {} if truth(moving) is None else {"true flow": truth(moving)[0]}
strips |= {"TV-L1": estimated(moving, method)}
if method != "torch":
    strips |= {"our TV-L1": estimated(moving, "torch")}
figure = flow_strips(pictures(moving), strips, note=f"{moving}, {dataset}, {scale}")
run.save_figure(
    figure,
    "motionfit_flow",
    alt="Frames of a video with arrows of its motion; below, its optical flow in colours: the "
    "true one, the estimate of OpenCV's TV-L1, and that of our own.",
    data=[{k: v for k, v in row.items() if k != "milliseconds"} for row in rows],
    dataset=dataset,
    publish=dataset == "embedded",  # pictures of others stay with the run
)
figure

# %% [markdown]
# ## What one should see
#
# The background in one pale colour (the camera drifts), the sprite in strong ones, its rim a
# little blurred. TV-L1 errs clearly less than the assumption that nothing moves; our own as
# little as OpenCV's, and less in the sprite.

# %%
metrics = {"bytes_a_field": in_file, "rounding_error": rounding, "videos": len(chosen)}
still = np.repeat(pictures(first)[:1], 2, axis=0)
metrics["flow_of_a_still"] = float(np.abs(optical_flow(still, method)).max())
expectations = [
    runs.Expectation("rounding errs by half a step at most", 10 / 127 + 1e-5, rounding),
    runs.Expectation("a picture that stands still has no flow", 1e-3, metrics["flow_of_a_still"]),
]
if truth(first) is not None:
    standing = float(np.mean([speed(truth(name)[0]) for name in chosen]))
    metrics |= {f"{row['method']}_end_point_error": row["end_point_error"] for row in rows}
    expectations += [
        runs.Expectation(
            f"{row['method']} errs less than no flow", standing, row["end_point_error"]
        )
        for row in rows
    ]
run.finish(metrics, seeds=[seed], expectations=expectations)

# %% [markdown]
# ## What to try next
#
# - lambda at .02, then at .8, on one video with arrows: which motion is lost, which noise followed?
# - `short_side = 48`: what does flow of small pictures still show?
# - `dataset = "folder"` with `root` at videos of yours: does the camera's motion drown the rest?
