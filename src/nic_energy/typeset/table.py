"""A table that can be printed, and its three files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nic_energy import tables
from nic_energy.files import write_text
from nic_energy.typeset.html import html_page
from nic_energy.typeset.latex import latex_table


@dataclass(frozen=True)
class PrintTable:
    """A table as people read it, and the data that it shows.

    Attributes:
        name: stem of its files and label in LaTeX.
        caption: says what it shows, of which set-up, and where its joules come from.
        spans: (title, columns) of a line above the head; empty for none. Together they cover all.
        head: titles of the columns. text_columns: so many of the first hold text, to the left.
        rows: cells, as long as the head. rules: rows above which a line is drawn.
        notes: sentences below the table.
        data: what the CSV holds, with full precision.
    """

    name: str
    caption: str
    spans: Sequence[tuple[str, int]]
    head: Sequence[str]
    text_columns: int
    rows: Sequence[Sequence[str]]
    notes: Sequence[str]
    data: pd.DataFrame
    rules: Sequence[int] = ()

    def __post_init__(self) -> None:
        wide = {len(self.head), *map(len, self.rows)}
        if self.spans:
            wide.add(sum(columns for _, columns in self.spans))
        if len(wide) > 1:
            raise ValueError(f"{self.name}: rows of different lengths {sorted(wide)}.")


def write_table(table: PrintTable, folder: Path) -> None:
    """Write `{name}.csv`, `{name}.tex` (booktabs) and `{name}.html`, each whole or not at all."""
    tables.write_csv(folder / f"{table.name}.csv", table.data)
    write_text(folder / f"{table.name}.tex", latex_table(table))
    write_text(folder / f"{table.name}.html", html_page(table))
