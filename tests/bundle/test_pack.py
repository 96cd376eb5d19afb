import json
import os
import shutil
import stat
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from nic_energy.analysis import TABLES, Inputs, derive
from nic_energy.bundle.manifest import Publication, parse
from nic_energy.bundle.pack import PackRequest, pack
from nic_energy.bundle.verify import verify
from nic_energy.cli.main import main
from nic_energy.config import resolve
from nic_energy.errors import BundleError, InputError
from nic_energy.files import sha256, write_json
from nic_energy.store import RawStore
from nic_energy.traces import read_trace
from tests.bundle.campaigns import CONFIG, Lab, inside
from tests.bundle.conftest import Labs


def packed(source: Lab, target: Path, request: PackRequest | None = None) -> Path:
    with inside(source.root):
        pack(source.folder, target, request or PackRequest())
    return target


@pytest.fixture
def own(labs: Labs, tmp_path: Path) -> Lab:
    """A copy of lab A, to change."""
    shutil.copytree(labs.a.root, tmp_path / "own")
    return Lab(tmp_path / "own", labs.a.config)


def test_a_bundle_holds_what_the_tables_are_made_of_and_says_what_it_is(labs: Labs) -> None:
    with zipfile.ZipFile(labs.zip_a) as archive:
        manifest = parse(archive.read("manifest.json"))
        names = set(archive.namelist()) - {"manifest.json"}
        config = json.loads(archive.read("config.json"))
    assert names == set(manifest.files)
    assert names > {*TABLES, "reference/idle.parquet", "reference/environment.json"}
    assert names > {"networks.tsv", "images/index.csv", "complexity.csv", "complexity_layers.csv"}
    assert sum(name.startswith("traces/") for name in names) == manifest.modalities == 12
    assert not any(name.startswith(("raw/", "figures/")) for name in names)
    assert manifest.sources == ("simulated",)
    assert manifest.device is not None
    assert manifest.device.uuid.startswith("VIRTUAL-")
    assert manifest.publication == Publication("Lab A", None, "CC-BY-4.0")
    assert config["protocol"]["confidence"] == 0.99, "defaults are filled in"


def test_the_same_campaign_gives_the_same_bytes(own: Lab, labs: Labs, tmp_path: Path) -> None:
    for path in own.root.rglob("*"):
        os.utime(path, (1e9, 1e9))
    for path in own.folder.rglob("*.csv"):
        path.chmod(0o600)
    again = packed(own, tmp_path / "again.zip")
    assert sha256(again) == sha256(labs.zip_a)
    with zipfile.ZipFile(again) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries[:-1]] == sorted(e.filename for e in entries[:-1])
    assert {entry.date_time for entry in entries} == {(1980, 1, 1, 0, 0, 0)}
    assert {stat.filemode(entry.external_attr >> 16) for entry in entries} == {"-rw-r--r--"}
    assert {entry.compress_type for entry in entries} == {zipfile.ZIP_STORED}


def test_places_on_this_machine_stay_on_this_machine(own: Lab, tmp_path: Path) -> None:
    document = json.loads((own.folder / "config.json").read_text())
    document["images"]["path"] = str(own.root / "sizes.csv")
    document["networks_table"] = str(own.root / "networks.tsv")
    document["weights_dir"] = "/home/someone/weights"
    write_json(own.folder / "config.json", document)
    target = packed(own, tmp_path / "own.zip")
    data = target.read_bytes()
    assert str(own.root).encode() not in data
    assert b"someone" not in data


def test_a_lab_may_say_more_on_the_command_line(own: Lab, tmp_path: Path) -> None:
    with inside(own.root):
        done = CliRunner().invoke(
            main, ["bundle", "results/lab-a", "--creator", "A. Name", "--licence", "CC0-1.0"]
        )
    assert done.exit_code == 0, done.output
    assert "12 modalities, joules simulated" in done.output
    target = own.root / "results" / "lab-a.nic-energy.zip"
    report = verify(target)
    assert report.manifest is not None
    assert report.manifest.publication == Publication("Lab A", "A. Name", "CC0-1.0")


def test_raw_store_and_figures_on_demand(own: Lab, tmp_path: Path) -> None:
    (own.folder / "figures").mkdir()
    (own.folder / "figures" / "power_trace.svg").write_text("<svg/>")
    (own.folder / "report.html").write_text("<p>")
    target = packed(own, tmp_path / "own.zip", PackRequest(raw=True, figures=True))
    report = verify(target)
    assert report.verified, report.problems
    assert report.notes == ("2 figures and pages are checked by their bytes alone",)
    assert report.manifest is not None
    names = set(report.manifest.files)
    assert {"figures/power_trace.svg", "report.html"} < names
    assert sum(name.startswith("raw/chain/") for name in names) == 12
    assert sum(name.startswith("raw/idle/") for name in names) == 1


def test_what_is_missing_goes_with_its_failed_attempts(own: Lab, tmp_path: Path) -> None:
    key = "chain/mbt2018-mean/q8/small"
    trace = own.folder / "traces" / f"{key}.parquet"
    attempt = read_trace(trace)
    trace.unlink()
    shutil.rmtree(own.folder / "raw" / key)
    lost = replace(attempt.meta, outcome="failed", error="MeterError: lost")
    RawStore(own.folder).add(key, replace(attempt, meta=lost))
    with inside(own.root):
        own.derive()
    report = verify(packed(own, tmp_path / "own.zip"))
    assert report.verified, report.problems
    assert report.manifest is not None
    assert (report.manifest.modalities, report.manifest.missing) == (11, 1)
    assert sum(name.startswith("raw/") for name in report.manifest.files) == 1


def test_a_table_that_was_brought_makes_a_bundle_too(tmp_path: Path, labs: Labs) -> None:
    root = tmp_path / "brought"
    shutil.copytree(labs.a.root, root)
    shutil.rmtree(root / "results" / "lab-a")
    (root / "joules.csv").write_text(
        "network,quality,image,width,height,energy_j\n"
        + "".join(f"mbt2018-mean,8,i{n},{n}00,100,{n}.5\n" for n in range(1, 6))
    )
    document = {**CONFIG, "setup": "brought", "energy_table": "joules.csv"}
    write_json(root / "results/brought/config.json", document)
    with inside(root):
        brought = Lab(root, resolve(document))
        derive(
            brought.config,
            Inputs(brought.folder, None, Path("results/complexity.csv")),
            brought.folder,
        )
    report = verify(packed(brought, tmp_path / "brought.zip"))
    assert report.verified, report.problems
    assert report.manifest is not None
    assert report.manifest.sources == ("external",)
    assert report.manifest.device is None
    assert report.manifest.modalities == 5


def test_no_bundle_of_tables_that_are_not_those_of_the_traces(own: Lab, tmp_path: Path) -> None:
    table = own.folder / "energy.csv"
    table.write_text(table.read_text().replace("simulated", "measured"))
    with pytest.raises(BundleError, match=r"no bundle was written.*energy\.csv, line 2"):
        packed(own, tmp_path / "own.zip")
    assert list(tmp_path.glob("*own.zip*")) == []


def test_what_is_not_there_is_named(own: Lab, tmp_path: Path) -> None:
    (own.folder / "diagnostics.csv").unlink()
    with pytest.raises(InputError, match=r"diagnostics\.csv: is not there.*make tables"):
        packed(own, tmp_path / "own.zip")
    shutil.rmtree(own.folder / "traces")
    with pytest.raises(InputError, match="holds no accepted trace"):
        packed(own, tmp_path / "own.zip")
    (own.folder / "config.json").unlink()
    with pytest.raises(InputError, match=r"config\.json: cannot be read"):
        packed(own, tmp_path / "own.zip")


def test_a_link_to_elsewhere_is_not_published(own: Lab, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    (own.folder / "complexity_notes.csv").symlink_to(secret)
    shutil.copy(own.root / "results/complexity.csv", own.folder / "complexity.csv")
    with pytest.raises(InputError, match="is a link to a file elsewhere"):
        packed(own, tmp_path / "own.zip")


def test_a_lab_without_a_licence_is_told(labs: Labs) -> None:
    with inside(labs.b.root):
        done = CliRunner().invoke(main, ["bundle", "results/lab-b", "-o", "b.zip", "--no-verify"])
    assert done.exit_code == 0, done.output
    assert "names no licence" in done.output
    assert "not verified" in done.output
    with inside(labs.a.root):
        done = CliRunner().invoke(main, ["bundle", "results/lab-a", "-o", "a.zip"])
    assert "names no licence" not in done.output
