"""What the repeated anchor shows: drift within a session, and whether sessions can be joined.

A session is one boot under one driver. Only a modality that was measured in both can tell whether
two sessions measure alike. What all repeats share (the cold idle reference, the gain of the
sensor) cancels between them and is left out of `u_repeat_j`. A context or paired idle is of each
repeat, and a disagreement of the counter is of those that show it: both count.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from scipy import stats

from nic_energy.traces import FloatArray, Trace

Row = dict[str, Any]

MODALITY = ("setup", "source", "part", "network", "quality", "level", "image")
LEVEL = 0.95
LEAST_FOR_SPREAD = 2
LEAST_FOR_DRIFT = 2


@dataclass(frozen=True)
class Drift:
    """Change of an energy with time: `share_per_hour` of its mean, with its standard uncertainty
    and the p value of no drift (two-sided).
    """

    share_per_hour: float
    u_per_hour: float
    p_value: float


@dataclass(frozen=True)
class Mean:
    """Weighted mean of `count` repeats in J with its standard uncertainty; `own_u_j` is that by
    their uncertainties alone, `spread_j` their standard deviation, `expected_j` the root mean
    square of their uncertainties; `p_value` says how often repeats with these uncertainties spread
    so far (None of a single one).
    """

    count: int
    mean_j: float
    u_j: float
    own_u_j: float
    spread_j: float | None
    expected_j: float
    p_value: float | None


def mean_of(energy_j: FloatArray, u_j: FloatArray) -> Mean:
    """Mean of repeats, shape (n,); where they spread further than their uncertainties say, its
    uncertainty is larger by that ratio (Birge).
    """
    weights = u_j**-2
    mean = float(np.average(energy_j, weights=weights))
    own = float(weights.sum() ** -0.5)
    expected = float(np.sqrt(np.mean(u_j**2)))
    if len(energy_j) < LEAST_FOR_SPREAD:
        return Mean(1, mean, own, own, None, expected, None)
    free = len(energy_j) - 1
    chi_squared = float((((energy_j - mean) / u_j) ** 2).sum())
    birge = math.sqrt(max(1.0, chi_squared / free))
    p_value = float(stats.chi2.sf(chi_squared, free))
    spread = float(energy_j.std(ddof=1))
    return Mean(len(energy_j), mean, own * birge, own, spread, expected, p_value)


def drift_of(hours: FloatArray, energy_j: FloatArray, u_j: FloatArray) -> Drift | None:
    """Weighted line through repeats over time, shape (n,); None where all are at one time.

    With three and more, repeats that scatter about the line further than their uncertainties say
    widen the uncertainty of the slope (Birge), which is then judged by Student's t.
    """
    if len(hours) < LEAST_FOR_DRIFT or np.ptp(hours) <= 0:
        return None
    weights = u_j**-2
    time = hours - np.average(hours, weights=weights)
    mean = float(np.average(energy_j, weights=weights))
    inertia = float((weights * time**2).sum())
    slope = float((weights * time * (energy_j - mean)).sum()) / inertia
    u, free = inertia**-0.5, len(hours) - 2
    if free:
        chi_squared = float((((energy_j - mean - slope * time) / u_j) ** 2).sum())
        u *= math.sqrt(max(1.0, chi_squared / free))
        p_value = 2 * float(stats.t.sf(abs(slope) / u, free))
    else:
        p_value = 2 * float(stats.norm.sf(abs(slope) / u))
    return Drift(slope / mean, u / abs(mean), p_value)


@dataclass(frozen=True)
class Spread:
    """Relative standard deviation that the repeats of all sessions have in common about the means
    of their sessions, and its degrees of freedom (0 where no session has two repeats).
    """

    share: float
    degrees_of_freedom: int


def common_spread(means: Iterable[Mean]) -> Spread:
    """The spread of repeats, pooled over sessions."""
    repeated = [mean for mean in means if mean.spread_j is not None]
    free = sum(mean.count - 1 for mean in repeated)
    if not free:
        return Spread(0.0, 0)
    squares = sum((m.count - 1) * ((m.spread_j or 0.0) / m.mean_j) ** 2 for m in repeated)
    return Spread(math.sqrt(squares / free), free)


@dataclass(frozen=True)
class Ratio:
    """Mean of a session over that of another, its standard uncertainty and half its interval with
    a coverage of 95 %.
    """

    value: float
    u: float
    half_width: float

    def agrees(self, widest: float) -> bool:
        """Whether 1 lies in the interval, and that is not too wide to say so.

        Args:
            widest: what half the interval may be at most; any ratio agrees if it is uncertain
                enough.
        """
        return abs(self.value - 1) <= self.half_width <= widest


def ratio_of(mean: Mean, first: Mean, spread: Spread) -> Ratio:
    """How two sessions compare.

    Its uncertainty is the larger of what the repeats say of themselves and what the common spread
    shows, which knows of what changes from one repeat to the next; that one by Student's t.
    """
    value = mean.mean_j / first.mean_j
    own = math.hypot(mean.own_u_j / mean.mean_j, first.own_u_j / first.mean_j)
    seen = spread.share * math.sqrt(1 / mean.count + 1 / first.count)
    free = spread.degrees_of_freedom if seen > own else math.inf
    u = abs(value) * max(own, seen)
    return Ratio(value, u, u * float(stats.t.ppf(0.5 + LEVEL / 2, free)))


def windows_at(trace: Trace) -> float:
    """Unix time in s of the windows of a trace, their mean; of its beginning where the samples do
    not say.
    """
    time, wall = trace.column("time_s"), trace.column("wall_time_s")
    inside = np.zeros(len(time), dtype=bool)
    for window in trace.meta.windows:
        inside |= (time >= window.start_s) & (time <= window.end_s)
    known = wall[inside & np.isfinite(wall)]
    if len(known):
        return float(known.mean())
    return datetime.fromisoformat(trace.meta.created_utc).timestamp()


def anchor_drift(rows: Iterable[Mapping[str, Any]], widest: float) -> list[Row]:
    """Rows of anchor_drift.csv: one an anchor modality and session, sessions in their order.

    Args:
        rows: rows of anchors.csv; one without an uncertainty, or whose energy is not
            above that of idle, is left out.
        widest: half an interval of `ratio` that can still join sessions.

    `ratio` is the mean of a session over that of the first, `joined` says that it agrees with 1;
    both are missing for the first session itself.
    """
    groups: dict[tuple[Any, ...], dict[str, list[Mapping[str, Any]]]] = {}
    for row in sorted(rows, key=lambda each: float(each["unix_time_s"])):
        if row["u_repeat_j"] and row["energy_j"] > 0:
            modality = groups.setdefault(tuple(row[name] for name in MODALITY), {})
            modality.setdefault(str(row["session"]), []).append(row)
    found: list[Row] = []
    for modality_key, sessions in groups.items():
        head = dict(zip(MODALITY, modality_key, strict=True))
        means = [
            mean_of(_column(own, "energy_j"), _column(own, "u_repeat_j"))
            for own in sessions.values()
        ]
        spread = common_spread(means)
        for (session, own), mean in zip(sessions.items(), means, strict=True):
            ratio = None if mean is means[0] else ratio_of(mean, means[0], spread)
            found.append({**head, **_session(session, own, mean), **_ratio(ratio, widest)})
    return found


def _column(rows: Sequence[Mapping[str, Any]], name: str) -> FloatArray:
    return np.array([float(row[name]) for row in rows])


def _session(session: str, rows: Sequence[Mapping[str, Any]], mean: Mean) -> Row:
    hours = _column(rows, "unix_time_s") / 3600
    drift = drift_of(hours, _column(rows, "energy_j"), _column(rows, "u_repeat_j"))
    scale = 100 / mean.mean_j
    return {
        "session": session,
        "n": len(rows),
        "hours": float(np.ptp(hours)),
        "mean_j": mean.mean_j,
        "mean_u_j": mean.u_j,
        "drift_percent_per_hour": 100 * drift.share_per_hour if drift else None,
        "drift_u_percent_per_hour": 100 * drift.u_per_hour if drift else None,
        "drift_p": drift.p_value if drift else None,
        "spread_percent": None if mean.spread_j is None else scale * mean.spread_j,
        "expected_spread_percent": scale * mean.expected_j,
        "spread_p": mean.p_value,
    }


def _ratio(ratio: Ratio | None, widest: float) -> Row:
    names = ("ratio", "ratio_u", "ratio_low", "ratio_high", "joined")
    if ratio is None:
        return dict.fromkeys(names)
    low, high = ratio.value - ratio.half_width, ratio.value + ratio.half_width
    return dict(zip(names, (ratio.value, ratio.u, low, high, ratio.agrees(widest)), strict=True))


def session_flag(drift: Sequence[Mapping[str, Any]], sessions: Sequence[str]) -> dict[str, str]:
    """The flag of every session of the rows; none where there is only one.

    Args:
        drift: rows of anchor_drift.csv.
        sessions: those of the rows, the first one first.

    A session is joined with the first where one anchor was measured in both and agrees.
    """
    if len(sessions) < 2:
        return {}
    alike: dict[tuple[Any, ...], set[str]] = {}
    for row in drift:
        if row["joined"] is not False:
            alike.setdefault(tuple(row[name] for name in MODALITY), set()).add(str(row["session"]))
    first = sessions[0]
    joined = {
        session
        for session in sessions[1:]
        if any({first, session} <= together for together in alike.values())
    }
    flags = {s: "session_joined" if s in joined else "session_differs" for s in sessions[1:]}
    whole = len(joined) == len(sessions) - 1
    return {first: "session_joined" if whole else "session_differs", **flags}
