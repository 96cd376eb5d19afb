"""The page of a set-up: self-contained HTML from its tables and figures."""

import base64
from collections import Counter
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, StrictUndefined

from nic_energy import tables
from nic_energy.files import write_text
from nic_energy.vocabulary import SOURCE_NOTES

FILES = (
    "energy.csv",
    "energy_estimators.csv",
    "missing.csv",
    "models/energy_models.csv",
    "models/complexity_models.csv",
)
CAPTIONS = {
    "power_trace": "Power over time of one modality; the window lies between the dashed lines.",
    "slope_over_mac": "Slope α over multiply-accumulate operations per pixel.",
}

FLAG_MEANINGS = {
    "counter_disagrees": "energy counter and integrated power differ by more than 2 %",
    "idle_not_settled": "the idle reference began before the power had come to rest",
    "idle_session_differs": "measured in another session than the idle reference",
    "no_thermometer": "the device has no thermometer, so it was not preheated",
    "not_converged": "the cap on K was reached before the interval was narrow enough",
    "preheat_settled": "the temperature settled below the preheating target",
    "preheat_timed_out": "preheating ended at its time limit",
    "session_differs": "the rows come from more than one session",
    "temperature_drift": "a window's temperature lay outside the band",
    "windows_rejected": "some windows were not admissible and were repeated",
}

Grid = dict[str, Any]


def write_page(folder: Path, output: Path, figures: Sequence[str]) -> None:
    """Write report.html.

    Args:
        folder: `results/{setup}`, whose tables are shown.
        figures: SVG files, in the order to show them.
    """
    energy = tables.read_csv(folder / "energy.csv", tables.ENERGY_COLUMNS)
    missing = tables.read_csv(folder / "missing.csv", tables.MISSING_COLUMNS)
    models = tables.read_csv(folder / "models/energy_models.csv", tables.ENERGY_MODEL_COLUMNS)
    slopes = tables.read_csv(
        folder / "models/complexity_models.csv", tables.COMPLEXITY_MODEL_COLUMNS
    )
    write_text(output, render(energy, missing, models, slopes, [Path(name) for name in figures]))


def render(
    energy: pd.DataFrame,
    missing: pd.DataFrame,
    models: pd.DataFrame,
    slopes: pd.DataFrame,
    figures: Sequence[Path],
) -> str:
    """The page as text; everything that came from outside is escaped."""
    template = resources.files("nic_energy.report").joinpath("page.html.j2").read_text("utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    sources = sorted(set(energy["source"]))
    widths = energy["ci_half_width_percent"].dropna()
    return environment.from_string(template).render(
        setup=", ".join(sorted(set(energy["setup"]))),
        sources=sources,
        sources_text="; ".join(SOURCE_NOTES[source] for source in sources),
        devices=_values(energy, "device_name"),
        estimators=_values(energy, "estimator"),
        fields=_values(energy, "power_field"),
        idle=_idle(energy),
        count=len(energy),
        missing=missing.to_dict("records"),
        unconverged=int((energy["converged"] == False).sum()),  # noqa: E712 - may be missing
        width=f"{widths.median():.2g}" if len(widths) else None,
        models=grid(models, MODEL_VIEW),
        slopes=grid(slopes, SLOPE_VIEW),
        summary=grid(summarise(energy), SUMMARY_VIEW),
        flags=_flags(energy),
        missing_table=grid(missing, MISSING_VIEW),
        figures=[{"uri": _data_uri(path), "caption": _caption(path)} for path in figures],
        files=FILES,
    )


View = Sequence[tuple[str, str, str | None, float]]
"""Title, column, format (None = text) and factor of each column to show."""

MODEL_VIEW: View = (
    ("network", "network", None, 1),
    ("level", "level", None, 1),
    ("n", "n", ".0f", 1),
    ("α (J/Mpx)", "alpha_j_per_pixel", ".4g", 1e6),
    ("β (J)", "beta_j", ".3g", 1),
    ("mean rel. error (%)", "mean_relative_error_percent", ".2f", 1),
    ("r", "pearson_r", ".4f", 1),
)
SLOPE_VIEW: View = (
    ("predictor", "predictor", None, 1),
    ("n", "n", ".0f", 1),
    ("slope", "slope", ".4g", 1),
    ("intercept (J/px)", "intercept", ".4g", 1),
    ("mean rel. error (%)", "mean_relative_error_percent", ".2f", 1),
    ("r", "pearson_r", ".4f", 1),
)
SUMMARY_VIEW: View = (
    ("network", "network", None, 1),
    ("level", "level", None, 1),
    ("modalities", "modalities", ".0f", 1),
    ("least (J)", "least_j", ".3g", 1),
    ("median (J)", "median_j", ".3g", 1),
    ("most (J)", "most_j", ".3g", 1),
    ("median ± (%)", "half_width", ".2g", 1),
    ("median time (s)", "duration_s", ".3g", 1),
)
MISSING_VIEW: View = (
    ("network", "network", None, 1),
    ("quality", "quality", ".0f", 1),
    ("image", "image", None, 1),
    ("failed attempts", "failed_attempts", ".0f", 1),
    ("last error", "last_error", None, 1),
)
FLAG_VIEW: View = (
    ("flag", "flag", None, 1),
    ("rows", "rows", ".0f", 1),
    ("meaning", "meaning", None, 1),
)


def grid(table: pd.DataFrame, view: View) -> Grid:
    """A table ready for the template."""
    return {
        "head": [{"title": title, "text": form is None} for title, _, form, _ in view],
        "rows": [
            [_cell(row[column], form, factor) for _, column, form, factor in view]
            for row in table.to_dict("records")
        ],
    }


def _cell(value: Any, form: str | None, factor: float) -> str:
    if value is None or value != value:
        return "–"
    return str(value) if form is None else format(float(value) * factor, form)


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


def _idle(energy: pd.DataFrame) -> str:
    power = energy["idle_power_w"].dropna()
    if power.empty:
        return "not stated"
    kinds = ", ".join(_values(energy, "idle_kind"))
    return f"{power.median():.2f} W ({kinds})"


def _flags(energy: pd.DataFrame) -> Grid | None:
    words = Counter(word for cell in energy["flags"].dropna() for word in str(cell).split(";"))
    rows = [
        {"flag": word, "rows": number, "meaning": FLAG_MEANINGS.get(word, "")}
        for word, number in sorted(words.items())
        if word
    ]
    return grid(pd.DataFrame(rows), FLAG_VIEW) if rows else None


def _caption(path: Path) -> str:
    network = path.stem.removeprefix("energy_over_pixels_")
    return CAPTIONS.get(path.stem, f"Energy of one execution over pixels: {network}.")


def _data_uri(path: Path) -> str:
    return "data:image/svg+xml;base64," + base64.b64encode(path.read_bytes()).decode()
