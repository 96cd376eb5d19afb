"""The tables of a set-up that its page is made of."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from nic_energy import tables
from nic_energy.report.judged import Judged

TABLES: Mapping[str, tuple[str, Sequence[str]]] = {
    "energy": ("energy.csv", tables.ENERGY_COLUMNS),
    "missing": ("missing.csv", tables.MISSING_COLUMNS),
    "idle": ("idle.csv", tables.IDLE_COLUMNS),
    "diagnostics": ("diagnostics.csv", tables.DIAGNOSTIC_COLUMNS),
    "anchor_drift": ("anchor_drift.csv", tables.ANCHOR_DRIFT_COLUMNS),
    "models": ("models/energy_models.csv", tables.ENERGY_MODEL_COLUMNS),
    "slopes": ("models/complexity_models.csv", tables.COMPLEXITY_MODEL_COLUMNS),
    "ranking": ("models/ranking.csv", tables.RANKING_COLUMNS),
    "comparison": ("models/paper_comparison.csv", tables.COMPARISON_COLUMNS),
    "predictors": ("models/predictor_correlations.csv", tables.PREDICTOR_COLUMNS),
}


@dataclass(frozen=True)
class Results:
    """The tables of a set-up that the page shows, by the names of `TABLES`."""

    energy: pd.DataFrame
    missing: pd.DataFrame
    idle: pd.DataFrame
    diagnostics: pd.DataFrame
    anchor_drift: pd.DataFrame
    models: pd.DataFrame
    slopes: pd.DataFrame
    ranking: pd.DataFrame
    comparison: pd.DataFrame
    predictors: pd.DataFrame
    judged: Judged | None = None
    complexity: pd.DataFrame | None = None

    @classmethod
    def read(cls, folder: Path, complexity: Path | None = None) -> "Results":
        """From `results/{setup}`, and complexity.csv where it is named.

        Raises:
            InputError: a table cannot be read or lacks a column.
        """
        return cls(
            **{
                name: tables.read_csv(folder / file, columns)
                for name, (file, columns) in TABLES.items()
            },
            judged=Judged.read(folder),
            complexity=tables.read_csv(complexity, tables.COMPLEXITY_COLUMNS)
            if complexity
            else None,
        )
