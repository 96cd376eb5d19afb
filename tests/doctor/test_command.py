"""The command, as a program."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nic_energy.doctor import survey
from tests.doctor.conftest import LAB, PATIENT, Station

COMMAND = [
    sys.executable,
    "-W",
    "ignore",
    "-c",
    "from nic_energy.cli.main import main; main()",
    "doctor",
]


def doctor(folder: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def test_without_a_gpu_it_says_so_and_what_to_do(tmp_path: Path) -> None:
    # A library path without NVIDIA's library, whatever this machine has.
    (tmp_path / "libnvidia-ml.so.1").write_text("")
    done = doctor(tmp_path, LD_LIBRARY_PATH=str(tmp_path))
    assert done.returncode == 3
    words = " ".join(done.stdout.split())
    assert "failure nvml" in words
    assert "config/demo.yaml" in words
    assert done.stderr.strip() == (
        "nic-energy: campaign lab (device cuda:0, meter nvml) cannot run here: nvml."
    )


def test_healthy_and_ill_for_people_and_for_programs(machine: Station, tmp_path: Path) -> None:
    (tmp_path / "patient.json").write_text(json.dumps(PATIENT))
    quick = (str(LAB), "patient.json", "--seconds", "0.7", "--timeout", "10")
    done = doctor(tmp_path, *quick)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "campaign lab (device cuda:0, meter nvml) can run here." in done.stdout
    assert "0 warning, 0 failure" in done.stdout
    assert done.stderr == ""

    machine.put("persistence 0")
    done = doctor(tmp_path, *quick, "--json")
    assert done.returncode == 0
    document = json.loads(done.stdout)
    assert document["can_run"] is True
    assert document["facts"]["uuid"] == "GPU-fa4e0000-0000-4000-8000-000000000000"
    (found,) = [each for each in document["checks"] if each["name"] == "persistence"]
    assert (found["status"], found["area"]) == ("warning", "GPU")
    assert document["verdict"].endswith("can run here, with 1 warning: persistence.")

    done = doctor(tmp_path, *quick, "--json", "--strict")
    assert done.returncode == 3
    assert json.loads(done.stdout)["can_run"] is False
    assert "cannot run here: persistence" in done.stderr


def test_another_device_than_the_configurations(tmp_path: Path) -> None:
    done = doctor(tmp_path, "--device", "virtual", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert (document["device"], document["meter"]) == ("virtual", "virtual")
    assert doctor(tmp_path, "--device", "abacus").returncode == 2


def test_a_wrong_configuration(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text("protocoll: {}")
    done = doctor(tmp_path, "mine.yaml")
    assert done.returncode == 2
    assert "did you mean protocol?" in done.stderr


def test_a_process_that_cannot_start_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(survey, "MODULE", "nic_energy.no_such_module")
    found = survey.list_gpus(30)
    assert "ended with exit code 1 in the start of the process" in str(found.error)
    assert "No module named" in str(found.error)
