# %% [markdown]
# # Where a training step's time goes
#
# **Question.** Of the time of a training step, how much is waiting for clips, how much which kind of
# computing, and what would make it shorter?
#
# The step is that of [02](02_supervised_baseline.ipynb): one clip a video, cross-entropy. Every other
# training here goes through the same loop, with more clips a step or a second network.
#
# | | |
# | --- | --- |
# | needs | videos (`dataset`, `root`) |
# | takes | 1 min on one core |
# | gives | `operators.csv`: time by operator; a timeline, and the costs of a step |

# %% tags=["parameters"]
scale = "mini"
run_folder = ""
dataset = "embedded"  # folder, or one with lists: docs/own_data.md
root = ""
dataset_options = {}  # annotations, split, group_pattern, test_groups, missing, missing_at_most
data_seed = 0
seed = 0
backbone = "r2plus1d_10"
width = 0.125
frames = 8
frame_stride = 7
size = 32  # px
short_side = 40  # px
augmentation = {
    "flip": 0.5,
    "color": [0.5, 0.5, 0.5, 0.25],
    "grey": 0.3,
}  # what is not named is off
steps = 20  # that are looked at, after three that warm up
batch_size = 16
lr = 0.001
precision = "no"  # bf16 on a GPU
frame_store_gb = 4.0  # of decoded frames kept on disk for all runs; 0: decode every clip anew
publish = False  # put the pictures among the project's figures

# %%
import os

from vidssl import runs

# torch reads it once, when it is loaded: the profiler's own lines would stand in red below
os.environ.setdefault("KINETO_LOG_LEVEL", "6")
run = runs.start("93_performance", globals())

# %% [markdown]
# ## A few steps' videos
#
# As many as the steps below take, once each. Their frames lie in the store already, if
# `frame_store_gb` allows; set it to 0 to see what decoding costs.

# %%
import numpy as np

from vidssl import protocol
from vidssl.core import derive_seed

splits = run.open_dataset(whole=False)
order = np.random.default_rng(derive_seed(seed, "profiled")).permutation(len(splits.train))
records = [splits.train[i] for i in order[: (steps + 3) * batch_size]]
run.make_videos(records)
clips = protocol.Clips.of(run.params, store=run.open_frames(records, short_side))
training = clips.training(records, seed)
tuning = protocol.Tuning.of(run.params, steps=steps + 3)
network, _ = protocol.start_network(
    "", backbone=backbone, width=width, num_classes=splits.num_classes, seed=seed
)
print(f"{len(records)} videos, batches of {batch_size}: at least {steps + 3} steps")

# %% [markdown]
# ## Two threads
#
# A thread makes the next batch while the step before it is at work. Notes are taken when each clip
# is ready, and when the forward pass, the backward pass and the optimiser begin and end. On a GPU
# these are the times that Python spends; the table by operator, below, has the GPU's own.

# %%
from time import perf_counter

import torch
from torch.optim.optimizer import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

from vidssl.methods import supervised

spans = {"loader": [], "training": []}


class TimedClips(torch.utils.data.Dataset):
    """The same samples; notes when each was made."""

    def __len__(self):
        return len(training)

    def __getitem__(self, key):
        began = perf_counter()
        sample = training.packed(key)  # as a loader asks for it: pixels, a quarter of the bytes
        spans["loader"].append(("clip", began, perf_counter()))
        return sample


def timed_step(model, batch, context):
    began = perf_counter()
    result = supervised.training_step(clips.prepare)(model, batch, context)
    spans["training"].append(("forward", began, perf_counter()))
    return result


def note(name):
    def noted(*_):
        spans["training"].append((name, spans["training"][-1][2], perf_counter()))

    return noted


# %%
hooks = [
    register_optimizer_step_pre_hook(note("backward")),
    register_optimizer_step_post_hook(note("optimiser")),
]
quiet = {"seed": seed, "report": lambda *_: None}
result = protocol.train(network, TimedClips(), timed_step, tuning, **quiet)
for hook in hooks:
    hook.remove()
print(result.summary())

# %%
passes = spans["training"][9:]  # three steps of three parts warm up
took = {
    name: sum(end - begin for each, begin, end in passes if each == name)
    for name in ("forward", "backward", "optimiser")
}
whole = passes[-1][2] - passes[0][1]
parts = {"between steps": whole - sum(took.values()), **took}
for name, seconds in parts.items():
    print(f"{name:14} {seconds / whole:6.1%}  {1000 * 3 * seconds / len(passes):7.1f} ms a step")

# %%
from vidssl.visualize.profiles import timeline

about = f"{splits.name} · {scale} scale · {backbone}, width {width:g} · batch {batch_size}"
first, last = passes[0][1], passes[min(len(passes), 18) - 1][2]  # six steps
shown = {lane: [span for span in each if first <= span[1] <= last] for lane, each in spans.items()}
figure = timeline({lane: each for lane, each in shown.items() if each}, note=about)
run.save_figure(
    figure,
    "performance_timeline",
    data=[
        {"thread": lane, "work": name, "from": begin - first, "to": end - first}
        for lane, each in shown.items()
        for name, begin, end in each
    ],
    alt="Two lanes over six steps: clips made by the loader's thread; forward pass, backward pass and "
    "optimiser of the training's thread, with gaps where it waits.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# White gaps in the lower lane are waiting, and what the loop does between two steps. Where both lanes
# are full on one core they share it: the forward pass, beside which the next clips are made, looks
# longer than it is, and quicker clips make quicker steps even without a gap.
#
# ## By operator
#
# torch's profiler over the same steps. An operator's own time is without those that it calls; what
# runs below `Optimizer.step` belongs to the optimiser. The dozen that take longest, of all threads:

# %%
from collections import Counter

from torch.profiler import ProfilerActivity, profile

activities = [ProfilerActivity.CPU]
if torch.cuda.is_available():
    activities.append(ProfilerActivity.CUDA)
KINDS = {
    "convolution, backward": ("convolution_backward", "conv_depthwise3d_backward"),
    "convolution, forward": ("conv",),
    "batch norm": ("batch_norm",),
    "matrix product": ("mm", "addmm", "bmm"),
    "ReLU": ("relu", "threshold", "clamp_min"),
    "loading, copies": ("copy_", "index", "cat", "stack", "empty", "fill_"),
}


def kind_of(event):
    """The kind of work of one call of an operator."""
    parent = event
    while parent is not None:
        if parent.name.startswith("Optimizer."):
            return "optimiser"
        parent = parent.cpu_parent
    name = event.name.removeprefix("aten::")
    return next((kind for kind, words in KINDS.items() if any(w in name for w in words)), "other")


# %%
with profile(activities=activities) as profiler:
    result = protocol.train(
        network, training, supervised.training_step(clips.prepare), tuning, **quiet
    )
on_gpu = len(activities) > 1
own = "self_device_time_total" if on_gpu else "self_cpu_time_total"
events = [event for event in profiler.events() if event.name.startswith(("aten::", "Optim"))]
spent = Counter()
for event in events:
    spent[kind_of(event)] += getattr(event, own)
shares = {name: time / max(spent.total(), 1e-9) for name, time in spent.most_common()}

# %%
import pandas as pd

table = pd.DataFrame(
    {
        "operator": average.key,
        "calls a step": average.count / result.steps,
        "ms a step": getattr(average, own) / 1000 / result.steps,
    }
    for average in profiler.key_averages()
    if average.key.startswith("aten::")
).sort_values("ms a step", ascending=False, ignore_index=True)
table["share"] = table["ms a step"] / max(table["ms a step"].sum(), 1e-9)
table.to_csv(run.folder / "operators.csv", index=False)
digits = {"calls a step": "{:.0f}", "ms a step": "{:.2f}", "share": "{:.1%}"}
table.head(12).style.format(digits).hide(axis="index")

# %% [markdown]
# ## Convolutions by kernel
#
# A factorised network has flat kernels, 1x3x3 over space, and long ones, 3x1x1 over time. Do they
# come near what a plain product of matrices reaches here? Of sixteen passes the fastest counts, of
# products, too: what else the machine does meanwhile should not.

# %%
from vidssl.core import normalise
from vidssl.inference import apply, place

flops, fastest, begun = {}, {}, {}
device = place(network)
wait = torch.cuda.synchronize if torch.cuda.is_available() else lambda: None


def begin(module, inputs):
    wait()
    begun[module] = perf_counter()


def end(module, inputs, output):
    wait()
    took = perf_counter() - begun[module]
    fastest[module] = min(took, fastest.get(module, took))
    inner = module.in_channels // module.groups * np.prod(module.kernel_size)
    flops[module] = 2 * output.numel() * int(inner)


convolutions = [module for module in network.modules() if isinstance(module, torch.nn.Conv3d)]
hooks = [module.register_forward_pre_hook(begin) for module in convolutions]
hooks += [module.register_forward_hook(end) for module in convolutions]

# %%
batch = torch.rand(batch_size, 3, frames, size, size)
for _ in range(16):
    apply(network, batch, lambda model, clip: model(normalise(clip)))
for hook in hooks:
    hook.remove()
work, seconds = Counter(), Counter()
for module in convolutions:
    kernel = "x".join(map(str, module.kernel_size))
    work[kernel] += flops[module] / 1e9
    seconds[kernel] += fastest[module]
rates = {kernel: work[kernel] / seconds[kernel] for kernel in sorted(work)}
matrix = torch.rand(1024, 1024, device=device)
products = []
for _ in range(16):
    began = perf_counter()
    matrix @ matrix
    wait()
    products.append(2 * 1024**3 / (perf_counter() - began) / 1e9)
peak = max(products)
for kernel, rate in rates.items():
    print(f"{kernel}: {rate:.1f} GFLOP/s, {seconds[kernel] / seconds.total():.0%} of their time")
print(f"a product of matrices: {peak:.0f} GFLOP/s")

# %% [markdown]
# ## What is kept for the backward pass
#
# Memory limits the batch. Each stage keeps what its gradients will need; parameters are not counted.

# %%
from torch.autograd.graph import saved_tensors_hooks

kept, counted, stage = Counter(), set(), ["head"]


def hold(tensor):
    storage = tensor.untyped_storage()
    if not isinstance(tensor, torch.nn.Parameter) and storage.data_ptr() not in counted:
        counted.add(storage.data_ptr())
        kept[stage[-1]] += storage.nbytes() / 1e6
    return tensor


def watched_step(model, batch, context):
    kept.clear(), counted.clear()
    with saved_tensors_hooks(hold, lambda tensor: tensor):
        return supervised.training_step(clips.prepare)(model, batch, context)


hooks = []
for name, module in network.stages().items():
    hooks.append(module.register_forward_pre_hook(lambda *_, name=name: stage.append(name)))
    hooks.append(module.register_forward_hook(lambda *_: stage.pop() and None))
once = protocol.Tuning.of(run.params, steps=1)
protocol.train(network, clips.training(records[:batch_size], seed), watched_step, once, **quiet)
for hook in hooks:
    hook.remove()
print(f"{sum(kept.values()):.0f} MB a step of {batch_size} clips")

# %%
from vidssl.visualize.profiles import costs

figure = costs(shares, rates, peak, kept, note=about)
run.save_figure(
    figure,
    "performance_costs",
    data=[
        {"quantity": quantity, "of": name, "value": value}
        for quantity, values in {"share": shares, "GFLOP/s": rates, "MB": kept}.items()
        for name, value in values.items()
    ],
    alt="Bars: share of a step's time by kind of work; GFLOP/s of convolutions by kernel beside a "
    "matrix product; megabytes kept for the backward pass by stage.",
    dataset=splits.name,
    publish=publish,
)
figure

# %% [markdown]
# ## What one should see
#
# The training hardly waits for clips. Convolutions take most of the time, their backward pass more of
# it than the forward one: up to twice as much, since it asks for the gradients of weights and of inputs.
# Kernels over time lie below those over space, and 1x1x1 far below both: few channels, and little to do
# with each number that is fetched. The early stages keep most memory, having the largest maps.

# %%
waiting = parts["between steps"] / whole
convolving = sum(share for name, share in shares.items() if name.startswith("convolution"))
run.finish(
    {
        "between_steps_share": waiting,
        **{f"{name}_share": seconds_of / whole for name, seconds_of in took.items()},
        "convolution_share": convolving,
        "matrix_gflops": peak,
        **{f"gflops_{kernel}": rate for kernel, rate in rates.items()},
        "kept_mb": sum(kept.values()),
    },
    seeds=[seed],
    failed=result.failed,
    data_hash=splits.fingerprint,
    expectations=[
        runs.Expectation("a step computes longer than it waits", 1 - waiting, waiting),
        runs.Expectation("most of it are convolutions", convolving, 0.5),
    ],
)

# %% [markdown]
# ## What to try next
#
# - `frame_store_gb = 0.0`: every clip is decoded. Does the training begin to wait?
# - `backbone = "r3d_10_dilated"`: whole kernels. More work; is it slower?
# - `batch_size = 64`: memory grows with it; does the time of a clip fall?
# - `vidssl doctor --speed 11_mosi_pretrain`: loader against step of another page, on your machine,
#   and the hours that follow from it.
