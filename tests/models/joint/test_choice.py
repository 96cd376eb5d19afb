from collections import Counter

import numpy as np
import pandas as pd
import pytest

from benchmarks.worlds import TRUTHS, world
from nic_energy.models.joint.baselines import BASELINES, judge
from nic_energy.models.joint.choice import (
    CANDIDATES,
    admissible,
    choose,
    errors_by_network,
    leave_networks_out,
    nested,
    predicted_left_out,
)
from nic_energy.models.joint.fit import BYTES, CALLS, PAPER_KMAC, Points, fit
from nic_energy.models.joint.setups import leave_one_setup_out
from nic_energy.models.linear import fit_line


@pytest.mark.parametrize(
    ("networks", "wanted"),
    [
        (2, ("size",)),
        (3, ("size",)),
        (4, ("size", "mac", "bytes")),
        (5, ("size", "mac", "bytes")),
        (6, tuple(CANDIDATES)),
    ],
)
def test_terms_need_two_networks_each_and_two_more(networks: int, wanted: tuple[str, ...]) -> None:
    assert admissible(Points.of(world(TRUTHS["mac"], networks))) == wanted


def test_a_count_that_a_network_lacks_is_no_term() -> None:
    table = world(TRUTHS["mac"])
    table.loc[table["network"] == "net2", BYTES] = np.nan
    assert admissible(Points.of(table)) == ("size", "mac", "mac_calls")
    assert admissible(Points.of(table.assign(**{CALLS: np.nan}))) == ("size", "mac")


def test_every_network_is_predicted_by_the_others_only() -> None:
    table = world(TRUTHS["mac"], between=0.2, seed=1)
    found = leave_networks_out(Points.of(table), CANDIDATES["mac"])
    own = table["network"] == "net3"
    alone = fit(Points.of(table[~own]), CANDIDATES["mac"]).predict(Points.of(table[own]))
    assert found.predicted[own.to_numpy()] == pytest.approx(alone)
    relative = (pd.Series(found.predicted) / table["energy_j"] - 1).abs()
    assert found.errors == pytest.approx(relative.groupby(table["network"]).mean().to_numpy())


@pytest.mark.parametrize("name", ["mac", "bytes"])
def test_the_terms_behind_the_energies_are_chosen(name: str) -> None:
    chosen = Counter(
        choose(Points.of(world(TRUTHS[name], seed=seed, between=0.05, scatter=0.03)),
               tuple(CANDIDATES)).name
        for seed in range(25)
    )  # fmt: skip
    assert chosen[name] >= 18
    assert chosen["size"] == 0


def test_where_networks_differ_by_chance_alone_the_simplest_is_chosen() -> None:
    chosen = Counter(
        choose(Points.of(world(TRUTHS["size"], seed=seed, between=0.15, scatter=0.05)),
               tuple(CANDIDATES)).name
        for seed in range(40)
    )  # fmt: skip
    assert chosen["size"] >= 32


def test_equal_models_are_the_simplest_one() -> None:
    """Terms that get 0 leave the errors equal but for rounding."""
    table = world(TRUTHS["mac"], seed=2)
    given_back = table["padded_pixels"] * table[BYTES] * 2e-10
    found = choose(
        Points.of(table.assign(energy_j=table["energy_j"] - given_back)), tuple(CANDIDATES)
    )
    assert found.judged["mac_bytes"].mean == pytest.approx(found.judged["mac"].mean)
    assert found.name == "mac"


def test_the_outer_loop_does_not_see_what_it_leaves_out() -> None:
    table = world(TRUTHS["mac"], between=0.1, seed=4)
    changed = table.assign(
        energy_j=table["energy_j"].where(table["network"] != "net2", 7 * table["energy_j"])
    )
    first, second = (nested(Points.of(each), tuple(CANDIDATES)) for each in (table, changed))
    assert [each.network for each in first] == [f"net{n}" for n in range(6)]
    assert first[2].candidate == second[2].candidate
    assert np.array_equal(first[2].model.coefficients, second[2].model.coefficients)
    assert not np.array_equal(first[0].model.coefficients, second[0].model.coefficients)
    predicted = predicted_left_out(Points.of(table), first)
    errors = errors_by_network(Points.of(table), predicted)
    assert errors[2] == pytest.approx(
        np.mean(np.abs(predicted / table["energy_j"] - 1)[table["network"] == "net2"])
    )


def test_the_error_of_the_nested_loop_is_that_on_further_networks() -> None:
    nested_errors, true_errors = [], []
    for seed in range(30):
        table = world(TRUTHS["mac"], networks=12, seed=seed, between=0.1, scatter=0.03)
        known = table["network"].isin([f"net{n}" for n in range(6)])
        training, new = Points.of(table[known]), Points.of(table[~known])
        candidates = admissible(training)
        outer = predicted_left_out(training, nested(training, candidates))
        nested_errors.append(errors_by_network(training, outer).mean())
        model = fit(training, CANDIDATES[choose(training, candidates).name])
        true_errors.append(errors_by_network(new, model.predict(new)).mean())
    assert np.mean(nested_errors) == pytest.approx(np.mean(true_errors), rel=0.2)
    assert np.mean(nested_errors) > np.mean(true_errors)  # five networks know less than six


def test_the_baselines_are_the_mean_line_and_the_papers_line_over_mac() -> None:
    table = world(TRUTHS["mac"], networks=4)
    data = Points.of(table)
    for name in BASELINES:
        assert judge(data, BASELINES[name]) is not None
    own = table["network"] == "net1"
    lines = []
    for keys, rows in table[~own].groupby(["network", "level"]):
        line = fit_line(rows["padded_pixels"].to_numpy(float), rows["energy_j"].to_numpy(float))
        assert line is not None, keys
        lines.append((rows[PAPER_KMAC].iloc[0], line.slope, line.intercept))
    kmac, alpha, beta = np.array(lines).T
    mean = judge(data, BASELINES["mean_line"])
    assert mean is not None
    pixels = table.loc[own, "padded_pixels"].to_numpy(dtype=float)
    assert mean.predicted[own.to_numpy()] == pytest.approx(alpha.mean() * pixels + beta.mean())
    over_mac = judge(data, BASELINES["slope_over_mac"])
    assert over_mac is not None
    slope, intercept = np.polyfit(kmac, alpha, 1)
    wanted = (slope * table.loc[own, PAPER_KMAC] + intercept) * pixels + beta.mean()
    assert over_mac.predicted[own.to_numpy()] == pytest.approx(wanted.to_numpy())
    assert (
        judge(Points.of(table.assign(**{PAPER_KMAC: np.nan})), BASELINES["slope_over_mac"]) is None
    )


def test_a_gpu_that_differs_by_a_factor_is_predicted_once_one_network_was_measured_on_it() -> None:
    one = world(TRUTHS["mac"])
    two = one.assign(setup="t", energy_j=1.7 * one["energy_j"])
    found = pd.DataFrame(leave_one_setup_out(Points.of(pd.concat([one, two], ignore_index=True))))
    assert len(found) == 2 * 7
    plain = found[found["scaled_by"] == ""].set_index("setup")
    assert plain["bias_percent"]["t"] == pytest.approx(100 * (1 / 1.7 - 1))
    assert plain["error_percent"]["s"] == pytest.approx(70)
    scaled = found[found["scaled_by"] != ""]
    assert (scaled["error_percent"] < 1e-4).all() and (scaled["networks"] == 5).all()
    assert scaled.loc[scaled["setup"] == "t", "scale"].to_numpy() == pytest.approx([1.7] * 6)
