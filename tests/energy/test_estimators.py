"""Every estimator against energies known in closed form."""

import numpy as np
import pytest

from nic_energy.energy.estimators import (
    WindowEnergy,
    counter,
    execution_energy,
    field_readings,
    fresh,
    paper_sum,
    prepared,
    trapezoid,
    trapezoid_of,
    window_energies,
)
from nic_energy.traces import FloatArray, PowerField, Trace, Window, samples_table
from tests.traces import METER, modality_trace

TIME = np.arange(0, 20, 0.1)
CONSTANT = np.full_like(TIME, 50.0)


def test_the_papers_sum_counts_samples_between_the_marks() -> None:
    found = paper_sum(TIME, CONSTANT, 5.0 - 1e-9, 10.0 + 1e-9, 10.0)
    assert found.samples == 51
    assert found.energy_gross_j == pytest.approx(51 * 0.1 * 50)
    assert found.duration_s == pytest.approx(5.1)
    flipped = paper_sum(TIME, CONSTANT, 5.05, 10.04, 10.0)
    assert flipped.samples == 50
    assert execution_energy(found, 10.0, 1)[0] != execution_energy(flipped, 10.0, 1)[0]
    with pytest.raises(ValueError, match="no sample"):
        paper_sum(TIME, CONSTANT, 5.01, 5.02, 10.0)


def test_the_trapezoid_is_exact_on_straight_lines_and_interpolates_its_edges() -> None:
    ramp = 10 + 4 * TIME
    found = trapezoid(TIME, ramp, 3.123, 7.777)
    assert found.energy_gross_j == pytest.approx(
        10 * (7.777 - 3.123) + 2 * (7.777**2 - 3.123**2), rel=1e-12
    )
    assert found.duration_s == pytest.approx(7.777 - 3.123)


def test_missing_readings_are_interpolated_over_not_taken_as_zero() -> None:
    holes = CONSTANT.copy()
    holes[60:64] = np.nan
    assert trapezoid(TIME, holes, 5.0, 10.0).energy_gross_j == pytest.approx(250)


def test_samples_that_do_not_reach_over_the_marks_are_refused() -> None:
    for start, end in ((-1.0, 5.0), (5.0, 25.0)):
        with pytest.raises(ValueError, match="do not reach"):
            trapezoid(TIME, CONSTANT, start, end)


def test_a_known_lag_is_taken_back() -> None:
    true = np.where((TIME >= 5) & (TIME < 15), 100.0, 20.0)
    late = np.interp(TIME - 0.5, TIME, true)
    found = trapezoid(TIME, late, 5.0, 10.0, lag_s=0.5).energy_gross_j
    assert found == pytest.approx(500, rel=0.01)
    assert trapezoid(TIME, late, 5.0, 10.0).energy_gross_j < 0.95 * found


def test_the_counter_is_read_at_its_ticks() -> None:
    fine = np.arange(0, 20, 0.01)
    ticked = np.floor(fine / 0.1) * 0.1 * 50.0
    found = counter(fine, ticked, 5.037, 10.061)
    assert found.energy_gross_j == pytest.approx(50 * (10.061 - 5.037), rel=2e-3)
    naive = ticked[fine <= 10.061][-1] - ticked[fine <= 5.037][-1]
    assert abs(naive - 50 * (10.061 - 5.037)) > 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.full_like(TIME, np.nan), "no readings"),
        (np.full_like(TIME, 7.0), "did not tick"),
        (np.where(TIME < 8, TIME, TIME - 8), "went backwards"),
    ],
)
def test_a_counter_that_cannot_be_used_is_refused(values: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        counter(TIME, values, 5.0, 10.0)


def test_repeated_readings_of_a_slow_sensor_are_dropped() -> None:
    fine = np.arange(0, 10, 0.01)
    held = 100 + np.floor(fine / 0.1)
    time, power = fresh(fine, held)
    assert len(time) == pytest.approx(100, abs=2)
    assert (np.diff(power) != 0)[:-1].all()
    assert time[-1] == fine[-1]


def test_a_steady_device_keeps_its_samples() -> None:
    time, _ = fresh(TIME, CONSTANT)
    assert np.diff(time).max() <= 1.1
    assert time[0] == TIME[0]


def test_the_sensors_own_time_stamp_tells_a_repeat_from_an_equal_value() -> None:
    stamps = np.arange(float(len(TIME))) // 2.0
    assert len(fresh(TIME, CONSTANT, stamps)[0]) == pytest.approx(len(TIME) / 2, abs=1)
    assert len(fresh(TIME[:2], CONSTANT[:2])[0]) == 2


def test_a_stamp_of_the_query_tells_no_repeat() -> None:
    fine = np.arange(0, 10, 0.01)
    held = 100 + np.floor(fine / 0.1)
    found = fresh(fine, held, fine * 1e6)
    for one, two in zip(found, fresh(fine, held), strict=True):
        assert (one == two).all()
    assert len(found[0]) == pytest.approx(100, abs=2)


FIELD = PowerField("power_instant_w", "instant")


def stamped_trace(wall_s: FloatArray, stamp_s: FloatArray) -> Trace:
    """Readings at `TIME` of a ramp that rises by 1 W/s, with stamps on a wall clock."""
    columns = zip(TIME, wall_s, np.round(stamp_s * 1e6).astype(int), stamp_s, strict=True)
    samples = [
        {"time_s": t, "wall_time_s": w, "power_instant_time_us": int(us), "power_instant_w": p}
        for t, w, us, p in columns
    ]
    return Trace(samples_table(samples), modality_trace().meta)


AGE_S = 0.03
WALL = 1000 + TIME


@pytest.mark.parametrize("late_s", [30e-6, 5e-3, 0.2])
def test_a_reading_held_up_between_the_clocks_costs_no_other_its_stamp(late_s: float) -> None:
    wall = WALL.copy()
    wall[::20] += 30e-6
    wall[101] += late_s
    time, _ = field_readings(stamped_trace(wall, WALL - AGE_S), FIELD)
    others = np.delete(np.arange(len(TIME)), 101)
    assert time[others] == pytest.approx(TIME[others] - AGE_S, abs=1e-4)
    assert (np.diff(time) >= 0).all()


@pytest.mark.parametrize("late", [slice(1, None, 2), slice(101, 102)])
@pytest.mark.parametrize("late_s", [30e-6, 900e-6])
def test_the_same_stamp_read_twice_may_move_a_little(late: slice, late_s: float) -> None:
    wall, stamps = WALL.copy(), np.repeat(WALL[::2], 2) - AGE_S
    wall[late] += late_s
    time, _ = field_readings(stamped_trace(wall, stamps), FIELD)
    assert time[1:-1] == pytest.approx(TIME[2:-1:2] - AGE_S, abs=1e-4)


@pytest.mark.parametrize("step_s", [0.15, 0.5])
def test_a_clock_that_was_set_leaves_the_stamps_unused(step_s: float) -> None:
    wall = WALL + np.where(TIME >= 10, step_s, 0.0)
    time, _ = field_readings(stamped_trace(wall, WALL - AGE_S), FIELD)
    assert time == pytest.approx(TIME)


def test_an_interval_mean_stands_for_the_middle_of_its_interval() -> None:
    field = PowerField("power_load_w", "interval_mean")
    power = CONSTANT.copy()
    power[0] = np.nan
    time, values = prepared(TIME, power, field)
    assert time[0] == pytest.approx(0.05)
    assert len(values) == len(TIME) - 1
    lagged = PowerField("power_average_w", "average", 1.0, 0.5)
    assert prepared(TIME, 50 + TIME, lagged)[0][0] == pytest.approx(-0.5)


def test_readings_and_traces_give_the_same() -> None:
    field = METER.power_field("auto")
    samples = [{"time_s": t, "power_load_w": 50.0 + t} for t in TIME]
    found = trapezoid_of([*samples, {"time_s": 20.1}], field, 5.0, 10.0)
    assert found.energy_gross_j == pytest.approx(50 * 5 + (100 - 25) / 2)
    energies = window_energies(modality_trace(power_w=50), Window(0, 105.0, 115.0, 20), field)
    assert set(energies) == {"paper_sum", "trapezoid"}
    assert energies["trapezoid"].energy_gross_j == pytest.approx(500)


def test_idle_is_subtracted_over_the_estimators_own_time() -> None:
    dynamic, gross = execution_energy(WindowEnergy(500.0, 10.0, 100), 10.0, 20)
    assert (dynamic, gross) == (20.0, 25.0)
