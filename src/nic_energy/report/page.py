"""The page of a set-up: self-contained HTML from its tables and figures."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from nic_energy import tables
from nic_energy.files import write_text
from nic_energy.models.uncertainty import numbers
from nic_energy.report.external import external_sentences
from nic_energy.report.flags import flag_grid
from nic_energy.report.grids import (
    IDLE_VIEW,
    MISSING_VIEW,
    MODEL_VIEW,
    RANKING_VIEW,
    SLOPE_VIEW,
    SUMMARY_VIEW,
    grid,
    printed_grid,
)
from nic_energy.report.idle import idle_sentence, idle_table
from nic_energy.report.judged import LINKED, Judged
from nic_energy.report.ranks import ranking_sentences, ranking_table
from nic_energy.report.statements import (
    calibrated,
    calibration_sentence,
    diagnostic_sentences,
    uncertainty_grid,
)
from nic_energy.typeset.cells import plus_minus
from nic_energy.typeset.paper import predictor_table, section4, section5, table2
from nic_energy.vocabulary import SOURCE_NOTES

TABLES: Mapping[str, tuple[str, Sequence[str]]] = {
    "energy": ("energy.csv", tables.ENERGY_COLUMNS),
    "missing": ("missing.csv", tables.MISSING_COLUMNS),
    "idle": ("idle.csv", tables.IDLE_COLUMNS),
    "diagnostics": ("diagnostics.csv", tables.DIAGNOSTIC_COLUMNS),
    "models": ("models/energy_models.csv", tables.ENERGY_MODEL_COLUMNS),
    "slopes": ("models/complexity_models.csv", tables.COMPLEXITY_MODEL_COLUMNS),
    "ranking": ("models/ranking.csv", tables.RANKING_COLUMNS),
    "comparison": ("models/paper_comparison.csv", tables.COMPARISON_COLUMNS),
    "predictors": ("models/predictor_correlations.csv", tables.PREDICTOR_COLUMNS),
}
FILES = (
    *(name for name, _ in TABLES.values()),
    "energy_estimators.csv",
    "models/folds.csv",
    *(f"tables/{name}.html" for name in ("table1", "table2", "section4", "section5", "predictors")),
)
EXTERNAL_FILES = ("external_meter.csv", "external_meter.json")
CAPTIONS = {
    "power_trace": "Power over time of one modality; the window lies between the dashed lines.",
    "slope_over_mac": "Slope α over multiply-accumulate operations per pixel.",
    "predictor_correlations": "Correlation of the slope α with network parameters.",
    "residuals": "Relative residuals of the lines over pixels; influential images are ringed.",
    "joint_model": "Networks that were left out: predicted over measured, with 95 % intervals.",
    "uncertainty_budget": "Median standard uncertainties of the energies, by what causes them.",
    "idle_drift": "Idle power over the time of the campaign.",
    "external_meter": "Mean powers of the runs on both sides, and what the line leaves.",
}
SECTIONS = {
    "residuals": "residuals",
    "slope_over_mac": "slope",
    "predictor_correlations": "slope",
    "joint_model": "joint",
    "uncertainty_budget": "uncertainty",
    "idle_drift": "idle",
    "external_meter": "external",
}
"""Where a figure stands; all others stand with the energies."""


@dataclass(frozen=True)
class Results:
    """The tables of a set-up that the page shows, by the names of `TABLES`."""

    energy: pd.DataFrame
    missing: pd.DataFrame
    idle: pd.DataFrame
    diagnostics: pd.DataFrame
    models: pd.DataFrame
    slopes: pd.DataFrame
    ranking: pd.DataFrame
    comparison: pd.DataFrame
    predictors: pd.DataFrame
    judged: Judged | None = None

    @classmethod
    def read(cls, folder: Path) -> "Results":
        """From `results/{setup}`."""
        return cls(
            **{
                name: tables.read_csv(folder / file, columns)
                for name, (file, columns) in TABLES.items()
            },
            judged=Judged.read(folder),
        )


def write_page(
    folder: Path,
    output: Path,
    figures: Sequence[str],
    calibration: Mapping[str, Any] | None = None,
    external: Path | None = None,
) -> None:
    """Write report.html.

    Args:
        folder: `results/{setup}`, whose tables are shown.
        figures: SVG files, in the order to show them.
        calibration: the configuration's, if any.
        external: external_meter.json, if any.
    """
    results = Results.read(folder)
    summary = json.loads(external.read_text(encoding="utf-8")) if external else None
    write_text(output, render(results, [Path(name) for name in figures], calibration, summary))


def render(
    results: Results,
    figures: Sequence[Path],
    calibration: Mapping[str, Any] | None = None,
    external: Mapping[str, Any] | None = None,
) -> str:
    """The page as text; everything that came from outside is escaped."""
    template = resources.files("nic_energy.report").joinpath("page.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    energy, missing = results.energy, results.missing
    sources = sorted(set(energy["source"]))
    idles = idle_table(energy, results.idle)
    return environment.from_string(template).render(
        setup=", ".join(sorted(set(energy["setup"]))),
        sources=sources,
        sources_text="; ".join(SOURCE_NOTES[source] for source in sources),
        devices=_values(energy, "device_name"),
        estimators=_values(energy, "estimator"),
        fields=_values(energy, "power_field"),
        idle=_idle(energy),
        calibrated=calibrated(energy),
        calibration=calibration_sentence(energy, calibration),
        count=len(energy),
        missing=len(missing),
        unconverged=int((energy["converged"] == False).sum()),  # noqa: E712 - may be missing
        width=_median(energy["ci_half_width_percent"]),
        expanded=_median(
            100 * numbers(energy, "expanded_uncertainty_j") / energy["energy_j"].abs()
        ),
        models=grid(with_intervals(results.models), MODEL_VIEW),
        ranks=ranking_sentences(results.ranking),
        ranking=grid(ranking_table(results.ranking), RANKING_VIEW),
        slopes=grid(results.slopes, SLOPE_VIEW),
        predictors=printed_grid(predictor_table(results.predictors)),
        paper=[printed_grid(make(results.comparison)) for make in (table2, section4, section5)],
        uncertainty=uncertainty_grid(energy),
        diagnostics=diagnostic_sentences(energy, results.diagnostics),
        external=external_sentences(external),
        idle_sentence=idle_sentence(energy),
        idles=None if idles is None else grid(idles, IDLE_VIEW),
        summary=grid(summarise(energy), SUMMARY_VIEW),
        flags=flag_grid(energy),
        missing_table=grid(missing, MISSING_VIEW),
        figures=_by_section(figures),
        judged=results.judged.for_page() if results.judged else None,
        files=(
            *FILES,
            *(LINKED if results.judged else ()),
            *(EXTERNAL_FILES if external else ()),
        ),
    )


def with_intervals(models: pd.DataFrame) -> pd.DataFrame:
    """The models with `alpha` in J/Mpx and `beta` in J, each with its expanded uncertainty."""
    columns = {
        name: [numbers(models, f"{name}{part}_{unit}") * factor for part in ("", "_expanded")]
        for name, unit, factor in (("alpha", "j_per_pixel", 1e6), ("beta", "j", 1.0))
    }
    return models.assign(
        **{
            name: [plus_minus(*pair) for pair in zip(*both, strict=True)]
            for name, both in columns.items()
        },
        alpha_dominating=[
            "" if pd.isna(word) else str(word).replace("_", " ")
            for word in models["alpha_dominating"]
        ],
    )


def summarise(energy: pd.DataFrame) -> pd.DataFrame:
    """Least, median and most energy per network and level."""
    groups = energy.groupby(["network", "level"], sort=False)
    return groups.agg(
        modalities=("energy_j", "size"),
        least_j=("energy_j", "min"),
        median_j=("energy_j", "median"),
        most_j=("energy_j", "max"),
        half_width=("ci_half_width_percent", "median"),
        duration_s=("duration_s", "median"),
    ).reset_index()


def _values(energy: pd.DataFrame, column: str) -> list[str]:
    return sorted(map(str, set(energy[column].dropna()))) if column in energy else []


def _median(percent: pd.Series) -> str | None:
    known = percent.dropna()
    return f"{known.median():.2g}" if len(known) else None


def _idle(energy: pd.DataFrame) -> str:
    power = energy["idle_power_w"].dropna()
    if power.empty:
        return "not stated"
    kinds = ", ".join(_values(energy, "idle_kind"))
    return f"{power.median():.2f} W ({kinds})"


def _by_section(figures: Sequence[Path]) -> dict[str, list[dict[str, str]]]:
    found: dict[str, list[dict[str, str]]] = {"energy": []}
    found |= {section: [] for section in SECTIONS.values()}
    for path in figures:
        shown = {"uri": _data_uri(path), "caption": _caption(path)}
        found[SECTIONS.get(path.stem, "energy")].append(shown)
    return found


def _caption(path: Path) -> str:
    network = path.stem.removeprefix("energy_over_pixels_")
    return CAPTIONS.get(path.stem, f"Energy of one execution over pixels: {network}.")


def _data_uri(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
