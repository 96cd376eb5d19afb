"""How to measure with a sensor: which power field, how often, after how much load."""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from nic_energy.traces import PowerField

FULL_DUTY = 0.9
"""From this share on a sensor counts as one that sees all the time: windows are known to some
percent only."""

ALIKE = 1.15
"""Windows and shares within this factor are alike; then the meter's own order decides."""

READINGS_PER_UPDATE = 2
LEAST_HZ, MOST_HZ = 10.0, 100.0
LEAD_IN_STEP_S = 0.1
PAPER_LEAD_IN_S = 1.0


@dataclass(frozen=True)
class Choice:
    """What a passport recommends, each with its reason in a sentence."""

    power_field: str
    power_field_reason: str
    sampling_hz: float
    sampling_hz_reason: str
    lead_in_s: float
    lead_in_s_reason: str


def duty(field: PowerField) -> float | None:
    """The share of the time that a field sees, more than 1 where windows overlap; None where
    window or period is not known.
    """
    if field.averaging_window_s is None or not field.update_period_s:
        return None
    return field.averaging_window_s / field.update_period_s


def choose(fields: Sequence[PowerField], measured: Collection[str]) -> Choice:
    """The choice among power fields.

    Args:
        fields: in the meter's order of preference, at least one.
        measured: columns whose period and window were measured, not looked up.
    """
    field, field_reason = _field(fields, measured)
    sampling_hz, sampling_reason = _sampling(field)
    lead_in_s, lead_in_reason = _lead_in(field)
    return Choice(
        field.column, field_reason, sampling_hz, sampling_reason, lead_in_s, lead_in_reason
    )


def _field(fields: Sequence[PowerField], measured: Collection[str]) -> tuple[PowerField, str]:
    shares = [(field, duty(field) or 0.0) for field in fields if field.column in measured]
    full = [field for field, share in shares if share >= FULL_DUTY]
    if full:
        least = min(field.averaging_window_s or 0.0 for field in full)
        best = next(f for f in full if (f.averaging_window_s or 0.0) <= ALIKE * least)
        return best, (
            f"It sees all the time (a window of {_ms(best.averaging_window_s)} every "
            f"{_ms(best.update_period_s)}), and no other field that does averages over less."
        )
    if shares:
        most = max(share for _, share in shares)
        best, share = next(pair for pair in shares if ALIKE * pair[1] >= most)
        return best, (
            f"No field sees all the time; this one sees {100 * share:.0f} % of it, so what it "
            "misses averages out only over windows at random phases."
        )
    return fields[0], "No field could be measured; it is the one that the meter prefers."


def _sampling(field: PowerField) -> tuple[float, str]:
    if not field.update_period_s:
        return LEAST_HZ, "The paper's rate, since the update period is not known."
    wanted = math.ceil(READINGS_PER_UPDATE / field.update_period_s - 1e-9)
    reason = f"At least two readings per update period of {_ms(field.update_period_s)}"
    if wanted > MOST_HZ:
        return MOST_HZ, f"{reason} would take {wanted} Hz; capped at {MOST_HZ:g} Hz."
    if wanted < LEAST_HZ:
        return LEAST_HZ, f"{reason} would take {wanted} Hz; never fewer than {LEAST_HZ:g} Hz."
    return float(wanted), f"{reason}, so that no update is missed."


def _lead_in(field: PowerField) -> tuple[float, str]:
    window, period = field.averaging_window_s, field.update_period_s
    if window is None or period is None:
        return PAPER_LEAD_IN_S, "Enough for a mean over 1 s, since its window is not known."
    lag = max(0.0, (field.lag_s or 0.0) - window / 2)
    least = window + lag + period
    steps = math.ceil(least / LEAD_IN_STEP_S - 1e-9)
    return round(steps * LEAD_IN_STEP_S, 1), (
        f"Averaging window, lag and one update period, {_ms(window)} + {_ms(lag)} + "
        f"{_ms(period)}, rounded up to 0.1 s."
    )


def _ms(seconds: float | None) -> str:
    return f"{1e3 * (seconds or 0.0):.4g} ms"
