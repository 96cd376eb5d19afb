"""The whole of first light on a virtual GPU, as a user starts it."""

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from nic_energy import tables
from nic_energy.bundle.manifest import parse
from nic_energy.campaign import passport_path
from nic_energy.config import project_root
from nic_energy.first_light.page import WIDTH
from nic_energy.measure.passport import KEY
from nic_energy.store import RawStore
from nic_energy.traces import read_meta
from tests.gpu.rig import expected

pytestmark = pytest.mark.workflow

SETUP = "first-light-virtual"
SAMPLE = project_root() / "docs" / "real_gpu.md"


@dataclass(frozen=True)
class Run:
    """A finished run: its folder, its page, and its lines of progress."""

    folder: Path
    page: str
    progress: str

    @property
    def results(self) -> Path:
        return self.folder / "results" / SETUP


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("first_light")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_PROCESS")}
    # Workers of its own, which no other session asks to leave; a socket's path has to be short.
    with tempfile.TemporaryDirectory(prefix="nic-") as sockets:
        source = {"PYTHONPATH": str(project_root() / "src"), "XDG_RUNTIME_DIR": sockets}
        done = subprocess.run(
            [sys.executable, "-m", "nic_energy.cli", "first-light", "--device", "virtual"],
            cwd=folder,
            env={**inherited, **source},
            capture_output=True,
            text=True,
            timeout=900,
        )
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    return Run(folder, done.stdout, done.stderr)


def test_the_page_has_everything_and_says_that_it_is_simulated(finished: Run) -> None:
    lines = finished.page.splitlines()
    assert lines[0].startswith(f"First light of {SETUP} (simulated), ")
    assert lines[0].endswith(": all is well.")
    assert "measured" not in finished.page
    assert len(lines) <= 40
    assert max(map(len, lines)) <= WIDTH
    energy = tables.read_csv(finished.results / "energy.csv", tables.ENERGY_COLUMNS)
    assert len(energy) == 36
    assert set(energy["source"]) == {"simulated"}
    joules = [line for line in lines if line.count(" ± ") == 2 and line.endswith(" J")]
    assert [line.split()[0] for line in joules] == list(dict.fromkeys(energy["network"]))
    for line in joules:
        row = energy[(energy["network"] == line.split()[0])
                     & (energy["image"] == "hubble_deep_field")].iloc[0]  # fmt: skip
        assert float(line.split()[2]) == pytest.approx(row["energy_j"], rel=0.01)


def test_the_sample_in_the_docs_is_such_a_page(finished: Run) -> None:
    sample = SAMPLE.read_text().split("```\nFirst light of ")[1].split("```")[0]

    def shape(text: str) -> list[str]:
        return [line[:24].split("  ")[0] or line[:12] for line in text.splitlines()[1:]]

    own = shape(finished.page)
    assert [each for each in shape(sample) if each not in own] == []


def test_progress_comes_without_a_terminal_too(finished: Run) -> None:
    lines = finished.progress.splitlines()
    assert [line for line in lines if line.startswith("[1 of 6] doctor")]
    assert [line for line in lines if line.startswith("verify: passed after")]
    assert all(" left" in line for line in lines if line.startswith("["))


def test_the_bundle_is_small_verified_and_holds_the_checks(finished: Run) -> None:
    path = finished.folder / "results" / f"{SETUP}.nic-energy.zip"
    assert path.stat().st_size < 16_000_000
    with zipfile.ZipFile(path) as archive:
        manifest = parse(archive.read("manifest.json"))
    assert manifest.sources == ("simulated",)
    assert manifest.publication.licence == "CC-BY-4.0"
    assert set(manifest.files) > {"checks/doctor.json", "checks/gpu_tests/report.json"}
    assert f"{path.relative_to(finished.folder)}, " in finished.page
    log = finished.folder / "logs" / SETUP / "first_light" / "verify.log"
    assert "  verified: whole and consistent" in log.read_text()


def test_the_gpu_tests_were_a_whole_session_and_passed(finished: Run) -> None:
    report = json.loads((finished.results / "checks" / "gpu_tests" / "report.json").read_text())
    assert (report["source"], report["passed"]) == ("simulated", True)
    assert report["bars"] == {}
    assert report["device"]["quick"] is True
    assert [finding["name"] for finding in report["findings"]] == list(expected())


def test_the_sensor_is_recorded_once_for_gpu_tests_and_pilot(finished: Run) -> None:
    own = list(RawStore(finished.results).attempts(KEY))
    tests = finished.results / "checks" / "gpu_tests"
    (theirs,) = tests.rglob(f"raw/{KEY}/*.parquet")
    assert [attempt.path.name for attempt in own] == [theirs.name]
    passport = json.loads((finished.folder / passport_path(SETUP)).read_text())
    assert passport["created_utc"] == read_meta(theirs).created_utc


def test_the_modalities_take_less_than_three_minutes_of_the_devices_time(finished: Run) -> None:
    """On the virtual clock: the budget in config/first_light.yaml."""
    taken = 0.0
    for path in (finished.results / "traces").rglob("*.parquet"):
        meta = read_meta(path)
        begun = [*(w.start_s for w in meta.windows), *(i.start_s for i in meta.intervals)]
        ended = [*(w.end_s for w in meta.windows), *(i.end_s for i in meta.intervals)]
        taken += max(ended) - min(begun)
    assert 60 < taken < 180
