"""docs/faults.md says what the code does, and every row of it is a test."""

import re
import subprocess
import sys

import pytest

from nic_energy import errors, store
from nic_energy.energy import admissibility
from nic_energy.errors import InterruptedMeasurementError, NicEnergyError, exit_codes
from nic_energy.meters import nvml
from nic_energy.protocol import repetitions
from nic_energy.report.flags import FLAG_MEANINGS
from nic_energy.traces import INADMISSIBLE
from tests.faults.command import ROOT

PAGE = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
TEST = re.compile(r"`(tests/[^`]+)`")


def rows(page: str, heading: str) -> list[list[str]]:
    """Cells of the rows of all tables below a heading, up to the next of its rank."""
    rank = heading.partition(" ")[0]
    text = page.split(f"\n{heading}\n")[1].split(f"\n{rank} ")[0]
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in cells if row[0] not in ("---", "fault", "flag", "exit code")]


FAULTS = rows(PAGE, "## Faults")


def test_every_row_names_a_test_that_is_there() -> None:
    named = [match for row in FAULTS for match in TEST.findall(row[-1])]
    assert len(named) == len(FAULTS)
    assert len(set(named)) == len(named)
    files = sorted({name.partition("::")[0] for name in named})
    collect = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*collect, *files], cwd=ROOT, capture_output=True, text=True)
    assert set(named) - set(done.stdout.splitlines()) == set(), done.stdout[-2000:] + done.stderr


def test_every_row_is_filled() -> None:
    for row in FAULTS:
        assert len(row) == 7
        assert all(row[cell] for cell in (0, 1, 5, 6)), row


def test_every_error_and_exit_code_is_explained() -> None:
    explained = {row[0]: row[1] for row in rows(PAGE, "## Exit codes")}
    kinds = [kind for kind in NicEnergyError.__subclasses__() if kind.__module__ == errors.__name__]
    for kind in kinds:
        assert explained[str(kind.exit_code)] == f"`{kind.__name__}`"
    stopped = InterruptedMeasurementError
    assert explained[str(stopped.exit_code)] == f"`{stopped.__name__}`"
    assert {str(code) for code, _ in exit_codes()} | {"137, 143"} == set(explained)
    used = {row[3] for row in FAULTS} - {""}
    assert used == set(explained) - {"137, 143"} | {"137"}


LEFT_OUT = {row[0].strip("`"): row for row in rows(PAGE, "## Windows that are left out")}


def test_every_flag_is_explained() -> None:
    assert set(LEFT_OUT) == INADMISSIBLE | {"power_capped"}
    assert all(all(row) for row in LEFT_OUT.values())


@pytest.mark.parametrize(
    ("flag", "pieces"),
    [
        ("sampler_gap", (f"{admissibility.GAP_PERIODS:g} sampling", f"{admissibility.GAP_S:g} s")),
        ("too_few_samples", (f"fewer than {admissibility.MIN_SAMPLES} ",)),
        ("stale_readings", (f"{admissibility.STALE_S:g} s", f"{admissibility.EXPECTED_CHANGES:g}")),
        (
            "implausible_readings",
            (
                f"above {admissibility.MOST_OF_LIMIT:g} times",
                f"{admissibility.MOST_W / 1e3:g} kW",
                f"{admissibility.COLDEST_C:g} °C",
                f"{admissibility.HOTTEST_C:g} °C",
            ),
        ),
        ("clock_step", (f"{admissibility.CLOCK_STEP_S:g} s",)),
    ],
)
def test_thresholds_are_those_of_the_code(flag: str, pieces: tuple[str, ...]) -> None:
    for piece in pieces:
        assert piece in LEFT_OUT[flag][2]


def test_other_numbers_are_those_of_the_code() -> None:
    assert f"more than {nvml.PATIENCE_S:g} s and three readings" in PAGE
    assert nvml.PATIENCE_READINGS == 3
    assert f"up to {repetitions.LOOK_BACK_S:g} s back" in LEFT_OUT["other_processes"][1]
    assert f"less than {store.ROOM_BYTES >> 20} MiB" in PAGE
    idle = PAGE.split("## Idle that is left out")[1].partition("\n## ")[0]
    assert set(re.findall(r"`(\w+)`", idle.partition(", as above")[0])) == admissibility.OF_A_REST


def test_the_flags_of_a_row_are_explained_in_the_protocol_and_on_the_page() -> None:
    table = rows(PROTOCOL, "## What a row never hides")
    explained = {flag for row in table for flag in re.findall(r"`(\w+)`", row[0])}
    assert explained == set(FLAG_MEANINGS)
