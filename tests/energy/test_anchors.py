"""What repeats of the anchor show: on their own, and on the virtual GPU with a drift injected."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from nic_energy.energy.anchors import (
    Mean,
    anchor_drift,
    common_spread,
    drift_of,
    mean_of,
    ratio_of,
    session_flag,
    windows_at,
)
from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.energy.rows import anchor_row
from nic_energy.meters.virtual.device import BOOTED_S
from nic_energy.meters.virtual.meter import EPOCH_S
from nic_energy.store import anchor_attempts
from nic_energy.traces import Trace, TraceMeta, read_trace, write_trace
from tests.measure.virtual import QUICK, Campaign, config_of, simulated
from tests.traces import modality_trace

HEATED = {**QUICK, "preheat_celsius": 80, "temperature_band_celsius": 3}
SIZES = {f"image{number:02}": (640, 480) for number in range(18)}
DRIFT = 3.0
Change = Callable[[int, TraceMeta], TraceMeta]


def campaign(folder: Path, drift: float = 0.0) -> Campaign:
    config = config_of(
        HEATED,
        {"noise_percent": 0.3, "drift_percent_per_hour": drift},
        networks=[{"name": "mbt2018", "qualities": [3]}],
        anchor={"every": 3},
    )
    return simulated(folder, config, SIZES)


def tables_of(found: Campaign, anchors: bool = True) -> EnergyTables:
    return build_energy(
        found.paths,
        found.idle,
        found.config.settings(),
        Analysis("trapezoid"),
        anchors=anchor_attempts(found.folder) if anchors else (),
    )


@pytest.fixture(scope="module")
def steady(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return campaign(tmp_path_factory.mktemp("steady"))


@pytest.fixture(scope="module")
def drifting(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return campaign(tmp_path_factory.mktemp("drifting"), DRIFT)


def test_a_drift_is_found_within_its_uncertainty(drifting: Campaign) -> None:
    found = tables_of(drifting)
    (row,) = found.anchor_drift.to_dict("records")
    assert row["n"] == len(found.anchors) == 6
    assert row["drift_p"] < 0.001
    hours = (found.anchors["unix_time_s"].mean() - EPOCH_S - BOOTED_S) / 3600
    truth = DRIFT / (1 + DRIFT / 100 * hours)
    expanded = stats.t.ppf(0.975, row["n"] - 2) * row["drift_u_percent_per_hour"]
    assert abs(row["drift_percent_per_hour"] - truth) <= expanded < truth / 3
    assert row["spread_p"] < 0.001


def test_without_a_drift_none_is_found(steady: Campaign) -> None:
    (row,) = tables_of(steady).anchor_drift.to_dict("records")
    assert row["drift_p"] > 0.05
    expanded = stats.t.ppf(0.975, row["n"] - 2) * row["drift_u_percent_per_hour"]
    assert abs(row["drift_percent_per_hour"]) <= expanded
    assert row["spread_p"] > 0.01


def test_anchors_change_no_row_of_the_campaign(steady: Campaign) -> None:
    one, two = tables_of(steady), tables_of(steady, anchors=False)
    for name in ("energy", "estimators", "idle", "diagnostics"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))
    assert two.anchors.empty


def edited(found: Campaign, folder: Path, change: Change) -> Campaign:
    """A copy with the metadata of modalities and anchors changed, by their number in time."""
    traces = [*found.paths, *anchor_attempts(found.folder)]
    began = {path: read_trace(path).column("time_s")[0] for path in traces}
    paths = []
    for number, path in enumerate(sorted(traces, key=began.__getitem__)):
        trace = read_trace(path)
        target = folder / path.relative_to(found.folder)
        # As on the virtual clock, since the campaign took no time of ours.
        stamp = f"2026-01-01T{number // 60:02}:{number % 60:02}:00Z"
        meta = change(number, replace(trace.meta, created_utc=stamp))
        write_trace(target, Trace(trace.samples, meta))
        if path in found.paths:
            paths.append(target)
    idle = folder / "reference" / "idle.parquet"
    write_trace(idle, read_trace(found.idle))
    return Campaign(found.config, folder, sorted(paths))


def later(number: int, meta: TraceMeta) -> TraceMeta:
    """Another session from the middle on; 24 attempts, of which 6 are anchors."""
    return replace(meta, session="later") if number >= 12 else meta


def test_sessions_whose_anchors_agree_are_joined(steady: Campaign, tmp_path: Path) -> None:
    copy = edited(steady, tmp_path, later)
    found = tables_of(copy)
    first, second = found.anchor_drift.to_dict("records")
    assert pd.isna(first["joined"])
    assert second["joined"] is True
    assert second["ratio_low"] <= 1 <= second["ratio_high"]
    flags = found.energy["flags"].str.split(";")
    assert all("session_joined" in cell and "session_differs" not in cell for cell in flags)
    without = tables_of(copy, anchors=False).energy["flags"].str.split(";")
    assert all("session_differs" in cell for cell in without)


def test_sessions_whose_anchors_disagree_are_not(drifting: Campaign, tmp_path: Path) -> None:
    found = tables_of(edited(drifting, tmp_path, later))
    second = found.anchor_drift.iloc[1]
    assert second["ratio"] > 1.01
    assert second["ratio_low"] > 1
    assert second["joined"] is False
    assert all("session_differs" in cell.split(";") for cell in found.energy["flags"])


def repeats(*sessions: tuple[str, list[float]], u_j: float = 0.1) -> list[dict[str, Any]]:
    head = {"setup": "s", "source": "measured", "part": "chain", "network": "n", "quality": 1,
            "level": "low", "image": "i"}  # fmt: skip
    rows = [(name, value) for name, values in sessions for value in values]
    return [
        {**head, "session": name, "energy_j": value, "u_repeat_j": u_j, "unix_time_s": 3600.0 * n}
        for n, (name, value) in enumerate(rows)
    ]


def test_a_ratio_takes_the_larger_uncertainty() -> None:
    single = Mean(1, 100.0, 0.1, 0.1, None, 0.1, None)
    other = replace(single, mean_j=102.0)
    own = ratio_of(other, single, common_spread([single, other]))
    assert own.u == pytest.approx(1.02 * np.hypot(0.1 / 102, 0.1 / 100))
    assert own.half_width == pytest.approx(1.96 * own.u, rel=1e-4)
    assert not own.agrees(1.0)
    wild = mean_of(np.array([98.0, 102.0, 100.0]), np.full(3, 0.1))
    spread = common_spread([single, wild])
    assert spread.share == pytest.approx(0.02)
    assert spread.degrees_of_freedom == 2
    seen = ratio_of(other, wild, spread)
    assert seen.u == pytest.approx(seen.value * 0.02 * np.sqrt(1 + 1 / 3))
    assert seen.half_width == pytest.approx(stats.t.ppf(0.975, 2) * seen.u)
    assert seen.agrees(1.0)


def test_a_ratio_that_is_hardly_known_joins_nothing() -> None:
    rows = repeats(("one", [100.0, 104.0, 97.0]), ("two", [101.0]))
    _, second = anchor_drift(rows, widest=0.02)
    assert second["ratio_low"] <= 1 <= second["ratio_high"]
    assert second["joined"] is False
    assert session_flag([{**rows[0], **second}], ["one", "two"]) == {
        "one": "session_differs",
        "two": "session_differs",
    }
    _, second = anchor_drift(rows, widest=1.0)
    assert second["joined"] is True


def test_an_energy_that_is_none_says_nothing() -> None:
    assert anchor_drift(repeats(("one", [0.0, 0.0])), widest=0.02) == []


@pytest.mark.parametrize("scatter", [0.2, 0.6])
def test_intervals_cover_the_truth(scatter: float) -> None:
    """Repeats that scatter as they say themselves (0.2 J), and by three times that."""
    random = np.random.default_rng(1)
    u, hours, runs = np.full(5, 0.2), np.arange(5.0), 1000
    slopes = ratios = 0
    for _ in range(runs):
        values = 100 + 0.5 * hours + scatter * random.standard_normal(5)
        found = drift_of(hours, values, u)
        assert found is not None
        wrong = abs(found.share_per_hour * values.mean() - 0.5)
        slopes += wrong <= stats.t.ppf(0.975, 3) * found.u_per_hour * values.mean()
        one, two = (mean_of(100 + scatter * random.standard_normal(5), u) for _ in range(2))
        ratio = ratio_of(two, one, common_spread([one, two]))
        ratios += abs(ratio.value - 1) <= ratio.half_width
    assert slopes / runs > 0.93
    assert ratios / runs > 0.93


def test_a_trace_without_a_clock_is_dated_by_its_beginning() -> None:
    assert windows_at(modality_trace()) == pd.Timestamp("2026-01-01T00:00:00Z").timestamp()


def repeated(energy_j: float, **more: Any) -> dict[str, Any]:
    """A row of energy.csv with repeatability, 0.1 J, and an idle as uncertain."""
    known = {"u_repeatability_j": 0.1, "u_edges_j": 0.0, "u_temperature_j": None}
    others = {"u_idle_j": 0.1, "u_disagreement_j": 0.0, "idle_kind": "paired", "flags": set()}
    (head,) = repeats(("one", [energy_j]))
    return {**head, **known, **others, **more}


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"idle_kind": "cold"}, 0.1),
        ({"idle_kind": "context"}, 0.1 * np.sqrt(2)),
        ({"idle_kind": "paired"}, 0.1 * np.sqrt(2)),
        ({"idle_kind": "paired", "u_idle_j": None}, 0.1),
        ({"idle_kind": "cold", "u_disagreement_j": 2.0}, np.hypot(0.1, 2.0)),
        ({"idle_kind": "cold", "u_disagreement_j": None}, 0.1),
        ({"u_repeatability_j": None}, None),
    ],
)
def test_a_repeat_counts_what_is_its_own(more: dict[str, Any], expected: float | None) -> None:
    found = anchor_row(repeated(100.0, **more), 0.0)["u_repeat_j"]
    assert found == (None if expected is None else pytest.approx(expected))


def test_own_idles_are_no_spread_beyond_the_uncertainties() -> None:
    random = np.random.default_rng(1)
    runs, alarms = 400, 0
    for _ in range(runs):
        scatter = 0.1 * random.standard_normal((2, 8)).sum(axis=0)
        rows = [anchor_row(repeated(100 + s), 3600.0 * n) for n, s in enumerate(scatter)]
        (drift,) = anchor_drift(rows, widest=0.02)
        alarms += drift["spread_p"] < 0.05
    assert alarms / runs < 0.08


def test_a_repeat_whose_counter_disagrees_does_not_rule_the_mean() -> None:
    sound = [anchor_row(repeated(100.0), 3600.0 * n) for n in range(3)]
    wrong = anchor_row(repeated(120.0, u_repeatability_j=0.01, u_disagreement_j=12.0), 9 * 3600.0)
    (drift,) = anchor_drift([*sound, wrong], widest=0.02)
    assert drift["mean_j"] == pytest.approx(100.0, abs=0.1)
