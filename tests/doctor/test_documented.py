"""docs/doctor.md says of every check what it can say, and shows what the command prints now."""

import ast
import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from nic_energy import doctor
from nic_energy.config import project_root
from tests.doctor.ills import ILLS
from tests.doctor.record import SAMPLES, SITUATIONS, diagnose
from tests.fake_nvml import FakeNvml

PAGE = project_root() / "docs" / "doctor.md"
STATUSES = ("note", "warning", "failure")


def rows() -> dict[str, dict[str, str]]:
    """Check -> status -> what the table says."""
    found = {}
    for line in PAGE.read_text().splitlines():
        if line.startswith("| `"):
            names, _, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            for name in re.findall(r"`(\w+)`", names):
                found[name] = dict(zip(STATUSES, cells[:3], strict=True))
    return found


def said_in_the_code() -> set[tuple[str, str]]:
    """(check, status) of every call such as `failure("mig", ...)` in the judges."""
    found = set()
    for path in Path(str(doctor.__file__)).parent.glob("judge*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.args:
                name = node.args[0]
                if node.func.id in STATUSES and isinstance(name, ast.Constant):
                    found.add((str(name.value), node.func.id))
    return found


def test_the_table_says_what_every_check_can_find() -> None:
    table = rows()
    said = said_in_the_code() | {(ill.check, ill.status) for ill in ILLS if ill.status in STATUSES}
    assert len(said) > 50
    assert {(name, status) for name, status in said if not table.get(name, {}).get(status)} == set()
    plain = {name for name, _ in said_in_the_code()}
    by_code = {"meter_rapl", "meter_cpu_load", "governor"}
    documented = {(n, s) for n in plain - by_code for s in STATUSES if table[n][s]}
    conditional = {("counter", "warning"), ("counter", "failure")}
    assert documented - said - conditional == set()


def generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", project_root() / "docs/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_shows_the_recorded_diagnoses() -> None:
    assert sorted(path.stem for path in SAMPLES.glob("doctor_*.json")) == sorted(
        f"doctor_{name}" for name in SITUATIONS
    )
    page = PAGE.read_text()
    assert generator().with_diagnoses(page) == page


def essence(document: dict[str, Any]) -> list[tuple[str, ...]]:
    """What depends neither on the machine that recorded nor on how busy it was: numbers are
    masked, the checks of processor, disk and packages and of times left out.
    """
    return [
        (check["name"], check["status"], *(masked(check[k]) for k in ("found", "means", "remedy")))
        if not _timed(check)
        else (check["name"],)
        for check in document["checks"]
        if check["area"] in ("devices", "GPU", "readings") and "meter_" not in check["name"]
    ]


def _timed(check: dict[str, Any]) -> bool:
    """Whether it tells how fast a sound sensor is."""
    sound = check["status"] in ("ok", "note")
    return check["name"] == "read_time" or (check["name"].startswith("power_") and sound)


def masked(text: str) -> str:
    return re.sub(r"\d+(\.\d+)?", "#", text)


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_command_still_says_what_was_recorded(
    name: str, tmp_path: Path, fake_nvml: FakeNvml
) -> None:
    recorded = json.loads((SAMPLES / f"doctor_{name}.json").read_text())
    found = diagnose(tmp_path, SITUATIONS[name], "--seconds", "2")
    assert essence(found) == essence(recorded)
    assert found["exit_code"] == recorded["exit_code"]
    assert {c["name"] for c in found["checks"]} >= {c["name"] for c in recorded["checks"]}
