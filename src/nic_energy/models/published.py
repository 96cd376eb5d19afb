"""What the paper prints, and one row of ours beside it.

Printed values come from `resources/` and enter no number of ours.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nic_energy import tables

Row = dict[str, Any]
KEYS = ["network", "level"]

RELATIONS = ("=", "~", "<", "<=")
"""How the text states a number: as it is, about, below, at most."""

TEXT_COLUMNS = ("where", "quantity", "networks", "level", "predictor", "relation", "printed")


@dataclass(frozen=True)
class Statement:
    """A number of the paper's text, and what it is said of; empty scopes mean all."""

    where: str
    quantity: str
    networks: tuple[str, ...]
    level: str | None
    predictor: str | None
    relation: str
    printed: float

    def covers(self, models: pd.DataFrame) -> pd.DataFrame:
        """The rows, with `network` and `level`, that it is said of."""
        inside = pd.Series(True, index=models.index)
        if self.networks:
            inside &= models["network"].isin(self.networks)
        if self.level:
            inside &= models["level"] == self.level
        return models[inside]


@dataclass(frozen=True)
class Published:
    """The paper's Table 1, its Table 2 with alpha in J/pixel, and the numbers of its text."""

    table1: pd.DataFrame
    table2: pd.DataFrame
    statements: tuple[Statement, ...]

    @classmethod
    def read(cls, table1: Path, table2: Path, text: Path) -> "Published":
        """From the CSV files of `resources/`.

        Raises:
            InputError: a file cannot be read or lacks a column.
        """
        lines = tables.read_csv(
            table2, [*KEYS, "alpha_1e5_j_per_pixel", "beta_j", "mean_relative_error_percent"]
        )
        lines["alpha_j_per_pixel"] = lines["alpha_1e5_j_per_pixel"] * 1e-5
        return cls(
            tables.read_csv(table1, [*KEYS, "abbreviation", "parameters", "kmac_per_pixel"]),
            lines,
            tuple(map(_statement, tables.read_csv(text, TEXT_COLUMNS).to_dict("records"))),
        )

    def points(self) -> pd.DataFrame:
        """Slopes and complexities as the paper prints them, a row per network and level."""
        return self.table2.merge(self.table1.drop(columns="abbreviation"), on=KEYS)

    def said(self, quantity: str) -> list[Statement]:
        """The statements on a quantity, in the order of the text."""
        return [statement for statement in self.statements if statement.quantity == quantity]

    def value(self, quantity: str) -> float:
        """The one printed number of a quantity."""
        (statement,) = self.said(quantity)
        return statement.printed


def _statement(row: dict[Any, Any]) -> Statement:
    cells: dict[Any, Any] = {name: None if pd.isna(value) else value for name, value in row.items()}
    return Statement(
        cells["where"],
        cells["quantity"],
        tuple((cells["networks"] or "").split(";")) if cells["networks"] else (),
        cells["level"],
        cells["predictor"],
        cells["relation"],
        float(cells["printed"]),
    )


def beside(
    where: str,
    quantity: str,
    unit: str,
    ours: float | None,
    printed: float | None = None,
    relation: str = "=",
    **more: Any,
) -> Row:
    """A row of paper_comparison.csv; `ratio` is ours over printed where a number is printed."""
    row: Row = {"where": where, "quantity": quantity, "unit": unit, "ours": ours, **more}
    if printed is not None and math.isfinite(printed):
        row |= {"printed": printed, "relation": relation}
        if relation in ("=", "~") and ours is not None and printed:
            row["ratio"] = ours / printed
    return row


def interval(low: float | None, high: float | None, kind: str) -> Row:
    """The columns of an interval; none where an end is not known."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return {}
    return {"low": low, "high": high, "interval": kind}


def symmetric(value: float, half_width: float | None, kind: str) -> Row:
    """The columns of `value` plus or minus an expanded uncertainty; none where it is not known."""
    if half_width is None or not math.isfinite(half_width):
        return {}
    ends = interval(value - half_width, value + half_width, kind)
    return {"expanded_uncertainty": half_width, **ends}


def holds(value: float, relation: str, printed: float) -> bool:
    """Whether a value is what a relation and a printed number with its digits say.

    Raises:
        ValueError: there is no such relation.
    """
    if relation == "=":
        digits = len(f"{printed:g}".partition(".")[2])
        return math.isclose(round(value, digits), printed, abs_tol=10.0**-digits / 1e3)
    if relation == "~":
        return round(value) == round(printed)
    if relation == "<":
        return value < printed
    if relation == "<=":
        return value <= printed
    raise ValueError(f"relation {relation!r} is none of {', '.join(RELATIONS)}.")


def stated(
    said: Statement, unit: str, ours: float, tables_give: float, which: Mapping[Any, Any] | None
) -> Row:
    """A row of a statement, with a note where the paper's own tables say something else."""
    note = None
    if not holds(tables_give, said.relation, said.printed):
        where = f" ({which['abbreviation']} {which['level']})" if which is not None else ""
        note = f"the paper's own tables, as printed, give {tables_give:.3g}{where}"
    return beside(said.where, said.quantity, unit, ours, said.printed, said.relation) | {
        "from_printed_tables": float(tables_give),
        "note": note,
    }
