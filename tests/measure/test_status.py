"""How far a campaign is, from the traces that there are and those that were just measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from nic_energy.campaign import duration, keys, trace_path
from nic_energy.cli.measuring import outcome_line
from nic_energy.config import Config, resolve
from nic_energy.measure import status as module
from nic_energy.measure.modality import Outcome
from nic_energy.measure.requests import request_of
from nic_energy.measure.status import CampaignStatus, StatusFile, read_status
from tests.traces import modality_trace

IMAGES = ("a", "b", "c")


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    found = resolve({"networks": [{"name": "mbt2018", "qualities": [1, 2]}]})
    index = Path("results") / "images" / found.images.collection / "index.csv"
    index.parent.mkdir(parents=True)
    index.write_text("\n".join(["image", *IMAGES, ""]))
    return found


def touch(config: Config, key: tuple[str, str, int, str]) -> Path:
    path = trace_path(config.setup, *key)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    return path


def outcome(key: tuple[str, str, int, str]) -> Outcome:
    meta = modality_trace(image=key[3]).meta
    assert meta.modality is not None
    modality = replace(meta.modality, part=key[0], network=key[1], quality=key[2])
    return Outcome(Path("attempt"), False, replace(meta, modality=modality))


def test_a_modality_counts_once_whether_its_trace_is_there_or_not(config: Config) -> None:
    first, second, third, *_ = keys(config, IMAGES)
    touch(config, first)
    folder = Path("results") / config.setup
    status = StatusFile(config, folder)
    assert (status.now.done, status.now.total) == (1, 6)
    assert status.finished(outcome(second), 4.0).done == 2
    touch(config, second)
    assert status.finished(outcome(second), 4.0).done == 2
    assert status.finished(outcome(first), 4.0).done == 2
    assert status.finished(outcome(third), 4.0).done == 3
    assert read_status(folder).done == 3
    assert read_status(folder).left_s == pytest.approx(12.0)


def test_traces_that_come_and_go_are_seen_at_the_next_count(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third, *_ = keys(config, IMAGES)
    path = touch(config, first)
    status = StatusFile(config, Path("results") / config.setup)
    path.unlink()
    touch(config, second)
    monkeypatch.setattr(module, "RECOUNT_S", -1.0)
    assert status.finished(outcome(third), 4.0).done == 2


def test_lines_say_which_joules_they_show(config: Config) -> None:
    """Those of the stopping rule; another estimator, idle or a calibration changes the tables'."""
    which = "(trapezoid over cold idle, uncalibrated)"
    now = CampaignStatus(
        "lab", "measured", "now", 1, 6, "a", 3, 0, 5, energy_j=1.5, half_width_percent=2.0
    )
    assert f"1.5 J ± 2 % measured {which}" in now.line(duration)
    done = outcome(("chain", "mbt2018", 1, "a"))
    stopping = {"mean": 1.5, "half_width_percent": 2.0, "repetitions": 5, "converged": False}
    done = replace(done, meta=replace(done.meta, stopping=stopping))
    path = Path("x")
    request = request_of(
        config, "mbt2018", part="chain", quality=1, image="a", image_path=path, idle=path,
        output=path, setup_folder=path,
    )  # fmt: skip
    line = outcome_line(request, done)
    assert line.endswith(
        f": 1.5 J an execution {which}, estimated, ± 2 %, K = 5 (not converged)"
    ), line
