"""Whole campaigns on the virtual GPU, by the code that measures a real one."""

import itertools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from scipy import stats

from nic_energy.config import Config, resolve
from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.energy.estimates import Calibration
from nic_energy.errors import ConfigError, MeasurementError, MeterError, NicEnergyError, StoreError
from nic_energy.measure.backends import STATE
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.meters.virtual import read_preset
from nic_energy.store import RawStore
from nic_energy.traces import Trace, TraceMeta, read_meta, read_trace
from nic_energy.vocabulary import IdleKind

TWO_NETWORKS = [
    {"name": "bmshj2018-factorized", "qualities": [3]},
    {"name": "cheng2020-anchor", "qualities": [5]},
]
SIZES = {"small": (640, 480), "large": (1600, 1200)}
ONE_IMAGE = {"only": (640, 480)}

QUICK: Mapping[str, Any] = {
    "idle_s": 10,
    "idle_settle_max_s": 10,
    "paired_settle_max_s": 2,
    "preheat_celsius": None,
    "max_repetitions": 6,
}
"""A protocol of a minute, on a chip that is still cold. The idle reference is over 21 s after its
opening, so that a fault later than that is one of the modality: its windows lie at about 14, 21,
27, 34, 40 and 47 s."""


@dataclass(frozen=True)
class Campaign:
    """A simulated campaign: its configuration, its folder and its traces."""

    config: Config
    folder: Path
    paths: list[Path]

    @property
    def idle(self) -> Path:
        return self.folder / "reference" / "idle.parquet"

    @cached_property
    def traces(self) -> list[Trace]:
        return [read_trace(path) for path in self.paths]

    @cached_property
    def metas(self) -> list[TraceMeta]:
        return [read_meta(path) for path in self.paths]

    @property
    def truths(self) -> dict[tuple[str, str], Mapping[str, float]]:
        """True energy and duration of an execution by (network, image)."""
        return {
            (meta.modality.network, meta.modality.image.image): meta.run["truth"]
            for meta in self.metas
            if meta.modality is not None
        }

    def calibration(self, gain_u: float = 0.0) -> Calibration:
        sensor = read_preset(self.config.document["virtual"]["gpu"]).sensors[0]
        return Calibration(sensor.gain, gain_u, sensor.offset_w)

    def tables(self, **options: Any) -> EnergyTables:
        analysis = Analysis(**{"estimator": "trapezoid", **options})
        return build_energy(self.paths, self.idle, self.config.settings(), analysis)


def config_of(
    protocol: Mapping[str, Any] | None = None,
    virtual: Mapping[str, Any] | None = None,
    **document: Any,
) -> Config:
    return resolve(
        {
            "device": "virtual",
            "meter": "virtual",
            "networks": TWO_NETWORKS,
            "images": {"source": "folder", "path": "."},
            "protocol": {"idle_s": 30, **(protocol or {})},
            "virtual": dict(virtual or {}),
            **document,
        }
    )


def grey(folder: Path, sizes: Mapping[str, tuple[int, int]]) -> dict[str, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = {name: folder / f"{name}.png" for name in sizes}
    for name, path in paths.items():
        Image.new("RGB", sizes[name], (90, 90, 90)).save(path)
    return paths


def simulated(
    folder: Path, config: Config, sizes: Mapping[str, tuple[int, int]] = SIZES
) -> Campaign:
    paths = simulate_campaign(config, grey(folder / "images", sizes), folder)
    return Campaign(config, folder, paths)


def quick(folder: Path, *faults: Mapping[str, Any]) -> Campaign:
    """One modality by the quick protocol, without run-to-run noise."""
    virtual = {"noise_percent": 0.05, "faults": [dict(fault) for fault in faults]}
    networks = [{"name": "mbt2018", "qualities": [3]}]
    config = config_of(QUICK, virtual, networks=networks)
    return simulated(folder, config, ONE_IMAGE)


def since_opening(campaign: Campaign, time_s: float) -> float:
    """A time of the first modality, counted from its opening on."""
    meta = campaign.metas[0]
    load_s: float = meta.settings["virtual"]["load_s"]
    return time_s - meta.intervals[0].start_s + load_s


def by_estimator(campaign: Campaign) -> pd.DataFrame:
    return campaign.tables().estimators.set_index("estimator")


def flags_of(campaign: Campaign) -> set[str]:
    (cell,) = campaign.tables().energy["flags"]
    return set(str(cell).split(";"))


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
    power = idle[idle["power_field"] == "power_instant_w"].reset_index()
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
    marks = [
        (meta.intervals[0].start_s, meta.intervals[-1].end_s)
        for meta in [read_meta(campaign.idle), *campaign.metas]
    ]
    for (_, ended), (began, _) in itertools.pairwise(marks):
        assert 0 < began - ended < 10
    counters = [
        trace.column("energy_counter_j") for trace in [read_trace(campaign.idle), *campaign.traces]
    ]
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


def failed_attempt(folder: Path, error: type[NicEnergyError], *faults: Mapping[str, Any]) -> Trace:
    """The one attempt of a campaign that ends with an error."""
    with pytest.raises(error):
        quick(folder, *faults)
    assert not list((folder / "traces").rglob("*.parquet"))
    (kept,) = RawStore(folder).attempts("chain/mbt2018/q3/only")
    return read_trace(kept.path)


def test_an_error_ends_the_attempt_which_is_kept(tmp_path: Path) -> None:
    kept = failed_attempt(tmp_path, MeterError, {"kind": "error", "at_s": 30, "duration_s": 5})
    assert kept.meta.outcome == "failed"
    assert kept.meta.error is not None
    assert kept.meta.error.startswith("MeterError: virtual Turing")
    assert kept.meta.modality is not None
    assert kept.samples.num_rows > 150


def test_a_short_dropout_within_a_window_is_bridged(tmp_path: Path, clean: Campaign) -> None:
    found = quick(tmp_path, {"kind": "dropout", "at_s": 29, "duration_s": 0.5})
    power = found.traces[0].column("power_instant_w")
    assert np.isnan(power).sum() == pytest.approx(5, abs=1)
    assert all(window.admissible for window in found.metas[0].windows)
    one, two = by_estimator(found)["energy_j"], by_estimator(clean)["energy_j"]
    assert one["trapezoid"] == pytest.approx(two["trapezoid"], rel=0.005)
    assert one["counter"] == pytest.approx(two["counter"], rel=0.005)


def test_a_dropout_over_the_end_of_a_window_has_it_measured_again(
    tmp_path: Path, clean: Campaign
) -> None:
    ends_s = since_opening(clean, clean.metas[0].windows[2].end_s)
    found = quick(tmp_path, {"kind": "dropout", "at_s": ends_s - 0.4, "duration_s": 1})
    windows = found.metas[0].windows
    assert [w.flags for w in windows if not w.admissible] == [("too_few_samples",)]
    assert "windows_rejected" in flags_of(found)
    row = found.tables().energy.iloc[0]
    assert (row["repetitions"], row["repetitions_rejected"]) == (len(windows) - 1, 1)
    assert row["energy_j"] == pytest.approx(clean.tables().energy["energy_j"][0], rel=0.01)


def test_a_meter_that_stays_dark_fails_with_its_windows_kept(tmp_path: Path) -> None:
    kept = failed_attempt(tmp_path, MeasurementError, {"kind": "dropout", "at_s": 25})
    assert kept.meta.error is not None
    assert "too_few_samples" in kept.meta.error
    assert sum(not window.admissible for window in kept.meta.windows) == 11


def test_a_short_freeze_under_steady_load_does_no_harm_and_is_not_flagged(
    tmp_path: Path, clean: Campaign
) -> None:
    """The counter stands still too and then makes up for it; the power shown is that of the load
    before, which is the load still.
    """
    found = quick(tmp_path, {"kind": "freeze", "at_s": 29, "duration_s": 1})
    assert "counter_disagrees" not in flags_of(found)
    one, two = by_estimator(found)["energy_j"], by_estimator(clean)["energy_j"]
    for name in ("trapezoid", "counter"):
        assert one[name] == pytest.approx(two[name], rel=0.01)


def test_a_freeze_that_ends_is_seen_by_the_counter(tmp_path: Path, clean: Campaign) -> None:
    """The sensor stops before a window and shows one value all through it, some percent off the
    load's mean; the counter, interpolated over the gap, is not.
    """
    second, third = clean.metas[0].windows[1:3]
    rest_s = since_opening(clean, third.start_s - 1.15)
    assert rest_s > since_opening(clean, second.end_s)
    found = quick(tmp_path, {"kind": "freeze", "at_s": rest_s, "duration_s": 8})
    assert "counter_disagrees" in flags_of(found)
    one, two = by_estimator(found)["energy_j"], by_estimator(clean)["energy_j"]
    assert one["counter"] == pytest.approx(two["counter"], rel=0.01)
    assert abs(one["trapezoid"] / two["trapezoid"] - 1) > 0.005


def test_a_freeze_to_the_end_leaves_no_counter_and_so_no_second_opinion(tmp_path: Path) -> None:
    """What shows it is that the counter's row is missing; nothing else can: a device at a steady
    load would read the same.
    """
    found = quick(tmp_path, {"kind": "freeze", "at_s": 29})
    assert set(by_estimator(found).index) == {"paper_sum", "trapezoid"}
    assert "counter_disagrees" not in flags_of(found)


def test_a_counter_that_is_reset_in_a_window_is_left_out_of_the_row(
    tmp_path: Path, clean: Campaign
) -> None:
    found = quick(tmp_path, {"kind": "counter_reset", "at_s": 30})
    one, two = by_estimator(found), by_estimator(clean)
    assert set(one.index) == {"paper_sum", "trapezoid"}
    for column in ("energy_j", "u_combined_j", "repetitions"):
        assert one[column]["trapezoid"] == two[column]["trapezoid"]
    assert "counter_disagrees" not in flags_of(found)
    assert found.tables().energy["energy_j"][0] == clean.tables().energy["energy_j"][0]


def test_a_counter_that_is_reset_between_windows_is_as_good_as_before(
    tmp_path: Path, clean: Campaign
) -> None:
    between_s = since_opening(clean, clean.metas[0].windows[2].start_s - 0.6)
    found = quick(tmp_path, {"kind": "counter_reset", "at_s": between_s})
    assert (np.diff(found.traces[0].column("energy_counter_j")) < 0).sum() == 1
    one, two = by_estimator(found).loc["counter"], by_estimator(clean).loc["counter"]
    for column in ("energy_j", "energy_gross_j", "u_combined_j", "u_edges_j"):
        assert one[column] == pytest.approx(two[column], rel=1e-6)


def test_a_spike_is_seen_by_the_counter(tmp_path: Path, clean: Campaign) -> None:
    found = quick(tmp_path, {"kind": "spike", "at_s": 22, "duration_s": 60, "value": 8})
    assert "counter_disagrees" in flags_of(found)
    assert "counter_disagrees" not in flags_of(clean)
    one, two = by_estimator(found)["energy_j"], by_estimator(clean)["energy_j"]
    assert one["counter"] == pytest.approx(two["counter"])
    assert one["trapezoid"] > 1.03 * two["trapezoid"]


def test_throttling_makes_the_windows_longer(tmp_path: Path, clean: Campaign) -> None:
    found = quick(tmp_path, {"kind": "throttle", "at_s": 33, "value": 0.4})
    (meta,) = found.metas
    each = np.array([w.duration_s / w.executions for w in meta.windows])
    slow = each / meta.run["truth"]["duration_s"]
    throttled = np.array([since_opening(found, w.start_s) > 33 for w in meta.windows])
    assert 0 < throttled.sum() < len(throttled)
    assert slow == pytest.approx(np.where(throttled, 1.4, 1.0))
    reasons = found.traces[0].column("throttle_reasons")
    assert (reasons == 0x40).any()
    assert "not_converged" in flags_of(found)
    assert found.tables().energy["duration_s"][0] > clean.tables().energy["duration_s"][0]
