"""Whether two versions of a table say the same: text and whole numbers exactly, others to 1e-9.

Sums and fits differ in the last digits between processors and versions of BLAS, so that tables
derived on two machines are equal as numbers, not as text.
"""

import csv
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RELATIVE = 1e-9
OF_LARGEST = 1e-12
"""A number that is nearly zero because large ones cancel has no digits of its own: it may also
differ by this share of the largest in its column."""
MOST_NAMED = 5
KEYS = (
    "part", "network", "quality", "level", "image", "estimator", "predictor", "quantity",
    "idle_kind", "power_field",
)  # fmt: skip
WHOLE = re.compile(r"[+-]?[0-9]+")


@dataclass(frozen=True)
class Table:
    """A CSV table as text: its columns, and its rows, each as long as the header."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def read_cells(path: Path) -> Table:
    """Read a table as text.

    Raises:
        ValueError: it is no CSV table with one header line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as handle:
            lines = [tuple(line) for line in csv.reader(handle, strict=True)]
    except (csv.Error, UnicodeDecodeError) as error:
        raise ValueError(f"cannot be read as CSV ({error})") from error
    if not lines or len(set(lines[0])) < len(lines[0]):
        raise ValueError("has no header line, or a column twice")
    for number, line in enumerate(lines[1:], start=2):
        if len(line) != len(lines[0]):
            raise ValueError(f"line {number} has {len(line)} cells, the header {len(lines[0])}")
    return Table(lines[0], tuple(lines[1:]))


def differences(theirs: Table, ours: Table, lenient: bool = False) -> list[str]:
    """The first differences, each with its row and column; none where the tables say the same.

    Args:
        theirs: the table to check. ours: what is derived anew.
        lenient: the table is of another minor version, so that columns may be missing in either.
    """
    common = [name for name in theirs.columns if name in ours.columns]
    missing = [name for name in ours.columns if name not in theirs.columns]
    extra = [name for name in theirs.columns if name not in ours.columns]
    if not lenient and (missing or extra):
        return [
            *(f"column {name} is missing" for name in missing[:MOST_NAMED]),
            *(f"column {name} is not derived" for name in extra[:MOST_NAMED]),
        ]
    if len(theirs.rows) != len(ours.rows):
        return [f"{len(theirs.rows)} rows, derived are {len(ours.rows)}"]
    found: list[str] = []
    for name in common:
        found += _column_differences(name, theirs, ours)
    return sorted(found, key=_line_of)[:MOST_NAMED]


def _line_of(text: str) -> int:
    return int(text.split(" ", 2)[1])


def _column_differences(name: str, theirs: Table, ours: Table) -> list[str]:
    here, there = theirs.columns.index(name), ours.columns.index(name)
    pairs = [(a[here], b[there]) for a, b in zip(theirs.rows, ours.rows, strict=True)]
    largest = max((abs(v) for _, b in pairs if (v := number(b)) is not None), default=0.0)
    return [
        f"line {line} ({_row_name(ours, line)}), {name}: {a[:60]!r}, derived {b[:60]!r}"
        for line, (a, b) in enumerate(pairs, start=2)
        if not same(a, b, largest)
    ]


def _row_name(table: Table, line: int) -> str:
    row = table.rows[line - 2]
    return " ".join(
        row[table.columns.index(key)]
        for key in KEYS
        if key in table.columns and row[table.columns.index(key)]
    )


def same(one: str, two: str, largest: float = 0.0) -> bool:
    """Whether two cells say the same.

    Args:
        largest: the largest absolute value in the column.
    """
    if one == two:
        return True
    if WHOLE.fullmatch(one) and WHOLE.fullmatch(two):
        return False
    a, b = number(one), number(two)
    if a is None or b is None:
        return False
    return abs(a - b) <= max(RELATIVE * max(abs(a), abs(b)), OF_LARGEST * largest)


def number(cell: str) -> float | None:
    """The finite number in a cell; None where it holds something else."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def formulas(table: Table) -> list[str]:
    """Cells that a spreadsheet would take for a formula, with row and column."""
    return [
        f"line {line}, {name}: {cell[:40]!r} would be a formula in a spreadsheet"
        for line, row in enumerate(table.rows, start=2)
        for name, cell in zip(table.columns, row, strict=True)
        if is_formula(cell)
    ][:MOST_NAMED]


def is_formula(cell: str) -> bool:
    """Whether a cell begins as a formula does and is no number."""
    if len(cell) < 2 or cell[0] not in "=+-@\t\r":
        return False
    try:
        float(cell)
    except ValueError:
        return True
    return cell[0] in "\t\r"


def header_formulas(columns: Sequence[str]) -> list[str]:
    """Column names that a spreadsheet would take for a formula."""
    return [f"column {name[:40]!r} would be a formula" for name in columns if is_formula(name)]
