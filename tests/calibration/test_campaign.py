"""A virtual campaign of 440 runs with a virtual meter beside it."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from benchmarks.metered import BOARD, PLUG, Campaign, compared, measured, request, truth
from benchmarks.table2 import sizes
from benchmarks.wall_meter import WallMeter, write_log
from nic_energy import tables
from nic_energy.analysis import analysis_of
from nic_energy.calibration.campaign import Comparison, compare_campaign
from nic_energy.calibration.fit import MeterSpec
from nic_energy.calibration.runs import counter_record
from nic_energy.config import resolve
from nic_energy.energy.build import build_energy
from nic_energy.energy.estimates import Calibration
from nic_energy.errors import InputError, MismatchError
from nic_energy.figures import external_meter, save
from nic_energy.report.external import external_sentences
from nic_energy.traces import read_meta, read_trace, write_trace
from nic_energy.vocabulary import EstimatorName, Sees

QUICK: dict[str, Any] = {
    "passport": False,
    "protocol": {
        "idle_s": 20,
        "context_idle_s": 2,
        "paired_idle_s": 2,
        "paired_settle_max_s": 4,
        "preheat_celsius": None,
        "min_duration_s": 1.2,
        "min_repetitions": 2,
        "max_repetitions": 2,
    },
}
FAST = {"period_s": 0.1}
"""Windows of 1.2 s need a meter that is faster than the usual one."""


@pytest.fixture(scope="module")
def campaign() -> Iterator[Campaign]:
    with measured("turing", 1, dict(list(sizes().items())[:10]), **QUICK) as found:
        yield found


@pytest.fixture(scope="module", params=["board", "machine"])
def comparison(
    request: pytest.FixtureRequest, campaign: Campaign
) -> tuple[Sees, Comparison, WallMeter]:
    sees: Sees = request.param
    return sees, *compared(campaign, sees, 1, campaign.folder / f"{sees}.csv", **FAST)


@pytest.fixture(scope="module")
def part(campaign: Campaign) -> Campaign:
    """Every sixth run in the order of time: enough for all but the first tests."""
    began = [read_meta(path).intervals[0].start_s for path in campaign.traces]
    kept = sorted(np.argsort(began)[::6])
    traces = [campaign.traces[number] for number in kept]
    return replace(campaign, traces=traces, energy=campaign.energy.iloc[kept])


Compared = tuple[Sees, Comparison, WallMeter]


def test_gain_offset_and_correlation_of_440_runs_are_recovered(
    comparison: Compared, campaign: Campaign
) -> None:
    sees, found, meter = comparison
    true, summary = truth(campaign, meter), found.summary
    gain, offset = summary["gain"], summary["offset_w"]
    assert summary["runs"] == 440
    assert abs(gain["value"] - true.gain) <= gain["expanded_95"] < 0.02 * true.gain
    assert abs(offset["value"] - true.offset_w) <= offset["expanded_95"] < 3
    low, high = summary["pearson_r_power_95"]
    power = found.table["meter_power_w"].to_numpy(float)
    wander = meter.wander_w if sees == "machine" else 0.0
    expected = 1 / np.sqrt(1 + (wander / power.std()) ** 2)
    # The wander of successive runs is correlated, so a sample of it is known to a fifth or so.
    assert 1 - expected == pytest.approx(1 - summary["pearson_r_power"], rel=0.5, abs=2e-4)
    assert low < summary["pearson_r_power"] < high


def test_the_meters_clock_is_found(comparison: Compared) -> None:
    _, found, meter = comparison
    clock = found.summary["clock"]
    assert clock["time_zone_s"] == 3600
    assert clock["drift_ppm"] == pytest.approx(1e6 * meter.drift, abs=4 * clock["drift_u_ppm"] + 1)
    # The sensor trails by half its window and up to a reading: that is in the offset.
    middle = found.table["unix_time_s"].mean() - found.table["unix_time_s"].min()
    assert clock["offset_s"] == pytest.approx(meter.clock_s + meter.drift * middle, abs=0.15)


def test_what_only_a_meter_at_the_plug_sees_is_said(comparison: Compared) -> None:
    sees, found, meter = comparison
    summary = found.summary
    if sees == "board":
        assert summary["host_load_w"] is None
        assert summary["sensor_gain"]["value"] == summary["gain"]["value"]
        assert summary["wander"]["of"] == "sensor"
    else:
        assert summary["host_load_w"] == pytest.approx(meter.host_load_w, abs=2)
        assert summary["sensor_gain"] is None
        assert summary["wander"]["of"] == "meter"
        assert summary["wander"]["std_w"] == pytest.approx(meter.wander_w, rel=0.4)


def test_the_table_has_calibrated_energies_with_their_uncertainty(
    comparison: Compared, campaign: Campaign
) -> None:
    _, found, _ = comparison
    table, gain = found.table, found.summary["gain"]
    assert list(table.columns) == list(tables.EXTERNAL_METER_COLUMNS)
    assert set(table["source"]) == {"simulated"}
    assert table["energy_j"].tolist() == campaign.energy["energy_j"].tolist()
    assert table["energy_calibrated_j"].to_numpy() == pytest.approx(
        table["energy_j"].to_numpy() / gain["value"]
    )
    share = campaign.energy["u_combined_j"] / campaign.energy["energy_j"]
    expected = np.hypot(share, gain["u"] / gain["value"])
    found_share = table["energy_calibrated_u_j"] / table["energy_calibrated_j"]
    assert found_share.tolist() == pytest.approx(expected.tolist())
    assert (table["energy_calibrated_expanded_j"] > table["energy_calibrated_u_j"]).all()
    assert (table["windows"] == 2).all()
    assert (table["flags"] == "").all()


def test_with_the_board_the_calibrated_energies_are_the_true_ones(part: Campaign) -> None:
    found, _ = compared(part, "board", 2, part.folder / "two.csv", **FAST)
    meter = found.table["meter_power_w"] - found.table["meter_idle_power_w"]
    sensor = found.table["sensor_power_w"] - found.table["sensor_idle_power_w"]
    ratio = (sensor / found.summary["gain"]["value"] / meter).to_numpy(float)
    assert ratio.mean() == pytest.approx(1, abs=0.003)


def test_a_calibration_that_is_in_use_is_taken_off_and_checked(part: Campaign) -> None:
    path = part.folder / "known.csv"
    write_log(path, WallMeter(**FAST), part.gpus, 3)
    plain = request(part, path, MeterSpec("m", "board", 0.05))
    first = compare_campaign(part.energy, plain)
    used = Calibration(0.92, 0.004)
    energy = part.energy.assign(
        energy_j=part.energy["energy_j"] / used.gain,
        u_gain_j=part.energy["energy_j"] / used.gain * used.gain_u / used.gain,
    )
    combined = np.hypot(part.energy["u_combined_j"].to_numpy(float) / used.gain, energy["u_gain_j"])
    second = compare_campaign(
        energy.assign(u_combined_j=combined),
        replace(plain, calibration=used),
    )
    for column in ("energy_calibrated_j", "energy_calibrated_u_j"):
        assert second.table[column].to_numpy(float) == pytest.approx(
            first.table[column].to_numpy(float)
        )
    assert first.summary["calibration_in_config"] is None
    assert abs(second.summary["calibration_in_config"]["e_n"]) < 1
    other = replace(plain, calibration=replace(used, sees="machine"))
    nameless = compare_campaign(part.energy.drop(columns="device_uuid"), other).summary
    assert nameless["calibration_in_config"]["e_n"] is None
    assert nameless["calibration"]["device_uuid"] is None


def test_the_calibration_says_what_it_is_of_and_serves_that(
    part: Campaign, comparison: Compared
) -> None:
    sees, found, _ = comparison
    block = found.summary["calibration"]
    assert block["device_uuid"] == part.energy["device_uuid"].iloc[0]
    assert (block["estimator"], block["sees"]) == ("trapezoid", sees)
    assert block["power_field"] == "power_instant_w"
    document = {**part.config.document, "calibration": block}
    idle = part.folder / "reference" / "idle.parquet"
    analysis = analysis_of(resolve(document))
    built = build_energy(part.traces, idle, part.config.settings(), analysis)
    assert built.energy["calibrated"].all()
    gained = built.estimators.groupby("estimator")["u_gain_j"].apply(lambda u: u.notna().all())
    assert gained.to_dict() == {"counter": False, "paper_sum": True, "trapezoid": True}
    others = replace(analysis, calibration=Calibration(**{**block, "device_uuid": "GPU-2"}))
    with pytest.raises(MismatchError, match=r"calibration\.device_uuid is GPU-2"):
        build_energy(part.traces, idle, part.config.settings(), others)


COUNTER_SHARE = 1.05


def counting_more(part: Campaign, folder: Path, bend: float = 0.0) -> Campaign:
    """The campaign with a counter whose gain is `COUNTER_SHARE` of the power field's; its power
    field reads `bend` more per watt squared.
    """
    traces: list[Path] = []
    for path in part.traces:
        trace = read_trace(path)
        columns = {
            "energy_counter_j": COUNTER_SHARE * trace.column("energy_counter_j"),
            "power_instant_w": (power := trace.column("power_instant_w")) + bend * power**2,
        }
        samples = trace.samples
        for name, values in columns.items():
            index = samples.schema.get_field_index(name)
            samples = samples.set_column(index, samples.schema.field(index), pa.array(values))
        traces.append(folder / f"{len(traces)}.parquet")
        write_trace(traces[-1], replace(trace, samples=samples))
    return replace(part, traces=traces)


def test_against_the_board_the_counter_has_its_own_idle(part: Campaign, tmp_path: Path) -> None:
    log, counting = tmp_path / "log.csv", counting_more(part, tmp_path)
    write_log(log, WallMeter(**FAST), part.gpus, 6)
    plain = request(counting, log, MeterSpec("m", "board", 0.05))
    shares: dict[EstimatorName, float] = {"counter": COUNTER_SHARE, "trapezoid": 1.0}
    for estimator, share in shares.items():
        found = compare_campaign(part.energy, replace(plain, estimator=estimator))
        block = found.summary["calibration"]
        assert block["estimator"] == estimator
        assert (block["power_field"] is None) == (estimator == "counter")
        gain, expected = found.summary["gain"], share * truth(part, BOARD).gain
        assert abs(gain["value"] - expected) <= gain["expanded_95"] < 0.006 * expected
        idle = found.table["sensor_idle_power_w"] / found.table["meter_idle_power_w"]
        assert idle.mean() == pytest.approx(expected, rel=0.01)


def test_a_trace_without_a_ticking_counter_has_no_idle_by_it(part: Campaign) -> None:
    trace = read_trace(part.traces[0])
    index = trace.samples.schema.get_field_index("energy_counter_j")
    column = pa.array(np.full(trace.samples.num_rows, 5.0))
    still = replace(
        trace,
        samples=trace.samples.set_column(index, trace.samples.schema.field(index), column),
    )
    assert counter_record(trace) is not None
    assert counter_record(still) is None


def test_points_that_are_no_line_are_named(
    part: Campaign, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = tmp_path / "log.csv"
    write_log(log, WallMeter(**FAST), part.gpus, 6)
    for bend in (0.0, 5e-4):
        bent = counting_more(part, tmp_path, bend)
        found = compare_campaign(part.energy, request(bent, log, MeterSpec("m", "board", 0.05)))
        assert ("no straight line" in caplog.text) == (bend > 0)
        assert ("not straight" in found.summary["calibration"]["reference"]) == (bend > 0)


def test_a_known_efficiency_of_the_power_supply_gives_the_sensors_own_gain(
    part: Campaign,
) -> None:
    path = part.folder / "plug.csv"
    _, meter = compared(part, "machine", 4, path, **FAST)
    spec = MeterSpec("m", "machine", 0.05, 0.05, meter.efficiency, 0.01)
    summary = compare_campaign(part.energy, request(part, path, spec)).summary
    own = summary["sensor_gain"]
    assert own["value"] == pytest.approx(summary["gain"]["value"] / 0.9)
    assert own["u"] / own["value"] == pytest.approx(
        np.hypot(summary["gain"]["u"] / summary["gain"]["value"], 0.01 / 0.9)
    )
    assert abs(own["value"] - 0.92) < 2 * own["u"]


def edited(part: Campaign, name: str, change: Any, meter: WallMeter = PLUG) -> Path:
    """A log whose lines were changed."""
    path = part.folder / name
    write_log(path, WallMeter(**{**vars(meter), **FAST}), part.gpus, 5)
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:2], *change(lines[2:]), ""]))
    return path


SPEC = MeterSpec("m", "machine")


def test_windows_in_a_gap_of_the_log_are_left_out_and_flagged(part: Campaign) -> None:
    def gap(lines: list[str]) -> list[str]:
        return [*lines[: len(lines) // 2], *lines[len(lines) // 2 + 4000 :]]

    path = edited(part, "gap.csv", gap)
    found = compare_campaign(part.energy, request(part, path, SPEC))
    flagged = found.table[found.table["flags"] == "meter_gap"]
    assert 2 < len(flagged) < 20
    assert found.summary["windows_not_covered"] == flagged["windows_not_covered"].sum() > 4
    assert found.table["residual_w"].isna().sum() == found.summary["runs_not_covered"] > 2
    true = truth(part, PLUG)
    gain = found.summary["gain"]
    assert abs(gain["value"] - true.gain) < gain["expanded_95"]
    assert found.summary["meter_uncertainty_stated"] is False


def test_a_clock_that_was_set_is_named_with_its_line(part: Campaign) -> None:
    def step(lines: list[str]) -> list[str]:
        half = len(lines) // 2
        later = pd.to_datetime(
            pd.Series([line.split(";")[0] for line in lines[half:]]), format="%d.%m.%Y %H:%M:%S,%f"
        ) + pd.Timedelta(seconds=3)
        stamps = later.dt.strftime("%d.%m.%Y %H:%M:%S,%f")
        rest = [line.split(";")[1] for line in lines[half:]]
        return [*lines[:half], *(f"{a};{b}" for a, b in zip(stamps, rest, strict=True))]

    path = edited(part, "step.csv", step)
    half = (len(path.read_text().splitlines()) - 2) // 2 + 2
    with pytest.raises(
        InputError, match=r"step\.csv, line (\d+) or soon after: the clock jumps"
    ) as e:
        compare_campaign(part.energy, request(part, path, SPEC))
    line = int(str(e.value).split("line ")[1].split()[0])
    assert abs(line - half) < 2000
    assert "+3.0" in str(e.value) or "+2.9" in str(e.value)


def test_the_log_of_another_day_and_a_log_that_is_too_slow(part: Campaign) -> None:
    path = edited(part, "slow.csv", lambda lines: lines[::10])
    with pytest.raises(InputError, match="too slow: two whole steps"):
        compare_campaign(part.energy, request(part, path, SPEC))
    path = edited(
        part, "day.csv", lambda lines: [line.replace(".2023 ", ".2024 ") for line in lines]
    )
    with pytest.raises(InputError, match=r"day\.csv goes from 2024-.*do not overlap"):
        compare_campaign(part.energy, request(part, path, SPEC))


def test_figure_and_sentences_say_gain_offset_source_and_what_is_missing(
    comparison: Compared, tmp_path: Path
) -> None:
    sees, found, _ = comparison
    save(external_meter.plot(found.table, found.summary), tmp_path / "figure")
    text = (tmp_path / "figure.svg").read_text()
    assert "simulated" in text
    assert f"gain {found.summary['gain']['value']:.4f}" in text
    assert ("idle" in text) == (sees == "board")
    said = " ".join(external_sentences(found.summary))
    assert ("sees the whole machine" in said) == (sees == "machine")
    assert "over 440 runs (880 windows)" in said
    assert "not stated" not in said
    assert external_sentences(None) == []
    bare = {**found.summary, "meter_uncertainty_stated": False, "windows_not_covered": 3,
            "curvature_p": 1e-5}  # fmt: skip
    said = " ".join(external_sentences(bare))
    assert "incomplete without it" in said
    assert "3 windows are not covered" in said
    assert "bend significantly" in said
    nothing = found.table.assign(meter_power_w=np.nan)
    with pytest.raises(InputError, match="no run that the meter covers"):
        external_meter.plot(nothing, found.summary)


@pytest.mark.parametrize("gpu", ["ada", "ampere"])
def test_small_campaigns_of_other_sensors_hold_gain_and_offset(gpu: str) -> None:
    few = dict(list(sizes().items())[:1])
    with measured(gpu, 7, few, **QUICK) as campaign:
        for sees in ("board", "machine"):
            found, meter = compared(campaign, sees, 7, campaign.folder / "log.csv", **FAST)
            true, gain, offset = (
                truth(campaign, meter),
                found.summary["gain"],
                found.summary["offset_w"],
            )
            assert abs(gain["value"] - true.gain) <= 1.5 * gain["expanded_95"]
            assert abs(offset["value"] - true.offset_w) <= 1.5 * offset["expanded_95"]


def test_the_default_meter_sees_the_board_only() -> None:
    assert (BOARD.host_w, BOARD.efficiency, BOARD.wander_w) == (0, 1, 0)
