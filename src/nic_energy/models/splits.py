"""What is trained on and what is predicted in cross-validation, and what leaks between the two.

The paper splits rows at random: an image that was measured at several qualities then lies in
training and test at once, and so do images of equal size, so that the error says how well a line
describes what it has seen. Grouped splits keep an image, or a padded size, on one side.
"""

from collections.abc import Callable, Iterable, Mapping

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.model_selection import GroupKFold, KFold

from nic_energy.config import Network
from nic_energy.models.linear import FloatArray, IntArray
from nic_energy.models.regression import LineFit

PAPER, BY_IMAGE, BY_SIZE = "paper", "by_image", "by_padded_size"
LEAKS: Mapping[str, str] = {PAPER: "images;sizes", BY_IMAGE: "sizes", BY_SIZE: ""}
"""What may lie in training and test at once, by split."""

Labels = npt.NDArray[np.str_]
Predict = Callable[[IntArray], FloatArray]
Fit = Callable[[IntArray], Predict | None]
"""Rows to train on, to what predicts other rows; None where they allow no model."""


def padded_sizes(group: pd.DataFrame, network: Network) -> Labels:
    """The padded size of each row as `2048x1408`, the long side first, shape (n,).

    A portrait image has the size of its landscape: it costs the same operations.
    """
    pairs = zip(group["width"], group["height"], strict=True)
    sizes = [network.padded_size(int(width), int(height)) for width, height in pairs]
    return np.array([f"{max(size)}x{min(size)}" for size in sizes], dtype=str)


def padded_pixels(group: pd.DataFrame, network: Network) -> FloatArray:
    """Pixels that the network processes of each row, shape (n,)."""
    pairs = zip(group["width"], group["height"], strict=True)
    sizes = [network.padded_size(int(width), int(height)) for width, height in pairs]
    return np.array([float(width * height) for width, height in sizes])


def groups_of(group: pd.DataFrame, network: Network) -> dict[str, Labels | None]:
    """By split, what has to stay together of each row, shape (n,); None where nothing has to."""
    images = group["image"].to_numpy(dtype=str)
    return {PAPER: None, BY_IMAGE: images, BY_SIZE: padded_sizes(group, network)}


def line_of(x: FloatArray, y: FloatArray, method: LineFit, u: FloatArray | None = None) -> Fit:
    """The fit of a line through the training rows; x, y and u of all rows, shape (n,)."""

    def fit(train: IntArray) -> Predict | None:
        line = method(x[train], y[train], None if u is None else u[train])
        return None if line is None else lambda rows: line.predict(x[rows])

    return fit


def out_of_fold(
    fit: Fit, count: int, groups: Labels | None, folds: int, seed: int, repeats: int = 1
) -> FloatArray | None:
    """Each row's prediction by a model of the other folds, shape (repeats, count).

    Repeat r has the seed `seed + r`. Where there are no more groups than folds, each is left out
    once: there is one such split, and one repeat. None where a training set allows no model.
    """
    found = []
    for train_and_test in _repeats(count, groups, folds, seed, repeats):
        predicted = np.empty(count)
        for train, test in train_and_test:
            predict = fit(train)
            if predict is None:
                return None
            predicted[test] = predict(test)
        found.append(predicted)
    return np.array(found)


def _repeats(
    count: int, groups: Labels | None, folds: int, seed: int, repeats: int
) -> Iterable[Iterable[tuple[IntArray, IntArray]]]:
    rows = np.arange(count)
    codes = rows if groups is None else np.unique(groups, return_inverse=True)[1]
    units = int(codes.max()) + 1
    if min(folds, units) < 2:
        yield [(rows[:0], rows)]
        return
    for repeat in range(repeats if units > folds else 1):
        shuffled = {"shuffle": True, "random_state": seed + repeat}
        splitter = (KFold if groups is None else GroupKFold)(min(folds, units), **shuffled)
        yield splitter.split(rows, groups=None if groups is None else codes)


def relative_errors_percent(predicted: FloatArray, true: FloatArray) -> FloatArray:
    """Signed errors in percent of the true value, shape as `predicted`; NaN where that is not
    positive.
    """
    positive = np.where(true > 0, true, np.nan)
    return np.asarray(100 * (predicted - positive) / positive, dtype=float)
