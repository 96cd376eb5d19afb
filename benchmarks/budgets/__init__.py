"""Budgets of a campaign of the paper's size, each measured, and one page of all of them."""

import importlib
import os
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

BUDGETS = ("campaign", "rerun", "overhead", "windows", "aggregation", "macs", "sampler")
"""The modules, each with a function `run` that measures and gives its section; in this order, since
`rerun` goes on from what `campaign` leaves."""


def measure(names: Sequence[str] = BUDGETS) -> None:
    """Measure budgets and keep their sections."""
    from benchmarks.budgets import report
    from benchmarks.budgets.folder import place
    from nic_energy.files import write_text

    for name in names:
        load, now = os.getloadavg()[0], datetime.now(UTC)
        section = importlib.import_module(f"benchmarks.budgets.{name}").run()
        kept = replace(section, measured_utc=f"{now:%Y-%m-%d %H:%M} UTC", load=load)
        write_text(place("sections") / f"{name}.json", report.as_json(kept))
        for verdict in section.verdicts:
            met = "met" if verdict.met else "MISSED"
            print(f"  {verdict.budget}: {verdict.measured} ({verdict.bound}): {met}", flush=True)


def assemble() -> str:
    """The page of what was measured last here; what was not is named."""
    from benchmarks.analysis import machine
    from benchmarks.budgets import report
    from benchmarks.budgets.folder import place

    paths = {name: place("sections") / f"{name}.json" for name in BUDGETS}
    sections = [report.read(path) for path in paths.values() if path.exists()]
    return report.render(machine(), sections, [n for n, path in paths.items() if not path.exists()])


def page() -> str:
    """The page docs/budgets.md, everything measured anew."""
    measure()
    return assemble()
