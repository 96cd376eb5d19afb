from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nic_energy import tables
from nic_energy.energy import build as energy_build
from nic_energy.energy.build import Analysis, EnergyTables, build_energy
from nic_energy.errors import MismatchError
from nic_energy.files import digest_of
from nic_energy.report.flags import FLAG_MEANINGS
from nic_energy.traces import Trace, TraceMeta, Window, samples_table, write_trace
from tests.traces import METER, idle_trace, modality_trace

SETTINGS: dict[str, Any] = {
    "device": "cpu",
    "meter": "cpu_load",
    "deterministic": True,
    "weights": "random",
    "protocol": {
        "sampling_hz": 10,
        "confidence": 0.99,
        "relative_width": 0.02,
        "interval": "two_sided",
        "min_repetitions": 2,
        "max_repetitions": 5,
    },
}
Change = Callable[[TraceMeta], TraceMeta]


def put(folder: Path, image: str, change: Change = lambda meta: meta, power_w: float = 50) -> Path:
    trace = modality_trace(image, power_w)
    meta = replace(trace.meta, settings=SETTINGS, settings_digest=digest_of(SETTINGS))
    path = folder / f"{image}.parquet"
    write_trace(path, Trace(trace.samples, change(meta)))
    return path


def build(folder: Path, *paths: Path, **options: Any) -> EnergyTables:
    idle = folder / "idle.parquet"
    if not idle.exists():
        write_trace(idle, idle_trace(10.0))
    missing = options.pop("missing", ())
    analysis = Analysis(**{"estimator": "trapezoid", **options})
    return build_energy(paths, idle, SETTINGS, analysis, missing)


def test_eq_1_in_closed_form(tmp_path: Path) -> None:
    found = build(tmp_path, put(tmp_path, "a"))
    (row,) = found.energy.to_dict("records")
    assert row["energy_j"] == pytest.approx((50 - 10) * 10 / 20)
    assert row["energy_gross_j"] == pytest.approx(25)
    assert row["energy_std_j"] == pytest.approx(0)
    assert (row["repetitions"], row["executions"]) == (2, 20)
    assert row["duration_s"] == pytest.approx(0.5)
    assert row["idle_power_w"] == pytest.approx(10)
    assert row["mean_power_w"] == pytest.approx(50)
    assert (row["pixels"], row["padded_pixels"]) == (600, 1024)
    assert (row["source"], row["idle_kind"], row["weights"]) == ("estimated", "cold", "random")
    assert (row["estimator"], row["power_field"]) == ("trapezoid", "power_load_w")
    assert row["converged"] is True
    assert row["flags"] == ""
    assert list(found.energy.columns[: len(tables.ENERGY_COLUMNS)]) == list(tables.ENERGY_COLUMNS)


def test_all_estimators_stand_side_by_side_and_one_is_chosen(tmp_path: Path) -> None:
    path = put(tmp_path, "a")
    found = build(tmp_path, path, estimator="paper_sum")
    assert set(found.estimators["estimator"]) == {"paper_sum", "trapezoid"}
    assert found.energy["estimator"].tolist() == ["paper_sum"]
    assert found.energy["energy_j"][0] == pytest.approx(40 * 10.1 / 20)


def test_windows_that_are_not_admissible_stay_out_of_the_mean(tmp_path: Path) -> None:
    def reject(meta: TraceMeta) -> TraceMeta:
        bad = Window(2, 127.5, 129.0, 20, ("window_too_short",))
        return replace(meta, windows=(*meta.windows, bad))

    (row,) = build(tmp_path, put(tmp_path, "a", reject)).energy.to_dict("records")
    assert (row["repetitions"], row["repetitions_rejected"]) == (2, 1)
    assert row["flags"] == "windows_rejected"


def test_a_row_is_judged_by_its_own_estimator_far_from_the_cap(tmp_path: Path) -> None:
    """Half a sample later one sample less lies in the window: the published sum scatters by 1 %."""

    def shift(meta: TraceMeta) -> TraceMeta:
        return replace(meta, windows=(meta.windows[0], Window(1, 117.05, 127.05, 20)))

    path = put(tmp_path, "a", shift)
    for estimator, flags in (("trapezoid", ""), ("paper_sum", "not_converged")):
        (row,) = build(tmp_path, path, estimator=estimator).energy.to_dict("records")
        assert row["repetitions"] == 2 < SETTINGS["protocol"]["max_repetitions"]
        assert row["flags"] == flags
    assert "the cap on K was reached, or" in FLAG_MEANINGS["not_converged"]


def test_one_window_alone_has_not_converged(tmp_path: Path) -> None:
    path = put(tmp_path, "a", lambda meta: replace(meta, windows=meta.windows[:1]))
    (row,) = build(tmp_path, path).energy.to_dict("records")
    assert row["flags"] == "not_converged"
    assert row["converged"] is False
    assert row["energy_std_j"] is None


@pytest.mark.parametrize(
    ("outcome", "flags"),
    [
        ("reached", ""),
        ("off", ""),
        ("settled", "preheat_settled"),
        ("timed_out", "preheat_timed_out"),
        ("no_thermometer", "no_thermometer"),
    ],
)
def test_how_preheating_ended_is_said(tmp_path: Path, outcome: str, flags: str) -> None:
    path = put(tmp_path, "a", lambda meta: replace(meta, preheat={"outcome": outcome}))
    assert build(tmp_path, path).energy["flags"].tolist() == [flags]


def test_other_sessions_are_flagged(tmp_path: Path) -> None:
    first = put(tmp_path, "a")
    second = put(tmp_path, "b", lambda meta: replace(meta, session="later"))
    flags = build(tmp_path, first, second).energy["flags"].tolist()
    assert flags == ["session_differs", "idle_session_differs;session_differs"]


def test_temperature_drift_and_a_counter_that_disagrees_are_flagged(tmp_path: Path) -> None:
    trace = modality_trace()
    time = trace.column("time_s")
    samples = [
        {
            "time_s": t,
            "power_load_w": 50.0,
            "temperature_c": 70.0 if t < 116 else 80.0,
            "energy_counter_j": 40.0 * t,
            "sm_clock_mhz": 1500,
        }
        for t in time
    ]
    meta = replace(
        trace.meta,
        settings=SETTINGS,
        settings_digest=digest_of(SETTINGS),
        meter=replace(METER, counter=True),
    )
    path = tmp_path / "a.parquet"
    write_trace(path, Trace(samples_table(samples), meta))
    idle = idle_trace()
    counted = [
        {"time_s": 100 + n / 10, "power_load_w": 10.0, "energy_counter_j": n * 1.0}
        for n in range(200)
    ]
    write_trace(tmp_path / "idle.parquet", Trace(samples_table(counted), idle.meta))
    found = build(tmp_path, path)
    (row,) = found.energy.to_dict("records")
    assert row["flags"] == "counter_disagrees"
    assert row["temperature_c"] == pytest.approx(75)
    assert row["sm_clock_mhz"] == 1500
    by_name = found.estimators.set_index("estimator")["energy_j"]
    assert by_name["counter"] == pytest.approx((40 - 10) * 10 / 20, rel=0.01)
    assert row["u_idle_j"] == pytest.approx(0)


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    path = put(tmp_path, "a", lambda meta: replace(meta, settings={**SETTINGS, "seed": 1}))
    with pytest.raises(MismatchError, match=r"a\.parquet: .*seed 1 -> None.*--forcerun measure"):
        build(tmp_path, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta: replace(meta, setup="other"), "setup other"),
        (lambda meta: replace(meta, source="measured"), "source measured"),
        (lambda meta: replace(meta, meter=replace(METER, device_uuid="CPU-2")), "device CPU-2"),
        (lambda meta: replace(meta, outcome="failed", error="lost"), r"failed attempt \(lost\)"),
        (lambda meta: replace(meta, kind="idle", modality=None), "idle reference stands"),
    ],
)
def test_what_differs_is_never_mixed(tmp_path: Path, change: Change, message: str) -> None:
    first, second = put(tmp_path, "a"), put(tmp_path, "b", change)
    with pytest.raises(MismatchError, match=message):
        build(tmp_path, first, second)


def test_an_estimator_or_field_that_the_trace_does_not_allow_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, "a")
    with pytest.raises(MismatchError, match=r"estimator counter cannot.*paper_sum, trapezoid"):
        build(tmp_path, path, estimator="counter")
    with pytest.raises(MismatchError, match="the traces hold power_load_w, not power_rapl_w"):
        build(tmp_path, path, power_field="power_rapl_w")


def test_what_is_missing_is_listed(tmp_path: Path) -> None:
    row = {"setup": "test", "network": "net", "image": "b", "last_error": "lost"}
    found = build(tmp_path, put(tmp_path, "a"), missing=[row])
    assert found.missing["image"].tolist() == ["b"]
    nothing = build(tmp_path, missing=[row])
    assert nothing.energy.empty
    assert list(nothing.energy.columns) == list(tables.ENERGY_COLUMNS)


def test_the_tables_come_back_from_csv(tmp_path: Path) -> None:
    found = build(tmp_path, put(tmp_path, "a"), put(tmp_path, "b", power_w=60))
    tables.write_csv(tmp_path / "energy.csv", found.energy)
    back = tables.read_csv(tmp_path / "energy.csv", tables.ENERGY_COLUMNS)
    assert np.allclose(back["energy_j"], found.energy["energy_j"].astype(float), rtol=0, atol=0)
    assert back["converged"].tolist() == [True, True]


@pytest.fixture
def several_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start other processes for a handful of traces already."""
    monkeypatch.setattr(energy_build, "LEAST_TRACES", 1)
    monkeypatch.setattr(energy_build, "CHUNK", 1)


@pytest.mark.usefixtures("several_processes")
def test_several_processes_give_the_same_rows_in_the_same_order(tmp_path: Path) -> None:
    paths = [put(tmp_path, f"i{number}", power_w=40 + number) for number in range(7)]
    write_trace(tmp_path / "idle.parquet", idle_trace(10.0))
    one, two = (
        build_energy(
            paths, tmp_path / "idle.parquet", SETTINGS, Analysis("trapezoid"), workers=workers
        )
        for workers in (1, 3)
    )
    assert two.energy["image"].tolist() == [f"i{number}" for number in range(7)]
    for name in ("energy", "estimators", "idle", "diagnostics"):
        pd.testing.assert_frame_equal(getattr(one, name), getattr(two, name))


@pytest.mark.usefixtures("several_processes")
def test_what_is_refused_in_another_process_names_its_file(tmp_path: Path) -> None:
    paths = [put(tmp_path, f"i{number}") for number in range(5)]
    paths[3] = put(tmp_path, "bad", lambda meta: replace(meta, outcome="failed", error="too hot"))
    write_trace(tmp_path / "idle.parquet", idle_trace(10.0))
    with pytest.raises(MismatchError, match=r"bad\.parquet: is a failed attempt \(too hot\)"):
        build_energy(paths, tmp_path / "idle.parquet", SETTINGS, Analysis("trapezoid"), workers=2)
