"""Padding of images to what a network's strides need (paper, section 3)."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def padded_size(width: int, height: int, multiple: int) -> tuple[int, int]:
    """(width, height) rounded up to multiples of `multiple`."""
    return -(-width // multiple) * multiple, -(-height // multiple) * multiple


def margins(width: int, height: int, multiple: int) -> tuple[int, int, int, int]:
    """Pixels to add at (left, right, top, bottom): the image lies in the middle, as CompressAI's
    own evaluation places it.
    """
    padded_width, padded_height = padded_size(width, height, multiple)
    left, top = (padded_width - width) // 2, (padded_height - height) // 2
    return left, padded_width - width - left, top, padded_height - height - top


def pad(images: "Tensor", multiple: int) -> "Tensor":
    """Pad with zeros; shape (n, 3, height, width) to (n, 3, padded height, padded width)."""
    from torch.nn import functional

    height, width = images.shape[-2:]
    return functional.pad(images, margins(width, height, multiple))


def crop(images: "Tensor", width: int, height: int, multiple: int) -> "Tensor":
    """Undo `pad`."""
    left, _, top, _ = margins(width, height, multiple)
    return images[..., top : top + height, left : left + width]
