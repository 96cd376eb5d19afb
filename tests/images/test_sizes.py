"""Plain grey images made from a table of sizes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from nic_energy.config import project_root
from nic_energy.errors import InputError
from nic_energy.images import index_images, prepare_image, read_index, write_index
from nic_energy.images.prepare import load_rgb
from nic_energy.images.sources import members
from tests.images.pictures import images

TABLE = "image,width,height\nsize02,64,48\nsize01,30,20\n"


def table(tmp_path: Path, text: str = TABLE) -> str:
    path = tmp_path / "sizes.csv"
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_the_index_has_the_sizes_of_the_table(tmp_path: Path) -> None:
    source = images(source="sizes", path=table(tmp_path))
    found = index_images(source, None)
    assert [(e.image, e.width, e.height) for e in found] == [("size01", 30, 20), ("size02", 64, 48)]
    assert [entry.member for entry in found] == ["size:30x20", "size:64x48"]
    assert len({entry.source_sha256 for entry in found}) == 2
    write_index(tmp_path / "index.csv", found)
    assert read_index(tmp_path / "index.csv") == found
    assert index_images(source, None) == found


def test_a_prepared_image_is_grey_rgb_of_its_size(tmp_path: Path) -> None:
    source = images(source="sizes", path=table(tmp_path))
    for entry in index_images(source, None):
        target = tmp_path / f"{entry.image}.png"
        prepare_image(entry, source, None, target)
        with Image.open(target) as picture:
            assert (picture.format, picture.mode) == ("PNG", "RGB")
            assert picture.size == (entry.width, entry.height)
        pixels = load_rgb(target)
        assert pixels.shape == (entry.height, entry.width, 3)
        assert np.unique(pixels).tolist() == [128]


def test_scale_selection_count_and_pixel_sum_work_on_sizes_too(tmp_path: Path) -> None:
    path = table(tmp_path)
    (entry,) = index_images(
        images(
            source="sizes", path=path, scale=0.5, select=["size02"], count=2, pixel_sum=[3672, 3672]
        ),
        None,
    )
    assert (entry.width, entry.height) == (32, 24)
    source = images(source="sizes", path=path, scale=0.5)
    prepare_image(entry, source, None, tmp_path / "half.png")
    assert load_rgb(tmp_path / "half.png").shape == (24, 32, 3)
    with pytest.raises(InputError, match="2 images found, 60 expected"):
        index_images(images(source="sizes", path=path, count=60), None)
    with pytest.raises(InputError, match="more than"):
        index_images(images(source="sizes", path=path, max_megapixels=0.001), None)


def test_two_images_of_one_size_are_two_images(tmp_path: Path) -> None:
    source = images(source="sizes", path=table(tmp_path, "image,width,height\na,8,8\nb,8,8\n"))
    assert [entry.image for entry in index_images(source, None)] == ["a", "b"]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("name,width,height\na,10,10\n", "'image'"),
        ("image,width\na,10\n", "'height'"),
        ("image,width,height\na,10\n", "NoneType"),
        ("image,width,height\na,wide,10\n", "'wide'"),
        ("image,width,height\na,10.5,10\n", "10.5"),
        ("image,width,height\nbad,0,10\n", "bad has no pixels"),
        ("image,width,height\nbad,100000,100000\n", "bad has more than images.max_megapixels"),
        ("image,width,height\nbad,10,-10\n", "bad has no pixels"),
        ("image,width,height\na,10,10\na,10,20\n", "stands there twice"),
    ],
)
def test_a_broken_table_is_named_with_its_columns(tmp_path: Path, text: str, reason: str) -> None:
    path = table(tmp_path, text)
    message = rf"sizes\.csv: is no table of sizes \(.*{reason}.*columns are image, width, height"
    with pytest.raises(InputError, match=message):
        index_images(images(source="sizes", path=path), None)


def test_a_table_that_is_empty_not_there_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no image in .*sizes\.csv"):
        index_images(images(source="sizes", path=table(tmp_path, "image,width,height\n")), None)
    with pytest.raises(InputError, match=r"none\.csv: cannot be read"):
        index_images(images(source="sizes", path=str(tmp_path / "none.csv")), None)
    (tmp_path / "binary.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"binary\.csv: is no table of sizes"):
        index_images(images(source="sizes", path=str(tmp_path / "binary.csv")), None)


def test_the_sixty_sizes_pass_the_checks_of_the_papers_image_set() -> None:
    path = str(project_root() / "resources" / "image_sizes_60.csv")
    found = members(images(source="sizes", path=path), None)
    sizes = [
        tuple(int(part) for part in member.place.removeprefix("size:").split("x"))
        for member in found
    ]
    least, most = 157_568_854, 157_568_880
    assert len(sizes) == 60
    assert least <= sum(width * height for width, height in sizes) <= most
