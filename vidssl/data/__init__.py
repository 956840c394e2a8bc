"""From files to batches: records and splits, frame indices, decoding, transforms, data sets.

`vidssl.data.synthetic`, which makes the embedded data, and `vidssl.data.prepare`, which makes small
copies that are quick to read, are modules of their own to import.
"""

from vidssl.core import VideoRecord
from vidssl.data.color import ColorJitter
from vidssl.data.datasets import (
    ClipDataset,
    ImageDataset,
    PairedDataset,
    RGBFrames,
    StoredFlow,
    collate,
)
from vidssl.data.decode import (
    backend,
    read_clip,
    read_frames,
    read_image,
    readable_videos,
    video_length,
    write_video,
)
from vidssl.data.readers.folder import read_folder, read_images
from vidssl.data.readers.hmdb51 import read_hmdb51
from vidssl.data.readers.kinetics import read_kinetics
from vidssl.data.readers.ucf101 import read_ucf101
from vidssl.data.readers.video_list import read_video_list
from vidssl.data.registry import open_dataset
from vidssl.data.sampling import (
    clip_span,
    consecutive_clips,
    dense_clips,
    mirror_index,
    random_clip,
    random_clips,
    two_scale_views,
    uniform_clips,
)
from vidssl.data.splits import Splits, missing_files, require_files
from vidssl.data.subsets import (
    known_videos,
    label_fraction,
    labelled_subset,
    labelled_videos,
    read_label_list,
    validation_split,
    without_classes,
)
from vidssl.data.transforms import (
    Augmentation,
    TestTransform,
    TrainTransform,
    TwoViews,
    resize_short_side,
)

__all__ = [
    "Augmentation",
    "ClipDataset",
    "ColorJitter",
    "ImageDataset",
    "PairedDataset",
    "RGBFrames",
    "Splits",
    "StoredFlow",
    "TestTransform",
    "TrainTransform",
    "TwoViews",
    "VideoRecord",
    "backend",
    "clip_span",
    "collate",
    "consecutive_clips",
    "dense_clips",
    "known_videos",
    "label_fraction",
    "labelled_subset",
    "labelled_videos",
    "mirror_index",
    "missing_files",
    "open_dataset",
    "random_clip",
    "random_clips",
    "read_clip",
    "read_folder",
    "read_frames",
    "read_hmdb51",
    "read_image",
    "read_images",
    "read_kinetics",
    "read_label_list",
    "read_ucf101",
    "read_video_list",
    "readable_videos",
    "require_files",
    "resize_short_side",
    "two_scale_views",
    "uniform_clips",
    "validation_split",
    "video_length",
    "without_classes",
    "write_video",
]
