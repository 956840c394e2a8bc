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
from pathlib import Path

import numpy as np
import torch
from skimage import data as photographs

from vidssl.data import read_image
from vidssl.motion import label_pool, plan_motions, render_motions, source_side
from vidssl.motion.playground import as_source, pseudo_motion_playground
from vidssl.visualize.animation import masked_motions
from vidssl.visualize.motions import pseudo_motion_figure
from vidssl.visualize.widgets import FramePlayer

pictures = {
    "astronaut": photographs.astronaut(),
    "coffee": photographs.coffee(),
    "cat": photographs.chelsea(),
}
if image:
    pictures = {Path(image).name: read_image(image), **pictures}
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
pseudo_motion_playground(pictures, frames=frames, size=size, k=k, seed=seed)

# %% [markdown]
# ## All labels of one image
#
# These are the clips that one training step sees of one image (same-batch training): a network
# that tells them apart cannot do so by what the image shows.

# %%
generator = torch.Generator().manual_seed(seed)
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
    side=size * max(1, 144 // size),
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
