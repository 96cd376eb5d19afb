import errno
import os
import time
from pathlib import Path

import pytest

from nic_energy import files
from nic_energy.errors import StoreError


def test_a_file_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "sub" / "table.csv"
    files.write_text(target, "old")

    with pytest.raises(RuntimeError), files.atomic_path(target) as partial:
        partial.write_text("half a line")
        raise RuntimeError

    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["table.csv"]


def test_a_full_disk_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"Free some space.*finished measurements are kept"),
        files.atomic_path(tmp_path / "x"),
    ):
        raise OSError(errno.ENOSPC, "No space left on device")


def test_other_write_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file/x: not written"):
        files.write_text(tmp_path / "file" / "x", "text")


def test_a_file_that_may_not_be_written_says_what_to_do(tmp_path: Path) -> None:
    with (
        pytest.raises(StoreError, match=r"Make .* writable for this user and run again"),
        files.atomic_path(tmp_path / "x"),
    ):
        raise OSError(errno.EACCES, "Permission denied")


def test_what_a_killed_process_left_is_removed_once_it_is_old(tmp_path: Path) -> None:
    old, young = tmp_path / ".a.csv.1-ab.part", tmp_path / ".b.csv.2-cd.part"
    for path in (old, young):
        path.write_text("half")
    then = time.time() - 2 * files.LEFTOVER_S
    os.utime(old, (then, then))
    files.write_text(tmp_path / "c.csv", "whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == [young.name, "c.csv"]


def test_room_is_asked_for_where_it_will_be_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files.require_room(tmp_path / "not" / "yet" / "there", 1)
    with pytest.raises(StoreError, match=r"raw: only \d+ MiB are free"):
        files.require_room(tmp_path / "raw", 1 << 60)
    (tmp_path / "file").touch()
    with pytest.raises(StoreError, match="file: is no folder"):
        files.require_room(tmp_path / "file" / "raw", 1)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StoreError, match="this user may not read and write there"):
        files.require_room(tmp_path / "raw", 1)


def test_json_is_sorted_and_refuses_nan(tmp_path: Path) -> None:
    files.write_json(tmp_path / "a.json", {"b": 1, "a": 2})
    assert (tmp_path / "a.json").read_text() == '{\n  "a": 2,\n  "b": 1\n}\n'
    with pytest.raises(ValueError, match="JSON compliant"):
        files.write_json(tmp_path / "b.json", float("nan"))
    assert not (tmp_path / "b.json").exists()


def test_link_shares_the_bytes_and_survives_the_deletion_of_either(tmp_path: Path) -> None:
    source, target = tmp_path / "attempt", tmp_path / "traces" / "trace"
    source.write_bytes(b"samples")
    files.link_or_copy(source, target)
    assert target.stat().st_ino == source.stat().st_ino
    target.unlink()
    assert source.read_bytes() == b"samples"


def test_where_links_are_impossible_it_copies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_bytes(b"samples")
    files.link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"samples"


def test_a_missing_link_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="b: not written"):
        files.link_or_copy(tmp_path / "a", tmp_path / "b")


def test_digests(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert files.sha256(tmp_path / "a").startswith("ba7816bf8f01cfea")
    assert files.md5(tmp_path / "a") == "900150983cd24fb0d6963f7d28e17f72"
    assert files.digest_of({"a": 1, "b": 2}) == files.digest_of({"b": 2, "a": 1})
    assert files.digest_of({"a": 1}) != files.digest_of({"a": 2})
