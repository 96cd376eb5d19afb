"""What an archive can try, and the bytes of one that tries nothing."""

import io
import json
import stat
import warnings
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nic_energy import archives
from nic_energy.bundle.archive import unpack, write_archive
from nic_energy.bundle.layout import MANIFEST, kind_of
from nic_energy.bundle.manifest import FileEntry, Manifest, Publication
from nic_energy.errors import BundleError, InputError

FILES: Mapping[str, bytes] = {
    "config.json": b"{}",
    "traces/chain/net/q1/image.parquet": b"trace",
    "energy.csv": b"a\n1\n",
}


def manifest_of(files: Mapping[str, FileEntry], version: str = "1.0") -> Manifest:
    return Manifest(
        "lab", ("simulated",), None, None, 1, 0, None, Publication(), files, version=version
    )


def plain(path: Path, files: Mapping[str, bytes] = FILES, version: str = "1.0") -> Path:
    write_archive(path, dict(files), lambda entries: manifest_of(entries, version))
    return path


def refused(path: Path, folder: Path, match: str) -> None:
    folder.mkdir()
    with pytest.raises(BundleError, match=match):
        unpack(path, folder)


def written(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_come_out_as_they_went_in(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    manifest = unpack(plain(tmp_path / "a.zip"), tmp_path / "out")
    found = written(tmp_path / "out")
    assert found.pop(MANIFEST) == manifest.to_bytes()
    assert found == dict(FILES)


def test_every_single_changed_byte_is_refused(tmp_path: Path) -> None:
    """Content, names, sizes, times, modes, comments: the archive's own records included."""
    good = plain(tmp_path / "a.zip", {"config.json": b"{}", "energy.csv": b"a\n1\n"}).read_bytes()
    path = tmp_path / "b.zip"
    for place in range(len(good)):
        bad = bytearray(good)
        bad[place] ^= 0x20
        path.write_bytes(bad)
        folder = tmp_path / f"out{place}"
        folder.mkdir()
        with pytest.raises(BundleError):
            unpack(path, folder)


@pytest.mark.parametrize(
    "change",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data + b"\0",
        lambda data: b"#!/bin/sh\n" + data,
        lambda data: b"",
        lambda data: data + data,
    ],
)
def test_an_archive_that_is_cut_or_has_more_in_it_is_refused(
    tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    path = plain(tmp_path / "a.zip")
    path.write_bytes(change(path.read_bytes()))
    refused(path, tmp_path / "out", "is refused")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.zip: there is no such file"):
        unpack(tmp_path / "none.zip", tmp_path)


def hostile(path: Path, name: str, **attributes: Any) -> Path:
    """A bundle with one more member, listed in its manifest."""
    data = b"evil"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with zipfile.ZipFile(path, "w") as archive:
            for known, content in FILES.items():
                archive.writestr(zipfile.ZipInfo(known), content)
            entry = zipfile.ZipInfo("x")
            entry.filename = name
            for key, value in attributes.items():
                setattr(entry, key, value)
            archive.writestr(entry, data)
            files = {n: FileEntry(len(c), "0" * 64) for n, c in {**FILES, name: data}.items()}
            archive.writestr(zipfile.ZipInfo(MANIFEST), manifest_of(files).to_bytes())
    return path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../evil.csv", "its path leaves the archive"),
        ("/etc/cron.d/evil", "its path leaves the archive"),
        ("traces/../../evil.parquet", "its path leaves the archive"),
        ("C:/evil.csv", "its path leaves the archive"),
        ("models\\evil.csv", "its path leaves the archive"),
        ("evil\n.csv", "control characters"),
        ("evil\x1b[2J.csv", "control characters"),
        ("\u202evsc.live", "control characters"),
        ("evil.py", "has no place in a bundle"),
        (".bashrc", "has no place in a bundle"),
        ("traces/chain/net/q1/.hidden.parquet", "has no place in a bundle"),
        ("traces/chain/net/q1/a/b.parquet", "has no place in a bundle"),
        ("traces/chain/net/q1/" + "a" * 300 + ".parquet", "has no place in a bundle"),
        ("figures/a.svg.exe", "has no place in a bundle"),
        ("Energy.csv", "differ in upper and lower case"),
        ("energy.csv", "there are two of that name"),
        ("models/", "holds folders"),
    ],
)
def test_a_name_that_would_land_elsewhere_is_refused(
    tmp_path: Path, name: str, reason: str
) -> None:
    refused(hostile(tmp_path / "a.zip", name), tmp_path / "out", reason)
    assert written(tmp_path).keys() == {"a.zip"}


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"external_attr": (stat.S_IFLNK | 0o777) << 16}, "it is a link"),
        ({"external_attr": (stat.S_IFIFO | 0o666) << 16}, "it is no plain file"),
        ({"compress_type": zipfile.ZIP_DEFLATED}, "is compressed"),
        ({"compress_type": zipfile.ZIP_LZMA}, "packed by method 14"),
        ({"compress_type": zipfile.ZIP_BZIP2}, "packed by method 12"),
    ],
)
def test_a_link_and_anything_packed_are_refused(
    tmp_path: Path, attributes: Mapping[str, Any], reason: str
) -> None:
    path = hostile(tmp_path / "a.zip", "idle.csv", **attributes)
    refused(path, tmp_path / "out", reason)


def test_extra_and_missing_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    listed = {name: FileEntry(1, "0" * 64) for name in ("config.json", "idle.csv")}
    write_archive(path, dict(FILES), lambda entries: manifest_of(listed))
    refused(path, tmp_path / "out", "'energy.csv' is in no manifest.*'idle.csv' is missing")


def test_a_file_with_another_digest_is_named(tmp_path: Path) -> None:
    def wrong(entries: Mapping[str, FileEntry]) -> Manifest:
        return manifest_of({**entries, "energy.csv": FileEntry(4, "0" * 64)})

    path = tmp_path / "a.zip"
    write_archive(path, dict(FILES), wrong)
    refused(path, tmp_path / "out", r"'energy\.csv' is not what the manifest says")


def test_a_bundle_of_a_later_major_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.zip", version="2.0")
    refused(path, tmp_path / "out", r"of version 2\.0, but this nic-energy reads 1\.x.*newer")


def test_what_a_later_minor_version_adds_is_checked_and_not_written(tmp_path: Path) -> None:
    path = plain(tmp_path / "a.zip", {**FILES, "novelty/x.bin": b"new"}, version="1.9")
    (tmp_path / "out").mkdir()
    manifest = unpack(path, tmp_path / "out")
    assert "novelty/x.bin" in manifest.files
    assert set(written(tmp_path / "out")) == {*FILES, MANIFEST}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xff", "cannot be read"),
        (b"[]", "no JSON object"),
        (b'{"format": "x", "format": "y"}', "a key stands there twice"),
        (b'{"missing": NaN}', "NaN is no number"),
        (b"[" * 200_000, "cannot be read"),
        (b"{}", "'format' is a required property"),
    ],
)
def test_a_manifest_that_is_none_is_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, data)
    refused(path, tmp_path / "out", reason)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"setup": "../lab"}, "setup"),
        ({"setup": "lab\n"}, "setup"),
        ({"setup": ""}, "setup"),
        ({"sources": ["true"]}, "sources"),
        ({"modalities": -1}, "modalities"),
        ({"publication": {"lab": "\x1b[2J", "creator": None, "licence": None}}, "control char"),
        ({"files": {"config.json": {"bytes": 1, "sha256": "0"}}}, "sha256"),
    ],
)
def test_a_manifest_with_a_wrong_value_is_refused(
    tmp_path: Path, changes: Mapping[str, Any], reason: str
) -> None:
    document = json.loads(manifest_of({}).to_bytes())
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MANIFEST, json.dumps({**document, **changes}))
    refused(path, tmp_path / "out", reason)


def test_a_bomb_is_refused_before_it_is_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By size, ratio, number, list of members, and by members that share their bytes."""
    limits = archives.Limits(members=2, member_bytes=4 * 2**20, total_bytes=6 * 2**20)
    path = tmp_path / "a.zip"

    def check(match: str, *members: tuple[str, int], method: int = zipfile.ZIP_DEFLATED) -> None:
        with zipfile.ZipFile(path, "w", method) as archive:
            for name, size in members:
                archive.writestr(name, bytes(size))
        with pytest.raises(InputError, match=match), archives.opened_archive(path) as opened:
            archives.checked_members(path, opened.infolist(), limits)

    check("more than 4194304", ("a", 5 * 2**20))
    check("more than 200 times its packed size", ("a", 3 * 2**20))
    check("3 members, more than 2", ("a", 1), ("b", 1), ("c", 1))
    two = (("a", 4 * 2**20), ("b", 4 * 2**20))
    check("it has 8388608 bytes, more than 6291456", *two, method=zipfile.ZIP_STORED)
    monkeypatch.setattr(archives, "MAX_DIRECTORY_BYTES", 10)
    check("its list of members has", ("a", 1))


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", b"x" * 1000)
        archive.writestr("b.csv", b"y")
        archive.filelist[1].header_offset = archive.filelist[0].header_offset + 10
    with pytest.raises(InputError, match="overlaps"), archives.opened_archive(path) as opened:
        archives.checked_members(path, opened.infolist(), archives.Limits(10, 10**6, 10**6))


def test_a_list_of_members_whose_end_record_hides_its_size_is_refused(tmp_path: Path) -> None:
    """The size stands in the 64-bit record; a small one in the other record does not help."""
    path = tmp_path / "a.zip"
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("a", b"")
    end = out.getvalue()[-22:]
    record = archives.ZIP64_END.pack(b"PK\x06\x06", 44, 45, 45, 0, 0, 1, 1, 2**40, 0)
    locator = archives.ZIP64_LOCATOR.pack(b"PK\x06\x07", 0, len(out.getvalue()) - 22, 1)
    path.write_bytes(out.getvalue()[:-22] + record + locator + end)
    with (
        pytest.raises(InputError, match=f"has {2**40} bytes"),
        archives.opened_archive(path),
    ):
        raise AssertionError


def test_an_encrypted_member_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.csv", b"x")
        archive.filelist[0].flag_bits |= 1
    with pytest.raises(InputError, match="encrypted"), archives.opened_archive(path) as opened:
        archives.checked_members(path, opened.infolist(), archives.Limits(10, 10**6, 10**6))


def test_every_file_of_the_format_has_one_place() -> None:
    assert kind_of("models/energy_models.csv") == "table"
    assert kind_of("complexity_layers.csv") == "input"
    assert kind_of("raw/idle/20260101T000000Z-0a1b2c3d.parquet") == "raw"
    assert kind_of("raw/idle/20260101T000000000000Z-0a1b2c3d.parquet") == "raw"
    assert kind_of("models/energy_models.csv\n") is None
    assert kind_of("traces/chain/net/q1/image.parquet/x") is None
