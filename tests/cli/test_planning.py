import json
import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from nic_energy import fingerprint
from nic_energy.campaign import keys, trace_path
from nic_energy.cli.main import main
from nic_energy.config import Config, resolve
from nic_energy.files import sha256
from nic_energy.images import index_images, write_index
from nic_energy.traces import Modality, Trace, write_trace
from tests.images.pictures import png
from tests.measure.virtual import config_of
from tests.traces import modality_trace


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


def folder_campaign(folder: Path, *names: str) -> tuple[Path, Config]:
    """A campaign of two networks on a folder of images, indexed long ago and measured."""
    photos = folder / "photos"
    photos.mkdir()
    for name in names:
        (photos / f"{name}.png").write_bytes(png())
    expected = {"count": None, "pixel_sum": None, "select": None}
    images = {"collection": "mine", "source": "folder", "path": "photos", **expected}
    path = configured(folder, images=images)
    config = resolve(yaml.safe_load(path.read_text()))
    index = folder / "results/images/mine/index.csv"
    write_index(index, index_images(config.images, None))
    os.utime(index, (1e9, 1e9))
    for part, network, quality, image in keys(config, names):
        trace = modality_trace(image)
        assert trace.meta.modality is not None
        prepared = index.parent / "png" / f"{image}.png"
        prepared.parent.mkdir(exist_ok=True)
        prepared.write_bytes(b"prepared")
        shown = replace(trace.meta.modality.image, sha256=sha256(prepared))
        meta = replace(
            trace.meta,
            settings=config.settings(),
            code_fingerprint=fingerprint.of_measurement("virtual"),
            modality=Modality(part, network, quality, "low", shown),
            run={"network": fingerprint.of_network(config.networks[network])},
        )
        target = trace_path(config.setup, part, network, quality, image)
        write_trace(target, Trace(trace.samples, meta))
    return path, config


def test_images_that_came_or_changed_since_they_were_indexed_count(config: Path) -> None:
    path, _ = folder_campaign(config.parent, "a", "b")
    assert "4 are measured, 0 are missing." in plan(path)
    (config.parent / "photos/c.png").write_bytes(png(8, 8))
    text = plan(path)
    assert "Since the images were indexed, new: c." in text
    assert "x 3 images = 6 modalities" in text
    assert "4 are measured, 2 are missing." in text
    assert "for the 2 to measure" in plan(path, "--write", "out.json")
    (config.parent / "photos/b.png").write_bytes(png(30, 20))
    text = plan(path)
    assert "changed, and are measured again: b." in text
    assert "2 are measured, 2 are missing." in text
    assert "STALE: 2 will be measured again: the image changed." in text
    found = json.loads(plan(path, "--json"))
    assert (found["measured"], found["left"]) == (2, 4)


def test_an_image_that_was_prepared_anew_is_measured_again_if_it_differs(config: Path) -> None:
    path, _ = folder_campaign(config.parent, "a", "b")
    later = time.time() + 60
    for name, content in (("a", b"prepared"), ("b", b"another")):
        prepared = Path(f"results/images/mine/png/{name}.png")
        prepared.write_bytes(content)
        os.utime(prepared, (later, later))
    text = plan(path)
    assert "STALE: 2 will be measured again: the image changed." in text
    assert "2 are measured, 0 are missing." in text


def test_a_folder_that_is_not_there_leaves_the_index_and_is_named(config: Path) -> None:
    path, _ = folder_campaign(config.parent, "a", "b")
    (config.parent / "photos").rename(config.parent / "elsewhere")
    text = plan(path)
    assert "The images cannot be used: images.path: photos is no folder." in text
    assert "Counted as they were indexed." in text
    assert "4 are measured" in text


def test_images_are_counted_before_they_are_indexed(config: Path) -> None:
    path, _ = folder_campaign(config.parent, "a", "b")
    Path("results/images/mine/index.csv").unlink()
    assert "x 2 images = 4 modalities" in plan(path)
