"""Disks that are full, folders that may not be written or read, and files that are not whole."""

import ctypes
import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest

from nic_energy import files, tables
from nic_energy.analysis import energy_tables
from nic_energy.campaign import Staleness, estimate, passport_is_stale, state
from nic_energy.config import Config, resolve
from nic_energy.errors import StoreError
from nic_energy.traces import METADATA_KEY, read_meta
from tests.faults.command import Desk

MODALITY = ("chain", "tiny", 1, "image")


def config_of(desk: Desk) -> Config:
    return resolve(desk.config)


@pytest.fixture(scope="module")
def measured_desk(virtual_desk: Desk, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("measured") / "desk"
    shutil.copytree(virtual_desk.folder, folder)
    desk = Desk(folder, dict(virtual_desk.config))
    desk.succeed("measure")
    return desk


@pytest.fixture
def measured(
    measured_desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Desk]:
    """A virtual GPU with its idle reference and one modality; the working directory is there.

    The copy has no hard links: the trace and its attempt are files of their own.
    """
    folder = tmp_path / "desk"
    shutil.copytree(measured_desk.folder, folder)
    index = folder / "results" / "images" / "photos" / "index.csv"
    index.parent.mkdir(parents=True)
    index.write_text(
        "image,member,width,height,source_sha256\n"
        f"image,image.png,64,48,{files.sha256(folder / 'image.png')}\n"
    )
    monkeypatch.chdir(folder)
    yield Desk(folder, dict(measured_desk.config))


def cut(path: Path) -> None:
    """Lose the second half of a file, as a crash of the file system can."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def full_at(monkeypatch: pytest.MonkeyPatch, part: str) -> None:
    """Let the file system be full wherever the path of a new file holds a text."""
    replace = os.replace

    def refuse(source: Any, target: Any) -> None:
        if part in str(target):
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        replace(source, target)

    monkeypatch.setattr(os, "replace", refuse)


def test_a_disk_that_is_nearly_full_is_refused_before_anything_is_measured(
    virtual: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(virtual.folder)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=5 << 20))
    for command in ("idle", "passport", "measure"):
        done = virtual.here(command)
        assert done.code == 7
        assert "raw: only 5 MiB are free on its file system" in done.message
        assert "Free some space and run again; finished measurements are kept" in done.message
        assert "window" not in done.text
    assert not virtual.attempts()


def test_a_disk_that_fills_while_a_modality_is_measured(
    virtual: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        full_at(patch, "/raw/chain/")
        done = virtual.here("measure")
    assert done.code == 7
    assert "not written, No space left on device. Free some space" in done.message
    assert not virtual.attempts()
    assert not virtual.trace.exists()
    assert not virtual.parts()
    assert virtual.here("measure").code == 0


def test_a_disk_that_is_full_when_the_trace_is_linked(
    virtual: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        full_at(patch, "/traces/")
        done = virtual.here("measure")
    assert done.code == 7
    assert "image.parquet: not written, No space left on device" in done.message
    (kept,) = virtual.attempts()
    assert kept.meta.outcome == "accepted"
    done = virtual.here("measure")
    assert done.code == 0
    assert "linked, not measured again" in done.text
    assert virtual.trace.stat().st_ino == kept.path.stat().st_ino


SCRIPT = """
import errno, os, sys
from pathlib import Path
import pandas as pd
from nic_energy import tables
from nic_energy.logs import log_to

def refuse(source, target):
    raise OSError(errno.ENOSPC, "No space left on device", str(target))

log_to("script.log")
os.replace = refuse
tables.write_csv(Path("energy.csv"), pd.DataFrame([{"energy_j": 1.0}]))
"""


def test_a_disk_that_is_full_when_tables_are_written(tmp_path: Path) -> None:
    """As a script of the workflow does it; the table that was there stays."""
    tables.write_csv(tmp_path / "energy.csv", pd.DataFrame([{"energy_j": 2.0}]))
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 7
    for said in (done.stderr, (tmp_path / "script.log").read_text()):
        assert "energy.csv: not written, No space left on device. Free some space" in said
        assert "Traceback" not in said
    assert tables.read_csv(tmp_path / "energy.csv")["energy_j"].tolist() == [2.0]
    assert not list(tmp_path.glob(".*.part"))


def test_results_that_are_a_file_are_refused_before_anything_is_measured(fresh: Desk) -> None:
    (fresh.folder / "results").write_text("")
    done = fresh.here("idle")
    assert done.code == 7
    assert "results: is no folder, so nothing can be written" in done.message


PR_CAPBSET_DROP = 24
CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH = 1, 2


def as_anybody() -> None:
    """Before a program starts: root gives up that permissions do not bind it (prctl(2),
    capabilities(7)); anybody else has nothing to give up.
    """
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None)
        for capability in (CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH):
            if libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0):
                raise OSError("prctl")


@pytest.fixture
def bound_by_permissions(virtual: Desk) -> Iterator[Desk]:
    """A set-up in which permissions are taken away, and given back in the end."""
    forbidden = virtual.folder / "forbidden"
    forbidden.mkdir(mode=0o000)
    try:
        probe = [sys.executable, "-c", "import os, sys; sys.exit(os.access('forbidden', os.R_OK))"]
        if subprocess.run(probe, cwd=virtual.folder, preexec_fn=as_anybody).returncode:
            pytest.skip("permissions do not bind this user")
    except subprocess.SubprocessError:
        pytest.skip("root may not give up its capabilities here")
    yield virtual
    subprocess.run(["chmod", "--recursive", "u+rwX", str(virtual.folder)], check=True)


def test_results_that_this_user_may_not_write_are_refused_before_anything_is_measured(
    bound_by_permissions: Desk,
) -> None:
    desk = bound_by_permissions
    (desk.results / "raw").chmod(0o555)
    done = desk.run("measure", preexec_fn=as_anybody)
    assert done.code == 7
    assert "results/desk/raw: this user may not read and write there" in done.message
    assert "chown, chmod" in done.message
    assert "window" not in done.text


def test_attempts_that_this_user_may_not_read_are_not_taken_for_none(
    bound_by_permissions: Desk,
) -> None:
    desk = bound_by_permissions
    desk.succeed("measure")
    desk.trace.unlink()
    (desk.results / "raw" / "chain" / "tiny" / "q1" / "image").chmod(0o000)
    done = desk.run("measure", preexec_fn=as_anybody)
    assert done.code == 7
    assert "would be measured again. Change its owner" in done.message


@pytest.mark.parametrize(
    ("name", "code"), [("config.json", 2), ("image.png", 5), ("idle.parquet", 7)]
)
def test_a_file_that_this_user_may_not_read_is_named(
    bound_by_permissions: Desk, name: str, code: int
) -> None:
    desk = bound_by_permissions
    path = desk.idle_reference if name == "idle.parquet" else desk.folder / name
    path.chmod(0o000)
    done = desk.run("measure", preexec_fn=as_anybody)
    assert done.code == code
    assert name in done.message


def test_a_truncated_trace_is_named_at_aggregation_and_left_out_with_allow_missing(
    measured: Desk,
) -> None:
    index = measured.folder / "results" / "images" / "photos" / "index.csv"
    assert len(energy_tables(config_of(measured), index).energy) == 1
    cut(measured.trace)
    with pytest.raises(StoreError, match=r"q1/image\.parquet: cannot be read.*delete it and run"):
        energy_tables(config_of(measured), index)
    measured.configure(allow_missing=True)
    found = energy_tables(config_of(measured), index)
    assert found.energy.empty
    (row,) = found.missing.to_dict("records")
    assert row["image"] == "image"
    assert "cannot be read as a Parquet trace" in row["last_error"]


def test_a_truncated_trace_counts_as_stale_and_is_linked_again(measured: Desk) -> None:
    cut(measured.trace)
    config = config_of(measured)
    assert Staleness(config, "code").of(*MODALITY)
    assert state(config, ["image"], "code").stale == {"the file cannot be read": 1}
    measured.trace.unlink()
    done = measured.here("measure")
    assert done.code == 0
    assert "linked, not measured again" in done.text
    assert read_meta(measured.trace).outcome == "accepted"


def test_a_truncated_attempt_is_passed_over_with_a_word_and_measured_again(
    measured: Desk,
) -> None:
    (kept,) = measured.attempts()
    cut(kept.path)
    done = measured.here("measure")
    assert done.code == 0
    assert f"passed over: {kept.path.relative_to(measured.folder)}" in done.text.replace(
        f"{measured.folder}/", ""
    )
    assert len(list(kept.path.parent.iterdir())) == 2
    assert len(measured.attempts()) == 1


def test_a_truncated_idle_reference_is_named_and_linked_again(measured: Desk) -> None:
    measured.trace.unlink()
    measured.configure(remeasure=True)
    cut(measured.idle_reference)
    done = measured.here("measure")
    assert done.code == 7
    assert "reference/idle.parquet: cannot be read as a Parquet trace" in done.message
    measured.configure(remeasure=False)
    measured.idle_reference.unlink()
    done = measured.here("idle")
    assert done.code == 0
    assert "is linked, not recorded again" in done.text


def test_a_truncated_first_idle_reference_blocks_no_set_up(measured: Desk) -> None:
    (kept,) = measured.attempts("idle")
    cut(kept.path)
    done = measured.here("idle")
    assert done.code == 0
    assert "passed over" in done.text
    assert len(measured.attempts("idle")) == 1


def test_a_damaged_passport_is_measured_again(measured: Desk) -> None:
    config = config_of(measured)
    assert not passport_is_stale(config, "code")
    for damage in ('{"settings_digest": "x"', "[]", ""):
        measured.passport_file.write_text(damage)
        assert passport_is_stale(config, "code")
        assert estimate(config).modality_least_s > 0


@pytest.mark.parametrize(
    ("metadata", "said"),
    [(b'{"schema_version": "1.1", "kin', "are damaged"), (b"[1]", "are damaged"),
     (b'{"schema_version": "1.1"}', "are not those of a trace")],
)  # fmt: skip
def test_damaged_metadata_are_named(measured: Desk, metadata: bytes, said: str) -> None:
    table = pq.read_table(measured.trace)
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: metadata}), measured.trace)
    with pytest.raises(StoreError, match=said):
        read_meta(measured.trace)
