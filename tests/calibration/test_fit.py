"""Gain and offset from runs that are made up: what both sides saw is known."""

from pathlib import Path

import numpy as np
import pytest

from nic_energy.calibration.fit import (
    External,
    Fit,
    MeterSpec,
    fit_gain,
    imprecision_of,
)
from nic_energy.calibration.runs import Run, Spans
from nic_energy.errors import InputError
from nic_energy.traces import FloatArray, ImageInfo, Modality

GAIN, OFFSET_W = 0.93, -4.0
SENSOR_W, METER_W = 0.3, 0.5
WINDOWS, WINDOW_S = 6, 5.2
BOARD = MeterSpec("made up", "board", 0.05, 0.02)


def spans(start_s: float, power: FloatArray, seconds: float, executions: float) -> Spans:
    start = start_s + (seconds + 1) * np.arange(float(len(power)))
    return Spans(start, start + seconds, power, np.full(len(power), executions))


def campaign(
    seed: int, count: int = 60, host_w: float = 0.0, spread_w: float = 40.0
) -> tuple[list[Run], list[External]]:
    """Runs of true powers about 100 W with idle at 15 W, and what a meter says, `host_w` more."""
    random = np.random.default_rng(seed)
    runs, external = [], []
    for number in range(count):
        level = 100 + spread_w * random.uniform(-1, 1)
        true = level * (1 + 0.008 * random.standard_normal(WINDOWS))
        idle = np.array([15.0, 16.0]) + 0.2 * random.standard_normal(2)
        sensor = OFFSET_W + GAIN * true + SENSOR_W * random.standard_normal(WINDOWS)
        image = ImageInfo(f"i{number}", "0", 1, 1, 1, 1)
        runs.append(
            Run(
                Path(f"{number}.parquet"), "s", "simulated", "one",
                Modality("chain", "net", 1, "low", image),
                spans(1e9 + 100 * number, sensor, WINDOW_S, 20),
                spans(1e9 + 100 * number + 60, OFFSET_W + GAIN * idle, 2.6, 0),
            )
        )  # fmt: skip
        external.append(
            External(host_w + true + METER_W * random.standard_normal(WINDOWS), 0.8 * host_w + idle)
        )
    return runs, external


def fitted(runs: list[Run], external: list[External], meter: MeterSpec = BOARD) -> Fit:
    return fit_gain(runs, external, lambda _: external, 0.01, meter)


def test_gain_offset_and_both_imprecisions_are_recovered() -> None:
    found = fitted(*campaign(1))
    assert abs(found.gain.value - GAIN) < found.gain.expanded < 0.01
    assert abs(found.offset_w.value - OFFSET_W) < found.offset_w.expanded < 1
    assert found.imprecision.sensor_w == pytest.approx(SENSOR_W, rel=0.2)
    assert found.imprecision.meter_w == pytest.approx(METER_W, rel=0.2)
    assert (found.runs, found.windows) == (60, 360)
    assert found.pearson_r_power > 0.999
    assert found.pearson_r_power_low < found.pearson_r_power < found.pearson_r_power_high
    assert found.pearson_r_energy == pytest.approx(found.pearson_r_power, abs=1e-4)
    assert found.host_load_w is None


def test_intervals_of_many_campaigns_hold_gain_and_offset() -> None:
    held = []
    for seed in range(40):
        found = fitted(*campaign(100 + seed, 30), MeterSpec("exact", "board", 0.0, 0.0))
        held.append(
            (
                abs(found.gain.value - GAIN) <= found.gain.expanded,
                abs(found.offset_w.value - OFFSET_W) <= found.offset_w.expanded,
            )
        )
    assert (np.mean(held, axis=0) > 0.84).all()


def test_idle_takes_part_against_the_board_and_not_against_the_machine() -> None:
    runs, external = campaign(2, host_w=60.0)
    machine = fitted(runs, external, MeterSpec("plug", "machine"))
    assert abs(machine.gain.value - GAIN) < machine.gain.expanded
    assert abs(machine.offset_w.value - (OFFSET_W - 60 * GAIN)) < machine.offset_w.expanded
    # At idle the host draws 12 W less.
    assert machine.host_load_w == pytest.approx(12, abs=1.5)
    narrow = campaign(3, spread_w=1.0)
    board = fitted(*narrow)
    plug = fitted(*narrow, MeterSpec("plug", "machine"))
    assert board.gain.u < 0.1 * plug.gain.u
    assert abs(board.gain.value - GAIN) < board.gain.expanded


def test_the_budget_holds_what_the_meter_states_and_what_its_clock_leaves() -> None:
    runs, external = campaign(4)

    def shifted(seconds: float) -> list[External]:
        return [External((1 + 0.2 * seconds) * each.windows_w, each.idle_w) for each in external]

    found = fit_gain(runs, external, shifted, 0.01, MeterSpec("m", "board", 0.3, 0.1))
    parts = {part.name: part.standard_uncertainty for part in found.gain.budget.components}
    assert list(parts) == ["scatter", "axis", "clock", "meter"]
    assert parts["meter"] == pytest.approx(0.003 * found.gain.value)
    assert parts["clock"] == pytest.approx(0.002 * GAIN, rel=0.3)
    assert found.gain.u == pytest.approx(np.sqrt(sum(u**2 for u in parts.values())))
    offset = {part.name: part.standard_uncertainty for part in found.offset_w.budget.components}
    assert offset["meter"] == pytest.approx(0.1 * found.gain.value)


def test_windows_that_the_meter_does_not_know_are_left_out() -> None:
    runs, external = campaign(5)
    for n in range(0, 30):
        external[n].windows_w[:4] = np.nan
    external[40].windows_w[:] = np.nan
    external[41].idle_w[:] = np.nan
    found = fitted(runs, external)
    assert (found.runs, found.windows) == (59, 6 * 29 + 2 * 30)
    assert abs(found.gain.value - GAIN) < found.gain.expanded


def test_too_few_runs_and_runs_of_one_power() -> None:
    runs, external = campaign(6)
    for each in external[3:]:
        each.windows_w[:] = np.nan
    with pytest.raises(InputError, match="in the windows of 3 of 60 runs; at least 4"):
        fitted(runs, external)
    runs, external = campaign(6)
    for each in external:
        each.windows_w[:] = 100.0
    with pytest.raises(InputError, match=r"plug: a line needs .* different power"):
        fitted(runs, external, MeterSpec("plug", "machine"))


def test_grubbs_estimates_are_never_negative() -> None:
    found = imprecision_of(np.array([[4.0, 5.0], [5.0, 4.0]]), 1.0)
    assert (found.sensor_w, found.meter_w) == (0.001, 0.001)
    alone = imprecision_of(np.full((2, 2), np.nan), 1.0)
    assert (alone.sensor_w, alone.meter_w) == (0.001, 0.001)
