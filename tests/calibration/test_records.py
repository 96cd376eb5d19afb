from pathlib import Path

import numpy as np
import pytest

from nic_energy.calibration.records import PowerRecord, joined, of_log, of_means, of_readings
from nic_energy.errors import InputError
from nic_energy.external import layout_of, read_log
from nic_energy.traces import FloatArray


def array(*values: float) -> FloatArray:
    return np.array(values, dtype=float)


def energy(record: PowerRecord, start: float, end: float) -> float:
    first, last = record.energy_j(array(start, end))
    return float(last - first)


def log_record(tmp_path: Path, text: str, **options: object) -> PowerRecord:
    path = tmp_path / "log.csv"
    path.write_text(text)
    return of_log(read_log(path, layout_of(options)))


def test_readings_of_the_moment_are_integrated_along_straight_lines() -> None:
    record = of_readings(array(0, 1, 2), array(0, 10, 10))
    assert energy(record, 0, 2) == pytest.approx(15)
    assert energy(record, 0.5, 1.5) == pytest.approx((5 + 10) / 2 * 0.5 + 5)
    assert record.power_w(array(-1, 0.5, 2, 3))[1:3] == pytest.approx([5, 10])
    assert np.isnan(record.power_w(array(-1, 0.5, 2, 3))[[0, 3]]).all()


def test_means_hold_between_their_nodes_and_no_further() -> None:
    record = of_means(array(0, 1, 2), array(4, 6))
    assert energy(record, 0.25, 1.5) == pytest.approx(0.75 * 4 + 0.5 * 6)
    assert np.isnan(record.mean_w(array(1.5), array(2.5)))[0]
    assert record.mean_w(array(0.5), array(1.5))[0] == pytest.approx(5)


def test_in_a_gap_nothing_is_known() -> None:
    time = np.concatenate([np.arange(0, 5, 0.1), np.arange(8, 12, 0.1)])
    record = of_readings(time, np.full(len(time), 7.0))
    assert record.known_s == pytest.approx(4.9 + 3.9)
    assert np.isnan(record.mean_w(array(4, 4), array(9, 4.5))).tolist() == [True, False]
    assert energy(record, 4, 9) == pytest.approx(7 * (0.9 + 1.0))


def test_missing_readings_and_equal_times() -> None:
    record = of_readings(array(0, 1, 1, 2, 3), array(1, 9, 3, np.nan, 3))
    assert record.time_s.tolist() == [0, 1, 3]
    assert energy(record, 0, 3) == pytest.approx(2 + 6)
    with pytest.raises(ValueError, match="fewer than two"):
        of_readings(array(0, 1), array(np.nan, 1))


def test_a_step_over_an_edge_gives_way_to_its_neighbour_inside() -> None:
    # Load of 100 W from 0 to 5 s, rest at 10 W before and after, seen by a meter of 1 s steps.
    nodes = np.arange(-3.5, 9, 1.0)
    inside = np.clip(np.minimum(nodes[1:], 5) - np.maximum(nodes[:-1], 0), 0, 1)
    record = of_means(nodes, 10 + 90 * inside)
    assert record.mean_w(array(0), array(5))[0] < 92
    assert record.steady_w(array(0), array(5))[0] == pytest.approx(100)
    assert np.isnan(record.steady_w(array(0), array(2.2)))[0]
    assert np.isnan(record.steady_w(array(-4, 5), array(1, 12))).all()


def test_where_the_load_went_on_beyond_an_edge_its_step_counts() -> None:
    # The load alternates between 50 and 150 W from -1 to 6 s, in executions of 1 s.
    nodes = np.arange(-2.75, 8, 0.5)
    middle = (nodes[1:] + nodes[:-1]) / 2
    power = np.where((middle + 0.25) % 1 < 0.5, 150.0, 50.0)
    record = of_means(nodes, np.where((nodes[:-1] > -1) & (nodes[1:] < 6), power, 0.0))
    whole = record.mean_w(array(0), array(5))[0]
    assert record.steady_w(array(0), array(5), 1.0, 1.0)[0] == pytest.approx(whole)
    assert record.steady_w(array(0), array(5), 0.0, 0.0)[0] != pytest.approx(whole, abs=1)
    assert record.steady_w(array(0), array(5), 0.2, 0.2)[0] == pytest.approx(
        record.steady_w(array(0), array(5))[0]
    )


def test_steady_power_is_not_known_over_a_gap() -> None:
    record = of_means(np.arange(0, 11, 1.0), np.where(np.arange(10) == 4, np.nan, 5.0))
    found = record.steady_w(array(0.5, 5.5), array(9.5, 9.5))
    assert np.isnan(found).tolist() == [True, False]


@pytest.mark.parametrize(
    ("reading", "start", "end", "joules"),
    [("mean_before", 0, 2, 50), ("mean_after", 0, 2, 30), ("instant", 0, 2, 40)],
)
def test_what_a_power_means_decides_its_energy(
    tmp_path: Path, reading: str, start: float, end: float, joules: float
) -> None:
    record = log_record(tmp_path, "unix_time_s,power_w\n0,10\n1,20\n2,30\n", reading=reading)
    assert energy(record, start, end) == pytest.approx(joules)


def test_a_counter_and_the_energy_of_every_row(tmp_path: Path) -> None:
    counter = log_record(tmp_path, "unix_time_s,E\n0,5\n1,7\n1,8\n3,10\n", energy_column="E")
    assert energy(counter, 0, 3) == pytest.approx(5)
    assert energy(counter, 0, 1) == pytest.approx(3)
    rows = log_record(
        tmp_path,
        "unix_time_s,E\n0,5\n1,2\n1,1\n2,\n3,4\n4,2\n",
        energy_column="E",
        energy_kind="interval",
    )
    assert energy(rows, 0, 1) == pytest.approx(3)
    assert np.isnan(rows.mean_w(array(1, 2), array(2, 3))).tolist() == [True, False]
    assert energy(rows, 2, 4) == pytest.approx(6)


def test_a_counter_that_goes_back_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"log\.csv, line 4: the energy goes back by 6 J"):
        log_record(tmp_path, "unix_time_s,E\n0,5\n1,7\n2,1\n3,10\n", energy_column="E")
    with pytest.raises(InputError, match=r"E has fewer than two readings"):
        log_record(tmp_path, "unix_time_s,E\n0,5\n1,\n2,\n", energy_column="E")


def test_records_are_joined_with_nothing_known_in_between() -> None:
    one, two = of_readings(array(0, 1), array(1, 1)), of_readings(array(5, 6), array(3, 3))
    both = joined([two, one])
    assert energy(both, 0, 6) == pytest.approx(4)
    assert both.known_s == pytest.approx(2)
    assert np.isnan(both.mean_w(array(0.5), array(5.5)))[0]
    with pytest.raises(ValueError, match="overlap"):
        joined([one, of_readings(array(0.5, 2), array(1, 1))])


def test_a_shifted_record_is_the_same_later() -> None:
    record = of_readings(array(0, 1), array(2, 4)).shifted(10)
    assert (record.start_s, record.end_s) == (10, 11)
    assert energy(record, 10, 11) == pytest.approx(3)
