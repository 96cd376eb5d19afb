"""The diagnosis as a table for people and as JSON for programs."""

import io
from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from nic_energy.doctor.checks import STATUSES, Check, Diagnosis
from nic_energy.doctor.facts import Facts

SCHEMA_VERSION = "1.1"

WIDTH = 110
"""Columns of the page where there is no terminal."""

STYLES = {"ok": "green", "note": "cyan", "warning": "yellow", "failure": "bold red"}


def document(diagnosis: Diagnosis, facts: Facts, strict: bool) -> dict[str, Any]:
    """For programs: the verdict, the checks, and the facts that they were made of."""
    return {
        "schema_version": SCHEMA_VERSION,
        "setup": diagnosis.setup,
        "device": diagnosis.device,
        "device_uuid": facts.uuid,
        "meter": diagnosis.meter,
        "can_run": not diagnosis.obstacles(strict),
        "exit_code": diagnosis.exit_code(strict),
        "verdict": diagnosis.verdict(strict),
        "checks": [asdict(check) for check in diagnosis.checks],
        "facts": asdict(facts),
    }


def diagnosis_of(document: Mapping[str, Any]) -> Diagnosis:
    """The diagnosis of a JSON document."""
    checks = tuple(Check(**check) for check in document["checks"])
    return Diagnosis(document["setup"], document["device"], document["meter"], checks)


def as_text(diagnosis: Diagnosis, width: int = WIDTH) -> str:
    """The page as plain text."""
    console = Console(file=io.StringIO(), width=width)
    with console.capture() as captured:
        show(diagnosis, console)
    lines = [*captured.get().splitlines(), diagnosis.verdict()]
    return "\n".join(line.rstrip() for line in lines)


def show(diagnosis: Diagnosis, console: Console) -> None:
    """Print the checks, one table an area, and how many there are of each status."""
    for area, checks in groupby(diagnosis.checks, key=lambda check: check.area):
        table = Table(
            title=area, title_justify="left", title_style="bold", box=None, show_header=False
        )
        table.add_column(width=8, no_wrap=True)
        table.add_column(width=20, no_wrap=True)
        table.add_column(overflow="fold")
        for check in checks:
            status = Text(check.status, STYLES[check.status])
            table.add_row(status, check.name, _text(check))
        console.print(table)
        console.print()
    counts = (f"{len(diagnosis.with_status(status))} {status}" for status in STATUSES)
    console.print(", ".join(counts), highlight=False)


def _text(check: Check) -> Text:
    """What was found; below it what it means, and what to do."""
    text = Text(check.found)
    if check.means:
        text.append(f"\n{check.means}", "dim")
    if check.remedy:
        text.append(f"\n> {check.remedy}", "italic")
    return text
