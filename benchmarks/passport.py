"""The sensor passport against sensors whose true figures are known: docs/passport.md."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from benchmarks.campaigns import PRESETS, markdown
from nic_energy.energy.passport import FieldPassport, Passport, passport_of
from nic_energy.energy.passport_choice import Choice
from nic_energy.measure.passport import POLLING_HZ
from nic_energy.measure.virtual import BURN, VirtualLoad
from nic_energy.meters.virtual import Noise, Preset, State, VirtualGpu, VirtualMeter, read_preset
from nic_energy.meters.virtual.meter import EPOCH_S
from nic_energy.meters.virtual.sensor import SensorSpec
from nic_energy.protocol.bench import Bench
from nic_energy.protocol.passport import WaveRule, record_wave
from nic_energy.sampler.inline import InlineSampler
from nic_energy.traces import Trace, TraceMeta, samples_table

SEEDS = tuple(range(1, 13))
NOISE = 0.008
FIGURES = ("update_period_s", "averaging_window_s", "lag_s")


def _made(key: str, base: str, **sensor: float) -> Preset:
    """A preset whose sensors update or average otherwise."""
    preset = read_preset(base)
    sensors = tuple(replace(spec, **sensor) for spec in preset.sensors)  # type: ignore[arg-type]
    return replace(preset, key=key, sensors=sensors)


def sensors() -> list[Preset]:
    """The presets, and sensors unlike any of them."""
    return [
        *(read_preset(name) for name in PRESETS),
        _made("10 of 20 ms, as Volta", "turing_20ms", period_s=0.02, window_s=0.01, jitter_s=5e-4),
        _made("turing, 50 ms late", "turing", lag_s=0.05),
        _made("ampere, mean over 2 s", "ampere", window_s=2.0),
    ]


@dataclass(frozen=True)
class Run:
    """The passport of one sensor under one seed."""

    preset: Preset
    passport: Passport


def measure(preset: Preset, seed: int) -> Run:
    """Record the wave on a fresh virtual GPU and analyse it."""
    gpu = VirtualGpu(preset, State.fresh(preset), Noise(share=NOISE), seed)
    meter = VirtualMeter(gpu, "VIRTUAL", seed)
    sampler = InlineSampler(meter, gpu, POLLING_HZ, EPOCH_S, seed)
    gpu.attach()
    bench = Bench(gpu, sampler, VirtualLoad(gpu, meter, BURN), sampler.start(), POLLING_HZ)
    marks = record_wave(bench, WaveRule(), BURN.duration_s, seed)
    meta = TraceMeta(
        "passport", "accepted", "virtual", "simulated", "virtual", "", {}, "", "", bench.meter,
        intervals=marks,
    )  # fmt: skip
    return Run(preset, passport_of(Trace(samples_table(bench.history), meta)))


def _truth(spec: SensorSpec) -> Mapping[str, float]:
    return {
        "update_period_s": spec.period_s,
        "averaging_window_s": spec.window_s,
        "lag_s": spec.lag_s,
    }


def _values(runs: Sequence[Run], index: int, figure: str) -> list[float]:
    """A figure of a column from every run; NaN where a passport has none."""
    found: list[FieldPassport] = [run.passport.fields[index] for run in runs]
    values = (getattr(each, figure) for each in found)
    return [float("nan") if value is None else value for value in values]


def _row(runs: Sequence[Run], index: int, spec: SensorSpec) -> list[str]:
    cells = [runs[0].preset.key, f"`{spec.column}`"]
    for figure in FIGURES:
        true, values = _truth(spec)[figure], np.array(_values(runs, index, figure))
        worst = float(np.max(np.abs(values - true)))
        off = (
            f"{1e3 * worst:.2f} ms"
            if figure == "lag_s"
            else f"{100 * worst / true:.{3 if figure == FIGURES[0] else 2}f} %"
        )
        cells += [f"{1e3 * true:g}", f"{1e3 * float(np.median(values)):.2f}", off]
    duties = _values(runs, index, "duty")
    return [*cells, f"{spec.window_s / spec.period_s:.2f}", f"{float(np.median(duties)):.2f}"]


def _field_table(runs: Mapping[str, Sequence[Run]]) -> str:
    head = ["sensor", "power column"]
    for name in ("update period", "window", "lag"):
        head += [f"{name}, true (ms)", "median (ms)", "worst error"]
    head += ["window / period, true", "median"]
    rows = [
        _row(each, index, spec)
        for each in runs.values()
        for index, spec in enumerate(each[0].preset.sensors)
    ]
    return markdown(head, rows, 2)


def _counter_table(runs: Mapping[str, Sequence[Run]]) -> str:
    rows = []
    for key, each in runs.items():
        true = each[0].preset.counter.tick_s
        ticks = np.array([run.passport.counter_tick_s or np.nan for run in each])
        worst = 100 * float(np.max(np.abs(ticks / true - 1)))
        rows.append(
            [key, f"{1e3 * true:g}", f"{1e3 * float(np.median(ticks)):.2f}", f"{worst:.3f}"]
        )
    return markdown(["sensor", "tick, true (ms)", "median (ms)", "worst error (%)"], rows)


def _common(choices: Sequence[Choice], name: str) -> str:
    """A choice, and in how many runs it was made where that is not all."""
    values = [getattr(choice, name) for choice in choices]
    most = max(sorted(set(values)), key=values.count)
    text = f"`{most}`" if isinstance(most, str) else f"{most:g}"
    share = values.count(most)
    return text if share == len(values) else f"{text} ({share} of {len(values)})"


def _choice_table(runs: Mapping[str, Sequence[Run]]) -> str:
    rows = []
    for key, each in runs.items():
        choices = [run.passport.choice for run in each]
        rows.append(
            [key, *(_common(choices, n) for n in ("power_field", "sampling_hz", "lead_in_s"))]
        )
    return markdown(["sensor", "power field", "sampling (Hz)", "lead-in (s)"], rows, 2)


def _worst_percent(runs: Mapping[str, Sequence[Run]], figure: str, stamped: bool) -> float:
    """The worst relative error of a figure over all columns with or without time stamps."""
    errors = [
        abs(value / _truth(spec)[figure] - 1)
        for each in runs.values()
        for index, spec in enumerate(each[0].preset.sensors)
        if each[0].passport.fields[index].stamped == stamped
        for value in _values(each, index, figure)
    ]
    return 100 * max(errors)


def page() -> str:
    """The page docs/passport.md."""
    runs = {preset.key: [measure(preset, seed) for seed in SEEDS] for preset in sensors()}
    first = next(iter(runs.values()))[0].passport
    return "\n".join(
        [
            GENERATED,
            TEXT.format(seeds=len(SEEDS), wave=first.wave_s, hz=POLLING_HZ, noise=100 * NOISE),
            "\n## Power columns\n",
            _field_table(runs),
            f"\nThe worst window is off by {_worst_percent(runs, FIGURES[1], True):.1f} % where the "
            "driver stamps its updates (`power_instant_w`, `power_average_w`), and by "
            f"{_worst_percent(runs, FIGURES[1], False):.1f} % where it does not (`power_legacy_w`): "
            "there an update is known to a reading only, and a short window has few readings on its ramp.",
            "\n## Energy counter\n",
            _counter_table(runs),
            "\n## What is chosen\n",
            _choice_table(runs),
            "",
        ]
    )


GENERATED = "<!-- Generated by `make bench`; do not edit. -->"
TEXT = """# The sensor passport against known sensors

A power sensor updates some ten times a second, and what it shows is a mean over a window that may be shorter than that (it misses the rest) or
longer (it still holds what was before). Both depend on card and driver, so they are measured: once per GPU and driver, after the cold idle, a
load is switched on and off for {wave:.0f} s while the meter is polled at {hz:g} Hz.

- **Update period**: from the readings at which the value, or the driver's own time stamp where it is that of an update, changed. Equal values in a
  row count as several periods.
- **Window and lag**: to a step of load a mean over a window answers with a ramp, which begins a lag after the step and lasts a window. Stretches of
  load and rest have random lengths, so that every switch shows another point of the ramp. All switches are fitted at once, with a model of the true
  power that allows for a warming chip and for what a card draws for seconds after a load. Slow cycles serve windows of seconds, fast ones those of
  milliseconds.
- **Counter tick**: as the update period.
- **Choice**: the field that sees all the time, among such the one with the shortest window; part-time sensors only where there is no other. Two
  readings an update, 10 to 100 Hz. A lead-in of window, lag and one update.

Figures that a record does not give are empty in `reference/passport.json`, with the reason. The table sets the figures of virtual sensors against
their true ones, over {seeds} seeds each, with {noise:g} % of noise on the load: the median, and the worst error of any seed. Everything here is
**simulated**. On a real card the load itself takes a moment to come up, and what it takes is seen as window or lag."""
