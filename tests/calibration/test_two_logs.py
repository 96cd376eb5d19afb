"""A real GPU's log beside an external meter, and logs whose averaging is known."""

from pathlib import Path

import numpy as np
import pytest

from nic_energy.calibration.logs import LogComparison, compare_logs
from nic_energy.errors import InputError
from nic_energy.external import FORMATS, PowerLog, read_log
from nic_energy.figures import save, two_logs
from nic_energy.traces import FloatArray

DATA = Path(__file__).parents[1] / "data" / "rtx3090"


@pytest.fixture(scope="module")
def logs() -> tuple[PowerLog, PowerLog]:
    return (
        read_log(DATA / "nvidia_smi.csv", FORMATS["nvidia-smi"]),
        read_log(DATA / "external_meter.csv", FORMATS["generic"]),
    )


@pytest.fixture(scope="module")
def found(logs: tuple[PowerLog, PowerLog]) -> LogComparison:
    return compare_logs(*logs)


def test_the_time_zone_and_the_clock_of_the_log(found: LogComparison) -> None:
    assert found.time_zone_s == 3600
    assert abs(found.clock_s) < 0.05
    assert found.offset_s == found.time_zone_s + found.clock_s
    assert found.aligned_by == "power.draw.instant"


@pytest.mark.parametrize(
    ("index", "column", "ratio", "joules", "r", "averages"),
    [
        (0, "power.draw", 0.951, 3533, 0.90, True),
        (1, "power.draw.average", 0.951, 3533, 0.90, True),
        (2, "power.draw.instant", 0.948, 3521, 0.99, False),
    ],
)
def test_ratio_correlation_and_averaging_of_each_column(
    found: LogComparison, index: int, column: str, ratio: float, joules: float, r: float,
    averages: bool,
) -> None:  # fmt: skip
    each = found.columns[index]
    assert each.column == column
    assert each.ratio == pytest.approx(ratio, abs=0.0006)
    assert each.duration_s == pytest.approx(14, abs=0.1)
    assert each.energy_j == pytest.approx(joules, rel=0.001)
    assert each.reference_j == pytest.approx(3715, rel=0.001)
    assert each.correlation == pytest.approx(r, abs=0.006)
    assert each.averages is averages
    assert each.update_s == pytest.approx(0.1, abs=0.01)
    assert each.window_s == pytest.approx(1.0 if averages else 0.1, rel=0.08)
    assert each.averaged_correlation > 0.9995


def test_an_averaged_column_alone_is_recognised_too(logs: tuple[PowerLog, PowerLog]) -> None:
    found = compare_logs(*logs, columns=["power.draw"])
    assert found.time_zone_s == 3600
    assert abs(found.clock_s) < 0.1
    assert found.columns[0].averages


def made_up(time: FloatArray, power: FloatArray, **columns: FloatArray) -> PowerLog:
    count = np.arange(len(time))
    values = {"p": power, **columns} if len(power) else dict(columns)
    return PowerLog((Path("made_up.csv"),), time, count + 2, 0 * count, values, "power", "instant")


def square(time: FloatArray) -> FloatArray:
    edges = np.cumsum(np.random.default_rng(1).uniform(4, 9, 20))
    noise = np.random.default_rng(2).normal(0, 0.1, len(time))
    return np.asarray(np.where(np.searchsorted(edges, time) % 2, 200.0, 50.0) + noise)


@pytest.mark.parametrize("window_s", [0.5, 2.0])
def test_a_moving_average_shows_its_window_and_a_clock_its_offset(window_s: float) -> None:
    time = np.arange(0, 100, 0.01)
    power = square(time)
    steps = round(window_s / 0.01)
    mean = np.convolve(power, np.ones(steps) / steps)[: len(time)]
    slow = slice(0, None, 10)
    log = made_up(time[slow] + 7200.4, 0.9 * mean[slow])
    (each,) = compare_logs(log, made_up(time, power)).columns
    found = compare_logs(log, made_up(time, power))
    assert found.offset_s == pytest.approx(7200.4, abs=0.03)
    assert each.averages
    assert each.window_s == pytest.approx(window_s, rel=0.1)
    assert each.ratio == pytest.approx(0.9, rel=0.02)


def test_energies_are_compared_only_where_both_are_known() -> None:
    time = np.arange(0, 100, 0.05)
    power = square(time)
    kept = (time < 40) | (time > 60)
    found = compare_logs(made_up(time[kept], 1.1 * power[kept]), made_up(time, power))
    assert found.columns[0].duration_s == pytest.approx(80, abs=0.5)
    assert found.columns[0].ratio == pytest.approx(1.1, rel=1e-3)


def test_a_reference_without_energy_and_columns_that_are_not_there() -> None:
    time = np.arange(0, 100, 0.05)
    power = square(time)
    log = made_up(time, power)
    with pytest.raises(InputError, match="has no energy"):
        compare_logs(log, made_up(time, power - 500))
    with pytest.raises(InputError, match="has no column q; it has p"):
        compare_logs(log, log, columns=["q"])
    with pytest.raises(InputError, match="several columns to choose from: p, q"):
        compare_logs(log, made_up(time, power, q=power))


def test_the_figure_names_columns_ratios_and_averaging(
    logs: tuple[PowerLog, PowerLog], found: LogComparison, tmp_path: Path
) -> None:
    save(two_logs.plot(*logs, found), tmp_path / "logs")
    text = (tmp_path / "logs.svg").read_text()
    assert "power.draw, power.draw.average:" in text
    assert "energy 0.951 of the reference's, averages over about 1.06 s" in text
    assert "energy 0.948 of the reference's" in text
    assert (tmp_path / "logs.png").stat().st_size > 1000
