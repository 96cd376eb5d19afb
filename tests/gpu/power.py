"""Tests of the meter under a load that is switched on and off.

They take a bench as the campaign has it, so that they run alike on a GPU and, in the rehearsal, on
the virtual GPU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from nic_energy.doctor.facts import Campaign, Column, Gpu, Readings
from nic_energy.doctor.judge_gpu import BAD_REASONS
from nic_energy.doctor.judge_readings import STILL_S, agreement, allowed, readings_checks
from nic_energy.doctor.readings import array, counter_of, readings_of
from nic_energy.energy.estimators import COUNTER, STAMPS, counter, trapezoid
from nic_energy.errors import NicEnergyError
from nic_energy.protocol.bench import Bench
from nic_energy.protocol.repetitions import run_for
from nic_energy.traces import FloatArray, Interval, PowerField, Sample
from tests.gpu.board import Neighbour
from tests.gpu.findings import Finding
from tests.gpu.station import Loaded

REST, LOAD = "rest", "load"

LEAST_RISE_W = 10.0
LEAST_RISE_SIGMAS = 8.0
OTHER_SHARE = 0.5
"""Another GPU's power may rise by this share of what the loaded one's does."""

SETTLED_S = 1.6
"""This long after a switch a 1 s average has forgotten what was before, however late it comes."""

DUTY_LIMIT = 0.05

COUNTER_SETTING = "estimator: counter"
"""The setting that a counter bars which does not count what the power columns integrate to."""


def stretch(loaded: Loaded, phase: str, seconds: float) -> Interval:
    """Load or rest for a while, as a marked interval."""
    bench = loaded.bench
    begin = bench.clock.now()
    if phase == LOAD:
        run_for(bench, seconds, loaded.execution_s)
    else:
        bench.clock.sleep(seconds)
    return Interval(phase, begin, bench.clock.now())


def finish(bench: Bench) -> list[Sample]:
    """Let the readings reach over the last mark, and take them all."""
    bench.clock.sleep(1.0)
    bench.drain()
    return bench.history


def settled(mark: Interval) -> Interval:
    """The part of a stretch that no reading mixes with another."""
    return Interval(mark.phase, mark.start_s + SETTLED_S, mark.end_s)


def power_in(samples: Sequence[Sample], column: str, mark: Interval) -> FloatArray:
    """Readings of a power column between two marks, in W."""
    time, power = array(samples, "time_s"), array(samples, column)
    inside = (time >= mark.start_s) & (time <= mark.end_s) & np.isfinite(power)
    return np.asarray(power[inside])


def scatter(power_w: FloatArray) -> float:
    """Standard deviation from successive differences, to which a decay adds next to nothing."""
    return float(np.sqrt(np.mean(np.diff(power_w) ** 2) / 2)) if len(power_w) > 1 else 0.0


def rise(samples: Sequence[Sample], column: str, rest: Interval, load: Interval) -> float:
    """By how much the settled power under load exceeds that at rest, in W."""
    before = power_in(samples, column, settled(rest))
    under = power_in(samples, column, settled(load))
    return float(under.mean() - before.mean()) if len(before) and len(under) else float("nan")


def same_device(loaded: Loaded, others: Sequence[Neighbour] = (), seconds: float = 4.0) -> Finding:
    """The meter reads the GPU that runs.

    Args:
        others: the other GPUs of the machine.
    """
    bench = loaded.bench
    meter, column = bench.meter, bench.meter.power_fields[0].column
    bench.clock.sleep(seconds)  # after the load was timed
    rest = stretch(loaded, REST, seconds)
    load = stretch(loaded, LOAD, seconds)
    samples = finish(bench)
    risen = rise(samples, column, rest, load)
    noise = scatter(power_in(samples, column, settled(rest)))
    elsewhere, not_read = _rises(others, rest, load)
    least = max(LEAST_RISE_W, LEAST_RISE_SIGMAS * noise)
    problems = []
    if loaded.torch_uuid != meter.device_uuid:
        problems.append(f"PyTorch runs on {loaded.torch_uuid}, the meter reads another GPU")
    if not risen >= least:
        problems.append(f"the load raised the power by {risen:.1f} W, less than {least:.1f} W")
    problems += [
        f"the load raised the power of {name} too, by {other:.1f} W"
        for name, other in elsewhere.items()
        if other > OTHER_SHARE * risen
    ]
    return Finding(
        "same_device",
        "PyTorch's device and the meter's have one UUID, and a load on the one raises the other",
        {
            "device": f"{meter.device_name}, driver {meter.driver}",
            "torch_uuid": loaded.torch_uuid,
            "meter_uuid": meter.device_uuid,
            "power_field": column,
            "rise_w": risen,
            "rest_scatter_w": noise,
            "rises_of_other_gpus_w": elsewhere,
            "other_gpus_not_read": not_read,
        },
        tuple(problems),
    )


def _rises(
    others: Sequence[Neighbour], rest: Interval, load: Interval
) -> tuple[dict[str, float], dict[str, str]]:
    """(rises of the other GPUs in W, why those are not read that are not)."""
    rises: dict[str, float] = {}
    not_read: dict[str, str] = {}
    for other in others:
        if other.sampler is None:
            not_read[other.name] = other.reason
            continue
        try:
            rises[other.name] = rise(other.sampler.collect(), other.column, rest, load)
        except NicEnergyError as error:
            not_read[other.name] = str(error)
    return rises, not_read


def fresh_readings(loaded: Loaded, cycles: int = 4, seconds: float = 2.0) -> Finding:
    """Every power column follows every switch of the load, and none is absurd.

    Values may stand still at rest, as those of a steady card do, as long as the driver's time
    stamp or the energy counter moves meanwhile.
    """
    bench = loaded.bench
    bench.drain()
    bench.history.clear()
    marks = []
    for _ in range(cycles):
        marks += [stretch(loaded, LOAD, seconds), stretch(loaded, REST, seconds)]
    samples = finish(bench)
    readings = readings_of(samples, bench.meter.power_fields, "auto")
    numbers: dict[str, Any] = {"readings": readings.samples}
    problems: list[str] = []
    columns = []
    for column in readings.columns:
        numbers[f"{column.column} updates every ms"] = (
            1e3 * column.update_period_s if column.update_period_s else column.period_reason
        )
        numbers[f"{column.column} still for s"] = column.still_s
        followed = switches_followed(samples, column.column, marks)
        if followed < len(marks) - 1:
            problems.append(
                f"{column.column} followed {followed} of {len(marks) - 1} switches of the load"
            )
        columns.append(_steady(column, samples, followed == len(marks) - 1))
    judged = replace(readings, columns=tuple(columns))
    checks = readings_checks(judged, CAMPAIGN, _gpu(bench))
    ill = [check for check in checks if check.status in ("warning", "failure")]
    problems += [
        f"{check.name}: {check.found}"
        for check in ill
        if check.name not in ("counter", "counter_agreement", "activity")
    ]
    if readings.counter and readings.counter.tick_s:
        numbers["counter ticks every ms"] = 1e3 * readings.counter.tick_s
    return Finding(
        "fresh_readings",
        "every power column takes new values while a load is switched",
        numbers,
        tuple(problems),
        slowdowns(readings),
        barred([check.found for check in ill if check.name == "counter"]),
    )


def _gpu(bench: Bench) -> Gpu:
    meter = bench.meter
    limit_w = meter.details.get("default_power_limit_w")
    return Gpu(0, meter.device_uuid, meter.device_name, most_power_limit_w=limit_w)


def switches_followed(samples: Sequence[Sample], column: str, marks: Sequence[Interval]) -> int:
    """How many of the switches between stretches of load and rest a power column shows: its last
    reading under load is above that at rest.
    """
    last = [power_in(samples, column, mark)[-1:] for mark in marks]
    shown = 0
    for before, after, mark in zip(last, last[1:], marks[1:], strict=False):
        change = after - before if len(before) and len(after) else np.zeros(1)
        shown += bool(change[0] > 0 if mark.phase == LOAD else change[0] < 0)
    return shown


def _steady(column: Column, samples: Sequence[Sample], followed: bool) -> Column:
    """A column that follows the load counts as never still, unless its time stamp and the counter
    stood still too.
    """
    names = [name for name in (STAMPS.get(column.column), COUNTER) if name]
    stills = [
        standstill(array(samples, "time_s"), values)
        for values in (array(samples, name) for name in names)
        if len(np.unique(values[np.isfinite(values)])) > 1
    ]
    alive = followed and min(stills, default=0.0) <= STILL_S
    return replace(column, still_s=0.0) if alive else column


def standstill(time: FloatArray, values: FloatArray) -> float:
    """The longest time in s without a new value."""
    known = np.isfinite(values)
    time, values = time[known], values[known]
    changes = time[np.flatnonzero(np.diff(values)) + 1]
    return float(np.diff(np.concatenate([time[:1], changes, time[-1:]])).max())


def slowdowns(readings: Readings) -> tuple[str, ...]:
    """What held the clocks down meanwhile: no fault of the meter, but of the card's cooling."""
    seen = [text for bit, text in BAD_REASONS.items() if readings.throttle_reasons & bit]
    seen += [f"{name} by {ns / 1e9:.3g} s" for name, ns in readings.slowdown_ns.items() if ns > 0]
    if not seen:
        return ()
    return (
        f"the card slowed itself down meanwhile ({', '.join(seen)}). Windows in which that "
        "happens are left out of a campaign: improve the cooling (nvidia-smi -q -d PERFORMANCE)",
    )


CAMPAIGN = Campaign("gpu-test", "", "", "trapezoid", "auto", 10.0, None, "random", False, None)
"""What the judges need to know: the paper's sampling rate and estimator."""


def counter_against_integral(loaded: Loaded, seconds: float = 12.0) -> Finding:
    """The energy counter counts what the power columns integrate to, at rest and under load.

    Which of the two is right it does not say. Where they differ, the counter is barred.
    """
    bench = loaded.bench
    bench.drain()
    bench.history.clear()
    marks = [stretch(loaded, LOAD, seconds), stretch(loaded, REST, seconds)]
    samples = finish(bench)
    numbers: dict[str, Any] = {}
    problems: list[str] = []
    against = [] if bench.meter.counter else [NO_COUNTER]
    for mark in marks:
        inside = _inside(samples, settled(mark))
        series = {name: array(inside, name) for name in inside[0]}
        for field in bench.meter.power_fields:
            if not len(power_in(inside, field.column, mark)):
                problems.append(f"{mark.phase}: no reading of {field.column}")
                continue
            found = counter_of(series, field) if bench.meter.counter else None
            if found is None:
                continue
            if found.column is None:
                how = "fell" if found.fell else f"moved {found.ticks} times in {seconds:.0f} s"
                against.append(f"{mark.phase}: the counter {how}")
                continue
            ratio = found.counter_j / found.integral_j
            numbers[f"counter over {field.column}, {mark.phase}"] = ratio
            if agreement(found) > allowed(found):
                against.append(
                    f"{mark.phase}: the counter says {ratio:.3f} times what {field.column} "
                    f"integrates to; they may differ by {100 * allowed(found):.1f} %"
                )
    return Finding(
        "counter_against_integral",
        "the energy counter agrees with each power column within 2 % and a tick, or is barred",
        numbers,
        tuple(problems),
        bars=barred(against),
    )


NO_COUNTER = "the GPU has no energy counter"


def barred(against: Sequence[str]) -> Mapping[str, str]:
    """The counter as an estimator, barred where something is against it."""
    return {COUNTER_SETTING: "; ".join(dict.fromkeys(against))} if against else {}


def _inside(samples: Sequence[Sample], mark: Interval) -> list[Sample]:
    return [s for s in samples if mark.start_s <= float(s["time_s"] or 0) <= mark.end_s]


def known_wave(loaded: Loaded, seconds: float = 4.0, cycles: int = 6) -> Finding:
    """A square wave whose switches are known, read back by power, and by a counter that agrees."""
    bench = loaded.bench
    bench.drain()
    bench.history.clear()
    stretch(loaded, LOAD, seconds)
    stretch(loaded, REST, seconds)
    marks = []
    for _ in range(cycles):
        marks += [stretch(loaded, LOAD, seconds), stretch(loaded, REST, seconds)]
    samples = finish(bench)
    field = bench.meter.power_fields[0]
    time, power = readings_in_time(samples, field)
    first, last = marks[0].start_s, marks[-1].end_s
    wanted = sum(m.end_s - m.start_s for m in marks if m.phase == LOAD) / (last - first)
    seen = duty(time, power, first, last)
    numbers: dict[str, Any] = {"duty, marked": wanted, "duty, seen": seen}
    problems = []
    if abs(seen - wanted) > DUTY_LIMIT:
        problems.append(f"the load ran {100 * wanted:.1f} % of the time, seen {100 * seen:.1f} %")
    ticks = array(samples, "time_s"), array(samples, COUNTER)
    parts = {phase: [settled(m) for m in marks if m.phase == phase] for phase in (LOAD, REST)}
    parts["wave"] = [Interval("wave", first, last)]
    limits = {LOAD: PHASE_LIMIT, REST: PHASE_LIMIT, "wave": WAVE_LIMIT}
    against = [] if bench.meter.counter else [NO_COUNTER]
    for name, stretches in parts.items():
        joules = sum(trapezoid(time, power, m.start_s, m.end_s).energy_gross_j for m in stretches)
        numbers[f"{name}: J by {field.column}"] = joules
        if not bench.meter.counter:
            continue
        try:
            counted = sum(counter(*ticks, m.start_s, m.end_s).energy_gross_j for m in stretches)
        except ValueError as error:
            against.append(f"{name}: {error}")
            continue
        numbers[f"{name}: J by counter"] = counted
        if abs(counted / joules - 1) > limits[name]:
            against.append(f"{name}: {joules:.1f} J by {field.column}, {counted:.1f} J by counter")
    return Finding(
        "known_wave",
        "a load switched on and off for known times is seen for these times; power and counter "
        "agree on the energy of load, rest and the whole, or the counter is barred",
        numbers,
        tuple(problems),
        bars=barred(against),
    )


PHASE_LIMIT = 0.05
"""Stretches of some seconds are uncertain by a tick of the counter at each end."""

WAVE_LIMIT = 0.02


def readings_in_time(samples: Sequence[Sample], field: PowerField) -> tuple[FloatArray, FloatArray]:
    """(times that the readings stand for, powers). Readings that repeat the one before stay: where
    a card holds still, the next change of its power begins at the last of them.
    """
    time, power = array(samples, "time_s"), array(samples, field.column)
    known = np.isfinite(power)
    return time[known] - (field.lag_s or 0.0), power[known]


def duty(time: FloatArray, power: FloatArray, first_s: float, last_s: float) -> float:
    """The share of the time in which the power is nearer to its upper than to its lower level."""
    grid = np.arange(first_s, last_s, 0.01)
    watts = np.interp(grid, time, power)
    low, high = np.quantile(watts, [0.1, 0.9])
    return float((watts > (low + high) / 2).mean())
