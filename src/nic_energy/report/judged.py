"""How well the models predict: the page's section, from tables of its own."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from nic_energy import tables
from nic_energy.models.joint.document import equation
from nic_energy.models.splits import BY_IMAGE, BY_SIZE, PAPER
from nic_energy.report.grids import Grid, View, grid
from nic_energy.typeset.cells import NOTHING

VIEW: View = (
    ("network", "network", None, 1),
    ("level", "level", None, 1),
    ("paper's split (%)", PAPER, "", 1),
    ("images left out (%)", BY_IMAGE, "", 1),
    ("sizes left out (%)", BY_SIZE, "", 1),
    ("influential images", "influential", None, 1),
)
JOINT_VIEW: View = (
    ("model", "title", None, 1),
    ("terms", "terms", None, 1),
    ("error on left-out networks (%)", "left_out_error_percent", ".1f", 1),
    ("u (%)", "left_out_error_u_percent", ".2g", 1),
    ("at worst (%)", "worst_error_percent", ".1f", 1),
    ("of", "worst_network", None, 1),
)
BASELINES = {
    "mean_line": "mean of the others' lines",
    "slope_over_mac": "paper's line over MAC",
}
PREDICTORS = {
    "padded_pixels": "the padded pixels",
    "pixels_and_padding": "pixels and padding, each with a slope of its own,",
    "pixels_and_size": "pixels with an effect of the padded size",
}
FILES = {
    "validation": ("models/validation.csv", tables.VALIDATION_COLUMNS),
    "residuals": ("models/residuals.csv", tables.RESIDUAL_COLUMNS),
    "predictors": ("models/predictor_comparison.csv", tables.PREDICTOR_COMPARISON_COLUMNS),
    "candidates": ("models/joint_model.csv", tables.JOINT_MODEL_COLUMNS),
}
JOINT = "models/joint_model.json"
LINKED = (
    *(name for name, _ in FILES.values()),
    JOINT,
    "models/bootstrap.csv",
    "models/regression_comparison.csv",
    "models/size_effects.csv",
)


@dataclass(frozen=True)
class Judged:
    """The tables that say how well the models predict, by the names of `FILES`."""

    validation: pd.DataFrame
    residuals: pd.DataFrame
    predictors: pd.DataFrame
    candidates: pd.DataFrame
    joint: Mapping[str, Any]

    @classmethod
    def read(cls, folder: Path) -> "Judged | None":
        """From `results/{setup}`; None where it was made without them."""
        if not all((folder / name).is_file() for name in (*(f for f, _ in FILES.values()), JOINT)):
            return None
        read = {name: tables.read_csv(folder / file, columns)
                for name, (file, columns) in FILES.items()}  # fmt: skip
        return cls(**read, joint=json.loads((folder / JOINT).read_text(encoding="utf-8")))

    def for_page(self) -> dict[str, Any]:
        """What the template shows of it."""
        return {
            "errors": grid(errors_by_split(self.validation, self.residuals), VIEW),
            "predictors": predictor_sentences(self.predictors),
            "joint": joint_sentences(self.joint),
            "candidates": candidate_grid(self.candidates) if self.joint["fitted"] else None,
        }


def errors_by_split(validation: pd.DataFrame, residuals: pd.DataFrame) -> pd.DataFrame:
    """A row a network and level, Eq. (3) by split with its interval, and the influential images."""
    rows = []
    for (network, level), group in validation.groupby(["network", "level"], sort=False):
        by_split = {str(row["split"]): row for row in group.to_dict("records")}
        own = (residuals["network"] == network) & (residuals["level"] == level)
        images = sorted(set(residuals.loc[own & residuals["influential"].astype(bool), "image"]))
        cells = {split: _error(by_split[split]) for split in (PAPER, BY_IMAGE, BY_SIZE)}
        influential = ", ".join(map(str, images))
        rows.append({"network": network, "level": level, **cells, "influential": influential})
    return pd.DataFrame(rows, columns=[column for _, column, _, _ in VIEW])


def _error(row: Mapping[Any, Any]) -> str:
    if pd.isna(row["mean_relative_error_percent"]):
        return NOTHING
    error = f"{row['mean_relative_error_percent']:.2f}"
    if pd.isna(row["low_percent"]):
        return error
    return f"{error} ({row['low_percent']:.2f} to {row['high_percent']:.2f})"


def predictor_sentences(predictors: pd.DataFrame) -> list[str]:
    """A sentence a predictor and split, over all networks."""
    found = []
    for row in predictors[predictors["network"] == "all"].to_dict("records"):
        what = "sizes" if row["split"] == BY_SIZE else "images"
        head = f"On {what} that were left out, {PREDICTORS[row['predictor']]} predict"
        low, high = row["low_percent"], row["high_percent"]
        if pd.isna(low) or low <= 0 <= high:
            found.append(
                f"{head} neither better nor worse than the pixels, as far as this can tell "
                f"({row['difference_percent']:+.2f} points{_bounds(low, high)})."
            )
            continue
        how = "better" if high < 0 else "worse"
        points = abs(row["difference_percent"])
        found.append(f"{head} {how} than the pixels by {points:.2f} points{_bounds(low, high)}.")
    return found


def _bounds(low: float, high: float) -> str:
    return "" if pd.isna(low) else f", 95 % interval {low:+.2f} to {high:+.2f}"


def joint_sentences(joint: Mapping[str, Any]) -> list[str]:
    """What the joint model is, and how far it can be trusted."""
    if not joint["fitted"]:
        return [f"There is no joint model: {joint['reason']}."]
    inside = sum(row["inside"] for row in joint["left_out"])
    return [
        f"{equation(joint)}, S the pixels that the network processes.",
        f"A network that the model had not seen, with the terms chosen without it too, was "
        f"predicted with a mean error of {joint['left_out_error_percent']:.1f} %; {inside} of "
        f"{len(joint['left_out'])} lines lie in the 95 % interval that the others give.",
        "nic-energy predict gives joules of any network with such an interval.",
    ]


def candidate_grid(candidates: pd.DataFrame) -> Grid:
    """The models that were tried, the nested choice and what they have to beat."""
    titles = []
    for row in candidates.to_dict("records"):
        if row["kind"] == "nested":
            titles.append("terms chosen anew each time")
        elif row["kind"] == "baseline":
            titles.append(BASELINES[row["model"]])
        else:
            chosen = " (chosen)" if row["chosen"] == True else ""  # noqa: E712 - may be missing
            titles.append(str(row["model"]).replace("_", " and ") + chosen)
    terms = [
        "" if kind != "candidate" else str(text).replace(";", ", ")
        for kind, text in zip(candidates["kind"], candidates["terms"], strict=True)
    ]
    return grid(candidates.assign(title=titles, terms=terms), JOINT_VIEW)
