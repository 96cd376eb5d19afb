"""Images: where they come from, their ids, and their preparation as RGB, 8 bit."""

from nic_energy.images.changes import Changes, compare_with_index
from nic_energy.images.download import download_archive
from nic_energy.images.index import (
    ImageEntry,
    entry_of,
    index_file,
    index_images,
    read_index,
    write_index,
)
from nic_energy.images.prepare import load_rgb, prepare_image

__all__ = [
    "Changes",
    "ImageEntry",
    "compare_with_index",
    "download_archive",
    "entry_of",
    "index_file",
    "index_images",
    "load_rgb",
    "prepare_image",
    "read_index",
    "write_index",
]
