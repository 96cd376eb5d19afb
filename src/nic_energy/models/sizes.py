"""What energy could be a function of, beside the pixels of the image (Eq. (2)).

- `pixels`: E = alpha * S + beta, the paper's.
- `padded_pixels`: the same with the pixels that the network processes.
- `pixels_and_padding`: E = alpha * S + gamma * (padded - S) + beta, alpha and gamma not negative:
  with gamma = 0 padding costs nothing, with gamma = alpha as much as the image.
- `pixels_and_size`: E = (alpha * S + beta) * (1 + e), e an effect of the padded size: how its rows
  and columns fill the tiles and multiprocessors of the device. It is known of sizes that were
  measured only, and drawn towards 0 as far as the scatter of the images explains it.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats
from sklearn.linear_model import LinearRegression

from nic_energy import tables
from nic_energy.config import Network
from nic_energy.models.linear import LEAST, FloatArray, IntArray, fit_line
from nic_energy.models.regression import METHODS
from nic_energy.models.splits import Fit, Labels, Predict, line_of, padded_pixels, padded_sizes
from nic_energy.models.uncertainty import numbers
from nic_energy.models.validation import groups_with_head


@dataclass(frozen=True)
class Rows:
    """What a model may know of rows, and their energies in J; shape (n,) each."""

    pixels: FloatArray
    padded_pixels: FloatArray
    padded_size: Labels
    image: IntArray
    joules: FloatArray

    @classmethod
    def of(cls, group: pd.DataFrame, network: Network) -> "Rows":
        """From the rows of energy.csv of one network."""
        return cls(
            numbers(group, "pixels"),
            padded_pixels(group, network),
            padded_sizes(group, network),
            np.unique(group["image"].to_numpy(dtype=str), return_inverse=True)[1],
            numbers(group, "energy_j"),
        )


def _pixels(rows: Rows) -> Fit:
    return line_of(rows.pixels, rows.joules, METHODS["least_squares"])


def _padded_pixels(rows: Rows) -> Fit:
    return line_of(rows.padded_pixels, rows.joules, METHODS["least_squares"])


def _pixels_and_padding(rows: Rows) -> Fit:
    table = np.column_stack([rows.pixels, rows.padded_pixels - rows.pixels])

    def fit(train: IntArray) -> Predict | None:
        if len(train) < LEAST or np.ptp(rows.pixels[train]) == 0:
            return None
        plane = LinearRegression(positive=True).fit(table[train], rows.joules[train])
        return lambda test: np.asarray(plane.predict(table[test]), dtype=float)

    return fit


def _pixels_and_size(rows: Rows) -> Fit:
    def fit(train: IntArray) -> Predict | None:
        line = fit_line(rows.pixels[train], rows.joules[train])
        if line is None:
            return None
        found = size_effects(
            rows.pixels[train], rows.joules[train], rows.image[train], rows.padded_size[train]
        )
        known = dict(zip(found.sizes, found.effects, strict=True)) if found else {}

        def predict(test: IntArray) -> FloatArray:
            effects: FloatArray = np.array(
                [known.get(size, 0.0) for size in rows.padded_size[test]]
            )
            return line.predict(rows.pixels[test]) * (1 + effects)

        return predict

    return fit


PREDICTORS: Mapping[str, Callable[[Rows], Fit]] = {
    "pixels": _pixels,
    "padded_pixels": _padded_pixels,
    "pixels_and_padding": _pixels_and_padding,
    "pixels_and_size": _pixels_and_size,
}


@dataclass(frozen=True)
class SizeEffects:
    """What padded sizes do to the energy, as shares of it.

    Attributes:
        sizes, images, means, effects: per size, how many images it has, their mean relative
            residual, and that drawn towards 0.
        between, within: standard deviations of what sizes do, and of what images of one size do.
        p_value: of the F test of lack of fit, that sizes do nothing.
    """

    sizes: Labels
    images: IntArray
    means: FloatArray
    effects: FloatArray
    between: float
    within: float
    p_value: float


def size_effects(
    pixels: FloatArray, joules: FloatArray, images: npt.NDArray[Any], sizes: Labels
) -> SizeEffects | None:
    """Effects of padded sizes beside the line, from rows of shape (n,).

    An image counts once, with the mean of its qualities, relative to the line. The variance
    between sizes is that by moments, not below 0; an effect is drawn towards 0 by the share of the
    variance of its mean that images cause. None without a line, or where no size has images enough
    to tell what the size does from what they do.
    """
    line = fit_line(pixels, joules)
    if line is None:
        return None
    _, first, codes = np.unique(images, return_index=True, return_inverse=True)
    count = np.bincount(codes)
    x, y = (np.bincount(codes, values) / count for values in (pixels, joules))
    fitted = line.predict(x)
    if (fitted <= 0).any():
        return None
    names, of_image = np.unique(sizes[first], return_inverse=True)
    number = np.bincount(of_image)
    ratio, design = y / fitted, np.column_stack([1 / fitted, x / fitted / np.mean(x)])
    dummies = (of_image[:, None] == np.arange(len(names))).astype(float)
    basis = np.linalg.qr(design)[0]
    lone = float(np.sum((ratio - basis @ (basis.T @ ratio)) ** 2))
    both = np.column_stack([design, dummies])
    solution, _, rank, _ = np.linalg.lstsq(both, ratio, rcond=None)
    pure, freedom = float(np.sum((ratio - both @ solution) ** 2)), len(x) - int(rank)
    extra = len(x) - design.shape[1] - freedom
    if freedom < 1 or extra < 1:
        return None
    within = pure / freedom
    trace = len(x) - float(np.sum((basis.T @ dummies) ** 2))
    between = max(0.0, (lone - (len(x) - design.shape[1]) * within) / trace)
    means = np.bincount(of_image, ratio - 1) / number
    noise = within / number
    share = np.divide(between, between + noise, out=np.zeros(len(names)), where=between + noise > 0)
    f = ((lone - pure) / extra) / within if within > 0 else np.inf
    return SizeEffects(
        sizes=names,
        images=number,
        means=means,
        effects=share * means,
        between=between**0.5,
        within=within**0.5,
        p_value=float(stats.f.sf(f, extra, freedom)),
    )


def size_effect_table(energy: pd.DataFrame, networks: Mapping[str, Network]) -> pd.DataFrame:
    """size_effects.csv: a row per network, level and padded size, where they can be told apart."""
    rows: list[dict[str, Any]] = []
    for head, group, network in groups_with_head(energy, networks):
        of = Rows.of(group, network)
        found = size_effects(of.pixels, of.joules, of.image, of.padded_size)
        if found is None:
            continue
        spread = {
            "between_sizes_percent": 100 * found.between,
            "within_size_percent": 100 * found.within,
            "p_value": found.p_value,
        }
        rows += [
            {
                **head,
                "padded_size": size,
                "images": int(images),
                "mean_relative_residual_percent": 100 * mean,
                "size_effect_percent": 100 * effect + 0.0,  # no -0
                **spread,
            }
            for size, images, mean, effect in sorted(
                zip(found.sizes, found.images, found.means, found.effects, strict=True),
                key=lambda row: [int(side) for side in row[0].split("x")],
            )
        ]
    return tables.frame(rows, tables.SIZE_EFFECT_COLUMNS)
