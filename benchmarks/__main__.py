"""Run the benchmarks and write their pages to docs/: python -m benchmarks [NAME ...]."""

import importlib
import sys
import time

from nic_energy.config import project_root
from nic_energy.files import write_text

PAGES = {
    "stopping": "stopping_rule.md",
    "estimators": "estimators.md",
    "passport": "passport.md",
    "table2": "simulated_campaign.md",
    "paper": "paper_side_by_side.md",
    "sampler": "sampler.md",
    "analysis": "analysis_time.md",
    "budgets": "budgets.md",
    "coverage": "coverage.md",
    "joint": "joint_model.md",
    "validation": "validation_simulated.md",
    "external": "external_meter.md",
    "plan": "plan_simulated.md",
    "gallery": "gallery.md",
    "faulty": "faulty_day.md",
}
MINUTES = {
    "stopping": 1,
    "estimators": 2,
    "passport": 2,
    "table2": 10,
    "paper": 10,
    "sampler": 3,
    "analysis": 10,
    "budgets": 60,
    "coverage": 30,
    "joint": 5,
    "validation": 3,
    "external": 8,
    "plan": 4,
    "gallery": 6,
    "faulty": 4,
}
"""Roughly, on two cores."""


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all."""
    unknown = [name for name in names if name not in PAGES]
    if unknown:
        sys.exit(f"no benchmark {', '.join(unknown)}; there are {', '.join(PAGES)}")
    chosen = names or list(PAGES)
    for number, name in enumerate(chosen, start=1):
        left = sum(MINUTES[later] for later in chosen[number - 1 :])
        print(f"[{number}/{len(chosen)}] {name}; about {left} min left", flush=True)
        begin = time.monotonic()
        page = importlib.import_module(f"benchmarks.{name}").page()
        write_text(project_root() / "docs" / PAGES[name], page)
        print(f"  docs/{PAGES[name]} after {time.monotonic() - begin:.0f} s", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
