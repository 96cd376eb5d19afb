"""The sampler beside a running network, and Zeus' PowerMonitor beside the same one.

Everything runs on the fake NVML library, in a process of its own: the library has to be on the
loader's path when a process starts, must not hide the machine's real one from other benchmarks,
and PyTorch's run settings would stay behind. No GPU is needed, and one that is there is not used.
"""

import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from importlib import import_module, metadata
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from nic_energy.meters import MeterRequest
from nic_energy.sampler import Sampler
from nic_energy.session import usable_cores
from tests.fake_nvml import FakeNvml, build

if TYPE_CHECKING:
    from nic_energy.codecs.execution import NetworkLoad

ROOT = Path(__file__).resolve().parent.parent

STRETCH_S: Mapping[float, float] = {10.0: 2.1, 100.0: 1.0}
"""Sampling rate in Hz to the length of one marked stretch in s: at least 100 periods a rate."""

REPETITIONS = 5
IMAGE_SIDE = 256
NETWORK = "bmshj2018-factorized"

CHANGING_POWER = ("trace 0.5:100:0 0.5:1000:100", "update_ms 0", "window_ms 500")
"""Power whose mean over half a period is a ramp up and down, 1.8 W per ms: no two readings are
equal, so that a sampler that drops equal ones drops none."""

OURS = "Sampler"
ORDINARY = "Sampler, ordinary priority"
ZEUS = "Zeus PowerMonitor"

INSTALL = "pip install zeus==0.16.0"
INSTALL_LOCKED = "pip install -r envs/lock-bench.txt"


# What was measured


@dataclass(frozen=True)
class Trial:
    """One stretch of the network beside a sampler, and the bare stretches around it.

    Times per execution in s; `time_s` are the samples' own time stamps within the stretch, in s
    on the clock that the sampler uses; `power_w` are their readings. `own_missed` are the missed
    deadlines that the sampler itself counted from its start to its end; None if it counts none.
    """

    before_s: float
    beside_s: float
    after_s: float
    time_s: tuple[float, ...]
    power_w: tuple[float, ...]
    own_missed: int | None


@dataclass(frozen=True)
class Series:
    """All trials of one sampler at one rate."""

    sampler: str
    sampling_hz: float
    trials: tuple[Trial, ...]


@dataclass(frozen=True)
class Run:
    """One run of the benchmark. `zeus` is its version, or None with `zeus_error` saying why;
    `load` is the mean number of busy processes in the minute before.
    """

    cores: int
    threads: int
    torch: str
    realtime: bool
    load: float
    zeus: str | None
    zeus_error: str
    series: tuple[Series, ...]


# Statistics


@dataclass(frozen=True)
class PeriodError:
    """How far the distances between successive samples are from the nominal period.

    `reached_hz` is the mean rate; the percentiles and the maximum are of the error's size in s.
    `missed` are the samples that the nominal rate has and the sampler has not.
    """

    periods: int
    reached_hz: float
    p50_s: float
    p99_s: float
    max_s: float
    missed: int


def percentile(values: Iterable[float], share: float) -> float:
    """Nearest-rank percentile, as the sampler's own report takes it; `share` in (0, 1]."""
    ordered = sorted(values)
    return ordered[math.ceil(share * len(ordered)) - 1]


def missed_samples(time_s: Sequence[float], period_s: float) -> int:
    """Samples that fit between the first and the last, beyond those that are there."""
    return max(0, round((time_s[-1] - time_s[0]) / period_s) - (len(time_s) - 1))


def period_error(stretches: Sequence[Sequence[float]], period_s: float) -> PeriodError:
    """Error of the sampling period over stretches of time stamps; gaps between them are left out.

    Raises:
        ValueError: a stretch has fewer than two samples.
    """
    if any(len(times) < 2 for times in stretches):
        raise ValueError("a stretch has fewer than two samples, hence no period")
    gaps = [later - sooner for times in stretches for sooner, later in pairwise(times)]
    sizes = [abs(gap - period_s) for gap in gaps]
    return PeriodError(
        periods=len(gaps),
        reached_hz=len(gaps) / math.fsum(gaps),
        p50_s=percentile(sizes, 0.5),
        p99_s=percentile(sizes, 0.99),
        max_s=max(sizes),
        missed=sum(missed_samples(times, period_s) for times in stretches),
    )


def slowdowns(series: Series) -> list[float]:
    """Time per execution beside the sampler over the mean of the bare stretches around it."""
    return [trial.beside_s / ((trial.before_s + trial.after_s) / 2) for trial in series.trials]


def bare_ratios(series: Sequence[Series]) -> list[float]:
    """Bare stretch after a trial over the one before: what is noise, no sampler being there."""
    return [trial.after_s / trial.before_s for each in series for trial in each.trials]


def repeated_readings(series: Sequence[Series]) -> int:
    """Readings equal to the one before."""
    return sum(
        sooner == later
        for each in series
        for trial in each.trials
        for sooner, later in pairwise(trial.power_w)
    )


# The samplers


class Started(Protocol):
    """A sampler that samples."""

    def readings(self, start_s: float, end_s: float) -> list[tuple[float, float]]:
        """Time stamps in s and power in W of the samples between two monotonic marks in s."""
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
        self._monitor: Any = import_module("zeus.monitor").PowerMonitor(
            gpu_indices=[0], update_period=1 / sampling_hz, power_domains=["device_instant"]
        )

    def readings(self, start_s: float, end_s: float) -> list[tuple[float, float]]:
        """Time stamps are taken before the reading, on the wall clock."""
        shift_s = time.time() - time.monotonic()
        timeline: list[tuple[float, float]] = self._monitor.get_power_timeline(
            "device_instant", start_time=start_s + shift_s, end_time=end_s + shift_s
        )[0]
        return timeline

    def stop(self) -> int | None:
        """End its process; it knows no deadlines."""
        self._monitor.stop()
        return None


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
        beside = stretch(load, length_s)
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


# The page


def page() -> str:
    """Run the benchmark and describe it in Markdown; takes about two and a half minutes."""
    return render(measure())


def render(run: Run) -> str:
    """The page of a run."""
    parts = (
        "<!-- Generated by `make bench`; do not edit. -->",
        "# The sampler beside a running network",
        setting(run),
        "## Sampling period",
        period_text(run),
        table(PERIOD_HEAD, [period_row(series) for series in run.series]),
        own_count(run),
        "## What the network notices",
        "Time per execution beside the sampler over the mean of the bare stretches before and "
        f'after it; {REPETITIONS} repetitions, all samplers by turns. "No sampler" is the bare '
        "stretch after over the one before: a ratio within its range is noise.",
        table(SLOWDOWN_HEAD, slowdown_rows(run)),
        peer_text(run),
    )
    return "\n\n".join(part for part in parts if part) + "\n"


def setting(run: Run) -> str:
    """On what the run was made."""
    priority = (
        f'The sampler was granted real-time priority here; "{ORDINARY}" is the same with that '
        "priority taken away, as for a user who is not allowed it."
        if run.realtime
        else "The sampler was not granted real-time priority here."
    )
    return (
        f"{NETWORK}, quality 1, random weights, a {IMAGE_SIDE}x{IMAGE_SIDE} image, on the CPU: "
        f"{run.threads} of {run.cores} usable cores, torch {run.torch}, {run.load:.1f} busy "
        "processes in the minute before. Samplers read a fake NVML library, whose calls take "
        f"microseconds; a driver's take longer. {priority}"
    )


PERIOD_HEAD = ("rate", "sampler", "periods", "rate reached", "p50", "p99", "max", "missed")


def period_text(run: Run) -> str:
    """How the table of the sampling period is to be read."""
    ours = [series for series in run.series if series.sampler != ZEUS]
    readings = sum(len(t.power_w) for series in ours for t in series.trials)
    return (
        "Distance between successive samples, by their own time stamps, minus the nominal period: "
        "percentiles and maximum of its size. Missed: samples that the nominal rate has between "
        "the first and the last of a stretch, beyond those that are there. Zeus leaves out a "
        "reading that equals the one before; the fake power is made to change at every reading "
        f"({repeated_readings(ours)} of the sampler's {readings} readings equalled the one before)."
    )


def period_row(series: Series) -> tuple[str, ...]:
    """One sampler at one rate in the table of the sampling period."""
    error = period_error([t.time_s for t in series.trials], 1 / series.sampling_hz)
    return (
        rate(series.sampling_hz),
        series.sampler,
        str(error.periods),
        f"{error.reached_hz:.2f} Hz",
        milliseconds(error.p50_s, 3),
        milliseconds(error.p99_s, 3),
        milliseconds(error.max_s, 3),
        str(error.missed),
    )


def own_count(run: Run) -> str:
    """What the sampler's own report says, to be compared with the table."""
    trials = [trial for series in run.series for trial in series.trials]
    counts = [each.own_missed for each in trials if each.own_missed is not None]
    return (
        f"Deadlines missed by the sampler's own count, from start to end of its {len(counts)} "
        f"processes: {sum(counts)}."
    )


SLOWDOWN_HEAD = ("rate", "sampler", "alone", "beside", "ratio, median", "ratio, range")


def slowdown_rows(run: Run) -> list[tuple[str, ...]]:
    """All samplers at all rates, each rate headed by what no sampler does."""
    rows: list[tuple[str, ...]] = []
    for hz in dict.fromkeys(series.sampling_hz for series in run.series):
        same = [series for series in run.series if series.sampling_hz == hz]
        alone = statistics.median(t.before_s for series in same for t in series.trials)
        rows.append(
            (rate(hz), "no sampler", milliseconds(alone, 1), "", *spread(bare_ratios(same)))
        )
        rows.extend(slowdown_row(series) for series in same)
    return rows


def slowdown_row(series: Series) -> tuple[str, ...]:
    """One sampler at one rate in the table of the slowdown."""
    alone = statistics.median(s for t in series.trials for s in (t.before_s, t.after_s))
    beside = statistics.median(t.beside_s for t in series.trials)
    return (
        rate(series.sampling_hz),
        series.sampler,
        milliseconds(alone, 1),
        milliseconds(beside, 1),
        *spread(slowdowns(series)),
    )


def peer_text(run: Run) -> str:
    """What was done with the other sampler, or why nothing."""
    if run.zeus is None:
        return (
            "Zeus' PowerMonitor was not measured: the package is not installed or cannot be "
            f"imported ({run.zeus_error}). Install it with `{INSTALL}`, or with the "
            f"versions that were tried, `{INSTALL_LOCKED}`, and run again."
        )
    return (
        f"Zeus {run.zeus}: `PowerMonitor` with `update_period` at the same period and only the "
        "power domain `device_instant`, hence one polling process. Its time stamps are those of "
        "`get_power_timeline`, taken on the wall clock before each reading. It sleeps for what is "
        "left of the period, so that what a sleep overruns adds up, and reads power alone; the "
        "sampler reads everything that the meter offers."
    )


def rate(hertz: float) -> str:
    """A sampling rate in words."""
    return f"{hertz:g} Hz"


def milliseconds(seconds: float, digits: int) -> str:
    """A duration in ms."""
    return f"{seconds * 1e3:.{digits}f} ms"


def spread(ratios: Sequence[float]) -> tuple[str, str]:
    """Median and range of ratios."""
    return f"{statistics.median(ratios):.3f}", f"{min(ratios):.3f} to {max(ratios):.3f}"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json.dumps(asdict(run_here())), encoding="utf-8")
