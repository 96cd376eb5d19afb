"""The tests of the networks on a real GPU, rehearsed on the processor with sound and ill loads."""

import contextlib
from collections.abc import Callable
from functools import partial

import pytest
import torch
from compressai.entropy_models import EntropyBottleneck, entropy_models

from nic_energy.codecs.execution import NetworkLoad, configure
from nic_energy.protocol.bench import Load
from tests.gpu import running, synchronising
from tests.gpu.station import burning, burning_here


def small(device: str = "cpu") -> NetworkLoad:
    return running.load_of(running.networks()["mbt2018-mean"], 1, 100, 70, device)


def test_a_load_is_padded_as_the_campaigns_are() -> None:
    assert tuple(small().images.shape) == (1, 3, 128, 128)
    assert running.image_sizes()[0] == (751, 500)
    assert running.image_sizes()[-1] == (2048, 1366)


@pytest.mark.parametrize("other", [burning, burning_here])
def test_deterministic_outputs_pass_beside_another_load(
    other: Callable[[str], contextlib.AbstractContextManager[None]],
) -> None:
    configure(True, "fp32", "cpu")
    finding = running.equal_outputs("mbt2018-mean", small, partial(other, "cpu"), runs=2)
    assert finding.passed, finding
    assert len(set(finding.numbers.values())) == 1


def test_outputs_that_differ_fail() -> None:
    class Noisy(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"x_hat": x + torch.rand(1)}

    def make() -> NetworkLoad:
        return NetworkLoad(Noisy(), torch.ones(1, 3, 4, 4), "noisy")

    finding = running.equal_outputs("noisy", make, contextlib.nullcontext, runs=4)
    assert len(finding.problems) == 3
    assert "beside another process: 4 of 4 outputs differ" in finding.problems[2]


@pytest.mark.parametrize("other", [burning, burning_here])
def test_another_load_that_does_not_run_is_an_error(
    other: Callable[[str], contextlib.AbstractContextManager[None]],
) -> None:
    with pytest.raises(RuntimeError, match="the other load"), other("cuda:99"):
        pass


def test_digests_see_every_bit_and_the_place_of_it() -> None:
    one = torch.tensor([1.0, 2.0])
    close = torch.tensor([1.0, 2.0000002])
    assert running.digest({"a": one}) == running.digest({"a": one.clone()})
    assert (
        len({running.digest(each) for each in ({"a": one}, {"a": close}, {"b": one}, [one])}) == 4
    )


class Liar:
    """A load whose marks say that it ended earlier than it did."""

    def __init__(self, load: Load) -> None:
        self.load = load

    def run(self, executions: int) -> tuple[float, float]:
        start, end = self.load.run(executions)
        return start, end - 0.02


def test_marks_of_a_window() -> None:
    configure(True, "fp32", "cpu")
    load, events = small(), running.HostEvents()
    finding = running.marks_against_events(load, events, windows=2, seconds=0.1)
    assert finding.passed, finding
    finding = running.marks_against_events(Liar(load), events, windows=2, seconds=0.1)
    assert "20." in finding.problems[0], finding


def test_synchronisations_are_counted_and_change_no_output() -> None:
    configure(True, "fp32", "cpu")
    finding = synchronising.host_synchronisations({"small": small}, rounds=2, seconds=0.01)
    assert finding.passed, finding
    assert finding.numbers["small: values read one by one"] == 12
    assert finding.numbers["small: copies to the host an execution"] == 0  # there is no device
    took, host = (finding.numbers[f"small: ms{a}"] for a in (" an execution", HOST))
    assert finding.numbers["small: cost (ms)"] == pytest.approx(took - host)
    assert finding.numbers["small: cost (%)"] == pytest.approx(100 * (took / host - 1))


HOST = ", permutation on the host"


def test_the_permutation_leaves_the_device() -> None:
    """A meta tensor cannot be read, so the bottleneck fails on it as long as it reads one."""
    bottleneck, x = EntropyBottleneck(8).eval().to("meta"), torch.ones(1, 8, 4, 4, device="meta")
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"item\(\) cannot be called on meta tensors"):
            bottleneck(x)
        with synchronising.permutation_on_host():
            assert bottleneck(x)[0].shape == x.shape


def test_outputs_that_a_permutation_on_the_host_changes_fail() -> None:
    class Reading(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + (entropy_models.torch is torch)

    load = NetworkLoad(Reading(), torch.ones(1, 3, 4, 4), "reading")
    finding = synchronising.host_synchronisations({"4x4": lambda: load}, rounds=2, seconds=0.01)
    assert finding.problems == ("4x4: the outputs differ with the permutation on the host",)


class Memory:
    """Memory of which the n-th network takes n shares; a context takes 100 MiB of it."""

    def __init__(self, peaks: list[int], available: int) -> None:
        self.peaks, self.available = iter(peaks), available

    def reset(self) -> None:
        pass

    def peak_bytes(self) -> int:
        return next(self.peaks) << 20

    def available_bytes(self) -> int:
        return self.available << 20

    def total_bytes(self) -> int:
        return self.available + 100 << 20


@pytest.mark.parametrize(
    ("available", "resident", "margin"), [(1000, 0, 40.0), (610, 0, 1.64), (1000, 390, 1.0)]
)
def test_memory(available: int, resident: int, margin: float) -> None:
    loads = {"a": small, "b": small}
    memory = Memory([600, 300], available)
    finding = running.peak_memory(loads, memory, (100, 70), resident << 20)
    assert finding.numbers["margin (%)"] == pytest.approx(margin, abs=0.01)
    assert finding.numbers["context and other processes (MiB)"] == 100
    assert finding.numbers["resident budget (MiB)"] == resident
    assert finding.passed is (margin > 5)
    assert finding.passed or (
        f"a takes 600 MiB and the worker keeps networks of up to {resident} MiB, which leaves "
        f"{margin:.1f} % of the {available} MiB" in finding.problems[0]
    )
