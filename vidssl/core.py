"""What every room speaks: records, tensors and their shapes, errors.

The language of tensors, stated once
------------------------------------
``frames``    (T, H, W, 3) uint8 RGB, as decoded.
``image``     (3, H, W) or (B, 3, H, W) float32 RGB in [0, 1].
``pixels``    of a clip or an image, uint8: what loaders give, a quarter of the bytes, see `unpack`.
``clip``      (3, T, H, W), batched (B, 3, T, H, W), float32 RGB in [0, 1].
``clips``     (B, N, 3, T, H, W): N clips of each video.
``flow``      (B, 2, T-1, H, W): channel 0 = u (right positive), channel 1 = v (down positive),
              in pixels a frame at this H, W. As arrays, like frames: (T-1, H, W, 2) float32.
``logits``    (B, K); ``features`` (B, D); ``label`` (B,) int64, -1 where there is none.
``frame_stride`` counts frames, ``fps`` is in Hz.

`frames_to_clip` and `unpack` make clips of decoded frames and of pixels, both by `as_floats`;
`normalise` standardises a clip, right before a network sees it. Names ending in
``_loss`` or ``_error`` are better when lower, ``_score`` and ``_accuracy`` when higher.
"""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:  # torch takes seconds to import: commands that only read text do without
    import numpy as np
    import torch
    from torch import Tensor

Item = TypeVar("Item")
RGB_MEAN = (0.43216, 0.394666, 0.37645)  # Kinetics-400 statistics, as torchvision's weights expect
RGB_STD = (0.22803, 0.22145, 0.216989)
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h


class PlainError:
    """An error whose words say all: notebooks show them without the code that led there."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for it
        return [f"{type(self).__name__}: {self}"]


class UnreadableVideo(RuntimeError):
    """A video (or image) that cannot be decoded. Carries the ``path`` and a one-line ``reason``."""

    def __init__(self, path: str, reason: str):
        self.path = str(path)
        self.reason = " ".join(str(reason).split())
        super().__init__(f"{self.path}: {self.reason}")

    def __reduce__(self):  # two arguments: the default would lose one on its way out of a worker
        return type(self), (self.path, self.reason)


@dataclass(frozen=True, slots=True)  # slots: a big data set has hundreds of thousands
class VideoRecord:
    """One video (or still image) of a data set.

    ``label`` counts from 0 and is -1 where there is none. ``video_id`` is unique in its data set;
    features and pseudo-labels are joined on it. Videos of one ``group`` were cut from the same
    recording: they never stand on both sides of a split.
    """

    path: str
    label: int
    video_id: str
    group: str = ""
    class_name: str = ""


def frames_to_clip(frames: np.ndarray | Tensor) -> Tensor:
    """(..., T, H, W, 3) uint8 -> clips (..., 3, T, H, W) float32 in [0, 1]."""
    import torch

    frames = torch.as_tensor(frames)
    if frames.ndim < 4 or frames.shape[-1] != 3 or frames.dtype != torch.uint8:
        raise ValueError(
            f"frames must be uint8 (..., T, H, W, 3), got {frames.dtype} {tuple(frames.shape)}"
        )
    return as_floats(frames.movedim(-1, -4))


def as_floats(pixels: Tensor, device: torch.device | str | None = None) -> Tensor:
    """Pixels uint8 -> float32 in [0, 1], on ``device``, where they should lie already."""
    import torch

    return pixels.to(device, torch.float32).div_(255.0)


def unpack(value: Any, device: torch.device | str | None = None) -> Any:
    """What a loader gave as it is meant, made on ``device``, where it should lie already.

    Pixels become float32 in [0, 1]; a thing with a method ``unpacked`` knows itself; the entries of
    a sample or batch each for itself; all else stays.
    """
    import torch

    if isinstance(value, dict):
        return {name: unpack(entry, device) for name, entry in value.items()}
    if hasattr(value, "unpacked"):
        return value.unpacked(device)
    is_pixels = isinstance(value, torch.Tensor) and value.dtype == torch.uint8
    return as_floats(value, device) if is_pixels else value


def clip_to_frames(clip: Tensor) -> np.ndarray:
    """clip (3, T, H, W) in [0, 1] -> (T, H, W, 3) uint8, for eyes and encoders."""
    import torch

    expect_shape(clip, "C T H W", "clip")
    return (clip.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()


def normalise(clip: Tensor) -> Tensor:
    """Standardise RGB clips (..., 3, T, H, W) in [0, 1] by the Kinetics statistics."""
    if clip.ndim < 4 or clip.shape[-4] != 3:
        raise ValueError(f"clip must be (..., 3, T, H, W), got {tuple(clip.shape)}")
    mean, std = _rgb_statistics(clip.dtype, clip.device)
    return (clip - mean) / std


@lru_cache(maxsize=8)
def _rgb_statistics(dtype: torch.dtype, device: torch.device) -> list[Tensor]:
    """Made once a device: a tensor of numbers waits for the GPU on its way there."""
    import torch

    with torch.inference_mode(False):
        made = (torch.tensor(each, dtype=dtype, device=device) for each in (RGB_MEAN, RGB_STD))
        return [each.view(3, 1, 1, 1) for each in made]


def expect_shape(tensor: Tensor, layout: str, name: str, **sizes: int) -> None:
    """Raise ValueError unless ``tensor`` has the axes of ``layout``, e.g. "B C T H W".

    >>> import torch
    >>> expect_shape(torch.zeros(2, 3), "B K", "logits", K=3)
    """
    axes = layout.split()
    fits = tensor.ndim == len(axes) and all(
        sizes.get(axis, size) == size for axis, size in zip(axes, tensor.shape)
    )
    if not fits:
        wanted = ", ".join(f"{a}={sizes[a]}" if a in sizes else a for a in axes)
        raise ValueError(f"{name} must have shape ({wanted}), got {tuple(tensor.shape)}")


def compute_device() -> torch.device:
    """Where networks and flow are computed: the GPU of this process, else the CPU."""
    import torch

    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees, for the tensors of the next step.

    glibc gives large blocks back at once, and the system clears every page of the next ones: 8,000
    page faults and a third of the time of a training step at mini scale. Blocks of up to 32 MiB
    (more it does not take) and 1 GiB in all are kept; where there is no glibc nothing changes.
    """
    with suppress(AttributeError, OSError, TypeError):  # macOS and musl, Windows
        configure = ctypes.CDLL(None).mallopt
        configure(_M_MMAP_THRESHOLD, 32 << 20)
        configure(_M_TRIM_THRESHOLD, 1 << 30)


def bring(model: torch.nn.Module, device: torch.device) -> None:
    """Move a network, on a GPU into the layout in which its 3-D convolutions are fastest."""
    import torch

    model.to(device)
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True  # clips keep their size, so the search pays
        for weight in model.parameters():
            if weight.ndim == 5:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last_3d)


def loaded(loader: Iterable[Item]) -> Iterator[Item]:
    """What a torch loader gives. RuntimeError that says what to do where a worker of it dies."""
    try:
        yield from loader
    except RuntimeError as error:
        if "DataLoader worker (pid" not in str(error):
            raise
        raise RuntimeError(
            "a loading worker was killed, most likely since memory ran out: lower num_workers or "
            "batch_size and start again; what was finished before is kept"
        ) from error


def check_precision(precision: str, device: torch.device, model: torch.nn.Module) -> None:
    """ValueError for a ``precision`` other than 'no' and 'bf16', and for bf16 where it is wrong.

    Half-precision 3-D convolutions read memory that nobody wrote, on CPUs with torch 2.15: the same
    training gave other weights each time, and now and then NaN.
    """
    import torch

    half_on_cpu = one_of("precision", precision, ("no", "bf16")) == "bf16" and device.type == "cpu"
    if half_on_cpu and any(isinstance(module, torch.nn.Conv3d) for module in model.modules()):
        raise ValueError(
            "precision='bf16' needs a GPU: on a CPU 3-D convolutions are not reliable in half "
            "precision; use precision='no'"
        )


def ahead(items: Iterable[Item]) -> Iterator[Item]:
    """The items (none is None), each made by a thread while the one before it is in use."""
    made = iter(items)
    with ThreadPoolExecutor(1) as thread:
        following = thread.submit(next, made, None)
        while (item := following.result()) is not None:
            following = thread.submit(next, made, None)
            yield item


def one_of(name: str, value: str, allowed: Sequence[str]) -> str:
    """``value`` if it is one of ``allowed``; otherwise a ValueError that names the nearest."""
    if value in allowed:
        return value
    raise ValueError(f"{name}={value!r} is unknown{did_you_mean(value, allowed)}")


def did_you_mean(word: str, known: Sequence[str]) -> str:
    """The tail of an error message: the nearest known word, or all of them."""
    near = get_close_matches(str(word), [str(k) for k in known], n=1, cutoff=0.6)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(map(str, known))}"


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from integers and words: the same parts give the same seed everywhere.

    All randomness goes through here: (seed, epoch, index) for a sample, (seed, step) for a
    training step. So a run that is stopped and continued draws the same numbers.
    """
    from hashlib import blake2b

    text = "/".join(str(part) for part in parts)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def counted(number: int, noun: str) -> str:
    """A number with its noun.

    >>> counted(1, "minute"), counted(2240, "video"), counted(0, "class")
    ('1 minute', '2,240 videos', '0 classes')
    """
    ending = "es" if noun.endswith(("s", "x", "ch", "sh")) else "s"
    return f"{number:,} {noun if number == 1 else noun + ending}"


def in_turns(items: Iterable[Item], key: Callable[[Item], Hashable]) -> list[Item]:
    """The items round after round, one of each key in every round, as far as they go.

    >>> "".join(in_turns("aabba", key=str))
    'ababa'
    """
    turns: Counter[Hashable] = Counter()
    numbered = []
    for item in items:
        numbered.append((turns[key(item)], item))
        turns[key(item)] += 1
    return [item for _, item in sorted(numbered, key=itemgetter(0))]


def is_alive(process: int) -> bool:
    """Whether there is a process of this number on this machine, whoever's."""
    try:
        os.kill(process, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        return False
    return True
