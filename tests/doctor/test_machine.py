"""The machine around the GPU, and campaigns that need none."""

import os
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nic_energy.config import Config, project_root, resolve
from nic_energy.config.merge import read_merged
from nic_energy.doctor import disk, judge_machine, machine, torch_facts
from nic_energy.doctor.checks import Diagnosis, in_two
from nic_energy.doctor.collect import Request, campaign_of, collect
from nic_energy.doctor.facts import Disk, Lock, Machine, Need, Packages, Torch
from nic_energy.doctor.judge import judge
from nic_energy.doctor.judge_devices import _runs_on
from nic_energy.errors import DeviceError
from tests.doctor.conftest import check

CONFIGS = project_root() / "config"
GIB = 2**30


def config(*overlays: str, **changes: Any) -> Config:
    paths = [CONFIGS / f"{name}.yaml" for name in ("config", *overlays)]
    return resolve({**read_merged(paths), **changes})


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))  # no lock of a campaign that runs here
    return tmp_path


def examine(found: Config) -> Diagnosis:
    return judge(collect(Request(found, ask_torch=False)))


def test_the_demo_can_run_on_any_machine(empty: Path) -> None:
    diagnosis = examine(config("demo"))
    assert diagnosis.exit_code() == 0
    assert "never measured" in check(diagnosis, "meter_cpu_load").means
    assert {each.area for each in diagnosis.checks} == {"devices", "software", "machine", "disk"}
    assert not list(empty.iterdir())


def test_the_simulation_can_run_on_any_machine(empty: Path) -> None:
    found = config("simulation", images={"collection": "x", "source": "folder", "path": "p"})
    diagnosis = examine(found)
    assert diagnosis.exit_code() == 0
    assert "simulated" in check(diagnosis, "devices").means


def test_a_table_that_the_user_brought_needs_no_device(empty: Path) -> None:
    diagnosis = examine(config(energy_table="mine.csv"))
    assert diagnosis.exit_code() == 0
    assert "mine.csv" in check(diagnosis, "devices").found


def test_a_processor_without_rapl_is_told_what_else_there_is(empty: Path) -> None:
    found = config("demo", meter="rapl")
    facts = collect(Request(found, ask_torch=False))
    missing = replace(facts.others[0], error="meter rapl: no package. Choose meter: cpu_load.")
    diagnosis = judge(replace(facts, others=(missing, *facts.others[1:])))
    assert diagnosis.exit_code() == 3
    assert check(diagnosis, "meter_rapl").remedy == "Choose meter: cpu_load."
    dead = replace(missing, error=None, device_name="X", power_w=0.0)
    assert judge(replace(facts, others=(dead,))).exit_code() == 3
    alive = replace(dead, power_w=12.0)
    assert judge(replace(facts, others=(alive,))).exit_code() == 0


def test_what_the_lab_campaign_still_needs(empty: Path) -> None:
    need = disk.need(config())
    assert need.modalities == 44 * 60
    assert 100_000 < need.trace_bytes / 2640 < 5_000_000
    assert need.images_bytes == 4 * 157568880
    assert need.weights_bytes > 10**9
    at_full_rate = disk.need(config(protocol={"sampling_hz": "auto"}))
    assert at_full_rate.trace_bytes > 3 * need.trace_bytes


def test_what_is_there_is_not_needed_again(empty: Path) -> None:
    found = config("pilot")
    index = empty / "results" / "images" / "clic2021" / "index.csv"
    index.parent.mkdir(parents=True)
    index.write_text("image,member,source_sha256,width,height\n" + "a,a,0,9,9\nb,b,0,9,9\n")
    assert disk.need(found).modalities == 24
    trace = empty / "results/pilot/traces/chain/mbt2018/q3/a.parquet"
    trace.parent.mkdir(parents=True)
    trace.touch()
    need = disk.need(found)
    assert (need.modalities, need.images_bytes) == (23, 0)
    checkpoints = empty / "torch" / "hub" / "checkpoints"
    checkpoints.mkdir(parents=True)
    with (checkpoints / "some-01234567.pth.tar").open("wb") as handle:
        os.truncate(handle.fileno(), 10**8)
    assert disk.need(found).weights_bytes == need.weights_bytes - 10**8
    assert disk.need(config("pilot", weights="random")).weights_bytes == 0


def test_torch_agrees_on_where_checkpoints_lie(
    empty: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from torch import hub

    assert disk.weights_folder() == Path(hub.get_dir()) / "checkpoints"
    monkeypatch.delenv("TORCH_HOME")
    assert disk.weights_folder() == Path(hub.get_dir()) / "checkpoints"
    monkeypatch.setenv("XDG_CACHE_HOME", str(empty / "cache"))
    assert disk.weights_folder() == Path(hub.get_dir()) / "checkpoints"


FULL = Disk("/r", 10 * GIB, Need(10, 2 * GIB, GIB, GIB), weights_folder="/w")


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, "ok"),
        ({"free_bytes": 4 * GIB}, "warning"),
        ({"free_bytes": 3 * GIB}, "failure"),
        ({"free_bytes": 7 * GIB, "same_disk": False}, "ok"),
        ({"free_bytes": GIB // 2, "need": Need(0, 0, 0, 0)}, "warning"),
    ],
)
def test_room_on_the_disk(changes: dict[str, Any], status: str) -> None:
    assert judge_machine.disk_space(replace(FULL, **changes)).status == status


def test_room_for_the_weights_elsewhere() -> None:
    campaign = campaign_of(config())
    small = replace(FULL, same_disk=False, weights_free_bytes=GIB // 2)
    (found,) = judge_machine.weights(small, campaign)
    assert (found.status, "TORCH_HOME" in found.remedy) == ("failure", True)
    (found,) = judge_machine.weights(FULL, campaign)
    assert found.status == "note"
    assert judge_machine.weights(FULL, replace(campaign, weights="random")) == []


def test_a_folder_that_may_not_be_written(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("tempfile.NamedTemporaryFile", refuse)
    found = judge_machine.disk_write(disk.inspect(config()))
    assert (found.status, "Permission denied" in found.found) == ("failure", True)


def test_a_disk_without_hard_links(empty: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr("os.link", refuse)
    found = judge_machine.disk_write(disk.inspect(config()))
    assert (found.status, "twice the space" in found.means) == ("note", True)
    assert shutil.disk_usage(empty).free > 0
    assert not list(empty.iterdir())


GOOD = Machine(8, 32 * GIB, True, "tsc", ("performance",))


@pytest.mark.parametrize(
    ("changes", "name", "status"),
    [
        ({}, "cores", "ok"),
        ({"usable_cores": 1}, "cores", "warning"),
        ({"realtime": False}, "cores", "note"),
        ({"memory_bytes": 4 * GIB}, "host_memory", "warning"),
        ({"clock_source": "hpet"}, "clock", "warning"),
        ({}, "governor", "ok"),
        ({"governors": ("powersave",)}, "governor", "note"),
        ({"governors": ()}, "governor", "ok"),
    ],
)
def test_the_processor(changes: dict[str, Any], name: str, status: str) -> None:
    found = replace(GOOD, **changes)
    checks = [
        judge_machine.cores(found),
        judge_machine.host_memory(found),
        judge_machine.clock(found, None),
        judge_machine.governor(found, campaign_of(config())),
    ]
    assert {each.name: each.status for each in checks}[name] == status


def test_a_lock_that_cannot_be_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "holder", _refuse)
    found = judge_machine.lock(machine.lock("GPU-of-another"))
    assert (found.status, "Permission denied" in found.found) == ("failure", True)
    assert judge_machine.lock(Lock("@x")).status == "ok"


def _refuse(_uuid: str) -> str | None:
    raise DeviceError("the lock of the device cannot be made ([Errno 13] Permission denied).")


@pytest.mark.parametrize(
    ("installed", "status"), [("2.14.1+cu130", "ok"), ("2.13.0", "note"), (None, "failure")]
)
def test_packages_beside_the_lock_file(installed: str | None, status: str) -> None:
    found = Packages("3.12.1", {"torch": installed}, {"torch": "2.14.1"})
    assert judge_machine.packages(found).status == status
    assert judge_machine.python(found).status == "ok"
    assert judge_machine.python(replace(found, python="3.13.0")).status == "warning"


def test_the_installed_pytorch_is_read_without_importing_it() -> None:
    import torch

    found = torch_facts.installed()
    assert found.version == torch.__version__
    assert found.cuda_build == torch.version.cuda


def test_the_installed_pytorch_is_asked_in_a_process_of_its_own() -> None:
    import torch

    found = torch_facts.asked(torch_facts.installed(), 120)
    assert found.asked
    assert bool(found.error) != torch.cuda.is_available()


def test_a_pytorch_that_hangs() -> None:
    found = torch_facts.asked(Torch("2.0", "13.0"), 0.01)
    assert "did not answer within" in str(found.error)


@pytest.mark.parametrize(
    ("architectures", "major", "capability", "runs"),
    [
        (("sm_75", "sm_80"), 12, (8, 0), True),
        (("sm_75", "sm_80"), 12, (8, 6), True),
        (("sm_75", "sm_80"), 12, (7, 0), False),
        (("sm_75", "sm_80"), 12, (9, 0), False),
        (("sm_80", "compute_80"), 12, (9, 0), True),
        (("sm_90a",), 12, (9, 0), True),
        (("sm_100", "sm_120"), 13, (12, 0), True),
        ((), 13, (7, 0), False),
        ((), 13, (7, 5), True),
        ((), 12, (7, 0), True),
    ],
)
def test_code_for_a_gpu(
    architectures: tuple[str, ...], major: int, capability: tuple[int, int], runs: bool
) -> None:
    assert _runs_on(Torch("2", f"{major}.0", True, (), architectures), major, capability) is runs


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        (
            "meter nvml: NVML says 'Not Found' in nvmlInit: reboot.",
            ("meter nvml: NVML says 'Not Found' in nvmlInit", "reboot."),
        ),
        ("X (GPU-1): MIG is on. Turn it off.", ("X (GPU-1): MIG is on", "Turn it off.")),
        ("something else", ("something else", "")),
    ],
)
def test_messages_in_two(message: str, parts: tuple[str, str]) -> None:
    assert in_two(message) == parts
