"""What a lab should know of its GPU before the first campaign: make gpu-test.

The tests are calls of functions that test_rehearsal.py runs on stand-ins, sound and ill; it also
runs this file on a virtual GPU. They run in this order. What starts CUDA runs in processes that
end (`apart`), never in this one.
"""

import shutil
from functools import partial

import pytest

from nic_energy.worker.registry import clear_device
from tests.gpu import board, end_to_end, jobs, running
from tests.gpu.apart import Apart
from tests.gpu.conftest import WAIT_S
from tests.gpu.findings import Report
from tests.gpu.rig import Rig

pytestmark = pytest.mark.gpu


def test_one_modality_end_to_end(gpu: Rig, report: Report) -> None:
    """First, while the GPU has not been under load: the idle reference is cold. The commands hold
    the lock of the GPU themselves.
    """
    clear_device(gpu.uuid, timeout_s=WAIT_S)
    folder = gpu.folder / "end_to_end"
    shutil.rmtree(folder, ignore_errors=True)
    cool = partial(board.cool, gpu.uuid) if gpu.real else lambda: 0.0
    measured = end_to_end.measure(folder, gpu.changes, cool)
    report.settle(end_to_end.end_to_end(measured, gpu.uuid, gpu.source))


class TestMeter:
    """One load and one sampler for all."""

    def test_meter_and_network_are_on_the_same_device(
        self, gpu: Rig, apart: Apart, report: Report
    ) -> None:
        report.settle(apart(jobs.same_device, gpu))

    def test_readings_are_fresh(self, gpu: Rig, apart: Apart, report: Report) -> None:
        report.settle(apart(jobs.fresh_readings, gpu))

    def test_the_counter_counts_what_power_integrates_to(
        self, gpu: Rig, apart: Apart, report: Report
    ) -> None:
        report.settle(apart(jobs.counter_against_integral, gpu))

    def test_a_known_square_wave_is_read_back(self, gpu: Rig, apart: Apart, report: Report) -> None:
        report.settle(apart(jobs.known_wave, gpu))


class TestNetworks:
    """With random weights: their values do not matter here, their sizes do."""

    @pytest.mark.parametrize("name", running.networks())
    def test_outputs_are_equal(self, name: str, gpu: Rig, apart: Apart, report: Report) -> None:
        report.settle(apart(jobs.equal_outputs, gpu, name))

    def test_window_marks_are_those_of_the_devices_events(
        self, gpu: Rig, apart: Apart, report: Report
    ) -> None:
        report.settle(apart(jobs.marks_against_events, gpu))

    def test_synchronisations_of_the_entropy_bottleneck(
        self, gpu: Rig, apart: Apart, report: Report
    ) -> None:
        report.settle(apart(jobs.host_synchronisations, gpu))

    def test_every_network_fits_on_the_largest_image(
        self, gpu: Rig, apart: Apart, report: Report
    ) -> None:
        report.settle(apart(jobs.peak_memory, gpu))
