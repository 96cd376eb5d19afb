"""Forecasts beside campaigns on the virtual GPU, whose clock and energy are known."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from nic_energy.campaign import keys
from nic_energy.config import Config
from nic_energy.forecast import Forecast, Knowledge, Range, forecast, known, levers
from nic_energy.forecast.campaign import Key, expected_repetitions
from nic_energy.measure.backends import STATE
from nic_energy.measure.simulate import simulate_campaign
from nic_energy.measure.warm import WarmWorkshop
from nic_energy.meters.virtual import read_preset
from nic_energy.meters.virtual.device import BOOTED_S
from nic_energy.statistics.stopping import StoppingRule
from nic_energy.traces import read_meta
from tests.measure.virtual import config_of, grey

IMAGES = {f"i{n}": (600 + 100 * n, 480) for n in range(4)}
NETWORKS = [
    {"name": "mbt2018-mean", "qualities": [3, 7]},
    {"name": "cheng2020-attn", "qualities": [5]},
]


def campaign(**document: Any) -> Config:
    return config_of(networks=NETWORKS, anchor={"every": 5}, passport=False, **document)


@dataclass(frozen=True)
class Ran:
    """A campaign that ran: its time in s and its gross energy in J."""

    folder: Path
    paths: list[Path]
    duration_s: float
    energy_j: float


def run(folder: Path, config: Config, images: dict[str, tuple[int, int]]) -> Ran:
    files = grey(folder / "images", images)
    paths = simulate_campaign(config, files, folder, workshop=WarmWorkshop(0))
    state = json.loads((folder / STATE).read_text())
    idle_w = read_preset(config.document["virtual"]["gpu"]).idle_w
    return Ran(folder, paths, state["time_s"] - BOOTED_S, state["counted_j"] - BOOTED_S * idle_w)


@pytest.fixture(scope="module")
def config() -> Config:
    return campaign()


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, config: Config) -> Ran:
    return run(tmp_path_factory.mktemp("forecast"), config, IMAGES)


def assumed(config: Config, folder: Path, images: object = IMAGES) -> tuple[Knowledge, Forecast]:
    knowledge = known(config, (), folder)
    return knowledge, forecast(config, keys(config, list(images)), knowledge, folder)  # type: ignore[call-overload]


def holds(span: Range, value: float) -> bool:
    return span.low <= value <= span.high


def test_before_anything_is_measured_the_bounds_hold_time_and_energy(
    config: Config, ran: Ran, tmp_path: Path
) -> None:
    _, expected = assumed(config, tmp_path)
    assert holds(expected.total.duration_s, ran.duration_s)
    assert holds(expected.total.energy_j, ran.energy_j)
    assert expected.total.duration_s.value == pytest.approx(ran.duration_s, rel=0.5)
    assert expected.anchors == 3


def test_half_way_the_rest_is_foretold_from_what_was_measured(
    config: Config, ran: Ran, tmp_path: Path
) -> None:
    half = run(tmp_path, config, dict(list(IMAGES.items())[:2]))
    rest: list[Key] = keys(config, list(IMAGES)[2:])
    knowledge = known(config, [read_meta(path) for path in half.paths], half.folder)
    assert knowledge.observed == len(half.paths)
    expected = forecast(config, rest, knowledge, half.folder)
    whole = run(tmp_path, config, IMAGES)
    took_s, took_j = whole.duration_s - half.duration_s, whole.energy_j - half.energy_j
    assert expected.total.duration_s.value == pytest.approx(took_s, rel=0.35)
    assert expected.total.energy_j.value == pytest.approx(took_j, rel=0.4)
    wide = assumed(config, tmp_path / "none")[1].total.duration_s
    narrow = expected.total.duration_s
    assert narrow.high / narrow.low < wide.high / wide.low


def test_networks_add_up_and_every_modality_costs(config: Config, tmp_path: Path) -> None:
    _, expected = assumed(config, tmp_path)
    assert [each.modalities for each in expected.networks] == [8, 4]
    pieces = [*(n.part for n in expected.networks), expected.once, expected.anchor_part]
    assert sum(p.duration_s.value for p in pieces) == pytest.approx(expected.total.duration_s.value)
    assert sum(p.energy_j.value for p in pieces) == pytest.approx(expected.total.energy_j.value)


def test_nothing_left_takes_nothing(config: Config, tmp_path: Path) -> None:
    knowledge = known(config, (), tmp_path)
    total = forecast(config, [], knowledge, tmp_path).total
    assert (total.duration_s.value, total.energy_j.value) == (0, 0)


def test_levers_save_what_the_changed_campaign_takes_less(config: Config, tmp_path: Path) -> None:
    knowledge, expected = assumed(config, tmp_path)
    everything = keys(config, list(IMAGES))
    found = {each.how: each for each in levers(config, everything, everything, knowledge, tmp_path)}
    wider = campaign(protocol={"relative_width": 0.03})
    then = forecast(wider, everything, knowledge, tmp_path)
    saved = found["protocol.relative_width: 0.03"].saved_s
    assert saved == pytest.approx(expected.total.duration_s.value - then.total.duration_s.value)
    assert {"images.select: 2", "protocol.paired_idle_s: 0", "protocol.confidence: 0.95"} <= set(
        found
    )
    savings = [each.saved_s for each in found.values()]
    assert savings == sorted(savings, reverse=True)


def test_a_changed_protocol_that_measures_all_again_is_no_lever(
    config: Config, tmp_path: Path
) -> None:
    everything = keys(config, list(IMAGES))
    knowledge = known(config, (), tmp_path)
    last = everything[-1:]
    found = levers(config, last, everything, knowledge, tmp_path)
    assert not any(each.how.startswith("protocol.") for each in found)


def test_more_scatter_needs_more_windows_up_to_the_cap() -> None:
    rule = StoppingRule(0.99, 0.02, "two_sided", 5, 50)
    expected = [expected_repetitions(rule, s) for s in (0.0, 0.001, 0.01, 0.02, 0.2)]
    assert expected == sorted(expected)
    assert (expected[0], expected[1], expected[-1]) == (5, 5, 50)


def test_a_known_power_limit_narrows_the_energy(config: Config, tmp_path: Path) -> None:
    path = tmp_path / "reference" / "environment.json"
    path.parent.mkdir()
    path.write_text(json.dumps({"device": {"details": {"enforced_power_limit_w": 250}}}))
    knowledge = known(config, (), tmp_path)
    assert knowledge.load_w == Range(62.5, 150.0, 250.0)
    steady = replace(knowledge, scatter=knowledge.scatter * 0.5)
    everything = keys(config, list(IMAGES))
    less, more = (
        forecast(config, everything, k, tmp_path).total.energy_j.value for k in (steady, knowledge)
    )
    assert less < more
