"""The sampler's figures, taken from the page of its own benchmark."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks.budgets.report import Section
from nic_energy.config import project_root

PAGE = project_root() / "docs" / "sampler.md"
PERIOD, NOTICED = "## Sampling period", "## What the network notices"


def table_below(page: str, heading: str) -> str:
    """The first table below a heading, as it stands there.

    Raises:
        ValueError: there is none.
    """
    _, found, rest = page.partition(f"{heading}\n")
    lines = rest.splitlines()
    first = next((n for n, line in enumerate(lines) if line.startswith("|")), None)
    if not found or first is None:
        raise ValueError(f"no table below {heading!r}")
    return "\n".join(_while_table(lines[first:]))


def _while_table(lines: Sequence[str]) -> list[str]:
    end = next((n for n, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return list(lines[:end])


def run(path: Path = PAGE) -> Section:
    """The section; nothing is measured."""
    page = path.read_text(encoding="utf-8")
    text = TEXT.format(period=table_below(page, PERIOD), noticed=table_below(page, NOTICED))
    return Section("Sampler", (), text)


TEXT = """Period error at 10 Hz and 100 Hz beside Zeus' PowerMonitor on the same fake NVML, and what a network that runs beside notices of it; no bound was set. These tables are those of [the sampler's page](sampler.md) (`python -m
benchmarks sampler`), which says how they were measured; they are not measured anew here.

{period}

{noticed}
"""
