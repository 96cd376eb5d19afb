import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from nic_energy.cli.main import main
from tests.measure.virtual import config_of


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return configured(tmp_path)


def configured(folder: Path, **changes: Any) -> Path:
    document = config_of(anchor={"every": 10}).document
    images = {**document["images"], "select": 10}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({**document, "images": images, **changes}))
    return path


def plan(*arguments: object) -> str:
    result = CliRunner().invoke(main, ["plan", *map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_it_foretells_per_network_and_in_all_and_says_that_it_is_estimated(config: Path) -> None:
    text = plan(config)
    assert "2 network(s) x 10 images = 20 modalities" in text
    for word in (
        "estimated; on the virtual clock",
        "bmshj2018-factorized",
        "anchor",
        "in all",
        "assumed",
        "What would make it shorter",
        "images.select: 5",
    ):
        assert word in text


def test_the_same_as_json(config: Path) -> None:
    found = json.loads(plan(config, "--json"))
    assert (found["source"], found["left"], found["measured"]) == ("estimated", 20, 0)
    assert found["anchors"]["number"] == 3
    for each in (found["total"]["duration_s"], found["total"]["energy_j"]):
        assert 0 < each["low"] < each["value"] < each["high"]
    assert [each["modalities"] for each in found["networks"]] == [10, 10]
    assert all(each["saved_s"] > 0 for each in found["levers"])


def test_a_run_that_starts_says_it_in_a_line_and_writes_the_configuration(config: Path) -> None:
    text = plan(config, "--write", "out.json")
    assert "for the 20 to measure" in text
    assert "shorter" not in text
    assert json.loads(Path("out.json").read_text())["device"] == "virtual"


def test_an_unknown_number_of_images_is_said(tmp_path: Path, config: Path) -> None:
    images = {"source": "folder", "path": ".", "count": None}
    text = plan(configured(tmp_path, images=images))
    assert "an unknown number of images" in text
    assert "in all" not in text
