"""Measure some budgets anew and write the page: python -m benchmarks.budgets [NAME ...]."""

import sys

from benchmarks import budgets
from nic_energy.config import project_root
from nic_energy.files import write_text


def main(names: list[str]) -> None:
    """Measure the named budgets, or none; then write the page of all."""
    unknown = [name for name in names if name not in budgets.BUDGETS]
    if unknown:
        sys.exit(f"no budget {', '.join(unknown)}; there are {', '.join(budgets.BUDGETS)}")
    budgets.measure(names)
    write_text(project_root() / "docs" / "budgets.md", budgets.assemble())


if __name__ == "__main__":
    main(sys.argv[1:])
