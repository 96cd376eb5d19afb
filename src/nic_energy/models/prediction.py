"""The energy of one execution of a network on an image of a given size, with an interval.

A network and level that was measured has a line of its own. Any other is predicted by the joint
model from what it costs per pixel.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from nic_energy.errors import InputError
from nic_energy.models.jackknife import LEAST_IMAGES
from nic_energy.models.joint.document import SCHEMA_VERSION
from nic_energy.models.joint.fit import FEATURES, Fitted, Points, distances
from nic_energy.models.joint.interval import COVERAGE, Errors, LeftOutLine, ends
from nic_energy.models.linear import FloatArray, fit_line, not_positive
from nic_energy.models.regression import METHODS
from nic_energy.models.splits import line_of, out_of_fold, relative_errors_percent
from nic_energy.models.uncertainty import line_uncertainty, numbers

OWN_LINE, JOINT = "own line", "joint model"
FOLDS = 10


@dataclass(frozen=True)
class Outside:
    """A quantity beyond what the model was trained on: `factor` times the nearer border."""

    quantity: str
    value: float
    least: float
    most: float

    @property
    def factor(self) -> float:
        """Value over the border that it is beyond; below 1 where it is too small."""
        return self.value / (self.most if self.value > self.most else self.least)


@dataclass(frozen=True)
class Prediction:
    """Joules of one execution.

    Attributes:
        energy_j, low_j, high_j: the prediction and its interval; None where there is no interval.
        basis: `own line` or `joint model`. coverage: of the interval.
        outside: what is beyond the training data.
        remoteness: errors to expect of the joint model so far from what it was trained on, over
            those of the networks that were left out; None for a line of its own.
        notes: what else has to be said.
    """

    energy_j: float
    low_j: float | None
    high_j: float | None
    basis: str
    coverage: float
    outside: tuple[Outside, ...]
    remoteness: float | None = None
    notes: tuple[str, ...] = ()
    details: Mapping[str, Any] = field(default_factory=dict)


def by_own_line(group: pd.DataFrame, pixels: float, seed: int = 0) -> Prediction | None:
    """By the line of the network itself; None where it has none.

    The interval joins the uncertainty of the line at these pixels (images, idle and gain) and the
    scatter of images about it, as left-out images show it, with Student's t for the images.

    Args:
        group: rows of energy.csv of the part, network and level. pixels: of the image, unpadded.
    """
    x, y = numbers(group, "pixels"), numbers(group, "energy_j")
    line, known = fit_line(x, y), line_uncertainty(group)
    if line is None or known is None:
        return None
    energy = float(line.predict(np.array([pixels]))[0])
    outside = _outside({"pixels": pixels}, {"pixels": [float(x.min()), float(x.max())]})
    u, images = known.at(np.array([pixels])), len(set(group["image"]))
    scatter = _scatter(group, x, y, seed)
    details = {"alpha_j_per_pixel": line.slope, "beta_j": line.intercept, "images": images}
    if energy <= 0:
        raise InputError(
            f"the line of this network gives {energy:.3g} J at {pixels:.0f} pixels, which cannot "
            f"be: it was measured from {x.min():.0f} pixels on."
        )
    if u is None or scatter is None:
        reason = not_positive(y) or f"it takes at least {LEAST_IMAGES} images of different sizes"
        note = f"no interval: {reason}"
        return Prediction(
            energy, None, None, OWN_LINE, COVERAGE, outside, notes=(note,), details=details
        )
    factor = float(stats.t.ppf((1 + COVERAGE) / 2, images - 2))
    half = factor * math.hypot(float(u[0]), scatter * energy)
    details["scatter_percent"] = 100 * scatter
    return Prediction(
        energy, max(0.0, energy - half), energy + half, OWN_LINE, COVERAGE, outside, details=details
    )


def _scatter(group: pd.DataFrame, x: FloatArray, y: FloatArray, seed: int) -> float | None:
    """Root mean square of the relative errors on images that were left out, as a share."""
    images = group["image"].to_numpy(dtype=str)
    fit = line_of(x, y, METHODS["least_squares"])
    predicted = out_of_fold(fit, len(x), images, FOLDS, seed)
    if predicted is None or not_positive(y) is not None:
        return None
    return float(np.sqrt(np.mean((relative_errors_percent(predicted[0], y) / 100) ** 2)))


@dataclass(frozen=True)
class JointModel:
    """joint_model.json as it is used. `document` is all of it."""

    document: Mapping[str, Any]
    model: Fitted
    information: FloatArray
    errors: Errors

    @classmethod
    def read(cls, document: Mapping[str, Any], origin: Path) -> "JointModel":
        """From the parsed file.

        Raises:
            InputError: it is of another version, not complete, or holds no model.
        """
        version = document.get("schema_version")
        if version != SCHEMA_VERSION:
            raise InputError(
                f"{origin}: has schema version {version}, this program reads {SCHEMA_VERSION}. "
                "Build it again with this version (snakemake tables)."
            )
        if not document.get("fitted"):
            raise InputError(f"{origin}: holds no joint model: {document.get('reason')}.")
        try:
            terms, values = document["terms"], document["coefficients"]["values"]
            model = Fitted(tuple(terms), np.array([values[term]["value"] for term in terms]))
            lines = tuple(
                LeftOutLine(
                    row["network"], row["level"], row["model"],
                    row["alpha_j_per_pixel"], row["beta_j"],
                    row["predicted_alpha_j_per_pixel"], row["predicted_beta_j"], row["distance"],
                )
                for row in document["left_out"]
            )  # fmt: skip
            least, most = document["training_range"]["pixels"]
            scatter = document["interval"]["scatter_percent"] / 100
            information = np.array(document["information"])
            return cls(document, model, information, Errors(lines, scatter, (least, most)))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{origin}: is not complete ({error!r}).") from error

    def predict(self, features: Mapping[str, float], pixels: float) -> Prediction:
        """By what a network costs per pixel.

        Args:
            features: by the names of `FEATURES`. pixels: in what the model takes them.
        """
        label, known = np.array([""]), {n: np.array([float(features[n])]) for n in FEATURES}
        one = np.array([pixels])
        point = Points(label, label, label, np.array([0]), one, np.full(1, np.nan), known)
        energy = float(self.model.predict(point)[0])
        distance = float(distances(point, self.information, self.model)[0])
        half = self.errors.half_width(pixels, distance)
        ranges = self.document["training_range"]
        outside = _outside({"pixels": pixels, **{n: features[n] for n in FEATURES}}, ranges)
        low, high = ends(energy, half)
        note = "no interval: the networks that were left out were missed by too much to tell"
        return Prediction(
            energy,
            low,
            high,
            JOINT,
            COVERAGE,
            outside,
            remoteness=self.errors.remoteness(distance),
            notes=() if low is not None else (note,),
            details={"half_width_ln": half},
        )


def _outside(
    values: Mapping[str, float], ranges: Mapping[str, list[float] | None]
) -> tuple[Outside, ...]:
    found = []
    for name, value in values.items():
        bounds = ranges.get(name)
        if bounds is not None and not bounds[0] <= value <= bounds[1]:
            found.append(Outside(name, float(value), *bounds))
    return tuple(found)
