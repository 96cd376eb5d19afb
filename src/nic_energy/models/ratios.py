"""Ratios of quantities, on a logarithmic scale.

In a ratio of two slopes that were measured on one GPU, what acts on both in proportion cancels: the
gain of its power sensor, known or not, and what an image does to both networks. On the logarithmic
scale a relative deviation is an additive one, so that the machinery for differences serves for
ratios (GUM 5.1.6: relative uncertainties of products and quotients), and the interval of a ratio
and that of its inverse say the same.
"""

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass

from nic_energy.models.uncertainty import LEVEL, Quantity, Shift, difference
from nic_energy.statistics.gum import Budget

FIRST_ORDER = 1.0
"""Largest expanded uncertainty of the logarithm of a ratio that gives it limits. From there on,
zero is within reach of one of the two quantities to first order, and their ratio has no bound."""
NO_LIMITS = "no limits: zero is within the uncertainty of a slope"
_LARGEST = math.log(sys.float_info.max)


@dataclass(frozen=True)
class Ratio:
    """A ratio, its standard uncertainty and the limits of its interval at `LEVEL`.

    The uncertainty is None where it is not known, the limits also where there are none
    (`FIRST_ORDER`).
    """

    value: float
    u: float | None
    low: float | None
    high: float | None

    @property
    def note(self) -> str | None:
        """Why it has no limits though its uncertainty is known; None where it has."""
        return None if self.u is None or self.low is not None else NO_LIMITS


def logarithm(quantity: Quantity, rename: Callable[[str], str] = str) -> Quantity | None:
    """The natural logarithm of a quantity, its deviations and shifts relative.

    Args:
        rename: new names of the inputs that shift it, to tell those of set-ups apart.

    Returns:
        None where the quantity is not positive.
    """
    value = quantity.value
    if not value > 0:
        return None
    return Quantity(
        math.log(value),
        None if quantity.images is None else quantity.images / value,
        quantity.degrees_of_freedom,
        {
            rename(name): Shift(shift.value / value, shift.degrees_of_freedom)
            for name, shift in quantity.shifts.items()
        },
    )


def contrast(one: Quantity, two: Quantity) -> Quantity:
    """`one` less `two`, both of one set-up: what both share cancels.

    An image that both were measured on enters with the difference of its deviations, an input
    common to all rows with the difference of its shifts. The deviations of the images are as well
    known as the worse known of the two.
    """
    images = None
    if one.images is not None and two.images is not None:
        images = one.images.sub(two.images, fill_value=0.0)
    shifts = {}
    for name in sorted({*one.shifts, *two.shifts}):
        first, second = (each.shifts.get(name, Shift(0.0, math.inf)) for each in (one, two))
        fewest = min(first.degrees_of_freedom, second.degrees_of_freedom)
        shifts[name] = Shift(first.value - second.value, fewest)
    fewest = min(one.degrees_of_freedom, two.degrees_of_freedom)
    return Quantity(one.value - two.value, images, fewest, shifts)


def ratio_of(log_ratio: float, budget: Budget | None) -> Ratio:
    """The ratio whose logarithm has this budget."""
    value = math.exp(log_ratio)
    if budget is None:
        return Ratio(value, None, None, None)
    u = value * budget.combined_standard_uncertainty
    half = half_width(budget)
    if half is None:
        return Ratio(value, u, None, None)
    reach = math.exp(half)
    return Ratio(value, u, value / reach, value * reach)


def half_width(budget: Budget | None) -> float | None:
    """Half the interval at `LEVEL` of the logarithm of a ratio; None where it has no limits."""
    half = math.inf if budget is None else budget.expanded_uncertainty(LEVEL)
    return half if half <= FIRST_ORDER else None


def exponential(value: float) -> float:
    """e to the power of `value`; infinite where no float is large enough."""
    return math.inf if value >= _LARGEST else math.exp(value)


def percent_above(log_ratio: float) -> float:
    """How far a ratio lies above 1, in percent; infinite where no float is large enough."""
    return math.inf if log_ratio >= _LARGEST else 100 * math.expm1(log_ratio)


def ratio_between(one: Quantity, two: Quantity) -> Ratio | None:
    """`one` over `two`, both of one set-up; None where one of them is not positive."""
    logs = logarithm(one), logarithm(two)
    if logs[0] is None or logs[1] is None:
        return None
    return ratio_of(logs[0].value - logs[1].value, difference(logs[0], logs[1]))


def ratio_columns(log_ratio: float, budget: Budget | None) -> dict[str, float | str | None]:
    """The columns of a ratio whose logarithm has this budget; `note` where it has no limits."""
    ratio = ratio_of(log_ratio, budget)
    columns: dict[str, float | str | None] = {
        "ratio": ratio.value,
        "ratio_u": ratio.u,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
    }
    return columns if ratio.note is None else {**columns, "note": ratio.note}
