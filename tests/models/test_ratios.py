import math

import pandas as pd
import pytest

from nic_energy.models.ratios import (
    FIRST_ORDER,
    NO_LIMITS,
    exponential,
    half_width,
    logarithm,
    percent_above,
    ratio_between,
    ratio_columns,
    ratio_of,
)
from nic_energy.models.uncertainty import Quantity, Shift
from nic_energy.statistics.gum import Budget, Component


def budget(u: float) -> Budget:
    return Budget((Component("images", u),))


def test_the_logarithm_is_to_first_order() -> None:
    images = pd.Series([0.1, -0.1], index=["a", "b"])
    found = logarithm(Quantity(2.0, images, 5.0, {"idle": Shift(0.4, 7.0)}))
    assert found is not None and found.value == pytest.approx(math.log(2))
    assert found.images is not None and list(found.images) == [0.05, -0.05]
    assert found.shifts["idle"] == Shift(0.2, 7.0)
    unknown = logarithm(Quantity(2.0, None, 5.0))
    assert unknown is not None and unknown.images is None
    assert logarithm(Quantity(0.0, images, 5.0)) is None


def test_a_ratio_and_its_inverse_have_the_same_interval() -> None:
    one, other = ratio_of(math.log(4), budget(0.1)), ratio_of(-math.log(4), budget(0.1))
    assert one.low is not None and other.high is not None and one.note is None
    assert one.low == pytest.approx(1 / other.high)
    assert one.low == pytest.approx(4 * math.exp(-0.1 * 1.959964))
    assert one.u == pytest.approx(0.4)


@pytest.mark.parametrize("u", [0.52, 3.0, 1e6])
def test_a_ratio_has_no_limits_once_zero_is_within_reach(u: float) -> None:
    found = ratio_of(0.0, budget(u))
    assert (found.low, found.high, found.note) == (None, None, NO_LIMITS)
    assert found.u == pytest.approx(u)
    assert half_width(budget(u)) is None
    assert ratio_columns(0.0, budget(u))["note"] == NO_LIMITS


def test_up_to_there_it_has_and_without_a_budget_nothing_is_said() -> None:
    half = half_width(budget(0.51))
    assert half is not None and 0.99 < half <= FIRST_ORDER
    assert "note" not in ratio_columns(0.0, budget(0.51))
    unknown = ratio_of(0.0, None)
    assert (unknown.u, unknown.low, unknown.note) == (None, None, None)
    assert half_width(None) is None


def test_what_both_share_cancels_between_two_quantities() -> None:
    images = pd.Series([0.02, -0.01, 0.015], index=list("abc"))
    twice = ratio_between(Quantity(2.0, 2 * images, 2.0), Quantity(1.0, images, 2.0))
    assert twice is not None and twice.value == pytest.approx(2) and twice.u == pytest.approx(0)
    assert ratio_between(Quantity(2.0, images, 2.0), Quantity(-1.0, images, 2.0)) is None


def test_what_no_float_holds_is_infinite() -> None:
    assert exponential(1.0) == math.e and exponential(710.0) == math.inf
    assert math.isnan(exponential(math.nan)) and math.isnan(percent_above(math.nan))
    assert percent_above(1e-9) == pytest.approx(1e-7) and percent_above(710.0) == math.inf
