"""A source beside the index that was made of it."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nic_energy.config import Images
from nic_energy.images import Changes, changes, compare_with_index, index_images, write_index
from nic_energy.images.sources import opened
from tests.images.pictures import archive, images, png


def indexed(source: Images, path: Path) -> Path:
    write_index(path, index_images(source, None))
    os.utime(path, (1e9, 1e9))
    return path


def test_a_folder_that_gained_lost_and_changed_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("touched", "changed", "gone", "older"):
        (folder / f"{name}.png").write_bytes(png(24, 16))
    source = images(source="folder", path=str(folder))
    assert compare_with_index(source, None, tmp_path / "none.csv").added == ()
    index = indexed(source, tmp_path / "index.csv")
    (folder / "gone.png").unlink()
    (folder / "changed.png").write_bytes(png(30, 20))
    (folder / "new.png").write_bytes(png(8, 8))
    os.utime(folder / "older.png", (9e8, 9e8))
    read: list[str] = []

    def counted(member: str, of: Path | None) -> Any:
        read.append(Path(member).stem)
        return opened(member, of)

    monkeypatch.setattr(changes, "opened", counted)
    assert compare_with_index(source, None, index) == Changes(
        ("changed", "new", "older", "touched"), ("new",), ("changed",), ("gone",)
    )
    assert sorted(read) == ["changed", "touched"]
    one = replace(source, select=["older"])
    assert compare_with_index(one, None, index).images == ("older",)


def test_an_archive_and_a_table_of_sizes(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.zip", x=png(), y=png())
    source = images(source="zip", path=str(path))
    index = indexed(source, tmp_path / "zip.csv")
    archive(path, x=png(), y=png(30, 20), z=png())
    assert compare_with_index(source, None, index) == Changes(("x", "y", "z"), ("z",), ("y",))
    table = tmp_path / "sizes.csv"
    table.write_text("image,width,height\na,30,20\nb,40,20\n")
    source = images(source="sizes", path=str(table))
    index = indexed(source, tmp_path / "sizes_index.csv")
    table.write_text("image,width,height\na,30,20\nb,40,30\nc,8,8\n")
    assert compare_with_index(source, None, index) == Changes(("a", "b", "c"), ("c",), ("b",))


def test_photographs_that_come_along_never_change(tmp_path: Path) -> None:
    index = indexed(images(), tmp_path / "index.csv")
    found = compare_with_index(images(), None, index)
    assert len(found.images) >= 10
    assert not (found.added or found.changed or found.removed)
