"""The averaging window and the lag of a sensor, from its response to a square wave of load.

A sensor shows the mean of the true power over a window that ends some lag before its update. To
a step of the load it therefore answers with a ramp: it begins when the step is as old as the lag
and ends a window later. A sensor that updates slowly shows only a few points of each ramp; many
steps at random phases show all of it (Yang et al., SC24).

The true power is not two levels: a warming chip draws more, and a card stays in a high
performance state for seconds after a load. So the model of the true power is a sum of shapes
with free amplitudes: two levels that drift as polynomials of time, and exponential settling after
every switch. Each shape is averaged over a trial window and lag, the amplitudes follow from
robust linear least squares, and window and lag are those whose residuals are smallest.
"""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import optimize

from nic_energy.energy.passport_updates import LEAST_UPDATES, UndeterminedError, Updates
from nic_energy.traces import FloatArray, Interval

LOAD_PHASE = "wave_on"
REST_PHASE = "wave_off"

NODE_S = 0.02
"""The model of the true power is laid down in pieces of at most this length."""

REST_SETTLING_S = (1.0, 5.0)
"""Time constants of what a card still draws after a load; of 4 to 6 s are those known."""

LOAD_SETTLING_S = (2.0,)
STEP = 3
"""Index of the shape that is the step of the load itself."""

SKIPPED_S = 4.0
"""Updates this soon after the wave began may have seen what was before it."""

LEAST_SWITCHES = 12
LEAST_SIGNAL = 8.0
"""The step must be this many times the scatter of the readings."""

WINDOWS_S = np.geomspace(0.004, 3.0, 15)
LAGS_S = np.array([0.0, 0.01, 0.02, 0.04, 0.08, 0.16, 0.3, 0.5])
STARTS = 2
"""The search over a grid hands on this many starting points."""

WIDE, NARROW = 0.4, 0.1
"""Size of the first simplex of Nelder and Mead, relative to the window. The search ends with a
narrow one where the wide one ended: the cost has kinks in which it may stop early.
"""

HUBER, HUBER_SHARE = 3.0, 0.02
"""A residual is an outlier beyond this many times the scatter, or this share of the step."""

ROUNDS = 3
GROUPS = 5
LEAST_ON_RAMPS = 8
LEAST_POLLS = 3
"""Where updates have no time stamps, a window must be as long as this many readings."""

MOST_U = 0.25
"""A window with a greater relative uncertainty is not resolved."""

EARLY_SHARE = 0.05
"""A ramp that begins by more than this share of the window before the step is none."""

MOST_MISFIT = 0.15


@dataclass(frozen=True)
class Wave:
    """The load over time: `switches_s`, on and off in turn, and the shapes of power as integrals,
    shape (nodes, shapes), at times `nodes_s`.
    """

    switches_s: FloatArray
    nodes_s: FloatArray
    integrals: FloatArray

    @property
    def longest_s(self) -> float:
        """The longest stretch without a switch, the first one apart."""
        return float(np.diff(self.switches_s)[1:].max())

    def means(self, ends_s: FloatArray, window_s: float) -> FloatArray:
        """Mean of each shape over windows that end at times, shape (times, shapes)."""
        return (self._integral(ends_s) - self._integral(ends_s - window_s)) / window_s

    def _integral(self, time_s: FloatArray) -> FloatArray:
        right = np.clip(np.searchsorted(self.nodes_s, time_s), 1, len(self.nodes_s) - 1)
        left = right - 1
        share = (time_s - self.nodes_s[left]) / (self.nodes_s[right] - self.nodes_s[left])
        rise = self.integrals[right] - self.integrals[left]
        return np.asarray(self.integrals[left] + share[:, None] * rise)


@dataclass(frozen=True)
class Response:
    """Window and lag in s with their standard uncertainties; `step_w` is by how much the load
    moves the column in W.
    """

    window_s: float
    window_u_s: float
    lag_s: float
    lag_u_s: float
    step_w: float


def wave_of(marks: Sequence[Interval]) -> Wave:
    """The wave from its marks; what is not marked as load is rest.

    Raises:
        UndeterminedError: there are too few switches.
    """
    loads = sorted((m.start_s, m.end_s) for m in marks if m.phase == LOAD_PHASE)
    switches = np.array(loads).ravel()
    if len(switches) < LEAST_SWITCHES:
        raise UndeterminedError(
            f"the record has {len(switches)} switches of the load, fewer than {LEAST_SWITCHES}"
        )
    first, last = float(switches[0]), max(mark.end_s for mark in marks)
    bounds = np.concatenate([[first - 2 * SKIPPED_S], switches, [last + SKIPPED_S]])
    nodes, powers = [bounds[:1]], []
    for number, (begin, end) in enumerate(itertools.pairwise(bounds)):
        edges = np.linspace(begin, end, math.ceil((end - begin) / NODE_S) + 1)
        middle = (edges[1:] + edges[:-1]) / 2
        reach = 2 * (middle - first) / (last - first) - 1
        nodes.append(edges[1:])
        powers.append(_shapes(reach, middle - begin, bool(number % 2)))
    times = np.concatenate(nodes)
    energy = np.cumsum(np.concatenate(powers) * np.diff(times)[:, None], axis=0)
    return Wave(switches, times, np.concatenate([np.zeros((1, energy.shape[1])), energy]))


def _shapes(reach: FloatArray, since_s: FloatArray, loaded: bool) -> FloatArray:
    """Shapes of the true power within one stretch, shape (times, shapes).

    Args:
        reach: time through the record, from -1 to 1. since_s: time since the last switch.
    """
    on = np.full_like(reach, float(loaded))
    columns = [np.ones_like(reach), reach, reach**2]
    columns += [on, on * reach, on * reach**2, on * reach**3]
    columns += [(1 - on) * np.exp(-since_s / tau) for tau in REST_SETTLING_S]
    columns += [on * np.exp(-since_s / tau) for tau in LOAD_SETTLING_S]
    return np.stack(columns, axis=1)


def respond(updates: Updates, wave: Wave) -> Response:
    """Fit window and lag; their uncertainties are by the jackknife over groups of cycles.

    Raises:
        UndeterminedError: the load does not move the column, its answer is no ramp that fits
            between two switches, or the ramp is too short to be resolved.
    """
    problem = _problem(updates, wave)
    starts, limit_w = _search(problem)
    problem = replace(problem, limit_w=limit_w)
    found = [_refine(problem, start, WIDE) for start in starts]
    best = min(found, key=lambda point: problem.solve(*point).cost)
    best = _refine(problem, best, NARROW)
    rest = np.array([_refine(problem.without(group), best, NARROW) for group in range(GROUPS)])
    spread = ((rest - rest.mean(axis=0)) ** 2).sum(axis=0)
    window_u, lag_u = np.sqrt((GROUPS - 1) / GROUPS * spread).tolist()
    window, lag = best
    step_w = float(problem.solve(window, lag).amplitudes[STEP])
    least = 0.0 if updates.stamped else LEAST_POLLS * updates.polling_s
    _check_resolved(window, window_u, least, problem.on_ramps(window, lag))
    _check_ramp(problem, window, lag, updates.polling_s)
    return Response(window, window_u, lag, lag_u, step_w)


def _check_resolved(window: float, window_u: float, least: float, on_ramps: int) -> None:
    """Refuse a window that the record does not resolve."""
    if window < least:
        raise UndeterminedError(
            f"its window is shorter than {1e3 * least:.1f} ms, the time of {LEAST_POLLS} readings"
        )
    if on_ramps < LEAST_ON_RAMPS:
        raise UndeterminedError(
            f"its window is too short: only {on_ramps} updates saw the load switch"
        )
    if window_u > MOST_U * window:
        raise UndeterminedError(
            f"its window scatters too much: {1e3 * window:.1f} ms, give or take "
            f"{1e3 * window_u:.1f} ms"
        )


def _check_ramp(problem: "_Problem", window: float, lag: float, polling_s: float) -> None:
    """Refuse an answer that no mean over a window gives."""
    if window + lag > problem.wave.longest_s:
        raise UndeterminedError(
            "its answer to a step lasts longer than the load holds still "
            f"({problem.wave.longest_s:.1f} s)"
        )
    if lag < -EARLY_SHARE * window - polling_s:
        raise UndeterminedError(
            "its answer to a step is not that of a mean over a window: the best ramp begins "
            f"{-1e3 * lag:.0f} ms before the step"
        )
    misfit = problem.misfit(window, lag)
    if misfit > MOST_MISFIT:
        raise UndeterminedError(
            "its answer to a step is not that of a mean over a window: typical residuals are "
            f"{100 * misfit:.0f} % of the step"
        )


@dataclass(frozen=True)
class _Solution:
    """Amplitudes of the shapes in W for one window and lag, what they leave of the readings, and
    how bad that is.
    """

    cost: float
    amplitudes: FloatArray
    residuals: FloatArray


@dataclass(frozen=True)
class _Problem:
    """Updates to be explained: `values` in W at the times `at_s`, in the wave's `cycles`, shapes
    (updates,). Residuals beyond `limit_w` count by their size, not its square.
    """

    wave: Wave
    at_s: FloatArray
    values: FloatArray
    cycles: npt.NDArray[np.int64]
    limit_w: float = math.inf

    def without(self, group: int) -> "_Problem":
        """The problem without one of the groups of cycles."""
        kept = self.cycles % GROUPS != group
        return replace(self, at_s=self.at_s[kept], values=self.values[kept])

    def means(self, window_s: float, lag_s: float) -> FloatArray:
        """What the sensor would show of each shape, shape (updates, shapes)."""
        return self.wave.means(self.at_s - lag_s, window_s)

    def solve(self, window_s: float, lag_s: float) -> _Solution:
        """Least squares of the amplitudes, robust by Huber's weights."""
        means = self.means(window_s, lag_s)
        weights = np.ones(len(self.values))
        robust = math.isfinite(self.limit_w)
        for _ in range(ROUNDS if robust else 1):
            weighted = means * weights[:, None]
            gram = weighted.T @ means
            scale = np.sqrt(np.diag(gram)) + 1e-12
            normal = gram / np.outer(scale, scale)
            scaled = np.linalg.lstsq(normal, weighted.T @ self.values / scale, rcond=1e-12)[0]
            amplitudes: FloatArray = np.asarray(scaled / scale, dtype=np.float64)
            residuals = self.values - means @ amplitudes
            size = np.abs(residuals)
            weights = self.limit_w / np.maximum(size, self.limit_w) if robust else weights
        square = np.minimum(size, self.limit_w)
        cost = np.sum(square * (size - square / 2))
        return _Solution(float(cost), amplitudes, residuals)

    def on_ramps(self, window_s: float, lag_s: float) -> int:
        """How many updates saw the load switch."""
        return int(self._ramps(window_s, lag_s).sum())

    def misfit(self, window_s: float, lag_s: float) -> float:
        """Typical residual on the ramps as a share of the step; 0 where no update lies on one."""
        solution = self.solve(window_s, lag_s)
        on_ramp = np.abs(solution.residuals[self._ramps(window_s, lag_s)])
        typical = float(np.median(on_ramp)) if len(on_ramp) else 0.0
        return typical / abs(float(solution.amplitudes[STEP]))

    def _ramps(self, window_s: float, lag_s: float) -> npt.NDArray[np.bool_]:
        ramp = self.means(window_s, lag_s)[:, STEP]
        return np.asarray((ramp > 0.05) & (ramp < 0.95))


def _problem(updates: Updates, wave: Wave) -> _Problem:
    """The updates that fall into the wave.

    Raises:
        UndeterminedError: they are too few.
    """
    time = updates.time_s
    inside = (time > wave.switches_s[0] + SKIPPED_S) & (time < wave.nodes_s[-1] - SKIPPED_S)
    if int(inside.sum()) < LEAST_UPDATES:
        raise UndeterminedError(
            f"only {int(inside.sum())} updates fall into the wave, fewer than {LEAST_UPDATES}"
        )
    cycles = np.searchsorted(wave.switches_s, time[inside]) // 2
    return _Problem(wave, time[inside], updates.values[inside], cycles)


def _search(problem: _Problem) -> tuple[list[tuple[float, float]], float]:
    """(best points of a grid of windows and lags, residual beyond which a reading is an outlier).

    Raises:
        UndeterminedError: the step does not stand out of the scatter.
    """
    grid = [(float(window), float(lag)) for window in WINDOWS_S for lag in LAGS_S]
    costs = [problem.solve(*point).cost for point in grid]
    best = [grid[index] for index in np.argsort(costs)[:STARTS]]
    solution = problem.solve(*best[0])
    scatter = 1.4826 * float(np.median(np.abs(solution.residuals)))
    step_w = abs(float(solution.amplitudes[STEP]))
    if step_w <= LEAST_SIGNAL * scatter:
        raise UndeterminedError(
            f"the load moves it by {step_w:.1f} W, too little for its scatter of {scatter:.1f} W"
        )
    return best, max(HUBER * scatter, HUBER_SHARE * step_w)


def _refine(problem: _Problem, start: tuple[float, float], size: float) -> tuple[float, float]:
    """(window, lag) of the least cost near a starting point."""
    unit_s, lag_s = start

    def cost(point: FloatArray) -> float:
        return problem.solve(unit_s * math.exp(point[0]), lag_s + unit_s * float(point[1])).cost

    options = {
        "initial_simplex": size * np.array([[0.0, 0.0], [1.0, -0.5], [0.0, 0.5]]),
        "xatol": 5e-4,
        "fatol": 1e-5 * max(cost(np.zeros(2)), 1e-12),
        "maxfev": 200,
    }
    found = optimize.minimize(cost, np.zeros(2), method="Nelder-Mead", options=options).x
    return unit_s * math.exp(found[0]), lag_s + unit_s * float(found[1])
