"""Uncertainties against the spread of errors on a GPU whose true energy is known."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from nic_energy.energy.estimators import execution_energy, window_energies
from nic_energy.energy.readings import Readings
from nic_energy.energy.uncertainty import (
    Edges,
    Inputs,
    RowBudget,
    TemperatureEffect,
    edges_of,
    row_budget,
    temperature_effect,
)
from nic_energy.meters.virtual import (
    Noise,
    Preset,
    State,
    VirtualGpu,
    VirtualMeter,
    Work,
    preset_names,
    read_preset,
)
from nic_energy.meters.virtual.meter import EPOCH_S
from nic_energy.sampler.inline import InlineSampler
from nic_energy.traces import FloatArray, PowerField, Trace, Window, samples_table
from nic_energy.vocabulary import ESTIMATORS, EstimatorName
from tests.traces import modality_trace

POWER_W = 105.0


@dataclass(frozen=True)
class Recorded:
    """Windows of a steady, settled load on a virtual GPU, and their true gross energies in J."""

    preset: Preset
    trace: Trace
    true_j: FloatArray

    @property
    def windows(self) -> tuple[Window, ...]:
        return self.trace.meta.windows

    @property
    def field(self) -> PowerField:
        return self.trace.meta.meter.power_fields[0]

    @property
    def idle_w(self) -> float:
        """Cold idle as the sensor shows it."""
        sensor = self.preset.sensors[0]
        return sensor.gain * self.preset.idle_w + sensor.offset_w

    def errors_j(self, estimator: EstimatorName) -> FloatArray:
        """By how much the dynamic energies of the windows are off, sensor's gain apart."""
        lasts = np.array([window.duration_s for window in self.windows])
        true_j = self.preset.sensors[0].gain * (self.true_j - self.preset.idle_w * lasts)
        found = [
            execution_energy(
                window_energies(self.trace, window, self.field)[estimator], self.idle_w, 1
            )[0]
            for window in self.windows
        ]
        return np.asarray(np.array(found) - true_j)

    def edges(self, estimator: EstimatorName) -> Edges:
        return edges_of(Readings(self.trace, self.field, self.windows), estimator, self.idle_w)


def recorded(
    preset: str | Preset,
    seed: int,
    lasts_s: Sequence[float],
    execution_s: float = 0.0371,
    hz: float = 10.0,
    lead_s: float = 1.0,
    rest_s: float = 0.0,
    after_s: float = 0.3,
    ripple: float = 0.25,
) -> Recorded:
    """Record windows of about these lengths.

    Each follows a rest of `rest_s` (and a random 0.2 s as in the protocol) and the load unmarked
    for `lead_s`; the load runs on for `after_s`.
    """
    chosen = read_preset(preset) if isinstance(preset, str) else preset
    gpu = VirtualGpu(chosen, State.fresh(chosen), Noise(), seed)
    meter = VirtualMeter(gpu, "VIRTUAL", seed)
    work = Work(POWER_W * execution_s, execution_s, ripple)
    random = np.random.default_rng(seed)
    gpu.run(work, round(1500 / execution_s))
    sampler = InlineSampler(meter, gpu, hz, EPOCH_S, seed)
    info = sampler.start()
    gpu.run(work, round(1 / execution_s))
    windows, true_j = [], []
    for index, seconds in enumerate(lasts_s):
        gpu.sleep(rest_s + 0.2 * random.random())
        if lead_s:
            gpu.run(work, math.ceil(lead_s / execution_s))
        executions = max(1, round(seconds / execution_s))
        start, end = gpu.run(work, executions)
        gpu.run(work, math.ceil(after_s / execution_s))
        windows.append(Window(index, start, end, executions))
        true_j.append(gpu.true_energy_j(start, end))
    gpu.sleep(0.5)
    meta = replace(
        modality_trace().meta,
        settings={"protocol": {"sampling_hz": hz}},
        meter=info,
        windows=tuple(windows),
    )
    return Recorded(chosen, Trace(samples_table(sampler.collect()), meta), np.array(true_j))


def any_lengths(seed: int, count: int) -> list[float]:
    """Lengths over more than a beat between sensor and sampler, so that every phase comes up."""
    return [float(value) for value in np.random.default_rng(seed).uniform(5, 20, count)]


@pytest.mark.parametrize("preset", ["turing", "hopper", "a100"])
def test_the_counters_edges_spread_as_simulated(preset: str) -> None:
    found = recorded(preset, 1, any_lengths(1, 120))
    spread = found.errors_j("counter").std()
    claimed = found.edges("counter").windows_j
    assert np.sqrt(np.mean(claimed**2)) == pytest.approx(spread, rel=0.2)


@pytest.mark.parametrize(("preset", "hz", "most"), [("turing", 25, 1.6), ("ada", 10, 10)])
def test_a_counter_read_at_another_rate_than_it_ticks_is_never_trusted_too_much(
    preset: str, hz: float, most: float
) -> None:
    """Read faster, the ticks around a mark are of different ages, which partly cancel; read more
    slowly, a tick is younger than can be seen.
    """
    found = recorded(preset, 2, any_lengths(2, 60), hz=hz)
    spread = found.errors_j("counter").std()
    assert 1.0 < found.edges("counter").windows_j.mean() / spread < most


def test_the_counters_edges_are_those_of_its_windows_whatever_else_happened() -> None:
    found = recorded("turing", 3, [5.0] * 4)
    time = found.trace.column("time_s")
    samples: list[dict[str, Any]] = found.trace.samples.to_pylist()
    for sample, at in zip(samples, time, strict=True):
        if at > found.windows[1].end_s + 0.5:
            sample["energy_counter_j"] -= 200_000
    reset = Trace(samples_table(samples), found.trace.meta)
    again = edges_of(Readings(reset, found.field, found.windows), "counter", found.idle_w)
    assert again.windows_j == pytest.approx(found.edges("counter").windows_j)
    short = replace(found.trace.meta, windows=found.windows[:1])
    rest = [{**samples[0], "time_s": 3600.0 + n} for n in range(500)]
    longer = Trace(samples_table([*rest, *found.trace.samples.to_pylist()]), short)
    alone = edges_of(Readings(longer, found.field, found.windows[:1]), "counter", found.idle_w)
    assert alone.windows_j[0] == pytest.approx(found.edges("counter").windows_j[0], rel=1e-3)


def test_a_counter_that_never_ticked_has_no_edges() -> None:
    trace = modality_trace()
    field = trace.meta.meter.power_fields[0]
    found = edges_of(Readings(trace, field, trace.meta.windows), "counter", 10.0)
    assert found.windows_j.tolist() == [0, 0]
    assert found.common_j == 0


@pytest.mark.parametrize("hz", [10.0, 20.0])
def test_the_papers_sum_spreads_as_n_flips(hz: float) -> None:
    found = recorded("ampere", 4, any_lengths(4, 100), hz=hz, ripple=0.0)
    claimed = found.edges("paper_sum").windows_j
    assert np.sqrt(np.mean(claimed**2)) == pytest.approx(found.errors_j("paper_sum").std(), rel=0.2)
    assert claimed.mean() == pytest.approx(0.965 * POWER_W / hz / math.sqrt(6), rel=0.02)


def test_the_interpolated_energy_beats_both_under_steady_load() -> None:
    found = recorded("turing", 5, any_lengths(5, 60))
    spread = {name: found.errors_j(name).std() for name in ESTIMATORS}
    assert spread["trapezoid"] < 0.3 * min(spread["paper_sum"], spread["counter"])


@pytest.mark.parametrize("preset", preset_names())
@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_a_window_right_after_rest_is_off_by_no_more_than_is_said(
    preset: str, estimator: EstimatorName
) -> None:
    """Without a lead-in the readings trail the step at the start: a bias that no repetition
    shows, so that it must be in what all windows share.
    """
    found = recorded(preset, 6, [5.0 + 0.013 * n for n in range(40)], lead_s=0, rest_s=5)
    errors, edges = found.errors_j(estimator), found.edges(estimator)
    combined = np.hypot(edges.windows_j, edges.common_j)
    assert np.mean(np.abs(errors) < 3 * combined) >= 0.95
    assert abs(errors.mean()) < 2 * edges.common_j + 3 * errors.std() / math.sqrt(len(errors))
    if estimator == "paper_sum":
        assert errors.mean() < -0.1 * edges.common_j


@pytest.mark.parametrize("preset", preset_names())
def test_after_a_lead_in_windows_share_next_to_nothing(preset: str) -> None:
    found = recorded(preset, 7, [5.2] * 30)
    for name in ESTIMATORS:
        errors, edges = found.errors_j(name), found.edges(name)
        energy_j = POWER_W * 5.2
        assert edges.common_j < 1e-3 * energy_j
        assert abs(errors.mean()) < 4 * errors.std() / math.sqrt(30) + 1e-3 * energy_j
        if name != "trapezoid":
            continue
        # What the edges explain is a part of the scatter that is seen, or small beside it.
        assert edges.windows_j.mean() < errors.std()


def test_an_averaged_column_after_a_lead_in_is_as_good() -> None:
    found = recorded("ampere", 8, [5.0] * 30, lead_s=1.2, after_s=0.8)
    averaged = found.trace.meta.meter.power_field("power_average_w")
    lasts = np.array([window.duration_s for window in found.windows])
    true_j = found.preset.sensors[0].gain * (found.true_j - found.preset.idle_w * lasts)
    spread = {}
    for name in ESTIMATORS[:2]:
        energies = [window_energies(found.trace, w, averaged)[name] for w in found.windows]
        dynamic = np.array([execution_energy(each, found.idle_w, 1)[0] for each in energies])
        errors = dynamic - true_j
        shared_j = edges_of(
            Readings(found.trace, averaged, found.windows), name, found.idle_w
        ).common_j
        spread[name] = errors.std()
        assert abs(errors.mean()) < 3 * math.hypot(shared_j, errors.std() / math.sqrt(30))
        assert shared_j < 0.005 * POWER_W * 5
    assert spread["trapezoid"] < 0.5 * spread["paper_sum"]


INPUTS = Inputs(
    mean_j=10.0,
    std_j=0.2,
    std_degrees_of_freedom=4.0,
    count=5,
    inflation=1.0,
    trend_share=0.0,
    edge_window_j=0.1,
    edge_common_j=0.03,
    duration_s=0.1,
    idle_u_w=0.5,
    idle_degrees_of_freedom=7.0,
    temperature_span_k=2.0,
    effect=TemperatureEffect(0.004, 0.003),
    gain_u_share=0.004,
)


def budget(**changes: Any) -> RowBudget:
    found = row_budget(replace(INPUTS, **changes))
    assert found is not None
    return found


def test_the_components_combine_as_the_root_sum_of_squares() -> None:
    found = budget(trend_share=0.003)
    parts = (
        found.repeatability_j, found.trend_j, found.edges_j, found.idle_j, found.temperature_j,
        found.gain_j,
    )  # fmt: skip
    assert found.budget.combined_standard_uncertainty == pytest.approx(
        math.sqrt(sum(float(part or 0) ** 2 for part in parts))
    )
    assert found.idle_j == pytest.approx(0.05)
    assert found.gain_j == pytest.approx(0.04)
    assert found.temperature_j == pytest.approx(10 * 0.005 * 2 / math.sqrt(12))
    assert found.idle_degrees_of_freedom == 7


@pytest.mark.parametrize("edge_window_j", [0.0, 0.1, 0.19, 0.2, 0.5])
def test_nothing_is_counted_twice(edge_window_j: float) -> None:
    """The edges are new in every window, so that the scatter of the windows holds them."""
    found = budget(edge_window_j=edge_window_j)
    windows_part = found.edges_j**2 - INPUTS.edge_common_j**2
    assert found.repeatability_j**2 + windows_part == pytest.approx(0.2**2 / 5)
    expected = min(edge_window_j, 0.2) ** 2 / 5
    assert windows_part == pytest.approx(expected, abs=1e-12)
    plain = budget(edge_window_j=0.0)
    for name in ("combined_standard_uncertainty", "effective_degrees_of_freedom"):
        assert getattr(found.budget, name) == pytest.approx(getattr(plain.budget, name))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("repeatability", {"std_j": 1.0}),
        ("edges", {"edge_window_j": 0.2}),
        ("edges", {"edge_common_j": 0.5}),
        ("idle", {"idle_u_w": 5.0}),
        ("temperature", {"temperature_span_k": 20.0}),
        ("gain", {"gain_u_share": 0.1}),
        ("trend", {"trend_share": 0.05}),
    ],
)
def test_the_greatest_component_is_named(name: str, changes: dict[str, Any]) -> None:
    assert budget(**changes).dominating == name


def test_a_single_window_has_no_budget() -> None:
    assert row_budget(replace(INPUTS, std_j=None, count=1)) is None
    assert row_budget(replace(INPUTS, count=1)) is None


def test_what_is_not_known_is_left_open_not_taken_for_nothing() -> None:
    found = budget(idle_u_w=None, effect=None, gain_u_share=None)
    assert (found.idle_j, found.temperature_j, found.gain_j) == (None, None, None)
    assert budget(temperature_span_k=None).temperature_j is None
    assert found.budget.combined_standard_uncertainty == pytest.approx(
        math.hypot(0.2 / math.sqrt(5), 0.03)
    )


def test_autocorrelation_inflates_and_a_trend_adds() -> None:
    plain = budget(edge_window_j=0.0)
    inflated = budget(inflation=1.7, edge_window_j=0.0)
    assert inflated.repeatability_j == pytest.approx(1.7 * plain.repeatability_j)
    drifting = budget(trend_share=0.01, edge_window_j=0.0)
    assert plain.trend_j == 0
    assert drifting.trend_j == pytest.approx(0.1)
    assert drifting.repeatability_j == plain.repeatability_j
    assert drifting.budget.combined_standard_uncertainty == pytest.approx(
        math.hypot(plain.budget.combined_standard_uncertainty, 0.1)
    )
    for more in (inflated, drifting):
        assert more.budget.combined_standard_uncertainty > (
            plain.budget.combined_standard_uncertainty
        )


def test_few_windows_widen_the_expanded_uncertainty() -> None:
    alone: dict[str, Any] = {
        "edge_common_j": 0.0, "idle_u_w": None, "effect": None, "gain_u_share": None,
    }  # fmt: skip
    few = budget(**alone, count=3, std_j=0.2 * math.sqrt(3 / 5), std_degrees_of_freedom=2.0)
    many = budget(**alone)
    one, two = few.budget, many.budget
    assert one.combined_standard_uncertainty == pytest.approx(two.combined_standard_uncertainty)
    assert one.effective_degrees_of_freedom == pytest.approx(2)
    assert two.effective_degrees_of_freedom == pytest.approx(4)
    assert one.expanded_uncertainty() == pytest.approx(
        4.303 * one.combined_standard_uncertainty, 1e-3
    )


def heated(
    seed: int, share: float, modalities: int = 12, count: int = 5, noise: float = 0.004
) -> list[tuple[FloatArray, FloatArray]]:
    """Modalities whose energy changes by `share` a kelvin about their own mean."""
    random = np.random.default_rng(seed)
    made = []
    for _ in range(modalities):
        temperature = random.uniform(60, 80) + random.normal(0, 1.0, count)
        level = random.uniform(2, 60)
        scatter = noise * random.standard_normal(count)
        made.append((level * (1 + share * (temperature - 70) + scatter), temperature))
    return made


def test_the_temperature_coefficient_is_recovered_with_its_uncertainty() -> None:
    away = []
    for seed in range(400):
        found = temperature_effect(heated(seed, 0.003, noise=0.002))
        assert found is not None
        assert found.uncertainty < 0.001
        away.append((found.share_per_kelvin - 0.003) / found.uncertainty)
    assert np.mean(away) == pytest.approx(0, abs=0.2)
    assert np.std(away) == pytest.approx(1, abs=0.12)


def test_a_virtual_gpus_leakage_is_found_in_its_windows() -> None:
    """Of a load of 100 W above idle, 0.12 W a kelvin are 0.12 percent a kelvin."""
    preset = read_preset("turing")
    modalities = []
    for seed in range(6):
        gpu = VirtualGpu(preset, State.fresh(preset), Noise(0.0005), seed)
        work = Work(POWER_W * 0.05, 0.05)
        energies, temperatures = [], []
        for _ in range(5):
            start, end = gpu.run(work, 100)
            idle_j = preset.idle_w * (end - start)
            energies.append((gpu.true_energy_j(start, end) - idle_j) / 100)
            inside = np.linspace(start, end, 50)
            temperatures.append(float(gpu.timeline.temperature_c(inside).mean()))
        modalities.append((np.array(energies), np.array(temperatures)))
    found = temperature_effect(modalities)
    assert found is not None
    at_this_power = preset.leakage_w_per_k / (np.mean([e.mean() for e, _ in modalities]) / 0.05)
    assert found.share_per_kelvin == pytest.approx(at_this_power, rel=0.05)


def test_without_a_thermometer_or_a_change_nothing_is_said_of_temperature() -> None:
    nothing = np.full(5, math.nan)
    assert temperature_effect([(np.full(5, 3.0), nothing)] * 5) is None
    still = [(energy, np.full(5, 70.0)) for energy, _ in heated(1, 0.003)]
    assert temperature_effect(still) is None
    assert temperature_effect([]) is None
    single = [(energy[:1], temperature[:1]) for energy, temperature in heated(1, 0.003)]
    assert temperature_effect(single) is None
    negative = [(-energy, temperature) for energy, temperature in heated(1, 0.003)]
    assert temperature_effect(negative) is None
    partly = [*heated(1, 0.003), (np.full(5, 3.0), nothing), *single]
    assert temperature_effect(partly) == temperature_effect(heated(1, 0.003))


@pytest.mark.parametrize("preset", ["turing", "ampere", "hopper"])
def test_readings_prepared_once_give_the_energies_of_every_window(preset: str) -> None:
    found = recorded(preset, 5, [5.0, 6.0, 7.0])
    for field in found.trace.meta.meter.power_fields:
        readings = Readings(found.trace, field, found.windows)
        for window in found.windows:
            energies = readings.energies(window)
            assert energies == window_energies(found.trace, window, field)
            assert set(energies) == set(ESTIMATORS)
