"""idle.csv and diagnostics.csv of whole virtual campaigns whose faults are known."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nic_energy import tables
from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.energy.idle import idle_power
from nic_energy.meters.virtual import read_preset
from nic_energy.models.uncertainty import line_uncertainty
from nic_energy.statistics.pooled import inflation
from nic_energy.vocabulary import ESTIMATORS
from tests.energy.test_idle import with_samples
from tests.measure.virtual import QUICK, Campaign, config_of, quick, simulated

NETWORKS = [
    {"name": "bmshj2018-factorized", "qualities": [3, 7]},
    {"name": "cheng2020-anchor", "qualities": [2, 5]},
]
SIZES = {f"image{number}": (400 + 100 * number, 400) for number in range(4)}
PROTOCOL: dict[str, Any] = {
    "min_repetitions": 10,
    "max_repetitions": 20,
    "preheat_max_s": 200,
    "relative_width": 0.03,
}
CYCLE_S = 6.45
"""From one window to the next."""


def sixteen(folder: Path, **virtual: Any) -> Campaign:
    return simulated(folder, config_of(PROTOCOL, virtual, networks=NETWORKS), SIZES)


def diagnostics_of(found: EnergyTables, estimator: str = "trapezoid") -> dict[str, Any]:
    (row,) = found.diagnostics[found.diagnostics["estimator"] == estimator].to_dict("records")
    return {str(name): value for name, value in row.items()}


@pytest.fixture(scope="module")
def white(tmp_path_factory: pytest.TempPathFactory) -> EnergyTables:
    return sixteen(tmp_path_factory.mktemp("white")).tables()


@pytest.fixture(scope="module")
def correlated(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return sixteen(tmp_path_factory.mktemp("correlated"), noise_correlation_s=40)


def test_every_estimator_is_diagnosed_with_all_its_windows(white: EnergyTables) -> None:
    assert white.diagnostics["estimator"].tolist() == list(ESTIMATORS)
    assert list(white.diagnostics.columns) == list(tables.DIAGNOSTIC_COLUMNS)
    for name in ESTIMATORS:
        row = diagnostics_of(white, name)
        assert (row["setup"], row["source"], row["part"]) == ("lab", "simulated", "chain")
        assert row["modalities"] == 16
        assert row["windows"] == white.energy["repetitions"].sum()
        assert row["counter_disagrees"] == 0


def test_independent_windows_are_found_to_be_so(white: EnergyTables) -> None:
    for name in ESTIMATORS:
        row = diagnostics_of(white, name)
        assert 0.05 < row["autocorrelation_u"] < 0.4
        assert row["autocorrelation_p"] > 0.01
    row = diagnostics_of(white)
    assert abs(row["autocorrelation"]) < 3 * row["autocorrelation_u"]
    assert abs(row["trend_percent_per_window"]) < 3 * row["trend_u_percent_per_window"]
    assert white.energy["converged"].mean() > 0.9


def test_autocorrelated_noise_is_found_and_the_intervals_say_so(correlated: Campaign) -> None:
    found = correlated.tables()
    row = diagnostics_of(found)
    expected = math.exp(-CYCLE_S / 40)
    assert row["autocorrelation_p"] < 0.001
    assert row["autocorrelation"] == pytest.approx(expected, abs=3 * row["autocorrelation_u"])
    shares = []
    for each in found.energy.to_dict("records"):
        count = int(each["repetitions"])
        factor = inflation(row["autocorrelation"], count)
        assert factor > 2
        mean_u = each["energy_std_j"] / math.sqrt(count)
        plain_percent = 100 * stats.t.ppf(0.995, count - 1) * mean_u / each["energy_j"]
        assert each["ci_half_width_percent"] == pytest.approx(factor * plain_percent)
        shares.append((each["u_combined_j"] / (factor * mean_u)) ** 2)
    assert np.mean(shares) > 0.8


def test_what_had_converged_may_turn_out_not_to_have(correlated: Campaign) -> None:
    """The stopping rule sees one modality alone and takes its windows for independent."""
    assert all(meta.stopping["converged"] for meta in correlated.metas)
    energy = correlated.tables().energy
    asked = 50 * PROTOCOL["relative_width"]
    assert (energy["converged"] == (energy["ci_half_width_percent"] <= asked)).all()
    assert 0 < energy["converged"].sum() < 12
    assert (
        energy["flags"].str.contains("not_converged") == ~energy["converged"].astype(bool)
    ).all()


def test_a_drift_is_found_as_a_trend_and_enters_the_budget(tmp_path: Path) -> None:
    found = sixteen(tmp_path, drift_percent_per_hour=80, noise_percent=0.2).tables()
    row = diagnostics_of(found)
    at_first = 80 * CYCLE_S / 3600
    assert row["trend_p"] < 0.001
    # In percent of energies that have grown by then.
    u = row["trend_u_percent_per_window"]
    # Within its band of 3 K the chip may still warm, and leak 0.12 % a kelvin more.
    warming = 0.12 * 3 / 8
    assert at_first / 3 - 3 * u < row["trend_percent_per_window"] < at_first + warming + 3 * u
    for each in found.energy.to_dict("records"):
        count = int(each["repetitions"])
        share = row["trend_percent_per_window"] / 100 * (count - 1) / 2 / math.sqrt(3)
        assert each["u_trend_j"] == pytest.approx(share * each["energy_j"])
        assert each["u_repeatability_j"] < 0.5 * each["u_trend_j"]
    # One input to all energies: it moves alpha by its share, and cancels between networks.
    shares = found.energy["u_trend_j"] / found.energy["energy_j"]
    for _, rows in found.energy.groupby("network"):
        line = line_uncertainty(rows)
        assert line is not None
        moved = line.alpha.shifts["trend"].value / line.alpha.value
        assert 0.8 * shares.min() < moved < 1.2 * shares.max()


def test_the_leakage_of_a_warming_chip_is_found(tmp_path: Path) -> None:
    """Without preheating every modality warms while it is measured."""
    preset = read_preset("turing")
    config = config_of(QUICK, {"noise_percent": 0.1, "load_s": 200}, networks=NETWORKS)
    assert config.protocol.temperature_band_celsius == 100
    found = simulated(tmp_path, config, {"image": (600, 400)}).tables()
    row = diagnostics_of(found)
    share, u = (row[f"temperature_{part}percent_per_kelvin"] for part in ("", "u_"))
    assert share == pytest.approx(100 * preset.leakage_w_per_k / 105, rel=0.1)
    assert u < 0.1 * share
    span = 100 * found.energy["u_temperature_j"].astype(float) / found.energy["energy_j"]
    assert (span > 0.3).all()


def test_a_single_modality_tells_nothing_of_trend_and_correlation(tmp_path: Path) -> None:
    row = diagnostics_of(quick(tmp_path).tables())
    assert row["modalities"] == 1
    for name in ("windows", "autocorrelation", "autocorrelation_p", "trend_p"):
        assert pd.isna(row[name])


def test_disagreements_are_counted(tmp_path: Path) -> None:
    found = quick(tmp_path, {"kind": "spike", "at_s": 22, "duration_s": 60, "value": 8}).tables()
    assert set(found.diagnostics["counter_disagrees"]) == {1}


def test_idle_csv_holds_every_idle_in_the_order_of_the_energies(white: EnergyTables) -> None:
    idle, preset = white.idle, read_preset("turing")
    assert list(idle.columns) == list(tables.IDLE_COLUMNS)
    columns = ["power_instant_w", "power_legacy_w", "energy_counter_j"]
    assert idle["power_field"].tolist() == columns * (1 + 2 * 16)
    kinds = idle["idle_kind"].tolist()
    assert kinds[:3] == ["cold"] * 3
    assert kinds[3:] == (["context"] * 3 + ["paired"] * 3) * 16
    cold, own = idle[:3], idle[3:]
    assert cold[["network", "quality", "image"]].isna().all(axis=None)
    keys = own[["network", "quality", "image"]].drop_duplicates()
    assert keys.to_numpy().tolist() == white.energy[["network", "quality", "image"]].values.tolist()
    assert set(idle["session"]) == {"virtual-1"}
    for row in cold.to_dict("records"):
        away = abs(row["idle_power_w"] - 0.92 * preset.idle_w)
        assert away < 4 * row["idle_power_u_w"]
        assert 0 < row["idle_power_u_w"] < 0.1
    assert (own["idle_power_w"].astype(float) > cold["idle_power_w"].max() + 2).all()
    instant = idle[idle["power_field"] == "power_instant_w"]
    times = np.sort(instant["unix_time_s"].to_numpy(float))
    assert (np.diff(times) > 5).all()
    temperatures = instant["temperature_c"].to_numpy(float)
    assert temperatures[0] == pytest.approx(preset.settled_c(preset.idle_w), abs=1)
    assert (temperatures[2::2] > temperatures[0] + 20).all()


def test_a_rest_that_had_not_settled_is_said_in_its_own_rows(tmp_path: Path) -> None:
    found = quick(tmp_path).tables()
    by_kind = found.idle.groupby("idle_kind")["flags"].agg(set).to_dict()
    assert by_kind == {
        "cold": {""},
        "context": {"context_idle_not_settled"},
        "paired": {"paired_idle_not_settled"},
    }
    flags = str(found.energy["flags"][0])
    assert "idle_not_settled" not in flags
    paired = quick(tmp_path).tables(idle_kind="paired").energy["flags"][0]
    assert "paired_idle_not_settled" in str(paired)
    assert "context_idle_not_settled" not in str(paired)


def test_a_counter_that_was_reset_has_no_idle_power() -> None:
    counted = [1.0 * n for n in range(60)]
    steady = idle_power(with_samples([10.0] * 100, [*counted, *range(60, 100)]), "cold")
    reset = idle_power(with_samples([10.0] * 100, [*counted, *range(40)]), "cold")
    assert steady is not None
    assert steady.columns["energy_counter_j"].power_w == pytest.approx(10)
    assert reset is not None
    assert set(reset.columns) == {"power_load_w"}


def test_without_traces_there_are_columns_and_no_rows(tmp_path: Path) -> None:
    found = build_energy([], tmp_path / "none.parquet", {}, Analysis("trapezoid"))
    for table, columns in (
        (found.idle, tables.IDLE_COLUMNS),
        (found.diagnostics, tables.DIAGNOSTIC_COLUMNS),
    ):
        assert table.empty
        assert list(table.columns) == list(columns)


def test_both_tables_come_back_from_csv(tmp_path: Path, white: EnergyTables) -> None:
    for name in ("idle", "diagnostics"):
        table = getattr(white, name)
        tables.write_csv(tmp_path / f"{name}.csv", table)
        back = tables.read_csv(tmp_path / f"{name}.csv", list(table.columns))
        assert len(back) == len(table)
        for column in table.columns:
            if table[column].dtype == float:
                assert np.array_equal(back[column], table[column], equal_nan=True)
