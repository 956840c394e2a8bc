# %% [markdown]
# # MoSI: where does it look?
#
# **Question.** Where does a network look before any fine-tuning: at what moves, or elsewhere?
#
# Grad-CAM (Selvaraju et al., ICCV 2017) shows which places of a clip speak for a class. MoSI's
# paper shows such pictures (figure 4). Here the sprite of every embedded video is known, so the
# attention of four networks is *measured* as well: MoSI with and without its static mask, a
# network trained with labels, and one with random weights. Nothing is trained.
#
# | | |
# | --- | --- |
# | needs | videos, weights of `11_mosi_pretrain` with and without its mask and of `02_supervised_baseline` |
# | takes | 30 s on two cores |
# | gives | where each network looks, and its share on what moves: `mosi_gradcam`, `mosi_attention`, `mosi_failures` |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
mosi_weights = ""  # backbone.pt of 11_mosi_pretrain; empty: the newest by hand, else left out
mosi_unmasked_weights = ""  # the same, trained with mask_ratio []
supervised_weights = ""  # backbone.pt of 02_supervised_baseline
backbone = "r2plus1d_10"  # of the network with random weights
width = 0.125
frames = 8
frame_stride = 7
size = 32  # px
short_side = 40  # px
k = 2  # of the pretext task, for the names of its labels
axes = "xy"
mask_ratio = [0.3, 0.5]  # of the pseudo motions that are shown to the networks
layer = "conv3"  # whose maps are drawn; it has 8 x 8 places here, as many as conv5 of 112 px clips
layers = ["conv3", "conv4", "conv5"]  # whose maps are measured
videos_shown = 2
videos_measured = 160
held_out_images = 20
pans = [0.0, 0.33, 0.67, 1.0]  # added camera pans, as shares of the width outside the crop
zoom = 3  # pictures are so many times as large as the network's clips
publish = True  # figures go to figures/; turn it off for videos that must not be shown there

# %%
from vidssl import runs

run = runs.start("13_mosi_gradcam", globals())
masked = {"k": k, "axes": axes, "mask_ratio": mask_ratio}
unmasked = {**masked, "mask_ratio": []}
optional = {"files": ("backbone.pt",), "required": False}
mosi_weights, mosi_unmasked_weights, supervised_weights = run.inputs(
    runs.Need("mosi_weights", "11_mosi_pretrain", settings=masked, **optional),
    runs.Need("mosi_unmasked_weights", "11_mosi_pretrain", settings=unmasked, **optional),
    runs.Need("supervised_weights", "02_supervised_baseline", **optional),
)
untrained = not (mosi_weights or mosi_unmasked_weights or supervised_weights)
if untrained:
    print(
        "\nONLY A NETWORK WITH RANDOM WEIGHTS IS SHOWN: no trained one was given or found. "
        "`vidssl run mosi_attention` makes all of them and this page"
    )

# %% [markdown]
# ## The networks
#
# Each keeps the head it was trained with: a pretext label is what MoSI's networks have evidence
# for. The random network has the same head with random weights.

# %%
from vidssl import protocol
from vidssl.core import one_of
from vidssl.models.pretrained import load_with_head
from vidssl.motion import label_pool

splits = run.open_dataset()
pool = label_pool(k, axes)
weights = {
    "supervised": supervised_weights,
    "mosi_unmasked": mosi_unmasked_weights,
    "mosi": mosi_weights,
}
scratch, _ = protocol.start_network(
    "", backbone=backbone, width=width, num_classes=len(pool), seed=seed
)
networks = {"scratch": scratch}
for role, path in weights.items():
    if not path:
        print(f"{role}: left out, {role}_weights is empty")
        continue
    networks[role], about = load_with_head(path)
    if role != "supervised" and networks[role].num_classes != len(pool):
        raise ValueError(
            f"{role}_weights={path!r} tells {networks[role].num_classes} labels apart, k={k} and "
            f"axes={axes!r} name {len(pool)}: give k and axes of its pretraining"
        )
    print(f"{role}: {about['backbone']}, trained on {about['dataset']}, seed {about['seed']}")
for name in (layer, *layers):
    one_of("layer", name, list(scratch.stages()))

# %%
import numpy as np

from vidssl.core import counted, derive_seed
from vidssl.data import collate

records = splits.test or splits.train
order = np.random.default_rng(derive_seed(data_seed, "looked at")).permutation(len(records))
asked = [records[i] for i in order[: max(videos_measured, videos_shown)]]
seen_clips = protocol.Clips.of(run.params)
batch = collate(list(seen_clips.even(asked, 1)))
clips, failed = batch["clips"][:, 0], batch["failed"]
readable = set(batch["video_id"])
looked_at = [record for record in asked if record.video_id in readable]
told = f"{counted(len(looked_at), 'test video')}, one clip of {frames} frames of {size} px of each"
print(told, *failed, sep="\n  ")

# %% [markdown]
# ## What moves
#
# Of embedded videos the flow is known. Elsewhere it is estimated: OpenCV's DIS flow, or differences
# of frames where OpenCV is missing. Drawn is its magnitude, the square root of u² + v², in pixels of
# the pictures from one frame of the video to the next.


# %%
from vidssl.data import TestTransform, uniform_clips

plain = TestTransform(size=size, short_side=short_side)
large = TestTransform(size=zoom * size, short_side=zoom * short_side)


def frame_indices(length):
    """Frames of the clip that the networks see, (T,)."""
    return uniform_clips(length, frames, frame_stride, 1)[0]


def as_mask(mask, transform=plain):
    """A mask (T, H, W) bool, resized and cropped as the clip is: (T, size, size)."""
    white = np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 255
    return (transform(white)[0] > 0.5).numpy()


def true_speed(truth):
    """Magnitude of the true flow at the clip's frames, (T, h, w), px of the picture a frame."""
    index = np.minimum(frame_indices(len(truth.mask)), len(truth.flow) - 1)
    return np.hypot(*large(truth.flow[index]).numpy())


# %%
try:
    import cv2
except ImportError:
    cv2 = None

from vidssl.data import read_clip


def estimated_speed(record):
    """The same without truth, from each frame of the clip and the one that follows it."""

    def pairs(length):
        index = np.minimum(frame_indices(length), max(length - 2, 0))
        return np.stack([index, np.minimum(index + 1, length - 1)]).ravel()

    grey = (255 * large(read_clip(record.path, pairs)).mean(dim=0)).byte().numpy()
    steps = list(zip(grey[:frames], grey[frames:]))
    if cv2 is None:
        return np.stack([np.abs(b.astype(float) - a) for a, b in steps])
    estimator = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    return np.stack([np.linalg.norm(estimator.calc(a, b, None), axis=-1) for a, b in steps])


# %%
from functools import lru_cache

from vidssl.data import synthetic

known = dataset == "embedded"
unit = "px a frame" if known or cv2 else "grey levels"


@lru_cache(maxsize=32)
def shown(index):
    """Pictures, speed and mask (None where unknown) of a video that is looked at."""
    record = looked_at[index]
    picture = large(read_clip(record.path, frame_indices))
    if not known:
        return picture, estimated_speed(record), None
    truth = synthetic.truth(run.scene_of(record))
    return picture, true_speed(truth), as_mask(truth.mask[frame_indices(len(truth.mask))], large)


def title(index):
    return looked_at[index].class_name or looked_at[index].video_id


# %% [markdown]
# ## Heat over frames
#
# Grad-CAM asks how the logit $y^c$ of class $c$ changes with the feature map $A^k$ of each channel
# $k$ of a stage: the mean of the gradient over all $Z$ places is the channel's weight, and what the
# weighted maps show above zero speaks for the class (Selvaraju et al., Eq. 1 and 2; a place is
# one in space and time here):
#
# $$\alpha_k^c = \frac{1}{Z} \sum_{t, i, j} \frac{\partial y^c}{\partial A^k_{t, i, j}}, \qquad
# L^c = \mathrm{ReLU}\Big( \sum_k \alpha_k^c A^k \Big)$$
#
# `vidssl.inference.grad_cam` computes it with captum. Each map is divided by its own largest value: compare places, not brightness. A map has as many
# places as its stage, here written behind its name; more detail than that is interpolation.


# %%
import torch

from vidssl.inference import apply, grad_cam


def up_to(name):
    """The network's stages up to and with ``name``, as `apply` calls them."""

    def forward(network, clip):
        for stage, module in network.stages().items():
            clip = module(clip)
            if stage == name:
                return clip

    return forward


def maps_of(role, seen, name=layer, target=None):
    """Grad-CAM maps (N, T, H, W) of clips (N, 3, T, H, W)."""
    parts = [grad_cam(networks[role], part, name, target) for part in seen.split(32)]
    return torch.cat(parts).numpy()


grids = {
    name: tuple(apply(networks["scratch"], clips[:1], up_to(name)).shape[2:])
    for name in dict.fromkeys((*layers, layer))
}
places = {name: "{} x {} x {}".format(*grid) for name, grid in grids.items()}
print(*(f"{name}: {each} places" for name, each in places.items()), sep="\n")

# %%
from vidssl.visualize.attention import attention_figure

note = f"{splits.name} · {scale} scale · seed {seed}"
if untrained:
    note = f"RANDOM WEIGHTS ONLY · {note}"
drawn = range(min(videos_shown, len(looked_at)))
pictures, speeds, masks = zip(*(shown(i) for i in drawn))
best_first = list(reversed(networks))
figure = attention_figure(
    pictures,
    {role: maps_of(role, clips[list(drawn)]) for role in best_first},
    speeds=speeds,
    masks=masks if known else (),
    titles=[f"{title(i)}, speed up to {speeds[i].max():.1f} {unit}" for i in drawn],
    note=f"Grad-CAM of {layer} ({places[layer]} places), class of the largest logit · {note}",
)
run.save_figure(
    figure,
    "mosi_gradcam",
    alt="Frames of videos with the sprite outlined, the magnitude of the flow, and the Grad-CAM "
    f"heat of {', '.join(best_first)}.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# Where the warm colours of a network follow the outline, it looks at what moves. One pair of
# videos proves nothing; look at more of them, then at the numbers below.
#
# ## Look around
#
# Choose the video, the stage and the class whose evidence is shown. With the player in focus,
# **space** plays and the **arrow keys** step through time. The network trained with labels has other
# classes: it always explains its own first choice.

# %%
from vidssl.core import normalise
from vidssl.visualize.attention import heat_over_frames, heat_pictures
from vidssl.visualize.widgets import FramePlayer

player = FramePlayer(
    columns=3, alt="a video, the speed of what moves in it, and where each network looks"
)


def class_name(role, index):
    """What class ``index`` of a network is called."""
    if role != "supervised":
        return "({:+d}, {:+d})".format(*pool[index])
    return splits.class_names[index] if index < splits.num_classes else str(index)


def look(video, stage, target):
    picture, speed, _ = shown(video)
    seen = clips[video : video + 1]
    views = [picture, heat_pictures(speed, float(speed.max()))]
    captions = [title(video), "speed"]
    for role, model in networks.items():
        first = int(apply(model, seen, lambda network, clip: network(normalise(clip))).argmax())
        chosen = first if target < 0 or role == "supervised" else target
        views.append(heat_over_frames(picture, maps_of(role, seen, stage, chosen)[0]))
        captions.append(f"{role}: {class_name(role, chosen)}")
    player.show(views, captions)
    return f"Evidence in {stage} for the class of " + ", ".join(captions[2:])


# %%
import ipywidgets as widgets

from vidssl.visualize.widgets import Playground, controls

panel = controls(
    look,
    video=widgets.Dropdown(options=[(title(i), i) for i in range(min(12, len(looked_at)))]),
    stage=widgets.Dropdown(options=list(networks["scratch"].stages()), value=layer),
    target=widgets.Dropdown(
        options=[("largest logit", -1), *((class_name("mosi", i), i) for i in range(len(pool)))]
    ),
)
Playground([panel, player])

# %% [markdown]
# ## How much of it lies on the sprite?
#
# *Energy inside* is the share of a map's mass on the sprite; the *pointing game* asks in how many
# frames the map's maximum lies on it. Four yardsticks: **chance** is a flat map; **frame
# difference** is the map that plain differences of neighbouring frames give at the same number of
# places; **true mask** is what the mask itself would score there, so coarse stages are not blamed
# for being coarse; and **shuffled** holds each map against the sprite of another video, which tells
# looking at the sprite from looking at the middle. Intervals are over videos, for these networks:
# seeds are compared from the records of several runs.


# %%
from torch.nn.functional import adaptive_avg_pool3d, interpolate

from vidssl.evaluation import mean_ci95


def at_places(values, grid):
    """What is left of maps (N, T, H, W) at ``grid`` places, brought back to their size."""
    coarse = adaptive_avg_pool3d(torch.as_tensor(values, dtype=torch.float32)[:, None], grid)
    return interpolate(coarse, values.shape[1:], mode="trilinear")[:, 0].numpy()


def summary(row, column, measure, numbers):
    """A row of a table: mean and interval over videos that show their sprite."""
    mean, ci95 = mean_ci95(numbers)
    about = {"row": row, "column": column, "metric": measure, "mean": mean, "ci95": ci95}
    return about | {"videos": len(numbers), "seed": seed, "scale": scale, "dataset": dataset}


# %%
found = {}
if known:
    native_masks, drift = [], []
    for record in looked_at:
        truth = synthetic.truth(run.scene_of(record))
        native_masks.append(truth.mask[frame_indices(len(truth.mask))])
        drift.append(np.median(np.hypot(truth.flow[..., 0], truth.flow[..., 1])))
    sprite, drift = np.stack([as_mask(mask) for mask in native_masks]), np.array(drift)
    visible = sprite.any(axis=(1, 2, 3))
    difference = clips.diff(dim=2).abs().mean(dim=1)
    difference = torch.cat([difference, difference[:, -1:]], dim=1)
    for name, grid in grids.items():
        found[name] = {role: maps_of(role, clips, name) for role in networks} | {
            "frame difference": at_places(difference, grid),
            "true mask": at_places(sprite, grid),
            "chance": np.ones(sprite.shape),
        }
    print(f"{visible.sum()} of {len(visible)} clips show the sprite; it covers {sprite.mean():.1%}")

# %%
from vidssl.evaluation import energy_inside_score, pointing_game_accuracy

MEASURES = {
    "energy_inside_score": energy_inside_score,
    "pointing_game_accuracy": pointing_game_accuracy,
}
values = {}  # (measure, stage, row) -> one number a video that shows its sprite
for name, maps in found.items():
    for measure, score in MEASURES.items():
        for row, seen in maps.items():
            values[measure, name, row] = score(seen, sprite)[visible]
            if row in networks:
                other = score(seen[visible], np.roll(sprite[visible], 1, axis=0))
                values[measure, name, f"{row}, shuffled"] = other

# %%
import pandas as pd
from IPython.display import display

rows = [
    summary(row, f"{name}\n{places[name]}", measure, numbers)
    for (measure, name, row), numbers in values.items()
]
if known:
    table = pd.DataFrame(rows)
    table["column"] = table["column"].str.split("\n").str[0]
    display(table.pivot_table("mean", ["metric", "row"], "column", sort=False).round(3))
    ids = [record.video_id for record, seen in zip(looked_at, visible) if seen]
    per_video = pd.DataFrame({"_".join(key): numbers for key, numbers in values.items()}, ids)
    per_video.to_csv(run.folder / "attention_per_video.csv", index_label="video_id")

# %% [markdown]
# Read a column from below: no row can be above *true mask*, and one that is not above *chance* and
# its own *shuffled* row does not look at the sprite, whatever its pictures suggest.

# %%
from vidssl import visualize

if known:
    panels = {
        "energy_inside_score": "mass on the sprite (%)",
        "pointing_game_accuracy": "maximum on the sprite (%)",
    }
    for measure, label in panels.items():
        figure = visualize.accuracy_by_setting(
            [r for r in rows if r["metric"] == measure and "shuffled" not in r["row"]],
            setting="stage, places of its map",
            metric=label,
            note=f"{note} · {visible.sum()} videos",
        )
        run.save_figure(
            figure,
            f"mosi_attention_{measure.split('_')[0]}",
            data=[r for r in rows if r["metric"] == measure],
            alt=f"{label} for each stage and network, beside chance, frame differences and the "
            "true mask at as many places; bars are 95 % intervals over videos.",
            dataset=splits.name,
            publish=publish,
        )
        display(figure)

# %%
from vidssl.evaluation import paired_difference, with_interval

comparisons = [
    ("mosi", "mosi_unmasked"), ("mosi_unmasked", "scratch"), ("mosi", "scratch"),
    ("mosi", "supervised"), ("mosi", "frame difference"), ("mosi", "mosi, shuffled"),
]  # fmt: skip
for first, second in comparisons if known else []:
    for name in grids:
        if ("energy_inside_score", name, first) in values and second.split(",")[0] in found[name]:
            pair = (values["energy_inside_score", name, row] for row in (first, second))
            gain = paired_difference(*pair)
            print(
                f"{name}, {first} minus {second}: "
                f"{with_interval(100 * gain.mean, 100 * gain.ci95, '+.1f')} points of energy inside, "
                f"{counted(gain.n, 'video')}"
            )

# %% [markdown]
# A gain is that of the same videos, one by one; its interval is over videos, for these networks.
#
# ## Where it fails
#
# The paper shows two kinds of failure (figure 8). **Square activations**: the network was taught
# that squares move. How strongly its maps answer to the very square of a pseudo motion is measured
# here on held-out images. **A moving background**: around its square a pseudo motion stands still. So
# the videos with the strongest camera drift are looked at, and a pan of known speed is added to all
# of them by sliding the crop.

# %%
from vidssl.data import ImageDataset
from vidssl.motion import plan_motions, render_motions, source_side

side = source_side(frames, size)
images = collate(list(ImageDataset(looked_at[:held_out_images], side=side, seed=seed)))["image"]
motions = plan_motions(
    side, side, batch=len(images), frames=frames, size=size, k=k, axes=axes,
    mask_ratio=tuple(mask_ratio), generator=torch.Generator().manual_seed(seed),
)  # fmt: skip
moving = motions.select(list(range(len(pool) - 1)))  # the last label stands still
pseudo = render_motions(images, moving).flatten(0, 1)
left, top, length = (moving.square.flatten(0, 1)[:, i, None] for i in range(3))
pixel = torch.arange(size)
inside = [(pixel >= near) & (pixel < near + length) for near in (left, top)]
square = (inside[1][:, :, None] & inside[0][:, None, :]).numpy()
square = np.repeat(square[:, None], frames, axis=1)

# %%
on_square = {role: energy_inside_score(maps_of(role, pseudo), square) for role in networks}
for role, numbers in on_square.items():
    mean, ci95 = mean_ci95(numbers.reshape(len(images), -1).mean(axis=1))
    print(
        f"{role}: {with_interval(mean, ci95)} of the mass of {layer} on the pretext square, which "
        f"covers {square.mean():.1%}: {mean / square.mean():.2f} times chance"
    )

# %% [markdown]
# Above 1 times chance, a network answers to the square. It was taught to, so the question is
# whether it sees squares where there are none: that is what the figure below shows.


# %%
from vidssl.data import resize_short_side


def panned(pictures, share):
    """A crop that slides over ``share`` of the free width of (T, H, W, 3); 0: the centre crop."""
    room = pictures.shape[2] - size
    lefts = np.round(room * (0.5 + share * np.linspace(-0.5, 0.5, frames))).astype(int)
    top = (pictures.shape[1] - size) // 2
    return np.stack([p[top : top + size, x : x + size] for p, x in zip(pictures, lefts)])


def whole_width(record, mask):
    """Frames and mask of a clip before the crop, uint8 (T, H, W, 3) each."""
    pictures = read_clip(record.path, frame_indices)
    white = np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 255
    return [resize_short_side(each, short_side) for each in (pictures, white)]


# %%
from vidssl.core import frames_to_clip

pan_rows = []
if known:
    whole = [whole_width(record, mask) for record, mask in zip(looked_at, native_masks)]
    room = whole[0][0].shape[2] - size
    for share in pans:
        seen = torch.stack([frames_to_clip(panned(video, share)) for video, _ in whole])
        truths = np.stack([panned(mask, share)[..., 0] > 127 for _, mask in whole])
        maps = {role: maps_of(role, seen) for role in networks} | {"chance": np.ones(truths.shape)}
        for row, each in maps.items():
            numbers = energy_inside_score(each, truths)
            speed = f"{share * room / (frames - 1):.1f}"
            pan_rows.append(summary(row, speed, "energy_inside_score", numbers[visible]))

# %%
if known:
    figure = visualize.accuracy_by_setting(
        pan_rows,
        setting="added pan (px between frames)",
        metric="mass on the sprite (%)",
        note=f"{layer} · {note}",
    )
    run.save_figure(
        figure,
        "mosi_pan",
        data=pan_rows,
        alt="Share of attention on the sprite against the speed of an added camera pan.",
        dataset=splits.name,
        publish=publish,
    )
    display(figure)

# %% [markdown]
# A line that falls to chance as the camera pans faster belongs to a network that takes the
# background's motion for the thing that moves.

# %%
if known:
    strongest = drift[visible] >= np.quantile(drift[visible], 2 / 3)
    weakest = drift[visible] <= np.quantile(drift[visible], 1 / 3)
    print(f"camera drift of the videos: {drift.min():.2f} to {drift.max():.2f} px a frame")
    for role in networks:
        energy = values["energy_inside_score", layer, role]
        means = [mean_ci95(energy[part]) for part in (strongest, weakest)]
        said = [with_interval(*mean) for mean in means]
        print(f"{role}: {said[0]} on the sprite in the most drifting third, {said[1]} in the least")

# %%
richest = int(images.std(dim=(1, 2, 3)).argmax())  # the image of most contrast
fastest = richest * len(moving.label) + 2 * k - 1
shaking = int(np.argmax(drift)) if known else 0
picture, _, mask = shown(shaking)
cases = [
    (pseudo[fastest], pseudo[fastest], square[fastest], "(a) pseudo motion and its square"),
    (
        picture,
        clips[shaking],
        mask,
        "(b) strongest camera drift" if known else "(b) " + title(shaking),
    ),
]
if known and pans:
    video, mask = (panned(each, pans[-1]) for each in whole[shaking])
    slid = frames_to_clip(video)
    cases.append((slid, slid, mask[..., 0] > 127, "(c) the same, pan added"))

# %%
figure = attention_figure(
    [picture for picture, _, _, _ in cases],
    {role: [maps_of(role, seen[None])[0] for _, seen, _, _ in cases] for role in best_first},
    masks=[mask for _, _, mask, _ in cases],
    titles=[words for _, _, _, words in cases],
    shown=3,
    note=f"Grad-CAM of {layer} ({places[layer]} places) · {note}",
)
run.save_figure(
    figure,
    "mosi_failures",
    alt="Grad-CAM heat over a pseudo motion with its square outlined, over the video with the "
    "strongest camera drift, and over the same video with a pan added.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# ## What one should see
#
# Expected was MoSI above unmasked MoSI above random weights; what is, the table says. A map is only
# as sharp as its stage has places: the row of the true mask shows how sharp that is.

# %%
metrics = {"square_energy_chance": square.mean()}
for role, numbers in on_square.items():
    metrics[f"{role}_square_energy_inside_score"] = numbers.mean()
for (measure, name, row), numbers in values.items():
    if name == layer and row in (*networks, "chance"):
        metrics[f"{row}_{measure}"] = numbers.mean()
for role in networks if known else ():
    for measure in MEASURES:
        by_layer = {name: round(values[measure, name, role].mean(), 4) for name in grids}
        metrics[f"{role}_{measure}_by_layer"] = by_layer
if known:
    metrics["videos"] = int(visible.sum())

# %%
expectations = []
for first, second in (("mosi", "mosi_unmasked"), ("mosi_unmasked", "scratch"), ("mosi", "chance")):
    pair = [values.get(("energy_inside_score", layer, row)) for row in (first, second)]
    if all(numbers is not None for numbers in pair):
        gain = paired_difference(*pair)
        claim = f"{first} looks at the sprite more than {second}"
        expectations.append(runs.Expectation(claim, gain.mean, 0.0, within=gain.ci95))
run.finish(
    metrics,
    seeds=[seed],
    failed=failed,
    data_hash=splits.fingerprint,
    expectations=expectations,
)

# %% [markdown]
# ## What to try next
#
# - `layer = "conv5"`: the stage that the paper shows. How many places has it here?
# - `mask_ratio` of another pretraining: does a network that was taught small squares look closer?
# - `dataset = "folder"` with videos of your own, `publish = False`: pictures, without the numbers.
# - three seeds and their intervals: `vidssl run mosi_attention`, read in
#   [15_mosi_tables](15_mosi_tables.ipynb).
