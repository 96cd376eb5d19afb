"""What a lab should know of its GPU before the first campaign: make gpu-test.

The tests are calls of functions that test_rehearsal.py runs on stand-ins, sound and ill; it also
runs this file on a virtual GPU. They run in this order.
"""

import contextlib
import shutil
from collections.abc import Iterator
from functools import partial

import pytest

from nic_energy.codecs.execution import configure
from nic_energy.meters import MeterRequest
from nic_energy.sampler import Sampler
from tests.gpu import end_to_end, power, running
from tests.gpu.findings import Finding, Report
from tests.gpu.rig import Rig
from tests.gpu.station import Loaded, burning

pytestmark = pytest.mark.gpu


def settle(report: Report, finding: Finding) -> None:
    """Into the report first, then to pytest."""
    report.add(finding)
    assert finding.passed, "\n".join(finding.problems)


def test_one_modality_end_to_end(gpu: Rig, report: Report) -> None:
    """First, while this process has no context on the GPU: the idle reference is cold."""
    folder = gpu.folder / "end_to_end"
    shutil.rmtree(folder, ignore_errors=True)
    measured = end_to_end.measure(folder, gpu.changes)
    settle(report, end_to_end.end_to_end(measured, gpu.uuid, gpu.source))


@pytest.mark.usefixtures("alone")
class TestMeter:
    """One load and one sampler for all."""

    def test_meter_and_network_are_on_the_same_device(self, loaded: Loaded, report: Report) -> None:
        with other_gpus(loaded) as others:
            settle(report, power.same_device(loaded, others))

    def test_readings_are_fresh(self, loaded: Loaded, report: Report) -> None:
        settle(report, power.fresh_readings(loaded))

    def test_the_counter_counts_what_power_integrates_to(
        self, loaded: Loaded, report: Report
    ) -> None:
        settle(report, power.counter_against_integral(loaded))

    def test_a_known_square_wave_is_read_back(self, loaded: Loaded, report: Report) -> None:
        settle(report, power.known_wave(loaded))


@contextlib.contextmanager
def other_gpus(loaded: Loaded) -> Iterator[list[Sampler]]:
    """Running samplers of the machine's other GPUs."""
    meter = loaded.bench.meter
    uuids = all_gpus() if meter.meter == "nvml" else []
    hz = loaded.bench.sampling_hz / 10
    with contextlib.ExitStack() as stack:
        samplers = []
        for uuid in uuids:
            if uuid != meter.device_uuid:
                sampler = Sampler(MeterRequest("nvml", "cuda", uuid), hz)
                sampler.start()
                stack.callback(sampler.stop)
                samplers.append(sampler)
        yield samplers


def all_gpus() -> list[str]:
    """UUIDs of all GPUs that NVML lists."""
    import pynvml

    pynvml.nvmlInit()
    try:
        handles = [
            pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())
        ]
        return [str(pynvml.nvmlDeviceGetUUID(handle)) for handle in handles]
    finally:
        pynvml.nvmlShutdown()


@pytest.mark.usefixtures("alone")
class TestNetworks:
    """With random weights: their values do not matter here, their sizes do."""

    @pytest.mark.parametrize("name", running.networks())
    def test_outputs_are_equal(self, name: str, gpu: Rig, report: Report) -> None:
        device = gpu.network_device
        configure(True, "fp32", device)
        network = running.networks()[name]
        load = partial(running.load_of, network, network.qualities[gpu.quality], *gpu.image, device)
        settle(report, running.equal_outputs(name, load, partial(burning, device)))

    def test_window_marks_are_those_of_the_devices_events(self, gpu: Rig, report: Report) -> None:
        configure(True, "fp32", gpu.network_device)
        network = running.networks()["mbt2018-mean"]
        quality = network.qualities[gpu.quality]
        load = running.load_of(network, quality, *gpu.image, gpu.network_device)
        settle(report, running.marks_against_events(load, gpu.events))

    def test_every_network_fits_on_the_largest_image(self, gpu: Rig, report: Report) -> None:
        device, image = gpu.network_device, gpu.largest
        configure(True, "fp32", device)
        loads = {
            f"{name} q{(quality := network.qualities[gpu.quality])}": partial(
                running.load_of, network, quality, *image, device
            )
            for name, network in running.networks().items()
        }
        settle(report, running.peak_memory(loads, gpu.memory, image))
