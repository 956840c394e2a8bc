# %% [markdown]
# # MoSI: a pseudo motion from a still image
#
# **Question.** How can a single photograph teach a network what motion is?
#
# A crop window slides over the photograph; where it goes, and how fast, is the label. A *static
# mask* then freezes everything outside one square, so that the network must find the motion
# before it can name it (Huang et al., CVPR 2021, sections 3.1 and 3.2).
#
# | | |
# | --- | --- |
# | needs | nothing, or a picture of yours (`image`) |
# | takes | 20 s |
# | gives | a playground, all labels side by side, the figure `mosi_pseudo_motion` |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
image = ""  # path of your own picture; empty: photographs that scikit-image ships
frames = 16
size = 112  # px, side of a clip
k = 2  # speeds in each direction
axes = "xy"
mask_ratio = [0.3, 0.5]  # side of the moving square, relative to size
seed = 0
dataset = "photograph"

# %%
from vidssl import runs

run = runs.start("10_mosi_pseudo_motion", globals())

# %%
import tempfile
from dataclasses import replace
from pathlib import Path

import ipywidgets as widgets
import numpy as np
import torch
from IPython.display import display
from skimage import data as photographs

from vidssl.core import frames_to_clip
from vidssl.data import ColorJitter, read_image, resize_short_side
from vidssl.motion import (
    freeze_outside,
    label_pool,
    plan_motions,
    render_motions,
    source_side,
)
from vidssl.visualize.animation import masked_motions
from vidssl.visualize.motions import motion_panels, pseudo_motion_figure
from vidssl.visualize.widgets import FramePlayer, controls

pictures = {
    "astronaut": photographs.astronaut(),
    "coffee": photographs.coffee(),
    "cat": photographs.chelsea(),
}
if image:
    pictures = {Path(image).name: read_image(image), **pictures}


def as_source(picture, side):
    """A picture (H, W, 3) uint8 as source image (3, side, side): resized, centre cropped."""
    picture = resize_short_side(picture[None], side)
    top, left = ((length - side) // 2 for length in picture.shape[1:3])
    return frames_to_clip(picture[:, top : top + side, left : left + side])[:, 0]


side = source_side(frames, size)
source = as_source(next(iter(pictures.values())), side)
print(f"source images of {side} x {side} px, clips of {frames} frames of {size} x {size} px")

# %% [markdown]
# ## The label pool
#
# Speeds are counted from -K to K on each axis; a label moves along one axis only. At full speed
# the window crosses the whole free width of the image. +x is right, +y is down, and it is the
# *window* that moves: what you see in the clip goes the other way.

# %%
pool = label_pool(k, axes)
for label, (x, y) in enumerate(pool):
    distance = [(side - size) * speed / k for speed in (x, y)]
    step = [d / (frames - 1) for d in distance]
    print(
        f"label {label:2d}: speed ({x:+d}, {y:+d})   "
        f"{distance[0]:+7.1f}, {distance[1]:+7.1f} px in all   "
        f"{step[0]:+6.2f}, {step[1]:+6.2f} px a frame"
    )

# %% [markdown]
# ## Playground
#
# Left, the window on its way over the source image; in the middle, the clip that it cuts out;
# right, the same clip behind its static mask, with the colours that a network is given. Choose the
# image, the motion and the mask; the clip plays in the page. With the player in focus, **space**
# plays and pauses, the **arrow keys** step through the frames, **Home** and **End** jump.
#
# Take the outlines away and make the square small: do *you* still find what moves? Then let the
# colours change in every frame *before* the mask, as in the authors' release: the square gives
# itself away by its flicker, even at speed 0.

# %%
player = FramePlayer(
    alt="a pseudo motion: its window, the clip, the clip with its mask", smooth=True
)
PANEL = size * max(1, 288 // size)  # px on the screen
DIRECTIONS = {"across: left or right": (1, 0), "along: up or down": (0, 1)}
WAYS = ("right", "left", "down", "up")


def seeded(draw):
    return torch.Generator().manual_seed(draw)


def in_words(x, y):
    """How far and where to; one of x and y is not 0."""
    return next(f"{abs(d)} px {WAYS[2 * i + (d < 0)]}" for i, d in enumerate((x, y)) if d)


def plan_one(label, side, *, frames, k, draw, mask, across, down, frozen):
    """The motion of one label, with its square at a chosen place."""
    plan = plan_motions(
        side, side, frames=frames, size=size, k=k, mask_ratio=mask, generator=seeded(draw)
    ).select([label])
    square = plan.square.clone()
    square[..., 0] = round(across * (size - int(square[0, 0, 2])))
    square[..., 1] = round(down * (size - int(square[0, 0, 2])))
    return replace(plan, square=square, still=torch.tensor([[min(frozen, frames) - 1]]))


def mask_and_colour(image, plan, colours, order, draw):
    """What the network sees of one motion: (1, 1, 3, N, L, L)."""
    if colours == "as they are":
        return render_motions(image, plan)
    draws = plan.position.shape[2] if colours == "one draw a frame" else 1
    drawn = ColorJitter(grey=0).draw(1, draws, seeded(draw))
    if order == "mask, then colours":
        return render_motions(image, plan, drawn)
    return freeze_outside(render_motions(image, plan.unmasked(), drawn), plan)


def show_motion(
    picture, upload, direction, speed, speeds, frames, colours, order, draw, marks, **mask
):
    picture = take(upload) or picture
    chosen = tuple(speed * axis for axis in DIRECTIONS[direction])
    label, side = label_pool(speeds).index(chosen), source_side(frames, size)
    plan = plan_one(label, side, frames=frames, k=speeds, draw=draw, **mask)
    image = as_source(pictures[picture], side)[None]
    whole = render_motions(image, plan.unmasked())[0, 0]
    masked = mask_and_colour(image, plan, colours, order, draw)[0, 0]
    way = plan.position[0, 0, -1] - plan.position[0, 0, 0]
    square = tuple(plan.square[0, 0].tolist())
    panels = motion_panels(
        image[0], whole, masked, plan.position[0, 0].numpy(), square if marks else None, PANEL
    )
    player.show(panels, [f"source, {side} px, and its window", "no mask", "static mask"])
    return in_sentences(label, chosen, speeds, way, frames, square, int(plan.still) + 1)


def in_sentences(label, chosen, speeds, way, frames, square, still):
    (x, y), (left, top, width), steps = chosen, square, frames - 1
    moves = "the window stands still"
    if way.any():
        moves = (
            f"in {steps} steps the window moves {in_words(*way.tolist())}, "
            f"{way.abs().max() / steps:.2f} px a frame, and what it shows {in_words(*(-way).tolist())}"
        )
    return (
        f"Label {label} of {len(label_pool(speeds))}, speed ({x:+d}, {y:+d}) of K = {speeds}: {moves}. "
        f"The square of {width} px lies {left} px from the left and {top} px from the top; around "
        f"it stands frame {still}. Arrows in the clips: how far the content moves in three frames."
    )


known = set()  # uploads seen before


def take(upload):
    """Put a new upload among the pictures and choose it: its name, or None."""
    for file in upload:
        name = Path(file["name"]).name
        if (name, file["size"]) not in known:
            known.add((name, file["size"]))
            with tempfile.TemporaryDirectory() as folder:
                Path(folder, name).write_bytes(file["content"])
                pictures[name] = read_image(Path(folder, name))
            chooser.options = list(pictures)
            chooser.value = name
            return name


chooser = widgets.Dropdown(options=list(pictures), description="image")
speed = widgets.IntSlider(k - 1, -k, k)
speeds = widgets.IntSlider(k, 1, max(4, k), description="speeds K")
length = widgets.IntSlider(frames, 2, max(32, frames), description="frames")
frozen = widgets.IntSlider(frames // 2, 1, frames, description="frozen frame")


def on_speeds(change):
    speed.min, speed.max = -change.new, change.new


def on_length(change):
    frozen.max = change.new


speeds.observe(on_speeds, "value")
length.observe(on_length, "value")
panel = controls(
    show_motion,
    picture=chooser,
    upload=widgets.FileUpload(accept="image/*", description="own image"),
    direction=widgets.Dropdown(options=list(DIRECTIONS)),
    speed=speed,
    speeds=speeds,
    frames=length,
    mask=widgets.FloatSlider(0.4, min=0.1, max=1.0, step=0.05, description="mask ratio"),
    frozen=frozen,
    across=widgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="square across"),
    down=widgets.FloatSlider(0.5, min=0, max=1, step=0.05, description="square down"),
    colours=widgets.Dropdown(options=["as they are", "one draw a frame", "one draw a clip"]),
    order=widgets.Dropdown(options=["mask, then colours", "colours, then mask"]),
    draw=widgets.BoundedIntText(seed, 0, 9999, description="random draw"),
    marks=widgets.Checkbox(True, description="outlines and arrows", indent=True),
)
*fields, line = panel.children
columns = widgets.Layout(grid_template_columns="20rem 20rem")
display(widgets.VBox([widgets.GridBox(fields, layout=columns), line, player]))

# %% [markdown]
# ## All labels of one image
#
# These are the clips that one training step sees of one image (same-batch training): a network
# that tells them apart cannot do so by what the image shows.

# %%
generator = seeded(seed)
motions = plan_motions(
    side, side, frames=frames, size=size, k=k, axes=axes, mask_ratio=tuple(mask_ratio),
    generator=generator,
)  # fmt: skip
clips = render_motions(source[None], motions)[0]
FramePlayer(
    list(clips),
    [f"{label}: ({x:+d}, {y:+d})" for label, (x, y) in enumerate(pool)],
    alt="the masked pseudo motions of all labels",
)

# %% [markdown]
# ## How it is made
#
# The window may start wherever its end still lies inside the image (the dotted area), and its
# frames are spread evenly over the distance of its label (Eq. 2). Of the masked clip, one frame
# fills everything outside the square (Eq. 3).

# %%
whole = render_motions(source[None], motions.unmasked())[0]
slow, back, fast = ((1, 0), (-1, 0), (0, k)) if "x" in axes else ((0, 1), (0, -1), (0, k))
if axes == "x":
    fast = (k, 0)
paths = [(pool.index(s), motions.position[0, pool.index(s)].tolist()) for s in (slow, back, fast)]
label = paths[0][0]
figure = pseudo_motion_figure(
    source,
    pool,
    paths,
    whole[label],
    clips[label],
    tuple(motions.square[0, label].tolist()),
    int(motions.still[0, label]),
)
played = [pool.index(s) for s in ((-k, 0), (1, 0), (0, -1), (0, k)) if s in pool]
animation = masked_motions(
    whole[played],
    clips[played],
    motions.square[0, played].tolist(),
    ["label {}: ({:+d}, {:+d})".format(each, *pool[each]) for each in played],
    side=PANEL // 2,
)
run.save_figure(
    figure,
    "mosi_pseudo_motion",
    animation=animation,
    alt=f"Above, the {len(pool)} labels as a cross of directions and speeds, and three of them on a "
    "photograph: the area in which the crop window may start, where it starts and ends, and the "
    "distance between. Below, frames of the first one's clip: without a mask everything moves, "
    "with a static mask only one square does, and everything around it is one frozen frame.",
    dataset=dataset,
    publish=True,
)
figure

# %% [markdown]
# ## What one should see
#
# An estimator that knows nothing of our code, phase correlation, reads the motion inside the
# square: its sign is opposite to the label's (the window moves, not the content), its size the
# distance above. Outside the square nothing moves.

# %%
from skimage.registration import phase_cross_correlation

for label, (x, y) in enumerate(pool):
    grey = whole[label].mean(dim=0).numpy()
    shift, _, _ = phase_cross_correlation(grey[1], grey[0], normalization=None)
    assert np.array_equal(np.sign(shift), np.sign([-y, -x])), (label, shift)
    left, top, moving = motions.square[0, label].tolist()
    outside = clips[label].clone()
    outside[:, :, top : top + moving, left : left + moving] = 0
    assert outside.std(dim=1).max() < 1e-6, "something moves outside the square"
print(f"{len(pool)} labels: every sign agrees, nothing moves outside the squares")

# %%
run.finish({"labels": len(pool), "source_side": side}, seeds=[seed])
