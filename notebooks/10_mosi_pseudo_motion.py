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
# | input | one image: a photograph that scikit-image ships, or your own (`image`) |
# | output | a playground, all labels side by side, the figure `mosi_pseudo_motion` |
# | time | 20 s at every scale |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
image = ""  # path of your own picture; empty: a photograph that scikit-image ships
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
import ipywidgets as widgets
import torch
from IPython.display import display
from skimage import data as photographs

from vidssl.core import frames_to_clip
from vidssl.data import read_image, resize_short_side
from vidssl.motion import label_pool, plan_motions, render_motions, source_side
from vidssl.visualize.motions import pseudo_motion_figure
from vidssl.visualize.widgets import FramePlayer, controls

side = source_side(frames, size)


def as_source(picture):
    """A picture (H, W, 3) uint8 as source image (3, side, side): resized, centre cropped."""
    picture = resize_short_side(picture[None], side)
    top, left = ((length - side) // 2 for length in picture.shape[1:3])
    return frames_to_clip(picture[:, top : top + side, left : left + side])[:, 0]


sources = {
    "astronaut": as_source(photographs.astronaut()),
    "coffee": as_source(photographs.coffee()),
    "cat": as_source(photographs.chelsea()),
}
if image:
    sources = {"your image": as_source(read_image(image)), **sources}
first = next(iter(sources))
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
# Choose the image, the direction, the speed and the mask; the clip plays in the page. With the
# player in focus, **space** plays and pauses and the **arrow keys** step through the frames.

# %%
player = FramePlayer(alt="a pseudo motion, without and with its static mask")
sentence = widgets.HTML()


def show_motion(source, axis, speed, mask, draw):
    chosen = (speed, 0) if axis == "across (x)" else (0, speed)
    wanted = label_pool(k).index(chosen)
    motions = plan_motions(
        side, side, frames=frames, size=size, k=k, mask_ratio=mask, generator=seeded(draw)
    ).select([wanted])
    whole = plan_motions(
        side, side, frames=frames, size=size, k=k, mask_ratio=None, generator=seeded(draw)
    ).select([wanted])
    clips = [render_motions(sources[source][None], plan)[0, 0] for plan in (whole, motions)]
    player.show(clips, ["no mask", f"moving square of {motions.square[0, 0, 2]} px"])
    travelled = (motions.position[0, 0, -1] - motions.position[0, 0, 0]).tolist()
    sentence.value = (
        f"<b>label {wanted}</b>, speed ({chosen[0]:+d}, {chosen[1]:+d}): in {frames - 1} steps the "
        f"window moves {travelled[0]:+d} px across and {travelled[1]:+d} px down, "
        f"so the content moves {-travelled[0]:+d} and {-travelled[1]:+d} px. The square starts "
        f"{motions.square[0, 0, 0]} px from the left and {motions.square[0, 0, 1]} px from the "
        f"top; everything else shows frame {motions.still[0, 0]}."
    )


def seeded(draw):
    return torch.Generator().manual_seed(draw)


panel = controls(
    show_motion,
    speed=widgets.IntSlider(k - 1, -k, k, description="speed"),
    mask=widgets.FloatSlider(0.4, min=0.1, max=1.0, step=0.05, description="mask ratio"),
    axis=widgets.Dropdown(options=["across (x)", "down (y)"], description="direction"),
    source=widgets.Dropdown(options=list(sources), description="image"),
    draw=widgets.BoundedIntText(seed, 0, 9999, description="draw"),
)
display(widgets.VBox([panel, sentence, player]))

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
clips = render_motions(sources[first][None], motions)[0]
FramePlayer(
    list(clips),
    [f"{label}: ({x:+d}, {y:+d})" for label, (x, y) in enumerate(pool)],
    alt="the masked pseudo motions of all labels",
)

# %% [markdown]
# ## How it is made

# %%
from dataclasses import replace

label = len(pool) // 2 - 1 if axes == "xy" else len(pool) - 2
whole = render_motions(sources[first][None], replace(motions, square=None, still=None))[0]
figure = pseudo_motion_figure(
    sources[first],
    motions.position[0, label].tolist(),
    whole[label],
    clips[label],
    tuple(motions.square[0, label].tolist()),
    int(motions.still[0, label]),
    note=f"speed ({pool[label][0]:+d}, {pool[label][1]:+d}) of K = {k}",
)
run.save_figure(
    figure,
    "mosi_pseudo_motion",
    alt="Left, a photograph with the crop window's path. Right, five frames of the clip it cuts "
    "out: without a mask everything moves, with a static mask only one square does.",
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
import numpy as np
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
