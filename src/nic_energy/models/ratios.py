"""Ratios of quantities, on a logarithmic scale.

In a ratio of two slopes that were measured on one GPU, what acts on both in proportion cancels: the
gain of its power sensor, known or not, and what an image does to both networks. On the logarithmic
scale a relative deviation is an additive one, so that the machinery for differences serves for
ratios (GUM 5.1.6: relative uncertainties of products and quotients), and the interval of a ratio
and that of its inverse say the same.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from nic_energy.models.uncertainty import LEVEL, Quantity, Shift
from nic_energy.statistics.gum import Budget


@dataclass(frozen=True)
class Ratio:
    """A ratio, its standard uncertainty and the limits of its interval at `LEVEL`; None where the
    uncertainty is not known.
    """

    value: float
    u: float | None
    low: float | None
    high: float | None


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
    reach = math.exp(budget.expanded_uncertainty(LEVEL))
    u = value * budget.combined_standard_uncertainty
    return Ratio(value, u, value / reach, value * reach)


def ratio_columns(log_ratio: float, budget: Budget | None) -> dict[str, float | None]:
    """The columns of a ratio whose logarithm has this budget."""
    ratio = ratio_of(log_ratio, budget)
    return {
        "ratio": ratio.value,
        "ratio_u": ratio.u,
        "ratio_low": ratio.low,
        "ratio_high": ratio.high,
    }
