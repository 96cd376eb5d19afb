import stat
import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from nic_energy.errors import InputError
from nic_energy.images import entry_of, index_images, read_index, write_index
from nic_energy.images import sources as sources_module
from nic_energy.images.index import check_id, ids
from nic_energy.images.sources import Member
from nic_energy.store import modality_key
from tests.images.pictures import archive, images, picture, png


def folder_with(tmp_path: Path, **files: bytes) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, data in files.items():
        (folder / f"{name}.png").write_bytes(data)
    (folder / "notes.txt").write_text("no image")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


def test_a_folder_in_alphabetical_order_with_sizes_and_digests(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, b=png(30, 20), a=png(24, 16))
    found = index_images(images(source="folder", path=str(folder)), None)
    assert [(e.image, e.width, e.height) for e in found] == [("a", 24, 16), ("b", 30, 20)]
    assert all(len(entry.source_sha256) == 64 for entry in found)
    write_index(tmp_path / "index.csv", found)
    assert read_index(tmp_path / "index.csv") == found


def test_a_zip_without_its_mac_folder_and_without_folders(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", x=png(), sub__y=png())
    with zipfile.ZipFile(path, "a") as bundle:
        bundle.writestr("folder/", b"")
        bundle.writestr("__MACOSX/x.png", b"junk")
        bundle.writestr("readme.txt", b"")
    found = index_images(images(source="zip", path=str(path)), path)
    assert [entry.image for entry in found] == ["x", "y"]
    assert index_images(images(source="zip", path=str(path)), None) == found


def test_the_photographs_of_scikit_image_suffice_for_a_demo() -> None:
    found = index_images(images(), None)
    assert len(found) >= 10
    assert len({(entry.width, entry.height) for entry in found}) >= 6


def test_scaling_and_exif_orientation_are_in_the_index(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    exif = picture().getexif()
    exif[0x0112] = 6
    picture(24, 16).save(folder / "turned.jpg", exif=exif)
    for options, size in (
        ({}, (16, 24)),
        ({"scale": 0.5}, (8, 12)),
        ({"max_side": 12}, (8, 12)),
        ({"max_side": 100}, (16, 24)),
    ):
        (entry,) = index_images(images(source="folder", path=str(folder), **options), None)
        assert (entry.width, entry.height) == size


def test_ids_are_safe_and_unique() -> None:
    names = ["a b.png", "a_b.png", "A_B.jpg", "..png", "ü€.png", "x" * 200 + ".png", "plain.png"]
    found = ids([Member(name, name) for name in names])
    assert len({name.lower() for name in found}) == len(names)
    for name in found:
        assert name[0] not in ".-"
        assert len(name) <= 110
        assert all(c.isascii() and (c.isalnum() or c in "._-") for c in name)
    assert found[-1] == "plain"
    assert ids([Member("a b.png", "a b.png")]) == ["a_b"]


def test_images_are_selected_by_number_or_by_id(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, a=png(), b=png(), c=png())
    source = {"source": "folder", "path": str(folder)}
    assert [e.image for e in index_images(images(**source, select=2), None)] == ["a", "b"]
    assert [e.image for e in index_images(images(**source, select=["c", "a"]), None)] == ["a", "c"]
    with pytest.raises(InputError, match="image 'aa' is not in the collection; like it: a"):
        index_images(images(**source, select=["aa"]), None)
    with pytest.raises(InputError, match="like it: a, b, c"):
        entry_of(index_images(images(**source), None), "zzz")


def test_count_and_pixel_sum_are_checked_before_selection(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, a=png(10, 10), b=png(10, 20))
    source = {"source": "folder", "path": str(folder)}
    good = images(**source, count=2, pixel_sum=[300, 300], select=1, scale=0.5)
    assert len(index_images(good, None)) == 1
    with pytest.raises(InputError, match="2 images found, 3 expected"):
        index_images(images(**source, count=3), None)
    with pytest.raises(InputError, match="300 pixels in all, expected 301 to 400"):
        index_images(images(**source, pixel_sum=[301, 400]), None)


def test_corrupt_and_oversized_images_are_named(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, good=png(), bad=b"\x89PNG no")
    with pytest.raises(InputError, match=r"bad\.png: cannot be read as an image"):
        index_images(images(source="folder", path=str(folder)), None)
    (folder / "bad.png").write_bytes(png(200, 200))
    with pytest.raises(InputError, match=r"bad\.png: 200x200 pixels are more than"):
        index_images(images(source="folder", path=str(folder), max_megapixels=0.01), None)


def test_sources_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no folder"):
        index_images(images(source="folder", path=str(tmp_path / "none")), None)
    with pytest.raises(InputError, match="no image in"):
        index_images(images(source="folder", path=str(tmp_path)), None)
    (tmp_path / "no.zip").write_bytes(b"text")
    with pytest.raises(InputError, match=r"no\.zip: cannot be read as a zip"):
        index_images(images(source="zip", path=str(tmp_path / "no.zip")), None)
    with pytest.raises(InputError, match="is no image index"):
        read_index(tmp_path / "none.csv")
    (tmp_path / "bad.csv").write_text("a,b\n1,2\n")
    with pytest.raises(InputError, match="is no image index"):
        read_index(tmp_path / "bad.csv")


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a\\..\\evil"])
def test_a_member_that_would_leave_the_archive_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        entry = zipfile.ZipInfo("x.png")
        entry.filename = f"{name}.png"
        bundle.writestr(entry, png())
    with pytest.raises(InputError, match="its path leaves the archive"):
        index_images(images(source="zip", path=str(path)), path)


def test_links_and_bombs_in_an_archive_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        entry = zipfile.ZipInfo("link.png")
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16
        bundle.writestr(entry, "/etc/passwd")
    with pytest.raises(InputError, match="it is a link"):
        index_images(images(source="zip", path=str(path)), path)
    monkeypatch.setattr(sources_module, "LIMITS", replace(sources_module.LIMITS, member_bytes=10))
    bomb = archive(tmp_path / "b.zip", x=png())
    with pytest.raises(InputError, match="more than 10"):
        index_images(images(source="zip", path=str(bomb)), bomb)


def test_two_members_of_one_name_are_refused(tmp_path: Path) -> None:
    """Which of them was measured could not be told."""
    path = tmp_path / "a.zip"
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as bundle:
        warnings.simplefilter("ignore")
        bundle.writestr("x.png", png())
        bundle.writestr("x.png", png(30, 20))
    with pytest.raises(InputError, match="there are two of that name"):
        index_images(images(source="zip", path=str(path)), path)


def test_a_member_that_unpacks_to_hundreds_of_times_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as bundle:
        bundle.writestr("x.bmp", bytes(20 * 2**20))
    with pytest.raises(InputError, match="more than 200 times its packed size"):
        index_images(images(source="zip", path=str(path)), path)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_method_without_a_bound_on_what_it_yields_is_refused(tmp_path: Path, method: int) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", method) as bundle:
        bundle.writestr("x.png", png())
    with pytest.raises(InputError, match="not stored or deflated"):
        index_images(images(source="zip", path=str(path)), path)


@pytest.mark.parametrize("name", ["a\nb", "a\x1b[2J", "a\u202eb"])
def test_a_name_with_control_characters_is_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as bundle:
        bundle.writestr(f"{name}.png", png())
    with pytest.raises(InputError, match="control characters") as caught:
        index_images(images(source="zip", path=str(path)), path)
    assert name not in str(caught.value)
    folder = folder_with(tmp_path, **{name: png()})
    with pytest.raises(InputError, match="control characters"):
        index_images(images(source="folder", path=str(folder)), None)


@pytest.mark.parametrize("name", ["../../evil", "/etc/evil", "..", "a b;rm -rf $HOME", "x" * 300])
def test_whatever_a_file_is_called_its_id_stays_in_the_folder(name: str) -> None:
    (image,) = ids([Member(f"{name}.png", f"{name}.png")])
    assert check_id(image) == image
    key = modality_key("chain", "net", 1, image)
    assert Path("/results", key).resolve().is_relative_to("/results/chain/net/q1")
    assert len(image) <= 109


@pytest.mark.parametrize(
    "image", ["../x", "/etc/x", "", ".x", "a/b", "a\nb", "x" * 200, "..", "-x"]
)
def test_an_index_with_an_id_that_could_leave_its_folder_is_refused(
    tmp_path: Path, image: str
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.png").write_bytes(png())
    (entry,) = index_images(images(source="folder", path=str(tmp_path / "photos")), None)
    write_index(tmp_path / "index.csv", [replace(entry, image=image)])
    with pytest.raises(InputError, match="is no id of an image"):
        read_index(tmp_path / "index.csv")
    write_index(tmp_path / "index.csv", [entry, replace(entry, image="A")])
    with pytest.raises(InputError, match="stands there twice"):
        read_index(tmp_path / "index.csv")


def test_a_file_whose_decoder_would_start_a_program_is_no_image(tmp_path: Path) -> None:
    """Pillow hands PostScript to Ghostscript, whatever the file is called."""
    folder = folder_with(tmp_path)
    picture().save(folder / "x.eps")
    (folder / "x.eps").rename(folder / "x.png")
    with pytest.raises(InputError, match=r"x\.png: cannot be read as an image"):
        index_images(images(source="folder", path=str(folder)), None)
