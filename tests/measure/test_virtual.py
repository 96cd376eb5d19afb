"""Whole campaigns on the virtual GPU, by the code that measures a real one."""

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nic_energy.config import resolve
from nic_energy.energy.build import EnergyTables
from nic_energy.errors import ConfigError, StoreError
from nic_energy.measure.backends import STATE
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.meters.virtual import read_preset
from nic_energy.traces import read_trace
from nic_energy.vocabulary import IdleKind
from tests.measure.virtual import (
    ONE_IMAGE,
    QUICK,
    SIZES,
    TWO_NETWORKS,
    Campaign,
    config_of,
    grey,
    quick,
    simulated,
)


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return simulated(tmp_path_factory.mktemp("campaign"), config_of())


@pytest.fixture(scope="module")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return quick(tmp_path_factory.mktemp("clean"))


def test_everything_says_that_it_is_simulated(campaign: Campaign) -> None:
    tables = campaign.tables()
    for table in (tables.energy, tables.estimators, tables.idle, tables.diagnostics):
        assert not table.empty
        assert set(table["source"]) == {"simulated"}
    assert {meta.source for meta in campaign.metas} == {"simulated"}
    assert len(tables.energy) == 4
    assert tables.energy["driver"].unique().tolist() == ["virtual-1"]
    environment = json.loads((campaign.folder / "reference" / "environment.json").read_text())
    assert environment["source"] == "simulated"
    assert environment["run_settings"]["virtual"]["key"] == "turing"


def test_the_truth_lies_in_the_trace(campaign: Campaign) -> None:
    assert len(campaign.truths) == 4
    for meta in campaign.metas:
        truth, windows = meta.run["truth"], meta.windows
        assert meta.run["idle_true_w"] == read_preset("turing").idle_w
        for window in windows:
            per_execution = window.duration_s / window.executions
            assert per_execution == pytest.approx(truth["duration_s"])
        assert meta.modality is not None
        width, height = SIZES[meta.modality.image.image]
        assert (meta.modality.image.width, meta.modality.image.height) == (width, height)
        assert meta.modality.image.padded_pixels >= width * height
        assert truth["energy_j"] > 1


@pytest.mark.parametrize("preset", ["turing", "turing_20ms", "a100", "ampere", "ada", "hopper"])
def test_every_estimator_finds_the_truth_within_its_uncertainty(
    preset: str, tmp_path: Path
) -> None:
    campaign = simulated(tmp_path, config_of(virtual={"gpu": preset}))
    rows = campaign.tables(calibration=campaign.calibration()).estimators.to_dict("records")
    assert len(rows) == 12
    away = []
    for row in rows:
        truth = campaign.truths[row["network"], row["image"]]["energy_j"]
        away.append((row["energy_j"] - truth) / row["u_combined_j"])
        # Few windows have a scatter of their own: Student's t at the row's degrees of freedom.
        assert abs(away[-1]) < stats.t.isf(1e-5, row["effective_degrees_of_freedom"]), row
        assert row["u_combined_j"] < 0.02 * truth
    assert np.median(np.abs(away)) < 2
    energies = np.array([row["energy_j"] for row in rows])
    truths = np.array([campaign.truths[row["network"], row["image"]]["energy_j"] for row in rows])
    uncalibrated = energies * campaign.calibration().gain
    assert np.abs(energies - truths).sum() < np.abs(uncalibrated - truths).sum()


def test_all_idles_are_recorded_and_each_can_be_subtracted(campaign: Campaign) -> None:
    kinds: tuple[IdleKind, ...] = ("cold", "context", "paired")
    tables = {kind: campaign.tables(idle_kind=kind).energy for kind in kinds}
    energy = {kind: table["energy_j"].to_numpy(float) for kind, table in tables.items()}
    for kind, table in tables.items():
        assert set(table["idle_kind"]) == {kind}
    for kind in ("context", "paired"):
        assert (energy["cold"] > energy[kind]).all()
    # The first modality starts from a cold chip; a later one meets the warmth of the one before.
    assert energy["context"][0] > energy["paired"][0]
    assert energy["context"].mean() > energy["paired"].mean()
    for kind in kinds:
        gross = tables[kind]["energy_gross_j"].to_numpy(float)
        idle_w = tables[kind]["idle_power_w"].to_numpy(float)
        lasts = tables[kind]["duration_s"].to_numpy(float)
        assert gross - idle_w * lasts == pytest.approx(energy[kind])
    idle = campaign.tables().idle
    assert idle["idle_kind"].value_counts().to_dict() == {"cold": 3, "context": 12, "paired": 12}


def test_the_first_context_is_the_presets(campaign: Campaign) -> None:
    idle = campaign.tables().idle
    power = idle[idle["power_field"] == "power_instant_w"]
    power = power.sort_values("unix_time_s").reset_index()
    preset = read_preset("turing")
    gain = preset.sensors[0].gain
    assert power["idle_power_w"][0] == pytest.approx(gain * preset.idle_w, abs=0.2)
    assert power["idle_power_w"][1] == pytest.approx(
        gain * (preset.idle_w + preset.context_w), abs=0.3
    )
    assert power["temperature_c"][0] < 33 < power["temperature_c"][2]


def test_the_same_seed_gives_the_same_tables_another_seed_others(tmp_path: Path) -> None:
    def tables(name: str, **document: Any) -> EnergyTables:
        return simulated(tmp_path / name, config_of(QUICK, **document), ONE_IMAGE).tables()

    one, two, other = tables("one"), tables("two"), tables("other", seed=7)
    for name in ("energy", "estimators", "idle", "diagnostics"):
        first, second, third = (
            getattr(each, name).drop(columns=["created_utc"], errors="ignore")
            for each in (one, two, other)
        )
        pd.testing.assert_frame_equal(first, second)
        assert not first.equals(third)
    difference = one.energy["energy_j"] / other.energy["energy_j"] - 1
    assert difference.abs().min() > 0
    assert difference.abs().max() < 0.05
    assert one.energy["device_uuid"][0] != other.energy["device_uuid"][0]


def test_a_real_device_is_not_simulated(tmp_path: Path) -> None:
    config = resolve({"device": "cpu", "meter": "cpu_load", "networks": TWO_NETWORKS})
    with pytest.raises(ConfigError, match="device: only a campaign on device virtual"):
        simulate_campaign(config, grey(tmp_path, SIZES), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_time_goes_on_from_modality_to_modality(campaign: Campaign) -> None:
    traces = sorted(
        [read_trace(campaign.idle), *campaign.traces],
        key=lambda trace: trace.meta.intervals[0].start_s,
    )
    assert traces[0].meta.kind == "idle"
    marks = [(trace.meta.intervals[0].start_s, trace.meta.intervals[-1].end_s) for trace in traces]
    for (_, ended), (began, _) in itertools.pairwise(marks):
        assert 0 < began - ended < 10
    counters = [trace.column("energy_counter_j") for trace in traces]
    assert all((np.diff(values) >= 0).all() for values in counters)
    for one, two in itertools.pairwise(counters):
        assert 0 < two[0] - one[-1] < 400
    state = json.loads((campaign.folder / STATE).read_text())
    assert state["opened"] == 5
    assert state["time_s"] >= marks[-1][1]


def test_a_finished_campaign_is_linked_and_takes_no_time(tmp_path: Path) -> None:
    first = quick(tmp_path)
    then = json.loads((tmp_path / STATE).read_text())["time_s"]
    again = quick(tmp_path)
    assert again.metas == first.metas
    assert json.loads((tmp_path / STATE).read_text())["time_s"] == then
    assert len(list((tmp_path / "raw").rglob("*.parquet"))) == 2


def test_a_state_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / STATE).write_text('{"time_s": 3}')
    with pytest.raises(StoreError, match=r"virtual_state\.json: is no state.*delete it"):
        quick(tmp_path)
