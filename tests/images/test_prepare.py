from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nic_energy.errors import InputError
from nic_energy.files import sha256
from nic_energy.images import index_images, load_rgb, prepare_image
from tests.images.pictures import archive, images, picture, png


def prepared(tmp_path: Path, name: str = "x.png", **options: object) -> np.ndarray:
    source = images(source="folder", path=str(tmp_path / "photos"), **options)
    (entry,) = index_images(source, None)
    prepare_image(entry, source, None, tmp_path / "out.png")
    return load_rgb(tmp_path / "out.png")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos").mkdir()
    return tmp_path / "photos"


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "CMYK", "RGBA", "LA", "1", "I;16"])
def test_any_mode_becomes_rgb_8_bit(tmp_path: Path, photos: Path, mode: str) -> None:
    if mode == "I;16":
        values = np.linspace(0, 65535, 24 * 16, dtype=np.uint16).reshape(16, 24)
        Image.fromarray(values).save(photos / "x.png")
    else:
        suffix = "tif" if mode == "CMYK" else "png"
        picture(mode=mode).save(photos / f"x.{suffix}")
    found = prepared(tmp_path)
    assert found.shape == (16, 24, 3)
    assert found.dtype == np.uint8
    assert found[0, 0].max() < 20
    assert found[-1, -1].min() > 235


def test_exif_orientation_is_applied(tmp_path: Path, photos: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    picture().save(photos / "x.png", exif=exif)
    found = prepared(tmp_path)
    assert found[0, 0].min() > 235
    assert found[-1, -1].max() < 20


def test_transparent_pixels_lie_over_black(tmp_path: Path, photos: Path) -> None:
    Image.new("RGBA", (8, 8), (255, 255, 255, 0)).save(photos / "x.png")
    assert prepared(tmp_path).max() == 0


def test_scaling_as_the_index_says(tmp_path: Path, photos: Path) -> None:
    (photos / "x.png").write_bytes(png(60, 40))
    assert prepared(tmp_path, scale=0.5).shape == (20, 30, 3)


def test_equal_pixels_give_equal_bytes(tmp_path: Path, photos: Path) -> None:
    picture().save(photos / "x.png", pnginfo=None)
    prepared(tmp_path)
    first = sha256(tmp_path / "out.png")
    exif = Image.Exif()
    exif[0x0131] = "some program"
    picture().save(photos / "x.png", exif=exif)
    prepared(tmp_path)
    assert sha256(tmp_path / "out.png") == first


def test_from_a_zip(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", sub__y=png())
    source = images(source="zip", path=str(path))
    (entry,) = index_images(source, path)
    prepare_image(entry, source, path, tmp_path / "y.png")
    assert load_rgb(tmp_path / "y.png").shape == (16, 24, 3)


def test_a_truncated_image_is_named_and_leaves_no_file(tmp_path: Path, photos: Path) -> None:
    whole = png(200, 200)
    (photos / "x.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"x\.png: cannot be read as an image"):
        prepared(tmp_path)
    assert not (tmp_path / "out.png").exists()


def test_a_vanished_image_and_a_foreign_file_are_named(tmp_path: Path, photos: Path) -> None:
    (photos / "x.png").write_bytes(png())
    source = images(source="folder", path=str(photos))
    (entry,) = index_images(source, None)
    (photos / "x.png").unlink()
    with pytest.raises(InputError, match=r"x\.png: cannot be read"):
        prepare_image(entry, source, None, tmp_path / "out.png")
    picture(mode="L").save(tmp_path / "grey.png")
    with pytest.raises(InputError, match="is L, not RGB"):
        load_rgb(tmp_path / "grey.png")
    with pytest.raises(InputError, match=r"none\.png: cannot be read"):
        load_rgb(tmp_path / "none.png")
