import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from nic_energy.errors import ConfigError, InputError, MismatchError
from nic_energy.models.across import (
    choose_reference,
    heterogeneity,
    holm_adjusted,
    normalise,
    pairs_of,
    portability,
    slope_rows,
)
from nic_energy.models.joules import joules
from nic_energy.models.setups import Key, SetUp, check
from tests.models.setups import (
    ALPHAS,
    ATTENTION,
    CONTEXT,
    FACTORIZED,
    HYPERPRIOR,
    image_errors,
    virtual_setup,
)

Rows = dict[tuple[Any, ...], dict[str, Any]]


def slopes(*setups: SetUp, reference: str | None = None) -> Rows:
    chosen = choose_reference(setups, reference)
    table = slope_rows(normalise(setups, chosen), chosen)
    return {(row["setup"], row["network"]): row for row in table.to_dict("records")}  # type: ignore[misc]


def missing(value: Any) -> bool:
    return bool(pd.isna(value))


def verdicts(*setups: SetUp, tolerance_percent: float = 10.0) -> Rows:
    chosen = choose_reference(setups)
    table = portability(normalise(setups, chosen), chosen, tolerance_percent)
    return {(row["network"],): row for row in table.to_dict("records")}  # type: ignore[misc]


@pytest.mark.parametrize(
    ("own", "shared", "idle", "images"),
    [(0.07, 0.0, 0.0, 24), (0.02, 0.07, 0.01, 24), (0.05, 0.0, 0.0, 10)],
)
def test_intervals_of_ratios_hold_the_truth_and_equal_setups_are_not_told_apart(
    own: float, shared: float, idle: float, images: int
) -> None:
    trials, held, told_apart = 40, [], 0
    for seed in range(trials):
        random = np.random.default_rng([seed, images])
        errors = image_errors(random, images, shared)
        setups = [
            virtual_setup(name, random, images=images, own=own, shared=errors, idle=idle, gain=gain)
            for name, gain in (("a", 0.92), ("b", 1.0), ("c", 1.07))
        ]
        for (_, network), row in slopes(*setups).items():
            if network != FACTORIZED:
                true = ALPHAS[network] / ALPHAS[FACTORIZED]
                held.append(row["ratio_low"] <= true <= row["ratio_high"])
        told_apart += any(row["differing"] for row in verdicts(*setups).values())
    assert 0.92 <= np.mean(held) <= 0.995
    # One in twenty by chance, and four standard errors of that.
    assert told_apart / trials <= 0.19


def test_a_network_that_costs_more_elsewhere_is_not_portable_and_the_others_are() -> None:
    random = np.random.default_rng(1)
    errors = image_errors(random)
    dearer = {**ALPHAS, ATTENTION: 1.5 * ALPHAS[ATTENTION]}
    setups = [
        virtual_setup("a", random, own=0.01, shared=errors),
        virtual_setup("b", random, own=0.01, shared=errors, gain=1.3),
        virtual_setup("c", random, dearer, own=0.01, shared=errors),
    ]
    found = verdicts(*setups)
    row = found[(ATTENTION,)]
    assert row["verdict"] == "differs"
    assert row["differing"] == "a–c;b–c"
    assert row["p_value"] < 0.001
    assert row["spread_percent"] == pytest.approx(50, abs=5)
    assert row["tau_percent"] == pytest.approx(
        100 * math.expm1(math.log(1.5) / math.sqrt(3)), abs=3
    )
    assert row["i_squared_percent"] > 95
    assert (row["setup"], row["source"], row["setups"]) == ("a;b;c", "simulated", 3)
    for network in (HYPERPRIOR, CONTEXT):
        other = found[(network,)]
        assert other["verdict"] == "agrees", network
        assert other["differing"] == ""
        assert other["spread_percent"] <= other["spread_most_percent"] <= 10
    assert (FACTORIZED,) not in found


def test_a_difference_within_the_tolerance_is_agreement_though_it_is_told_apart() -> None:
    random = np.random.default_rng(14)
    errors = image_errors(random)
    dearer = {**ALPHAS, ATTENTION: 1.03 * ALPHAS[ATTENTION]}
    setups = [
        virtual_setup("a", random, own=0.002, shared=errors),
        virtual_setup("b", random, dearer, own=0.002, shared=errors),
    ]
    row = verdicts(*setups)[(ATTENTION,)]
    assert (row["verdict"], row["differing"]) == ("agrees", "a–b")
    assert verdicts(*setups, tolerance_percent=2.0)[(ATTENTION,)]["verdict"] == "differs"


def test_too_few_data_are_no_agreement() -> None:
    random = np.random.default_rng(2)
    setups = [virtual_setup(name, random, own=0.2, images=12) for name in ("a", "b")]
    row = verdicts(*setups)[(ATTENTION,)]
    assert row["verdict"] == "undecided"
    assert row["spread_most_percent"] > 10
    assert row["tau_most_percent"] > row["tau_percent"]
    wide = verdicts(*setups, tolerance_percent=1000.0)[(ATTENTION,)]
    assert (wide["verdict"], wide["tolerance_percent"]) == ("agrees", 1000.0)


def test_the_gain_cancels_whether_it_is_known_or_not() -> None:
    plain, gained = (virtual_setup("a", np.random.default_rng(3), gain=gain) for gain in (1.0, 0.8))
    uncertain = SetUp(
        "b", gained.energy.assign(setup="b", u_gain_j=0.1 * gained.energy["energy_j"])
    )
    found = slopes(plain, uncertain)
    one, two = found["a", ATTENTION], found["b", ATTENTION]
    for name in ("ratio", "ratio_u", "ratio_low", "ratio_high"):
        assert two[name] == pytest.approx(one[name], rel=1e-9)
    assert two["alpha_u_j_per_pixel"] > 2 * one["alpha_u_j_per_pixel"]


def test_the_ratio_is_that_of_the_propagated_uncertainties() -> None:
    random = np.random.default_rng(4)
    setup = virtual_setup("a", random, own=0.03, idle=0.02)
    other = virtual_setup("b", random, own=0.03)
    row = slopes(setup, other)["a", ATTENTION]
    above, below = (
        setup.slopes[Key("chain", name, "low")].alpha for name in (ATTENTION, FACTORIZED)
    )
    assert above.images is not None and below.images is not None
    ratio = above.value / below.value
    # GUM 5.2.2 with the sensitivities 1/below and -above/below^2, an image and the idle at a time.
    images = above.images / below.value - ratio * below.images / below.value
    shifts = [quantity.shifts["idle"].value for quantity in (above, below)]
    idle = shifts[0] / below.value - ratio * shifts[1] / below.value
    assert row["ratio"] == pytest.approx(ratio)
    assert row["ratio_u"] == pytest.approx(math.hypot(float(np.linalg.norm(images)), idle))
    # An idle error in proportion to the energy cancels as the gain does.
    assert abs(idle) < 1e-9 * ratio


def test_an_idle_error_that_a_network_feels_more_stays_and_is_independent_between_setups() -> None:
    def feel(setup: SetUp) -> SetUp:
        more = np.where(setup.energy["network"] == ATTENTION, 0.05, 0.01)
        return SetUp(setup.label, setup.energy.assign(u_idle_j=more * setup.energy["energy_j"]))

    errors = image_errors(np.random.default_rng(5))
    one, two = (
        feel(virtual_setup(name, np.random.default_rng(5), own=0.0, shared=errors))
        for name in ("a", "b")
    )
    reference = choose_reference([one, two])
    found = normalise([one, two], reference)[Key("chain", ATTENTION, "low")]
    (pair,) = pairs_of(list(found.values()))
    assert pair.budget is not None
    assert pair.difference == pytest.approx(0, abs=1e-12)
    # The images are the same and cancel; two idle references of 4 % each do not.
    assert pair.budget.combined_standard_uncertainty == pytest.approx(0.04 * math.sqrt(2), rel=0.02)


def test_images_of_another_size_are_other_images() -> None:
    errors = image_errors(np.random.default_rng(6))
    one, two = (
        virtual_setup(name, np.random.default_rng(6), own=0.0, shared=errors) for name in ("a", "b")
    )
    resized = SetUp("b", two.energy.assign(pixels=two.energy["pixels"] + 1))
    (same,), (other,) = (
        pairs_of(
            list(normalise(pair, choose_reference(pair))[Key("chain", CONTEXT, "low")].values())
        )
        for pair in ([one, two], [one, resized])
    )
    assert same.budget is not None and other.budget is not None
    assert same.budget.combined_standard_uncertainty == pytest.approx(0, abs=1e-12)
    assert other.budget.combined_standard_uncertainty > 0.01


def test_what_is_simulated_is_not_tested_against_what_is_measured() -> None:
    random = np.random.default_rng(7)
    real = [virtual_setup(n, random, source=s) for n, s in (("m", "measured"), ("e", "external"))]
    virtual = virtual_setup("s", random)
    chosen = choose_reference([*real, virtual])
    normalised = normalise([*real, virtual], chosen)
    table = portability(normalised, chosen)
    assert set(table["setup"]) == {"m;e"}
    assert set(table["source"]) == {"external;measured"}
    assert set(slope_rows(normalised, chosen)["source"]) == {"measured", "external", "simulated"}
    assert set(joules([*real, virtual])["setup"]) == {"m;e"}


def test_joules_are_compared_only_where_both_are_calibrated_or_of_one_board() -> None:
    def pair(one: dict[str, Any], two: dict[str, Any], **more: Any) -> dict[str, Any]:
        random = np.random.default_rng(8)
        setups = [
            virtual_setup("a", random, own=0.02, **one),
            virtual_setup("b", random, {k: 2 * v for k, v in ALPHAS.items()}, own=0.02, **two),
        ]
        if more:
            setups = [
                SetUp(s.label, s.energy.assign(u_gain_j=0.05 * s.energy["energy_j"]), {}, c)
                for s, c in zip(setups, more["calibrations"], strict=True)
            ]
        table = joules(setups)
        (row,) = table[table["network"] == ATTENTION].to_dict("records")
        return {str(name): value for name, value in row.items()}

    raw, known = {"calibrated": False}, {"calibrated": True}
    row = pair(raw, known)
    assert not row["comparable"] and missing(row["ratio"])
    assert row["note"] == "not calibrated against an external meter: a"
    board = {"device_uuid": "GPU-1"}
    row = pair({**raw, **board}, {**known, **board})
    assert not row["comparable"] and "one of the two" in row["note"]
    row = pair({**raw, **board}, {**raw, **board})
    assert row["comparable"] and row["ratio"] == pytest.approx(2, rel=0.1)
    one_board = pair(
        {**known, **board}, {**known, **board}, calibrations=({"gain": 1}, {"gain": 1})
    )
    two_boards = pair(known, known, calibrations=({"gain": 1}, {"gain": 1}))
    assert two_boards["comparable"]
    board_only, plug = {"gain": 1, "sees": "board"}, {"gain": 1, "sees": "machine"}
    assert pair(known, known, calibrations=(board_only, board_only))["comparable"]
    for other, seen in ((plug, "machine"), ({"gain": 1, "sees": None}, "not stated")):
        row = pair({**known, **board}, {**known, **board}, calibrations=(board_only, other))
        assert not row["comparable"] and missing(row["ratio"])
        assert row["note"].endswith(f"do not see the same (calibration.sees): a: board, b: {seen}")
    filled = pair(
        {**known, **board}, {**known, **board}, calibrations=({"gain": 1}, {**plug, "sees": None})
    )
    assert filled["ratio_u"] == pytest.approx(one_board["ratio_u"], rel=0.01)
    grown = math.sqrt(two_boards["ratio_u"] ** 2 - one_board["ratio_u"] ** 2)
    assert grown / two_boards["ratio"] == pytest.approx(0.05 * math.sqrt(2), rel=0.02)


def test_heterogeneity_is_what_is_left_of_the_variance() -> None:
    rng = np.random.default_rng(9)
    taus = []
    for _ in range(40):
        true = {n: a * math.exp(0.1 * rng.standard_normal()) for n, a in ALPHAS.items()}
        factors = [
            {**true, ATTENTION: a} for a in true[ATTENTION] * np.exp(0.1 * rng.standard_normal(6))
        ]
        setups = [virtual_setup(f"s{n}", rng, alphas, own=0.03) for n, alphas in enumerate(factors)]
        reference = choose_reference(setups)
        found = normalise(setups, reference)[Key("chain", ATTENTION, "low")]
        taus.append(heterogeneity(pairs_of(list(found.values())))["tau_percent"])
    assert 100 * math.expm1(0.1) == pytest.approx(np.mean(taus), rel=0.15)


def test_p_values_are_adjusted_by_holm() -> None:
    assert holm_adjusted([0.01, 0.04, 0.03, 0.5]) == pytest.approx([0.04, 0.09, 0.09, 0.5])
    assert holm_adjusted([]) == []


def test_one_or_two_images_give_a_ratio_without_uncertainty() -> None:
    random = np.random.default_rng(10)
    setups = [virtual_setup(name, random, images=2) for name in ("a", "b")]
    row = slopes(*setups)["a", ATTENTION]
    assert row["ratio"] > 1 and missing(row["ratio_u"])
    assert row["note"] == "too few images for an uncertainty"
    verdict = verdicts(*setups)[(ATTENTION,)]
    assert (verdict["verdict"], verdict["p_value"]) == ("undecided", 1.0)
    assert missing(verdict["spread_most_percent"]) and missing(verdict["tau_percent"])


def test_a_slope_that_falls_has_no_ratio() -> None:
    random = np.random.default_rng(11)
    falling = {**ALPHAS, CONTEXT: -1e-7}
    setups = [virtual_setup("a", random), virtual_setup("b", random, falling, own=0.001)]
    row = slopes(*setups)["b", CONTEXT]
    assert missing(row["ratio"]) and row["note"] == "a slope is not positive"
    assert (CONTEXT,) not in verdicts(*setups)


def test_the_reference_is_the_one_asked_for_or_the_first_that_all_have() -> None:
    random = np.random.default_rng(12)
    one = virtual_setup("a", random)
    two = virtual_setup("b", random, {k: v for k, v in ALPHAS.items() if k != FACTORIZED})
    assert str(choose_reference([one, two])) == f"{HYPERPRIOR}:low"
    assert str(choose_reference([one, two], ATTENTION)) == f"{ATTENTION}:low"
    for wanted in (FACTORIZED, f"{ATTENTION}:high", "nonsense"):
        with pytest.raises(ConfigError, match=rf"reference: '{wanted}'.*{HYPERPRIOR}:low"):
            choose_reference([one, two], wanted)


def test_what_cannot_be_compared_is_refused_by_name() -> None:
    random = np.random.default_rng(13)
    one, two = (virtual_setup(name, random) for name in ("a", "b"))
    with pytest.raises(InputError, match="at least two"):
        check([one])
    with pytest.raises(InputError, match="two set-ups have the label a"):
        check([one, two, SetUp("a", two.energy)])
    only = two.energy[two.energy["network"] == ATTENTION]
    with pytest.raises(InputError, match=f"a has {FACTORIZED}; b has {ATTENTION}"):
        check([SetUp("a", one.energy[one.energy["network"] == FACTORIZED]), SetUp("b", only)])
    mixed = one.energy.assign(source=["measured", *["simulated"] * (len(one.energy) - 1)])
    with pytest.raises(MismatchError, match="more than one source: measured, simulated"):
        check([SetUp("a", mixed), two])
    with pytest.raises(InputError, match="'guessed' is none of"):
        check([SetUp("a", one.energy.assign(source="guessed")), two])
