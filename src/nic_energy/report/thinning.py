"""Fewer samples of a power trace that look like all of them."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

LEAST = 16
"""So many samples are kept besides the edges, however small the budget."""


def edges(time: FloatArray, marks: Sequence[float]) -> IntArray:
    """Indices of the last sample before and the first one at or after each mark.

    Args:
        time: s, ascending, shape (samples,). marks: s.
    """
    after = np.searchsorted(time, np.asarray(marks, dtype=float), side="left")
    both = np.concatenate([after - 1, after])
    inside: IntArray = np.unique(both[(both >= 0) & (both < len(time))])
    return inside.astype(np.int64)


def thinned(time: FloatArray, power: FloatArray, marks: Sequence[float], most: int) -> IntArray:
    """Ascending indices of the samples to draw.

    All of them where there are at most `most`. Else the first, the last, both samples beside each
    mark, and the least and the most power of stretches with equally many samples.

    Args:
        time: s, ascending, shape (samples,). power: W, shape (samples,), without NaN.
        marks: times in s whose neighbours are kept. most: about how many to keep; the neighbours
            of the marks and `LEAST` others are kept in any case.
    """
    count = len(time)
    if count <= most:
        return np.arange(count)
    kept = np.union1d(edges(time, marks), [0, count - 1]).astype(np.int64)
    buckets = max(LEAST, most - len(kept)) // 2
    bounds = np.linspace(0, count, buckets + 1).astype(int)
    extremes = [
        first + place
        for first, last in pairwise(bounds.tolist())
        if last > first
        for place in (int(np.argmin(power[first:last])), int(np.argmax(power[first:last])))
    ]
    return np.union1d(kept, np.asarray(extremes, dtype=np.int64))
