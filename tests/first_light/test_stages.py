"""Each step with its command replaced by one that leaves what it would leave."""

import importlib.util
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from nic_energy.cli.main import main
from nic_energy.config import project_root
from nic_energy.errors import (
    BundleError,
    ConfigError,
    DeviceError,
    InputError,
    MeasurementError,
    StoreError,
)
from nic_energy.files import write_json
from nic_energy.first_light import stages
from nic_energy.first_light.plan import Plan, label_of, plan
from nic_energy.first_light.results import found_of
from nic_energy.first_light.reuse import take_over_passport
from nic_energy.first_light.stages import Stages
from nic_energy.first_light.steps import Done, NoGpuError, Progress, Result
from nic_energy.store import RawStore
from nic_energy.worker.registry import Status

REPORT = "checks/gpu_tests/report.json"
DOCTOR: dict[str, Any] = {
    "verdict": "campaign a (device cuda:0, meter nvml) can run here.",
    "checks": [],
    "facts": {"uuid": "GPU-1", "nvml": {"driver": "580"}},
}

Leave = Callable[[list[str]], int]


def silent(progress: Progress) -> None:
    pass


@pytest.fixture
def planned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plan:
    monkeypatch.chdir(tmp_path)
    return plan("cuda:0", ())


class Commands:
    """In the place of the commands: notes them, and leaves what `leaves` does."""

    def __init__(self, leaves: dict[str, Leave]) -> None:
        self.leaves, self.asked = leaves, list[list[str]]()

    def run(self, command: list[str], log: Path, **options: Any) -> int:
        self.asked.append(command)
        log.parent.mkdir(parents=True, exist_ok=True)
        words = " ".join(command[1:6])
        name = next((n for n in self.leaves if n in words), None)
        if options.get("output"):
            options["output"].write_text(json.dumps(DOCTOR))
        options["tick"]()
        return self.leaves[name](command) if name else 0

    def count(self, word: str) -> int:
        return sum(word in " ".join(command) for command in self.asked)


@pytest.fixture
def replaced(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Commands]:
    def replace(**leaves: Leave) -> Commands:
        commands = Commands(leaves)
        monkeypatch.setattr(stages, "run", commands.run)
        return commands

    return replace


def run(planned: Plan) -> dict[str, Result]:
    found = Stages(planned)
    found.prepare()
    results = {}
    for step in found.steps():
        try:
            results[step.name] = step.act(silent)
        except (StoreError, InputError) as error:
            results[step.name] = Result("failed", str(error), error.exit_code)
    return results


def report(planned: Plan, **changes: Any) -> Leave:
    def leave(command: list[str]) -> int:
        document = {"passed": True, "created_utc": "2026-01-01T00:00:00Z", "findings": [{}],
                    **changes}  # fmt: skip
        write_json(planned.folder / REPORT, document)
        return 0 if document["passed"] else 1

    return leave


def traces(planned: Plan, wanted: int) -> Leave:
    """So many traces, and the index of the images that they are of."""

    def leave(command: list[str]) -> int:
        if "tables" not in command:
            return 0
        index = Path("results/images/photographs/index.csv")
        index.parent.mkdir(parents=True, exist_ok=True)
        index.write_text("image\nastronaut\nchelsea\nhubble_deep_field\n")
        stages_ = Stages(planned)
        for part, network, quality, image in stages_._keys()[:wanted]:
            path = planned.folder / "traces" / part / network / f"q{quality}" / f"{image}.parquet"
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.touch()
        if "allow_missing=true" in command:
            columns = "setup,part,network,quality,image,failed_attempts,last_error\n"
            text = f"{columns}a,chain,mbt2018,8,chelsea,1,MeasurementError: out of memory\n"
            (planned.folder / "missing.csv").write_text(text)
            return 0
        return 0 if wanted == len(stages_._keys()) else 1

    return leave


def archive(planned: Plan, size: int) -> Leave:
    def leave(command: list[str]) -> int:
        if "bundle" in command:
            with planned.archive.open("wb") as handle:
                handle.truncate(size)
        return 0

    return leave


def test_every_step_runs_in_its_order(planned: Plan, replaced: Callable[..., Commands]) -> None:
    commands = replaced(
        pytest=report(planned), snakemake=traces(planned, 36), nic_energy=archive(planned, 1000)
    )
    results = run(planned)
    assert {result.state for result in results.values()} == {"passed"}, results
    assert list(results) == ["doctor", "GPU tests", "passport", "pilot", "bundle", "verify"]
    assert results["pilot"].note == "36 of 36 modalities"
    asked = [" ".join(command) for command in commands.asked]
    assert "doctor" in asked[0]
    assert "--require-gpu --gpu-device cuda:0" in asked[1]
    assert "reference/passport.json" in asked[2]
    assert "-m snakemake tables" in asked[3]
    assert asked[4].endswith(f"bundle {planned.folder} --output {planned.archive} --no-verify")
    assert asked[5].endswith(f"verify {planned.archive}")


def test_doctor_and_gpu_tests_that_fail_do_not_hide_passport_and_pilot(
    planned: Plan, replaced: Callable[..., Commands]
) -> None:
    finding = {"name": "known_wave", "passed": False, "problems": ["3 J"]}
    commands = replaced(
        doctor=lambda command: DeviceError.exit_code,
        pytest=report(planned, passed=False, findings=[finding]),
        snakemake=traces(planned, 36),
        nic_energy=archive(planned, 1000),
    )
    results = run(planned)
    assert results["doctor"] == Result("failed", "can run here.", DeviceError.exit_code)
    assert results["GPU tests"] == Result("failed", "known_wave: 3 J", DeviceError.exit_code)
    assert results["pilot"].state == "passed"
    assert results["verify"].state == "passed"
    assert commands.count("snakemake") == 2


def test_a_modality_that_fails_leaves_the_others_in_the_tables_and_in_the_bundle(
    planned: Plan, replaced: Callable[..., Commands]
) -> None:
    commands = replaced(
        pytest=report(planned), snakemake=traces(planned, 35), nic_energy=archive(planned, 1000)
    )
    results = run(planned)
    assert results["pilot"] == Result(
        "failed",
        "35 of 36 modalities; mbt2018 quality 8 on chelsea: MeasurementError: out of memory",
        MeasurementError.exit_code,
    )
    assert commands.count("allow_missing=true") == 1
    assert results["verify"].state == "passed"


def test_without_a_trace_there_is_no_bundle(
    planned: Plan, replaced: Callable[..., Commands]
) -> None:
    planned.archive.parent.mkdir()
    planned.archive.write_text("of an earlier run")
    commands = replaced(pytest=report(planned), snakemake=lambda command: 1)
    results = run(planned)
    assert results["passport"].state == results["pilot"].state == "failed"
    assert results["bundle"] == Result(
        "not run", "there are no tables to pack", BundleError.exit_code
    )
    assert results["verify"].state == "not run"
    assert commands.count("bundle") == commands.count("verify") == 0
    assert planned.archive.read_text() == "of an earlier run"
    (planned.folder / "energy.csv").write_text("of an earlier run")
    found = found_of(Stages(planned), (Done("pilot", "pilot.log", results["pilot"], 1.0),))
    assert (found.rows, found.bundle) == ([], None)


def test_a_snakemake_that_leaves_modalities_out_is_no_success(
    planned: Plan, replaced: Callable[..., Commands]
) -> None:
    leave = traces(planned, 35)
    replaced(
        pytest=report(planned),
        snakemake=lambda command: 0 * leave(command),
        nic_energy=archive(planned, 1000),
    )
    result = run(planned)["pilot"]
    assert (result.state, result.exit_code) == ("failed", MeasurementError.exit_code)
    assert result.note.startswith("35 of 36 modalities")


def test_a_bundle_that_is_too_large_is_no_success(
    planned: Plan, replaced: Callable[..., Commands]
) -> None:
    replaced(pytest=report(planned), snakemake=traces(planned, 36),
             nic_energy=archive(planned, 16_000_001))  # fmt: skip
    results = run(planned)
    assert results["bundle"].state == "failed"
    assert "16.0 MB, more than the 16 MB" in results["bundle"].note


def test_what_is_there_is_reused_and_said(
    planned: Plan, replaced: Callable[..., Commands], monkeypatch: pytest.MonkeyPatch
) -> None:
    leaves = {"pytest": report(planned), "snakemake": traces(planned, 36),
              "nic_energy": archive(planned, 1000)}  # fmt: skip
    (planned.folder / "reference").mkdir(parents=True)
    (planned.folder / "reference" / "passport.json").touch()
    replaced(**leaves)
    run(planned)
    commands = replaced(**leaves)
    results = run(planned)
    assert results["GPU tests"] == Result(
        "reused", "passed at 2026-01-01T00:00:00Z on this card, driver and code"
    )
    assert commands.count("pytest") == 0
    assert results["passport"].state == "reused"
    assert results["pilot"] == Result("reused", "36 of 36 modalities were there")
    gone, again, *_ = sorted((planned.folder / "traces").rglob("*.parquet"))
    gone.unlink()
    os.utime(again, (1, 1))
    results = run(planned)
    assert results["pilot"] == Result("passed", "36 of 36 modalities, 35 of them from before")
    monkeypatch.setitem(DOCTOR["facts"], "nvml", {"driver": "590"})
    commands = replaced(**leaves)
    assert run(planned)["GPU tests"].state == "passed", "another driver, so they ran"
    assert commands.count("pytest") == 1


def test_gpu_tests_in_their_short_form_do_not_stand_in_for_whole_ones(
    planned: Plan, replaced: Callable[..., Commands]
) -> None:
    commands = replaced(pytest=report(planned))
    assert Stages(planned, quick=True).gpu_tests(silent).state == "passed"
    assert commands.asked[0][-1] == "--gpu-quick"
    assert Stages(planned).gpu_tests(silent).state == "passed"
    assert "--gpu-quick" not in commands.asked[1]
    assert Stages(planned).gpu_tests(silent).state == "reused"


def test_gpu_tests_without_pytest_are_a_failure_with_what_to_do(
    planned: Plan, replaced: Callable[..., Commands], monkeypatch: pytest.MonkeyPatch
) -> None:
    replaced(snakemake=traces(planned, 36), nic_energy=archive(planned, 1000))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    results = run(planned)
    assert results["GPU tests"].state == "failed"
    assert "make first-light installs pytest" in results["GPU tests"].note
    assert results["pilot"].state == "passed"


def test_a_report_that_did_not_pass_fails_whatever_pytest_says(
    planned: Plan, replaced: Callable[..., Commands]
) -> None:
    def incomplete(command: list[str]) -> int:
        write_json(planned.folder / REPORT, {"passed": False, "findings": [], "missing": ["x"]})
        return 0

    replaced(pytest=incomplete)
    assert run(planned)["GPU tests"].state == "failed"


def test_the_label_is_that_of_the_device(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert label_of("first-light", "cuda:0", "cuda:0") == "first-light"
    assert label_of("first-light", "cuda:1", "cuda:0") == "first-light-cuda1"
    uuid = "GPU-1a2b3c4d-0000-4000-8000-000000000000"
    assert label_of("first-light", uuid, "cuda:0") == "first-light-GPU-1a2b3c4d"
    rehearsal = plan("virtual", ())
    assert (rehearsal.config.setup, rehearsal.document["meter"]) == (
        "first-light-virtual", "virtual",
    )  # fmt: skip
    overlay = tmp_path / "mine.yaml"
    overlay.write_text(yaml.safe_dump({"setup": "mine", "device": "cuda:1"}))
    mine = plan(None, (overlay,))
    assert (mine.config.setup, mine.device) == ("mine", "cuda:1")
    with pytest.raises(ConfigError, match="first light is of a GPU"):
        plan("cpu", ())


def test_it_is_the_six_networks_of_the_paper_without_a_download(planned: Plan) -> None:
    document = planned.document
    assert len(planned.config.points) == 12
    for name, network in planned.config.networks.items():
        asked = {quality for point, quality in planned.config.points if point == name}
        assert asked == {min(network.qualities), max(network.qualities)}, name
    assert (document["weights"], document["images"]["source"]) == ("random", "skimage")
    assert len(document["images"]["select"]) == 3
    assert document["deterministic"] is True
    assert document["publication"]["licence"] == "CC-BY-4.0"
    assert sum(seconds for seconds, _ in stages.EXPECTED_S.values()) <= 600


def test_without_a_gpu_it_says_so_once_and_runs_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["first-light", "--device", "cuda:99"])
    assert done.exit_code == NoGpuError.exit_code == 3
    assert done.output.count("device cuda:99: PyTorch") == 1
    assert "Nothing else was run." in done.output
    assert "[2 of 6]" not in done.output
    assert not (tmp_path / "results" / "first-light-cuda99" / "raw").exists()


def test_nothing_is_taken_over_where_the_gpu_tests_left_no_record(tmp_path: Path) -> None:
    assert not take_over_passport(tmp_path / "gpu_tests", tmp_path / "setup")
    assert not RawStore(tmp_path / "setup").root.exists()


def test_its_waiting_worker_leaves_the_gpu_and_others_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(key: str, root: Path, current: str | None = None) -> Status:
        return Status(key, 1, "GPU-1", str(root), "", 0, current)

    found = [status("own", tmp_path), status("busy", tmp_path, "chain/mbt2018/q1/cat"),
             status("other", tmp_path / "other")]  # fmt: skip
    stopped: list[Status] = []
    monkeypatch.setattr(stages, "workers", lambda: ((None, each) for each in found))
    monkeypatch.setattr(stages, "stop", stopped.append)
    stages.release(tmp_path)
    assert [each.key for each in stopped] == ["own"]


def test_the_makefile_starts_it() -> None:
    text = (project_root() / "Makefile").read_text()
    assert "\nfirst-light: setup\n\t@nic-energy first-light --device $(DEVICE) " in text
