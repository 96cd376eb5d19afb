"""The terms of the joint model, and its fit with coefficients that are not negative."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import nnls

from nic_energy.models.linear import FloatArray, IntArray
from nic_energy.models.uncertainty import numbers

BoolArray = npt.NDArray[np.bool_]
Labels = npt.NDArray[np.str_]

KMAC, BYTES, CALLS = "kmac_per_pixel_executed", "activation_bytes_per_pixel", "operator_calls"
FEATURES = (KMAC, BYTES, CALLS)
"""Columns of complexity.csv that the model may know of a network."""

TITLES: Mapping[str, str] = {
    "pixels": "pixels",
    KMAC: "kMAC per pixel",
    BYTES: "activation bytes per pixel",
    CALLS: "operator calls",
}
"""What the quantities are called for people."""

PAPER_KMAC = "kmac_per_pixel"
"""What the paper's line is over, for comparison."""

ITERATIONS = 20
CLOSE = 1e-10


@dataclass(frozen=True)
class Points:
    """Energies, and what the model may know of them; shape (n,) each.

    Attributes:
        setup, network, level: which they belong to. line: a number for all three.
        pixels: S, that the network processes. energy_j: of one execution.
        features: by the names of `FEATURES`, and `PAPER_KMAC`.
    """

    setup: Labels
    network: Labels
    level: Labels
    line: IntArray
    pixels: FloatArray
    energy_j: FloatArray
    features: Mapping[str, FloatArray]

    @classmethod
    def of(cls, table: pd.DataFrame, pixels: str = "padded_pixels") -> "Points":
        """From rows with the features beside `setup`, `network`, `level` and `energy_j`."""
        names = ("setup", "network", "level")
        setup, network, level = (table[name].to_numpy(dtype=str) for name in names)
        features = {name: numbers(table, name) for name in (*FEATURES, PAPER_KMAC)}
        line = table.groupby(list(names), sort=False).ngroup().to_numpy().astype(np.int64)
        area, joules = numbers(table, pixels), numbers(table, "energy_j")
        return cls(setup, network, level, line, area, joules, features)

    def where(self, chosen: BoolArray) -> "Points":
        """Some of the points."""
        return Points(
            self.setup[chosen],
            self.network[chosen],
            self.level[chosen],
            self.line[chosen],
            self.pixels[chosen],
            self.energy_j[chosen],
            {name: values[chosen] for name, values in self.features.items()},
        )

    def at(self, pixels: float) -> "Points":
        """The same points at other pixels, without energies."""
        count = len(self.pixels)
        return replace(self, pixels=np.full(count, pixels), energy_j=np.full(count, np.nan))

    @cached_property
    def networks(self) -> list[str]:
        """Their names, in alphabetical order."""
        return sorted(set(self.network))

    def weights(self) -> FloatArray:
        """Every set-up, network and level counts alike, however many images it has; shape (n,)."""
        return np.asarray(1 / np.bincount(self.line)[self.line], dtype=float)


Column = Callable[[Points], FloatArray]

TERMS: Mapping[str, Column] = {
    "j_per_kmac": lambda points: points.pixels * points.features[KMAC],
    "j_per_byte": lambda points: points.pixels * points.features[BYTES],
    "j_per_pixel": lambda points: points.pixels,
    "j_per_call": lambda points: points.features[CALLS],
    "j_per_execution": lambda points: np.ones_like(points.pixels),
}
"""What each coefficient is multiplied by, shape (n,); the coefficient has the unit of its name."""

UNITS: Mapping[str, str] = {
    "j_per_kmac": "J/kMAC",
    "j_per_byte": "J/B",
    "j_per_pixel": "J/px",
    "j_per_call": "J",
    "j_per_execution": "J",
}


def design(points: Points, terms: Sequence[str]) -> FloatArray:
    """A column a term, shape (n, terms)."""
    return np.column_stack([TERMS[term](points) for term in terms])


@dataclass(frozen=True)
class Fitted:
    """A joint model. `coefficients` has the order of `terms` and the units of their names."""

    terms: tuple[str, ...]
    coefficients: FloatArray

    def predict(self, points: Points) -> FloatArray:
        """Energies in J, shape (n,)."""
        return np.asarray(design(points, self.terms) @ self.coefficients, dtype=float)

    @property
    def active(self) -> tuple[str, ...]:
        """The terms whose coefficient is not 0."""
        pairs = zip(self.terms, self.coefficients, strict=True)
        return tuple(term for term, value in pairs if value > 0)


def fit(points: Points, terms: Sequence[str]) -> Fitted:
    """Non-negative least squares of errors relative to the model's own energies.

    Relative to the measured ones, what scatters below the model would count more than what scatters
    above it, and the model would be too low (as for any quasi-likelihood; P. McCullagh and J.
    Nelder, "Generalized Linear Models", 1989). The weights follow the model until it stays.
    """
    table = design(points, terms)
    scale = np.max(np.abs(table), axis=0)
    scale[scale == 0] = 1.0
    share = np.sqrt(points.weights())
    about, solution = points.energy_j, np.zeros(len(terms))
    for _ in range(ITERATIONS):
        weight = share / about
        found = nnls(table / scale * weight[:, None], points.energy_j * weight)[0]
        done = bool(np.all(np.abs(found - solution) <= CLOSE * found.max()))
        solution = found
        fitted = table / scale @ solution
        if done or not (fitted > 0).all():
            break
        about = fitted
    return Fitted(tuple(terms), solution / scale)


def shares(points: Points, model: Fitted) -> FloatArray:
    """What every active term contributes to a point's energy, shape (n, active terms); sum 1."""
    kept = np.array([term in model.active for term in model.terms])
    parts = design(points, model.active) * model.coefficients[kept]
    return np.asarray(parts / parts.sum(axis=1, keepdims=True), dtype=float)


def information(points: Points, model: Fitted) -> FloatArray:
    """What points tell of the coefficients, relative to them, shape (active terms, active terms).

    In units of one network: its rows are not independent, they make one together.
    """
    rows, weights = shares(points, model), points.weights()
    for network in points.networks:
        own = points.network == network
        weights[own] /= weights[own].sum()
    return np.asarray((rows * weights[:, None]).T @ rows, dtype=float)


def distances(points: Points, known: FloatArray, model: Fitted) -> FloatArray:
    """How far points are from what a model was fitted to, shape (n,): their leverage.

    The variance of the model's relative error, in units of that of one network. `known` is the
    `information` of what the model was fitted to.
    """
    rows = shares(points, model)
    inverse = np.linalg.pinv(known, rcond=1e-10, hermitian=True)
    return np.asarray(np.einsum("ni,ij,nj->n", rows, inverse, rows), dtype=float)
