"""The sampler beside a running network, and Zeus' PowerMonitor beside the same one.

Everything runs on the fake NVML library, in a process of its own: the library has to be on the
loader's path when a process starts, must not hide the machine's real one from other benchmarks,
and PyTorch's run settings would stay behind. No GPU is needed, and one that is there is not used.
"""

import json
import multiprocessing
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module, metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from benchmarks.sampler_page import IMAGE_SIDE, NETWORK, REPETITIONS, render
from benchmarks.sampler_trials import ORDINARY, OURS, ZEUS, Run, Series, Trial
from nic_energy.meters import MeterRequest
from nic_energy.sampler import Sampler
from nic_energy.session import usable_cores
from tests.fake_nvml import FakeNvml, build

if TYPE_CHECKING:
    from nic_energy.codecs.execution import NetworkLoad

ROOT = Path(__file__).resolve().parent.parent

STRETCH_S: Mapping[float, float] = {10.0: 2.1, 100.0: 1.0}
"""Sampling rate in Hz to the length of one marked stretch in s: at least 100 periods a rate."""


CHANGING_POWER = ("trace 0.5:100:0 0.5:1000:100", "update_ms 0", "window_ms 500")
"""Power whose mean over half a period is a ramp up and down, 1.8 W per ms: no two readings are
equal, so that a sampler that drops equal ones drops none."""


# The samplers


class Started(Protocol):
    """A sampler that samples."""

    def readings(self, start_s: float, end_s: float) -> list[tuple[float, float]]:
        """Time stamps in s and power in W of the samples between two monotonic marks in s."""
        ...

    def cpu_s(self) -> float:
        """What its processes had of a processor so far."""
        ...

    def stop(self) -> int | None:
        """End it; the missed deadlines that it counted itself."""
        ...


class OurSampler:
    """The project's sampler on the first device of the fake library."""

    def __init__(self, sampling_hz: float, ordinary: bool = False) -> None:
        request = MeterRequest("nvml", "cpu", None, {}, simulated=True)
        self._sampler = Sampler(request, sampling_hz)
        self._sampler.start()
        self.realtime: bool | None = None
        if ordinary:
            assert self._sampler.pid is not None
            os.sched_setscheduler(self._sampler.pid, os.SCHED_OTHER, os.sched_param(0))

    def readings(self, start_s: float, end_s: float) -> list[tuple[float, float]]:
        """Time stamps are the middle of the reading, on the monotonic clock."""
        pairs = [(s["time_s"], s["power_instant_w"]) for s in self._sampler.collect()]
        return [
            (t, p) for t, p in pairs if t is not None and p is not None and start_s <= t < end_s
        ]

    def cpu_s(self) -> float:
        """Of the sampling process."""
        assert self._sampler.pid is not None
        return processor_time_s(self._sampler.pid)

    def stop(self) -> int | None:
        """End the process."""
        report = self._sampler.stop()
        self.realtime = report.realtime
        return report.missed_deadlines


class ZeusMonitor:
    """Zeus' PowerMonitor, one power domain, hence one polling process.

    Without `update_period` it measures the period of the counter itself, and polls as fast as it
    can where the power changes at every reading.
    """

    def __init__(self, sampling_hz: float) -> None:
        others = {process.pid for process in multiprocessing.active_children()}
        self._monitor: Any = import_module("zeus.monitor").PowerMonitor(
            gpu_indices=[0], update_period=1 / sampling_hz, power_domains=["device_instant"]
        )
        mine = {process.pid for process in multiprocessing.active_children()} - others
        self._pids = [pid for pid in mine if pid is not None]
        assert self._pids, "Zeus polls in a process of its own"

    def readings(self, start_s: float, end_s: float) -> list[tuple[float, float]]:
        """Time stamps are taken before the reading, on the wall clock."""
        shift_s = time.time() - time.monotonic()
        timeline: list[tuple[float, float]] = self._monitor.get_power_timeline(
            "device_instant", start_time=start_s + shift_s, end_time=end_s + shift_s
        )[0]
        return timeline

    def cpu_s(self) -> float:
        """Of its polling processes."""
        return sum(map(processor_time_s, self._pids))

    def stop(self) -> int | None:
        """End its process; it knows no deadlines."""
        self._monitor.stop()
        return None


def processor_time_s(pid: int) -> float:
    """Time that all threads of a process had of a processor, in s, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").glob("*/schedstat")
    return sum(int(task.read_text(encoding="ascii").split()[0]) for task in tasks) / 1e9


def find_zeus() -> tuple[str | None, str]:
    """Version of Zeus and an empty string, or None and why it cannot be imported."""
    try:
        import_module("zeus.monitor")
        return metadata.version("zeus"), ""
    except ImportError as error:
        return None, str(error)


# Measuring


def network_load() -> "NetworkLoad":
    """The network with random weights and a random image, one core left free."""
    import torch
    from compressai.zoo import image_models

    from nic_energy.codecs.execution import NetworkLoad, configure

    configure(deterministic=True, precision="fp32", device="cpu")
    torch.manual_seed(0)
    module = image_models[NETWORK](quality=1, pretrained=False).eval()
    return NetworkLoad(module, torch.rand(1, 3, IMAGE_SIDE, IMAGE_SIDE), NETWORK)


@dataclass(frozen=True)
class Stretch:
    """Back-to-back executions between two monotonic marks in s."""

    begin_s: float
    end_s: float
    executions: int

    @property
    def per_execution_s(self) -> float:
        """Mean time per execution in s: what a sampler costs, it costs few of them, which a
        median would hide.
        """
        return (self.end_s - self.begin_s) / self.executions


def stretch(load: "NetworkLoad", length_s: float) -> Stretch:
    """Executions for at least `length_s`, after one that warms the caches."""
    load.run(1)
    begin_s, end_s = load.run(1)
    executions = 1
    while end_s - begin_s < length_s:
        _, end_s = load.run(1)
        executions += 1
    return Stretch(begin_s, end_s, executions)


def trial(
    load: "NetworkLoad", length_s: float, start: Callable[[], Started], before_s: float
) -> Trial:
    """The network beside a sampler that starts before and ends after, then alone again.

    Args:
        before_s: time per execution in the bare stretch before, in s.
    """
    sampler = start()
    try:
        since_s, spent_s = time.monotonic(), sampler.cpu_s()
        beside = stretch(load, length_s)
        cpu_s, watched_s = sampler.cpu_s() - spent_s, time.monotonic() - since_s
        readings = sampler.readings(beside.begin_s, beside.end_s)
    finally:
        own_missed = sampler.stop()
    return Trial(
        before_s=before_s,
        beside_s=beside.per_execution_s,
        after_s=stretch(load, length_s).per_execution_s,
        time_s=tuple(t for t, _ in readings),
        power_w=tuple(p for _, p in readings),
        own_missed=own_missed,
        cpu_s=cpu_s,
        watched_s=watched_s,
    )


def compare(
    load: "NetworkLoad", sampling_hz: float, samplers: Mapping[str, Callable[[float], Started]]
) -> list[Series]:
    """All samplers at one rate, by turns, with a bare stretch between any two."""
    length_s = STRETCH_S[sampling_hz]
    trials: dict[str, list[Trial]] = {name: [] for name in samplers}
    before_s = stretch(load, length_s).per_execution_s
    for _ in range(REPETITIONS):
        for name, make in samplers.items():
            done = trial(load, length_s, partial(make, sampling_hz), before_s)
            trials[name].append(done)
            before_s = done.after_s
    return [Series(name, sampling_hz, tuple(each)) for name, each in trials.items()]


def realtime_granted() -> bool:
    """Whether the sampler gets real-time priority here."""
    probe = OurSampler(100.0)
    probe.stop()
    return bool(probe.realtime)


def run_here() -> Run:
    """The whole benchmark in this process, on whose library path the fake library is."""
    import torch

    busy = os.getloadavg()[0]
    realtime = realtime_granted()
    zeus, zeus_error = find_zeus()
    samplers: dict[str, Callable[[float], Started]] = {OURS: OurSampler}
    if realtime:
        samplers[ORDINARY] = lambda sampling_hz: OurSampler(sampling_hz, ordinary=True)
    if zeus:
        samplers[ZEUS] = ZeusMonitor
    load = network_load()
    series = [one for hz in STRETCH_S for one in compare(load, hz, samplers)]
    return Run(
        cores=usable_cores(),
        threads=torch.get_num_threads(),
        torch=torch.__version__,
        realtime=realtime,
        load=busy,
        zeus=zeus,
        zeus_error=zeus_error,
        series=tuple(series),
    )


def measure() -> Run:
    """Build the fake library and run the benchmark in a process that finds it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fake = FakeNvml(build(folder), folder / "control")
        fake.put(*CHANGING_POWER)
        result = folder / "result.json"
        environment = {**os.environ, **fake.environment(), "CUDA_VISIBLE_DEVICES": "0"}
        command = [sys.executable, "-m", "benchmarks.sampler", str(result)]
        subprocess.run(command, cwd=ROOT, env=environment, check=True)
        return parse(json.loads(result.read_text(encoding="utf-8")))


def parse(record: Mapping[str, Any]) -> Run:
    """A run from its JSON."""
    series = tuple(
        Series(
            each["sampler"],
            each["sampling_hz"],
            tuple(
                Trial(**{**t, "time_s": tuple(t["time_s"]), "power_w": tuple(t["power_w"])})
                for t in each["trials"]
            ),
        )
        for each in record["series"]
    )
    return Run(**{**record, "series": series})


def page() -> str:
    """Run the benchmark and describe it in Markdown; takes about two and a half minutes."""
    return render(measure())


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(asdict(run_here())), encoding="utf-8")
