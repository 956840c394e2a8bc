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
# | takes | 1 min |
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

from skimage import data as photographs

from vidssl.data import read_image
from vidssl.motion import source_side
from vidssl.motion.playground import as_source

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
# Speeds are counted from $-K$ to $K$ on each axis, $\mathbb{S} = \{-K, \dots, -1, 0, 1, \dots, K\}$,
# and a label moves along one axis only (Eq. 1):
#
# $$\mathbb{L} = \left\{ i : (x, y) \mid x \in \mathbb{S},\; y \in \mathbb{S},\; x y = 0 \right\}$$
#
# which leaves $4K + 1$ labels, one of them standing still. In code:

# %%
speeds = range(-k, k + 1)
by_equation = {(x, y) for x in speeds for y in speeds if x * y == 0}
of_axes = [(x, y) for x, y in by_equation if ("x" in axes or not x) and ("y" in axes or not y)]
print(f"{len(by_equation)} labels for K = {k}, {len(of_axes)} of them on the axes {axes!r}")

# %% [markdown]
# The source image is $W \times H$ px, the clip $L \times L$. At full speed, $x = K$, the window
# crosses all that the clip leaves free of the image, at lower speeds a share of it (Eq. 2):
#
# $$D_x = \frac{(W - L)\, x}{K}, \qquad D_y = \frac{(H - L)\, y}{K}$$
#
# +x is right, +y is down, and it is the *window* that moves: what you see in the clip goes the
# other way.

# %%
from vidssl.motion import label_pool

pool = label_pool(k, axes)  # the same labels, in the order in which a network numbers them
for label, (x, y) in enumerate(pool):
    distance_x, distance_y = (side - size) * x / k, (side - size) * y / k
    print(
        f"label {label:2d}: speed ({x:+d}, {y:+d})   "
        f"{distance_x:+7.1f}, {distance_y:+7.1f} px in all   "
        f"{distance_x / (frames - 1):+6.2f}, {distance_y / (frames - 1):+6.2f} px a frame"
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
from vidssl.motion.playground import pseudo_motion_playground

pseudo_motion_playground(pictures, frames=frames, size=size, k=k, seed=seed)

# %% [markdown]
# ## How it is made
#
# Of a label only the *distance* is fixed. The window may start wherever its end still lies inside
# the image, so on each axis a start is drawn from $[\max(0, -D),\; W - L - \max(0, D)]$, and the
# $N$ frames are spread evenly from there to the end. These lines are all of it:

# %%
import numpy as np


def window_positions(distance, generator):
    """Left (or upper) edges of the window in each frame, in whole px: (N,)."""
    low, high = max(0, -distance), side - size - max(0, distance)
    start = generator.uniform(low, high)
    return np.trunc(np.linspace(start, start + distance, frames)).astype(int)


def move_window(picture, label, generator):
    """The clip (T, H, W, 3) that a moving window cuts out of a picture (Ls, Ls, 3)."""
    lefts, tops = (window_positions((side - size) * speed / k, generator) for speed in pool[label])
    return np.stack([picture[y : y + size, x : x + size] for x, y in zip(lefts, tops)])


# %% [markdown]
# ## The static mask
#
# So far a network may look anywhere, since everything moves. Videos are not like that. So of the
# clip $\mathbf{u}$ only a square of side $r L$ goes on moving, $r$ drawn from `mask_ratio`. All pixels
# $(a, b)$ outside of it, $\mathbf{m}$, show one frame $q$ of the same clip, drawn at random. Frame $p$
# becomes (Eq. 3)
#
# $$\tilde{\mathbf{u}}_p = \begin{cases}
# \mathbf{u}_q & \text{if } (a, b) \in \mathbf{m} \\
# \mathbf{u}_p & \text{if } (a, b) \notin \mathbf{m}
# \end{cases}$$


# %%
def static_mask(clip, generator):
    """The clip with everything outside of one square frozen, and the square (left, top, side)."""
    low, high = (mask_ratio * 2)[:2]  # one number fixes it
    moving = max(1, round(generator.uniform(low, high) * size))
    left, top = generator.integers(0, size - moving + 1, 2)
    frozen = np.ones((size, size, 1), bool)  # m: one mask for all frames
    frozen[top : top + moving, left : left + moving] = False
    q = generator.integers(frames)
    return np.where(frozen, clip[q], clip), (left, top, moving)


# %%
from vidssl.visualize import film_strip

generator = np.random.default_rng(seed)
picture = (source.permute(1, 2, 0).numpy() * 255).round().astype(np.uint8)
moved = move_window(picture, pool.index((0, k) if axes == "y" else (k, 0)), generator)
masked, square = static_mask(moved, generator)
film_strip(
    [moved, masked],
    titles=["everything moves", f"only a square of {square[2]} px does"],
    every=max(1, frames // 8),
    note="made by the lines above",
)

# %% [markdown]
# What the project trains with does the same for many images at once, on the device of the network,
# and draws the colours of every frame on the way: `vidssl.motion.plan_motions` makes the draws,
# `render_motions` the pixels.
#
# ## All labels of one image
#
# These are the clips that one training step sees of one image (same-batch training): a network
# that tells them apart cannot do so by what the image shows.

# %%
import torch

from vidssl.motion import plan_motions, render_motions
from vidssl.visualize.widgets import FramePlayer

motions = plan_motions(
    side, side, frames=frames, size=size, k=k, axes=axes, mask_ratio=tuple(mask_ratio),
    generator=torch.Generator().manual_seed(seed),
)  # fmt: skip
clips = render_motions(source[None], motions)[0]
FramePlayer(
    list(clips),
    [f"{label}: ({x:+d}, {y:+d})" for label, (x, y) in enumerate(pool)],
    alt="the masked pseudo motions of all labels",
)

# %% [markdown]
# ## In one figure
#
# The window may start where the picture is bright; dashes show where it ends. Below, a clip before and behind its mask.

# %%
from vidssl.visualize.motions import pseudo_motion_figure

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

# %%
from vidssl.visualize.animation import masked_motions

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


def estimated_sign(clip):
    """Which way the content of (3, T, H, W) goes from its first frame to its second: (x, y)."""
    grey = clip.mean(dim=0).numpy()
    shift, _, _ = phase_cross_correlation(grey[1], grey[0], normalization=None)
    return np.sign(shift[::-1])


def outside_moves(clip, square):
    left, top, moving = square.tolist()
    outside = clip.clone()
    outside[:, :, top : top + moving, left : left + moving] = 0
    return float(outside.std(dim=1).max()) > 1e-6


agree = [np.array_equal(estimated_sign(whole[i]), -np.sign(pool[i])) for i in range(len(pool))]
leaks = [outside_moves(clips[i], motions.square[0, i]) for i in range(len(pool))]
print(f"{sum(agree)} of {len(pool)} signs agree, {sum(leaks)} clips move outside of their square")

# %%
run.finish(
    {
        "labels": len(pool),
        "source_side": side,
        "signs_that_agree": sum(agree),
        "moving_outside": sum(leaks),
    },
    seeds=[seed],
    expectations=[
        runs.Expectation("every sign agrees", sum(agree), len(pool) - 0.5),
        runs.Expectation("nothing moves outside the squares", -sum(leaks), -0.5),
    ],
)

# %% [markdown]
# ## What to try next
#
# - `image` with a picture of yours: one of a plain wall, or of the sky. What is there to see move?
# - `axes = "x"`: the labels of MoSI-x; how many are left?
# - `k = 4`: two neighbouring speeds are now as near as a frame's rounding.
# - [11_mosi_pretrain](11_mosi_pretrain.ipynb): can a network name the label?
