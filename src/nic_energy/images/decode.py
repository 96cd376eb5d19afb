"""Opening image files safely with Pillow."""

import contextlib
import warnings
from collections.abc import Iterator
from typing import IO

from PIL import Image, ImageOps, UnidentifiedImageError

from nic_energy.errors import InputError

FORMATS = ("BMP", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")
"""What a file may be, whatever its name says: no format whose decoder starts another program."""


@contextlib.contextmanager
def opened_image(handle: IO[bytes], name: str, max_megapixels: float) -> Iterator[Image.Image]:
    """Open an image; what is wrong with it becomes an error that names it.

    Raises:
        InputError: corrupt, truncated, no image, or larger than `max_megapixels`.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(handle, formats=FORMATS) as image:
                width, height = image.size
                if width * height > max_megapixels * 1e6:
                    raise InputError(
                        f"{name}: {width}x{height} pixels are more than images.max_megapixels "
                        f"({max_megapixels:g}); raise it if the image is what it claims to be."
                    )
                yield image
    except (
        UnidentifiedImageError,
        Image.DecompressionBombError,
        OSError,
        SyntaxError,
        ValueError,
        EOFError,
    ) as error:
        raise InputError(
            f"{name}: cannot be read as an image ({error}). Repair it or take it out of the source."
        ) from error


def upright_size(image: Image.Image) -> tuple[int, int]:
    """(width, height) once the EXIF orientation is applied."""
    width, height = image.size
    orientation = image.getexif().get(0x0112, 1)
    return (height, width) if orientation in (5, 6, 7, 8) else (width, height)


def scaled_size(width: int, height: int, scale: float, max_side: int | None) -> tuple[int, int]:
    """The size after scaling by `scale` and down to at most `max_side`; never below 1."""
    factor = scale
    if max_side is not None:
        factor = min(factor, max_side / max(width, height))
    if factor >= 1:
        return width, height
    return max(1, round(width * factor)), max(1, round(height * factor))


def to_rgb(image: Image.Image) -> Image.Image:
    """RGB, 8 bit, upright. 16-bit grey is scaled to 8 bit; transparency is laid over black."""
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith(("I;16", "I")):
        image = image.point(lambda value: value / 256).convert("L")
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        black = Image.new("RGBA", rgba.size, (0, 0, 0, 255))
        image = Image.alpha_composite(black, rgba)
    return image.convert("RGB")
