"""One image of a source as RGB, 8 bit, upright PNG; and reading it back."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from nic_energy.config import Images
from nic_energy.errors import InputError
from nic_energy.files import atomic_path
from nic_energy.images.decode import opened_image, to_rgb
from nic_energy.images.index import ImageEntry
from nic_energy.images.sources import archive_of, opened


def prepare_image(entry: ImageEntry, images: Images, archive: Path | None, target: Path) -> None:
    """Write an image as PNG: RGB, 8 bit, EXIF orientation applied, scaled if the index says so.

    Colour profiles are not applied: the networks take the stored values as sRGB. The bytes
    depend on the pixels alone, so an unchanged image has an unchanged file.

    Raises:
        InputError: the image cannot be decoded; names it.
    """
    archive = archive_of(images, archive)
    with (
        opened(entry.member, archive) as handle,
        opened_image(handle, entry.member, images.max_megapixels) as picture,
    ):
        rgb = to_rgb(picture)
        size = (entry.width, entry.height)
        if rgb.size != size:
            rgb = rgb.resize(size, Image.Resampling.LANCZOS)
        plain = Image.fromarray(np.asarray(rgb))
    with atomic_path(target) as partial:
        plain.save(partial, format="PNG", compress_level=6)


def load_rgb(path: Path) -> npt.NDArray[np.uint8]:
    """A prepared image, shape (height, width, 3), 8 bit.

    Raises:
        InputError: it cannot be read or is not RGB.
    """
    try:
        with path.open("rb") as handle, opened_image(handle, str(path), np.inf) as picture:
            if picture.mode != "RGB":
                raise InputError(f"{path}: is {picture.mode}, not RGB; prepare it first.")
            return np.asarray(picture, dtype=np.uint8)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error
