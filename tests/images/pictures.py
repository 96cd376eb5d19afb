"""Small image files, good and bad."""

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from nic_energy.config import Images, resolve


def images(**changes: object) -> Images:
    """An `images` configuration that expects nothing."""
    document = {"source": "skimage", "url": None, "md5": None, "count": None, "pixel_sum": None}
    return replace(resolve({"images": document}).images, **changes)  # type: ignore[arg-type]


def picture(width: int = 24, height: int = 16, mode: str = "RGB") -> Image.Image:
    """A gradient, so that orientation and scaling can be told."""
    grey = np.linspace(0, 255, width * height, dtype=np.uint8).reshape(height, width)
    return Image.fromarray(grey).convert(mode)


def png(width: int = 24, height: int = 16) -> bytes:
    """The gradient as a PNG file."""
    out = io.BytesIO()
    picture(width, height).save(out, "PNG")
    return out.getvalue()


def archive(path: Path, **files: bytes) -> Path:
    """A zip with these members; `__` in a name stands for `/`."""
    with zipfile.ZipFile(path, "w") as bundle:
        for name, data in files.items():
            bundle.writestr(name.replace("__", "/") + ".png", data)
    return path
