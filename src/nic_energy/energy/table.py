"""Energies that the user brings as a table."""

import csv
from array import array
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from nic_energy import tables
from nic_energy.config import Network
from nic_energy.energy.build import EnergyTables
from nic_energy.energy.table_checks import Macs, problems_of
from nic_energy.errors import InputError

REQUIRED = ("network", "quality", "image", "width", "height", "energy_j")
DEFAULTS = {"part": "chain", "source": "external", "estimator": "external", "flags": ""}


def from_table(
    path: Path, networks: Mapping[str, Network], setup: str, complexity: pd.DataFrame
) -> EnergyTables:
    """The energy tables from a CSV with at least the columns of `REQUIRED`.

    `source` is `external` unless the table says its own.

    Args:
        complexity: complexity.csv, from whose MAC operations follows which joules can be.

    Raises:
        InputError: names everything that is wrong, with the lines of the file.
    """
    table, lines = read_table(path)
    for column, default in DEFAULTS.items():
        table[column] = table[column].fillna(default) if column in table else default
    problems = problems_of(table, lines, networks, _macs(complexity))
    if problems:
        raise InputError("\n  ".join([f"{path} cannot be used:", *problems]))
    table["setup"] = setup
    for column in ("quality", "width", "height"):
        table[column] = table[column].astype(int)
    table["pixels"] = table["width"] * table["height"]
    rows = [networks[name] for name in table["network"]]
    table["level"] = [n.level(q) for n, q in zip(rows, table["quality"], strict=True)]
    multiple = pd.Series([network.pad_multiple for network in rows], index=table.index)
    padded = _up(table["width"], multiple) * _up(table["height"], multiple)
    if "padded_pixels" in table:
        padded = table["padded_pixels"].fillna(padded).astype(int)
    table["padded_pixels"] = padded
    table = tables.ordered(table, tables.ENERGY_COLUMNS)
    return EnergyTables(
        table,
        tables.frame([], tables.ESTIMATOR_COLUMNS),
        tables.frame([], tables.MISSING_COLUMNS),
        tables.frame([], tables.IDLE_COLUMNS),
        tables.frame([], tables.DIAGNOSTIC_COLUMNS),
        tables.frame([], tables.ANCHOR_COLUMNS),
        tables.frame([], tables.ANCHOR_DRIFT_COLUMNS),
    )


def read_table(path: Path) -> tuple[pd.DataFrame, Sequence[int]]:
    """The table, and the line of the file that each of its rows ends on.

    Raises:
        InputError: the file cannot be read, lacks columns or rows, or has rows that are too long.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as handle:
            reader = csv.reader(handle)
            head = next(reader, [])
            lines, long = array("q"), []
            for row in reader:
                if _filled(row):
                    lines.append(reader.line_num)
                    if len(row) > len(head):
                        long.append(reader.line_num)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as a CSV table ({error}).") from error
    missing = [name for name in REQUIRED if name not in head]
    if missing:
        hint = " Are its columns separated by commas?" if len(head) < 2 else ""
        raise InputError(
            f"{path}: column(s) missing: {', '.join(missing)}. It has: {', '.join(head)}.{hint}"
        )
    repeated = sorted({name for name in head if head.count(name) > 1})
    if repeated:
        raise InputError(f"{path}: column(s) there more than once: {', '.join(repeated)}.")
    if long:
        places = ", ".join(map(str, long))
        raise InputError(f"{path}: more cells than the header in line(s) {places}.")
    if not lines:
        raise InputError(f"{path}: holds no rows.")
    return tables.read_csv(path, REQUIRED), lines


def _filled(row: list[str]) -> bool:
    """Whether a line is a row: one that is blank is none."""
    return len(row) > 1 or any(cell.strip() for cell in row)


def _macs(complexity: pd.DataFrame) -> Macs:
    """MAC operations per padded pixel, everything executed, by network and quality."""
    keys = zip(complexity["network"], complexity["quality"].astype(int), strict=True)
    return dict(zip(keys, complexity["kmac_per_pixel_executed"].astype(float) * 1e3, strict=True))


def _up(side: pd.Series, multiple: pd.Series) -> pd.Series:
    return -(-side // multiple) * multiple
