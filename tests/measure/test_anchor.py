from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nic_energy.analysis import ENERGY_FILES, analysis_of
from nic_energy.config import Config
from nic_energy.energy.build import EnergyTables, build_energy
from nic_energy.errors import MeterError
from nic_energy.measure import anchor
from nic_energy.measure.modality import MeasureRequest, Outcome, measure_modality
from nic_energy.store import anchor_attempts
from nic_energy.traces import Trace, read_meta, read_trace, write_trace
from tests.measure.virtual import QUICK, Campaign, config_of, simulated

IMAGES = {f"i{n}": (480 + 16 * n, 320) for n in range(5)}
NETWORK = [{"name": "mbt2018", "qualities": [3]}]


def config(every: int, **more: Any) -> Config:
    return config_of(QUICK, networks=NETWORK, anchor={"every": every, **more})


@pytest.fixture(scope="module")
def campaign(tmp_path_factory: pytest.TempPathFactory) -> Campaign:
    return simulated(tmp_path_factory.mktemp("anchor"), config(2), IMAGES)


def tables(campaign: Campaign) -> EnergyTables:
    return build_energy(
        campaign.paths,
        campaign.idle,
        campaign.config.settings(),
        analysis_of(campaign.config),
        anchors=anchor_attempts(campaign.folder),
    )


def test_it_is_measured_after_the_first_and_after_every_so_many(campaign: Campaign) -> None:
    found = tables(campaign).anchors
    assert len(found) == 3  # after the first, the third and the fifth modality
    assert len(set(zip(found["network"], found["quality"], found["image"], strict=True))) == 1
    assert set(found["source"]) == {"simulated"}
    assert found["unix_time_s"].is_monotonic_increasing
    assert (found["u_repeat_j"] < found["u_combined_j"]).all()


def test_repeats_agree_with_each_other_and_with_the_campaigns_own_row(campaign: Campaign) -> None:
    built = tables(campaign)
    (drift,) = built.anchor_drift.to_dict("records")
    assert (drift["n"], drift["ratio"], drift["joined"]) == (3, None, None)
    assert abs(drift["drift_percent_per_hour"]) < 4 * drift["drift_u_percent_per_hour"]
    own = built.energy.set_index("image").loc[drift["image"]]
    assert abs(own["energy_j"] - drift["mean_j"]) < 5 * own["u_combined_j"]


def test_without_it_nothing_more_is_measured_and_the_tables_are_empty(tmp_path: Path) -> None:
    none = simulated(tmp_path, config(0), {"i0": IMAGES["i0"]})
    assert anchor_attempts(none.folder) == []
    assert not (none.folder / anchor.STATE).exists()
    built = tables(none)
    assert built.anchors.empty
    assert built.anchor_drift.empty


def test_the_same_campaign_again_links_everything_and_repeats_nothing(campaign: Campaign) -> None:
    before = anchor_attempts(campaign.folder)
    simulated(campaign.folder, campaign.config, IMAGES)
    assert anchor_attempts(campaign.folder) == before


def request(campaign: Campaign, image: str) -> MeasureRequest:
    return MeasureRequest(
        campaign.config.setup, campaign.folder, "chain", campaign.config.networks["mbt2018"], 3,
        image, campaign.folder / "images" / f"{image}.png", campaign.config.settings(), "auto",
        campaign.idle, campaign.folder / "out" / f"{image}.parquet", fresh=True,
    )  # fmt: skip


def outcome(campaign: Campaign, session: str) -> Outcome:
    path = campaign.paths[0]
    return Outcome(path, False, replace(read_meta(path), session=session))


def test_another_session_asks_for_it_at_once_and_a_lost_state_is_found_again(
    tmp_path: Path,
) -> None:
    own = simulated(tmp_path, config(100), {name: IMAGES[name] for name in ("i0", "i1")})
    assert len(anchor_attempts(own.folder)) == 1
    first = read_meta(anchor_attempts(own.folder)[0]).modality
    assert first is not None
    other = "i0" if first.image.image == "i1" else "i1"
    assert anchor.anchor_after(own.config, request(own, other), outcome(own, "virtual-1")) is None
    (own.folder / anchor.STATE).unlink()
    again = anchor.anchor_after(own.config, request(own, other), outcome(own, "later"))
    assert again is not None
    assert again.meta.modality is not None
    assert again.meta.modality.image.image == first.image.image


@pytest.mark.parametrize("error", [MeterError("no reading"), RuntimeError("nobody foresaw it")])
def test_one_that_fails_is_kept_and_fails_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: Any, **__: Any) -> Outcome:
        raise error

    own = simulated(tmp_path, config(0), {"i0": IMAGES["i0"]})
    asked = replace(own, config=config(1))
    monkeypatch.setattr(anchor, "measure_modality", fail)
    assert anchor.anchor_after(asked.config, request(asked, "i0"), outcome(own, "s")) is None
    monkeypatch.setattr(anchor, "measure_modality", measure_modality)
    assert anchor.anchor_after(asked.config, request(asked, "i0"), outcome(own, "s")) is not None


def relabelled(path: Path, session: str, created_utc: str, factor: float = 1.0) -> None:
    """The same trace as of another session, its power larger by a factor."""
    trace = read_trace(path)
    power = trace.samples.column("power_instant_w").to_numpy() * factor
    index = trace.samples.schema.get_field_index("power_instant_w")
    samples = trace.samples.set_column(index, trace.samples.schema.field(index), [power])
    path.unlink()
    write_trace(path, Trace(samples, replace(trace.meta, session=session, created_utc=created_utc)))


@pytest.mark.parametrize(
    ("factor", "flag", "joined"), [(1.0, "session_joined", True), (1.2, "session_differs", False)]
)
def test_sessions_are_joined_only_where_the_anchor_agrees(
    tmp_path: Path, factor: float, flag: str, joined: bool
) -> None:
    own = simulated(tmp_path, config(1), {name: IMAGES[name] for name in ("i0", "i1")})
    later = max(own.paths, key=lambda path: read_meta(path).created_utc)
    relabelled(later, "later", "2999-01-01T00:00:00Z")
    anchors = sorted(anchor_attempts(own.folder), key=lambda p: read_trace(p).column("time_s")[0])
    relabelled(anchors[-1], "later", "2999-01-01T00:00:00Z", factor)
    built = tables(own)
    assert all(flag in cell.split(";") for cell in built.energy["flags"])
    assert list(built.anchor_drift["joined"])[-1] is joined
    assert built.anchor_drift["ratio"].iloc[-1] == pytest.approx(factor, rel=0.08)


def test_an_attempt_of_other_settings_or_that_failed_is_passed_over(tmp_path: Path) -> None:
    own = simulated(tmp_path, config(1), {name: IMAGES[name] for name in ("i0", "i1")})
    path = anchor_attempts(own.folder)[0]
    trace = read_trace(path)
    path.unlink()
    write_trace(path, Trace(trace.samples, replace(trace.meta, outcome="failed", error="lost")))
    assert len(tables(own).anchors) == 1
    assert set(ENERGY_FILES) >= {"anchors", "anchor_drift"}
