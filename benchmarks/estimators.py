"""Bias and spread of every estimator on every preset of the virtual GPU."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.campaigns import PRESETS, markdown
from nic_energy.energy.estimators import execution_energy, window_energies
from nic_energy.measure.virtual import VirtualLoad
from nic_energy.meters.virtual import (
    Noise,
    Preset,
    State,
    VirtualGpu,
    VirtualMeter,
    Work,
    read_preset,
)
from nic_energy.meters.virtual.meter import EPOCH_S
from nic_energy.protocol.bench import Bench
from nic_energy.protocol.repetitions import WindowRule, repeat, run_for
from nic_energy.sampler.inline import InlineSampler
from nic_energy.statistics.stopping import StoppingRule
from nic_energy.traces import (
    FloatArray,
    PowerField,
    Trace,
    TraceMeta,
    Window,
    samples_table,
)
from nic_energy.vocabulary import ESTIMATORS

HZ = 10.0
WINDOWS = 80
MIN_S = 5.0
POWER_W = 105.0
RIPPLE = 0.25
REST_S = 10.0
SEEDS = (1, 2, 3)


@dataclass(frozen=True)
class Way:
    """A way to measure a window: after a lead-in of load at a random phase, or from rest."""

    key: str
    text: str
    lead_in_s: float | None


WAYS = (
    Way("here", "lead-in of load, random phase", 1.0),
    Way("rest", "straight from rest", None),
)


@dataclass(frozen=True)
class Errors:
    """Errors of single windows in percent of their true dynamic energy, shape (windows,)."""

    preset: str
    way: str
    column: str
    estimator: str
    percent: FloatArray


def durations(preset: Preset) -> tuple[float, ...]:
    """Execution times in s: two free ones, and half the sensor's period, with which it aliases."""
    return 0.0373, 0.231, preset.sensors[0].period_s / 2


def measure(preset: Preset, way: Way, execution_s: float, seed: int) -> list[Errors]:
    """Windows of one modality without run-to-run noise, so that what is left is the estimator."""
    gpu = VirtualGpu(preset, State.fresh(preset), Noise(), seed)
    meter = VirtualMeter(gpu, "VIRTUAL", seed)
    sampler = InlineSampler(meter, gpu, HZ, EPOCH_S, seed)
    info = sampler.start()
    work = Work(POWER_W * execution_s, execution_s, RIPPLE)
    bench = Bench(gpu, sampler, VirtualLoad(gpu, meter, work), info, HZ)
    run_for(bench, 400.0, execution_s)
    windows = _windows(bench, way, execution_s, seed)
    bench.drain()
    meta = _meta(bench, windows)
    trace = Trace(samples_table(bench.history), meta)
    true = np.array(
        [
            (gpu.true_energy_j(w.start_s, w.end_s) - preset.idle_w * w.duration_s) / w.executions
            for w in windows
        ]
    )
    found = []
    for spec, field in zip(preset.sensors, info.power_fields, strict=True):
        values = _energies(trace, windows, field, preset, spec.gain, spec.offset_w)
        for name, energies in values.items():
            if name != "counter" or field == info.power_fields[0]:
                percent = 100 * (energies / true - 1)
                found.append(Errors(preset.key, way.key, spec.column, name, percent))
    return found


def _windows(bench: Bench, way: Way, execution_s: float, seed: int) -> Sequence[Window]:
    if way.lead_in_s is not None:
        rule = StoppingRule(0.99, 0.02, "two_sided", WINDOWS, WINDOWS)
        field = bench.meter.power_field("auto")
        return repeat(
            bench, WindowRule(MIN_S, way.lead_in_s), rule, field, 0.0, execution_s, seed
        ).windows
    windows = []
    executions = int(np.ceil(1.03 * MIN_S / execution_s))
    for index in range(WINDOWS):
        bench.clock.sleep(REST_S)
        start, end = bench.load.run(executions)
        windows.append(Window(index, start, end, executions))
    bench.clock.sleep(2.0)
    return windows


def _meta(bench: Bench, windows: Sequence[Window]) -> TraceMeta:
    return TraceMeta(
        kind="modality",
        outcome="accepted",
        setup="virtual",
        source="simulated",
        session="virtual",
        created_utc="",
        settings={"protocol": {"sampling_hz": HZ}},
        settings_digest="",
        code_fingerprint="",
        meter=bench.meter,
        windows=tuple(windows),
    )


def _energies(
    trace: Trace,
    windows: Sequence[Window],
    field: PowerField,
    preset: Preset,
    gain: float,
    offset_w: float,
) -> dict[str, FloatArray]:
    """Dynamic energies with the sensor's gain taken out, per estimator."""
    idle_w = gain * preset.idle_w + offset_w
    per_window = [window_energies(trace, window, field) for window in windows]
    return {
        name: np.array(
            [
                execution_energy(energies[name], idle_w, window.executions)[0] / gain
                for window, energies in zip(windows, per_window, strict=True)
            ]
        )
        for name in ESTIMATORS
        if all(name in energies for energies in per_window)
    }


@dataclass(frozen=True)
class Summary:
    """Bias and spread in percent over all windows of all seeds and execution times."""

    preset: str
    way: str
    column: str
    estimator: str
    bias: float
    worst_bias: float
    spread: float


def summaries() -> list[Summary]:
    """All presets, ways, columns and estimators."""
    found: dict[tuple[str, str, str, str], list[FloatArray]] = {}
    for name in PRESETS:
        preset = read_preset(name)
        for way in WAYS:
            for execution_s in durations(preset):
                for seed in SEEDS:
                    for errors in measure(preset, way, execution_s, seed):
                        key = (errors.preset, errors.way, errors.column, errors.estimator)
                        found.setdefault(key, []).append(errors.percent)
    return [
        Summary(
            *key,
            bias=float(np.mean(np.concatenate(errors))),
            worst_bias=float(max((np.mean(e) for e in errors), key=abs)),
            spread=float(np.mean([np.std(e, ddof=1) for e in errors])),
        )
        for key, errors in found.items()
    ]


def page() -> str:
    """The page docs/estimators.md."""
    found = summaries()
    return "\n".join([GENERATED, TEXT, *_tables(found), *_conclusions(found), ""])


GENERATED = "<!-- Generated by `make bench`; do not edit. -->"
TEXT = f"""# The estimators against a known truth

A virtual GPU runs windows of at least {MIN_S:g} s whose true dynamic energy is known; its sensors are those known of the architectures
(`resources/virtual_gpus.json`). There is no run-to-run noise, and the sensor's gain is taken out, so what is left is the estimator's own error.
Each figure is over {len(SEEDS)} seeds, {WINDOWS} windows each, and three execution times, one of them half the sensor's update period, with which a
sensor that sees part of the time aliases. *Bias* is the mean error, *worst* the mean error of the worst case among seeds and execution times,
*spread* the standard deviation from window to window, all in percent of the dynamic energy. Everything here is **simulated**."""


def _tables(found: Sequence[Summary]) -> list[str]:
    lines = []
    for way in WAYS:
        lines += [f"\n## Windows measured {way.text}\n"]
        rows = [
            [s.preset, f"`{s.column}`" if s.estimator != "counter" else "–", f"`{s.estimator}`",
             f"{s.bias:+.2f}", f"{s.worst_bias:+.2f}", f"{s.spread:.2f}"]
            for s in found if s.way == way.key
        ]  # fmt: skip
        head = ["preset", "power column", "estimator", "bias (%)", "worst (%)", "spread (%)"]
        lines.append(markdown(head, rows, 3))
    return lines


def _pick(found: Sequence[Summary], way: str, estimator: str, preset: str | None = None) -> Summary:
    """The worst summary of an estimator on the instant power column."""
    rows = [
        s
        for s in found
        if s.way == way
        and s.estimator == estimator
        and (s.column == "power_instant_w" or estimator == "counter")
        and preset in (None, s.preset)
    ]
    return max(rows, key=lambda s: abs(s.worst_bias))


def _conclusions(found: Sequence[Summary]) -> list[str]:
    trapezoid, counter = _pick(found, "here", "trapezoid"), _pick(found, "here", "counter")
    spreads = {
        name: float(np.median([s.spread for s in found if s.way == "here" and s.estimator == name
                               and s.column == "power_instant_w"]))
        for name in ("paper_sum", "trapezoid", "counter")
    }  # fmt: skip
    averaged = [s for s in found if s.way == "rest" and "average" in s.column
                and s.estimator == "paper_sum"]  # fmt: skip
    least = min(s.bias for s in averaged)
    turing = _pick(found, "rest", "paper_sum", "turing")
    part = _pick(found, "rest", "paper_sum", "turing_20ms")
    best = min(spreads, key=lambda name: spreads[name])
    return [
        "\n## What follows\n",
        f"- **Recommended: `{best}`** (the default is `trapezoid`). With a lead-in and random phases no estimator is biased by more than "
        f"{max(abs(trapezoid.worst_bias), abs(counter.worst_bias)):.2f} % on the instant column or the counter, so they differ by their spread: "
        + ", ".join(f"`{name}` {value:.2f} %" for name, value in spreads.items())
        + " (median over the presets). More spread means more windows for the same interval.",
        "- **The lead-in and the random phase matter more than the estimator.** Straight from rest, Eq. (1) on a column that averages over 1 s "
        f"is off by {least:+.1f} % at worst over the presets that have one: the column still holds the rest. A sensor that sees 20 or 25 of 100 ms "
        "aliases with executions whose duration divides its period, and repetition at a fixed phase does not average that out.",
        "- **The paper's own card**, a Turing Quadro read at 10 Hz: with a sensor that sees all the time, windows straight from rest by Eq. (1) are "
        f"off by {turing.bias:+.2f} % with a spread of {turing.spread:.2f} % (N flips by one sample); if it sees 20 of 100 ms, as four "
        f"boards of the family did, by {part.bias:+.2f} %, and by {part.worst_bias:+.2f} % in the worst case, where executions alias with it. Both are "
        "small beside the errors of 3 to 6 % of the paper's model, so its slopes and figures stand; the sensor's own gain, which boards "
        "of the family showed to be off by several percent, is not in these figures and moves all of the paper's joules together.",
    ]
