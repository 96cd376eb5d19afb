"""Energies that the user brings as a table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from nic_energy import tables
from nic_energy.config import Network
from nic_energy.energy.build import EnergyTables
from nic_energy.errors import InputError
from nic_energy.vocabulary import SOURCE_NOTES

REQUIRED = ("network", "quality", "image", "width", "height", "energy_j")
KEY = ["part", "network", "quality", "image"]
MOST_NAMED = 10


def from_table(path: Path, networks: Mapping[str, Network], setup: str) -> EnergyTables:
    """The energy tables from a CSV with at least the columns of `REQUIRED`.

    `source` is `external` unless the table says its own.

    Raises:
        InputError: names every row that cannot be used, with the reason.
    """
    table = tables.read_csv(path, REQUIRED)
    if table.empty:
        raise InputError(f"{path}: holds no rows.")
    for column, default in (("part", "chain"), ("source", "external"), ("estimator", "external")):
        table[column] = table[column].fillna(default) if column in table else default
    problems = _problems(table, networks)
    if problems:
        more = f" ... and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
        raise InputError(f"{path}: " + "; ".join(problems[:MOST_NAMED]) + more + ".")
    table["setup"] = setup
    for column in ("quality", "width", "height"):
        table[column] = table[column].astype(int)
    table["pixels"] = table["width"] * table["height"]
    table["level"] = [
        networks[name].level(quality)
        for name, quality in zip(table["network"], table["quality"], strict=True)
    ]
    if "flags" in table:
        table["flags"] = table["flags"].fillna("")
    return EnergyTables(
        tables.ordered(table, tables.ENERGY_COLUMNS),
        tables.frame([], tables.ESTIMATOR_COLUMNS),
        tables.frame([], tables.MISSING_COLUMNS),
        tables.frame([], tables.IDLE_COLUMNS),
        tables.frame([], tables.DIAGNOSTIC_COLUMNS),
    )


def _problems(table: pd.DataFrame, networks: Mapping[str, Network]) -> list[str]:
    problems = []
    twice = table.duplicated(KEY, keep="first")
    for number, (row, repeated) in enumerate(
        zip(table.to_dict("records"), twice, strict=True), start=2
    ):
        reason = "the modality stands there twice" if repeated else _reason(row, networks)
        if reason:
            problems.append(f"line {number}: {reason}")
    return problems


def _reason(row: Mapping[Any, Any], networks: Mapping[str, Network]) -> str | None:
    if row["network"] not in networks:
        return f"network {row['network']!r} is not in config/networks.tsv"
    for column in ("quality", "width", "height", "energy_j"):
        value = _number(row[column])
        if value is None or value <= 0:
            return f"{column} {row[column]!r} is no number above 0"
    if int(row["quality"]) not in networks[row["network"]].qualities:
        return f"{row['network']} has no quality level {row['quality']}"
    if row["source"] not in SOURCE_NOTES:
        return f"source {row['source']!r} must be one of {', '.join(SOURCE_NOTES)}"
    return None


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if number == number and abs(number) != float("inf") else None
