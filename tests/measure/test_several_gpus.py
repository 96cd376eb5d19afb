"""Several GPUs in one machine: each set-up finds its own, whatever the order, and says who was
measured beside it.
"""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from nic_energy import tables
from nic_energy.codecs import identity
from nic_energy.config import resolve
from nic_energy.errors import ConfigError, DeviceError
from nic_energy.measure.backends import TorchBackend
from nic_energy.measure.neighbours import Machine
from nic_energy.traces import read_meta
from tests.bundle.campaigns import CONFIG, lab
from tests.fake_nvml import FakeNvml
from tests.measure.test_neighbours import HOLD, OTHER

FIRST, SECOND = (f"GPU-fa4e0000-0000-4000-8000-{number:012d}" for number in (0, 1))


@dataclass
class Properties:
    uuid: str


@pytest.fixture
def swapped(monkeypatch: pytest.MonkeyPatch, fake_nvml: FakeNvml) -> FakeNvml:
    """CUDA counts the two GPUs of NVML the other way round."""
    fake_nvml.put("devices 2")
    order = [SECOND, FIRST]
    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(order))
    monkeypatch.setattr(
        torch.cuda, "get_device_properties", lambda i: Properties(order[i].removeprefix("GPU-"))
    )
    return fake_nvml


@pytest.mark.parametrize(
    ("device", "uuid", "as_torch_says"),
    [
        ("cuda:0", SECOND, "cuda:0"),
        ("cuda:1", FIRST, "cuda:1"),
        (FIRST, FIRST, "cuda:1"),
        (SECOND, SECOND, "cuda:0"),
    ],
)
def test_network_and_meter_are_on_one_gpu_whatever_the_order(
    swapped: FakeNvml, device: str, uuid: str, as_torch_says: str
) -> None:
    settings = {
        "device": device,
        "meter": "nvml",
        "test_switch": True,
        "deterministic": False,
        "protocol": {"sampling_hz": 10},
    }
    backend = TorchBackend(settings, cold=False)
    assert backend.device_uuid() == uuid
    assert backend._torch_device() == as_torch_says
    sampler = backend.sampler()
    meter = sampler.start()
    sampler.stop()
    assert meter.device_uuid == uuid
    assert meter.source == "simulated"


def test_a_gpu_that_the_job_may_not_use_is_named_with_those_that_it_may(
    swapped: FakeNvml, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError) as caught:
        identity.cuda_index(FIRST)
    message = str(caught.value)
    assert f"device {FIRST}: is not among the GPUs that this process may use" in message
    assert f"{SECOND} (CUDA_VISIBLE_DEVICES is '1')" in message


def test_a_device_may_be_a_uuid_and_is_metered_by_nvml() -> None:
    document = {**CONFIG, "device": FIRST, "meter": "nvml", "networks_table": None}
    assert resolve(document).document["device"] == FIRST
    with pytest.raises(ConfigError, match="meter"):
        resolve({**document, "meter": "virtual"})
    for wrong in ("GPU-1", FIRST.upper(), f"{FIRST}0", "1"):
        with pytest.raises(ConfigError, match="device"):
            resolve({**document, "device": wrong})


def test_rows_say_that_a_neighbour_was_being_measured(tmp_path: Path) -> None:
    machine = Machine.of("virtual", tmp_path / "a" / "results")
    neighbour = subprocess.Popen(
        [sys.executable, "-c", HOLD, OTHER, machine.label, "allow"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    assert neighbour.stdout is not None
    assert neighbour.stdout.readline() == "held\n"
    beside = lab(tmp_path / "a", neighbours="allow").folder
    neighbour.communicate("")
    alone = lab(tmp_path / "b", neighbours="allow").folder

    for folder, flagged in ((beside, True), (alone, False)):
        flags = [set(cell.split(";")) for cell in tables.read_csv(folder / "energy.csv")["flags"]]
        assert flags
        for each in flags:
            named = each & {"idle_neighbour_measured", "neighbour_measured"}
            assert len(named) == (2 if flagged else 0)
        traces = [read_meta(path) for path in (folder / "traces").rglob("*.parquet")]
        for meta in [*traces, read_meta(folder / "reference" / "idle.parquet")]:
            assert meta.run.get("neighbours") == ([OTHER] if flagged else None)
            assert meta.source == "simulated"
