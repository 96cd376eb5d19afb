"""Weights are fetched before a campaign, to where measuring reads them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner, Result
from compressai.zoo import image as zoo
from compressai.zoo import image_models

from nic_energy.cli.main import main
from nic_energy.codecs import weights as measuring
from nic_energy.codecs.networks import load_network
from nic_energy.config import networks_path, read_networks
from nic_energy.errors import InputError
from nic_energy.fingerprint import MEASURING

NETWORK = "bmshj2018-factorized"
NETWORKS = [{"name": NETWORK, "qualities": [1, 2]}]


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the checkpoints that CompressAI lists; torch's own folder is another."""
    served = tmp_path / "server"
    served.mkdir()
    urls = {}
    for quality in (1, 2):
        partial = served / "part"
        torch.save(image_models[NETWORK](quality=quality).state_dict(), partial)
        digest = hashlib.sha256(partial.read_bytes()).hexdigest()[:8]
        path = partial.rename(served / f"prior-{quality}-{digest}.pth.tar")
        urls[quality] = path.as_uri()
    monkeypatch.setattr(zoo, "model_urls", {**zoo.model_urls, NETWORK: {"mse": urls}})
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    return served


def run(tmp_path: Path, command: str, *options: str, **changes: Any) -> Result:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump({"networks": NETWORKS, "anchor": {"every": 0}, **changes}))
    return CliRunner().invoke(main, ["weights", command, str(path), *options])


def test_what_is_fetched_is_what_measuring_loads_without_a_network(
    server: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done = run(tmp_path, "fetch")
    assert done.exit_code == 0, done.output
    assert f"[2/2] {NETWORK} quality 2: prior-2-" in done.output
    assert done.output.count(" MB, fetched") == 2

    def offline(*_: object, **__: object) -> None:
        raise AssertionError("asked for the network")

    monkeypatch.setattr(torch.hub, "download_url_to_file", offline)
    assert run(tmp_path, "fetch").output.count("is there") == 2
    network = read_networks(networks_path(None))[NETWORK]
    for quality in (1, 2):
        assert load_network(network, quality, "pretrained", 0, None)[1]["kind"] == "pretrained"


def test_weights_dir_is_where_they_go(server: Path, tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    assert run(tmp_path, "fetch", weights_dir=str(folder)).exit_code == 0
    assert not (tmp_path / "hub").exists()
    url = measuring.checkpoint_url(NETWORK, 1)
    assert measuring.checkpoint_file(url, folder).parent == folder


def test_what_failed_is_named_and_the_rest_is_fetched(server: Path, tmp_path: Path) -> None:
    first, second = sorted(server.iterdir())
    first.unlink()
    done = run(tmp_path, "fetch")
    assert done.exit_code == InputError.exit_code
    assert "1 of 2 checkpoints cannot be used" in done.output
    assert f"{NETWORK} quality 1: {first.as_uri()}: cannot be downloaded" in done.output
    assert (tmp_path / "hub/checkpoints" / second.name).exists()


def test_another_file_than_its_name_says_is_not_kept(server: Path, tmp_path: Path) -> None:
    first, second = sorted(server.iterdir())
    first.write_bytes(b"an error page")
    done = run(tmp_path, "fetch")
    assert done.exit_code == InputError.exit_code
    assert "damaged or another file" in done.output
    assert [p.name for p in (tmp_path / "hub/checkpoints").iterdir()] == [second.name]
    kept = tmp_path / "hub/checkpoints" / first.name
    kept.write_bytes(b"half of it")
    done = run(tmp_path, "fetch")
    assert done.exit_code == InputError.exit_code
    assert f"{kept}: its SHA-256 begins with" in done.output


def test_the_anchor_needs_its_weights_too(server: Path, tmp_path: Path) -> None:
    anchor = {"every": 5, "network": NETWORK, "quality": 2}
    one = [{"name": NETWORK, "qualities": [1]}]
    rows = json.loads(run(tmp_path, "list", "--json", networks=one, anchor=anchor).output)
    assert [(row["quality"], row["there"]) for row in rows] == [(1, False), (2, False)]
    said = run(tmp_path, "list", networks=one).output
    assert "quality 1: MISSING" in said and "0 are there, 1 are missing." in said


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"weights": "random"}, "weights: random"),
        ({"device": "virtual", "meter": "virtual"}, "device: virtual"),
        ({"energy_table": "theirs.csv"}, "theirs.csv"),
    ],
)
def test_where_nothing_is_to_be_fetched_it_says_why(
    tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    for command in ("fetch", "list"):
        done = run(tmp_path, command, **changes)
        assert done.exit_code == 0, done.output
        assert done.output.startswith("Nothing to fetch") and why in done.output


def test_fetching_is_no_code_that_makes_a_measurement_stale() -> None:
    assert "codecs/fetching.py" not in MEASURING
