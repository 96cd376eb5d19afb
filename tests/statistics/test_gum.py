import math

import pytest

from nic_energy.statistics.gum import Budget, Component

H1 = Budget(
    [
        Component("calibration of the standard", 25.0, 18),
        Component("observed difference", 9.7, 25.6),
        Component("thermal expansion", 2.9, 50),
        Component("temperature", 16.6, 2),
    ]
)


def test_the_example_of_the_gum() -> None:
    # JCGM 100:2008, H.1.6: u_c = 32 nm, 16 degrees of freedom, t_99(16) = 2.92, U_99 = 93 nm.
    assert H1.combined_standard_uncertainty == pytest.approx(32, abs=0.5)
    assert math.floor(H1.effective_degrees_of_freedom) == 16
    assert H1.coverage_factor(0.99) == pytest.approx(2.92, abs=0.03)
    assert H1.expanded_uncertainty(0.99) == pytest.approx(93, abs=1.5)
    assert H1.dominating == "calibration of the standard"


def test_one_component_keeps_its_own_degrees_of_freedom() -> None:
    budget = Budget([Component("repeatability", 0.5, 4), Component("idle", 0.0, 1)])
    assert budget.effective_degrees_of_freedom == pytest.approx(4)
    assert budget.coverage_factor() == pytest.approx(2.776445, rel=1e-6)
    assert budget.expanded_uncertainty() == pytest.approx(0.5 * 2.776445, rel=1e-6)


def test_exactly_known_components_have_the_normal_factor() -> None:
    budget = Budget([Component("meter", 3.0), Component("clock", 4.0)])
    assert budget.combined_standard_uncertainty == pytest.approx(5.0)
    assert budget.effective_degrees_of_freedom == math.inf
    assert budget.coverage_factor() == pytest.approx(1.959964, rel=1e-6)


def test_equal_components_add_their_degrees_of_freedom() -> None:
    budget = Budget([Component(str(i), 1e-90, 5) for i in range(3)])
    assert budget.effective_degrees_of_freedom == pytest.approx(15)


@pytest.mark.parametrize("parts", [(), (Component("a", 0.0, 3), Component("b", 0.0))])
def test_nothing_uncertain(parts: tuple[Component, ...]) -> None:
    budget = Budget(parts)
    assert budget.combined_standard_uncertainty == 0
    assert budget.effective_degrees_of_freedom == math.inf
    assert budget.expanded_uncertainty() == 0
    assert budget.dominating is None


def test_a_budget_does_not_change_with_the_list_it_was_made_from() -> None:
    parts = [Component("a", 1.0)]
    budget = Budget(parts)
    parts.append(Component("b", 9.0))
    assert budget.dominating == "a"
    assert hash(budget) == hash(Budget((Component("a", 1.0),)))


@pytest.mark.parametrize("u", [-0.1, math.nan, math.inf])
def test_an_unknown_uncertainty_is_no_component(u: float) -> None:
    with pytest.raises(ValueError, match="sensor: a standard uncertainty"):
        Component("sensor", u)


@pytest.mark.parametrize("degrees", [0.0, -1.0, math.nan])
def test_degrees_of_freedom_are_positive(degrees: float) -> None:
    with pytest.raises(ValueError, match="degrees of freedom are positive"):
        Component("sensor", 1.0, degrees)


@pytest.mark.parametrize("level", [0.0, 1.0, math.nan])
def test_a_level_is_a_probability(level: float) -> None:
    with pytest.raises(ValueError, match="level of confidence"):
        H1.coverage_factor(level)
