"""The virtual GPU: its clock, its chip, and that a truth is one from process to process."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from nic_energy.errors import ConfigError
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
from nic_energy.traces import FloatArray

TURING = read_preset("turing")
WORK = Work(energy_j=5.0, duration_s=0.05, ripple_share=0.25)
NO_NOISE = Noise()


def fresh(preset: Preset = TURING, noise: Noise = NO_NOISE, seed: int = 1) -> VirtualGpu:
    return VirtualGpu(preset, State.fresh(preset), noise, seed)


def calm(preset: Preset = TURING) -> Preset:
    """Without wander and leakage: every energy in closed form."""
    return replace(preset, wander_w=0.0, leakage_w_per_k=0.0)


def shares(gpu: VirtualGpu, runs: int, work: Work, executions: int) -> FloatArray:
    """Dynamic energy of every run as a share of the work's."""
    marks = [gpu.run(work, executions) for _ in range(runs)]
    gross = np.array([gpu.true_energy_j(*mark) for mark in marks])
    idle = gpu.preset.idle_w * executions * work.duration_s
    return (gross - idle) / (executions * work.energy_j)


def watts(gpu: VirtualGpu, *time_s: float) -> FloatArray:
    return gpu.timeline.power_w(np.array(time_s))


def test_time_passes_by_sleep_and_run_only_and_marks_are_where_they_say() -> None:
    gpu = fresh()
    began = gpu.now()
    gpu.sleep(2.6)
    gpu.sleep(-1)
    assert gpu.now() == pytest.approx(began + 2.6)
    start, end = gpu.run(WORK, 40)
    assert start == pytest.approx(began + 2.6)
    assert end == gpu.now()
    assert end - start == pytest.approx(40 * 0.05)
    assert gpu.run(WORK, 1)[0] == end
    loaded = gpu.timeline.loaded(np.array([start - 0.01, start, end - 0.01, gpu.now()]))
    assert loaded.tolist() == [0, 1, 1, 0]


def test_a_slowdown_takes_longer_at_the_same_power() -> None:
    gpu = fresh(calm())
    gpu.slowdown = 0.3
    start, end = gpu.run(WORK, 40)
    assert end - start == pytest.approx(1.3 * 2.0)
    expected = 1.3 * 40 * WORK.energy_j + TURING.idle_w * (end - start)
    assert gpu.true_energy_j(start, end) == pytest.approx(expected)


@pytest.mark.parametrize("key", preset_names())
def test_a_settled_load_takes_its_energy_above_cold_idle(key: str) -> None:
    gpu = fresh(read_preset(key))
    gpu.attach()
    gpu.run(WORK, 60_000)
    start, end = gpu.run(WORK, 137)
    expected = 137 * WORK.energy_j + gpu.preset.idle_w * (end - start)
    assert gpu.true_energy_j(start, end) == pytest.approx(expected, rel=1e-6)


def test_a_cold_chip_draws_less_and_a_hotter_one_more() -> None:
    gpu = fresh()
    cold = gpu.true_energy_j(*gpu.run(WORK, 20))
    gpu.run(WORK, 60_000)
    settled = gpu.true_energy_j(*gpu.run(WORK, 20))
    rise = TURING.resistance_k_per_w * WORK.power_w
    assert settled - cold == pytest.approx(TURING.leakage_w_per_k * rise * 1.0, rel=0.02)


@pytest.mark.parametrize("key", preset_names())
def test_the_temperature_settles_where_the_preset_says(key: str) -> None:
    preset = read_preset(key)
    gpu = fresh(preset)
    cold = preset.settled_c(preset.idle_w)
    assert gpu.timeline.temperature_c(np.array([gpu.now()]))[0] == pytest.approx(cold)
    gpu.run(WORK, 60_000)
    hot = preset.settled_c(preset.idle_w + WORK.power_w)
    assert gpu.state().temperature_c == pytest.approx(hot, abs=1e-6)
    gpu.sleep(3600)
    assert gpu.state().temperature_c == pytest.approx(cold, abs=0.2)
    assert 20 < cold < 60 < hot < preset.slowdown_c


def test_the_temperature_obeys_the_thermal_model() -> None:
    preset = replace(read_preset("ampere"), step_w=0.0)
    gpu = fresh(preset)
    start, end = gpu.run(replace(WORK, ripple_share=0.0), 1200)
    gpu.sleep(30)
    h = 1e-3
    at = np.concatenate([np.linspace(start + 1, end - 1, 7), end + np.array([0.5, 7.5, 20.5])])
    slope = (gpu.timeline.temperature_c(at + h) - gpu.timeline.temperature_c(at - h)) / (2 * h)
    goal = preset.ambient_c + preset.resistance_k_per_w * gpu.timeline.power_w(at)
    expected = (goal - gpu.timeline.temperature_c(at)) / preset.thermal_s
    assert slope == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_after_a_load_a_high_performance_state_decays() -> None:
    gpu = fresh(calm())
    gpu.run(WORK, 100)
    end = gpu.now()
    gpu.sleep(60)
    assert watts(gpu, end + 1e-9, end + 1.5, end + 5.0, end + 59) == pytest.approx(
        [TURING.idle_w + TURING.step_w * math.exp(-t / TURING.step_s) for t in (0, 1.5, 5, 59)]
    )
    warm = fresh(replace(TURING, wander_w=0.0))
    warm.run(WORK, 20_000)
    end = warm.now()
    warm.sleep(60)
    extra = warm.timeline.temperature_c(np.array([end + 59.0]))[0] - TURING.settled_c(TURING.idle_w)
    leakage = TURING.leakage_w_per_k * extra
    assert leakage > 1
    tail = TURING.step_w * math.exp(-59 / TURING.step_s)
    assert watts(warm, end + 59.0)[0] == pytest.approx(TURING.idle_w + leakage + tail)


def test_a_resident_network_draws_the_contexts_power_at_rest_only() -> None:
    gpu = fresh(calm())
    before = gpu.now()
    gpu.sleep(3)
    gpu.attach()
    gpu.sleep(3)
    assert watts(gpu, before + 1, before + 4) == pytest.approx(
        [TURING.idle_w, TURING.idle_w + TURING.context_w]
    )
    start, _ = gpu.run(replace(WORK, ripple_share=0.0), 20)
    assert watts(gpu, start + 0.5)[0] == pytest.approx(TURING.idle_w + WORK.power_w)


def test_the_idle_power_wanders_as_the_preset_says() -> None:
    preset = replace(TURING, leakage_w_per_k=0.0)
    gpu = fresh(preset, seed=5)
    began = gpu.now()
    gpu.sleep(20_000)
    power = gpu.timeline.power_w(began + 0.5 + np.arange(20_000.0))
    assert power.mean() == pytest.approx(preset.idle_w, abs=0.01)
    assert power.std() == pytest.approx(preset.wander_w, rel=0.05)
    lags = [float(np.corrcoef(power[lag:], power[:-lag])[0, 1]) for lag in (1, 4)]
    assert lags == pytest.approx([math.exp(-lag / preset.wander_s) for lag in (1, 4)], abs=0.04)


def test_runs_scatter_as_the_noise_says() -> None:
    white = shares(fresh(calm(), Noise(0.02), seed=3), 4000, WORK, 40)
    assert white.mean() == pytest.approx(1, abs=0.001)
    assert white.std() == pytest.approx(0.02, rel=0.04)
    assert abs(np.corrcoef(white[1:], white[:-1])[0, 1]) < 0.05


@pytest.mark.parametrize("correlation_s", [3.0, 30.0])
def test_noise_keeps_its_correlation_time_whatever_the_run(correlation_s: float) -> None:
    noise = Noise(0.02, correlation_s)
    for executions in (20, 100):
        found = shares(fresh(calm(), noise, seed=4), 8000, WORK, executions)
        expected = math.exp(-executions * WORK.duration_s / correlation_s)
        assert np.corrcoef(found[1:], found[:-1])[0, 1] == pytest.approx(expected, abs=0.03)
        assert found.std() == pytest.approx(0.02, rel=0.1)


def test_the_power_drifts_by_the_hour() -> None:
    gpu = fresh(calm(), Noise(drift_per_hour=0.1))
    assert shares(gpu, 1, WORK, 10)[0] == pytest.approx(1)
    gpu.sleep(3600)
    assert shares(gpu, 1, WORK, 10)[0] == pytest.approx(1.1, abs=1e-4)
    gpu.sleep(1800)
    assert shares(gpu, 1, WORK, 10)[0] == pytest.approx(1.15, abs=1e-4)


def test_the_state_survives_json() -> None:
    at_rest = State.fresh(TURING)
    gpu = fresh(noise=Noise(0.01, 10.0))
    gpu.run(WORK, 333)
    gpu.sleep(7.7)
    for state in (at_rest, gpu.state()):
        assert State.from_json(json.loads(json.dumps(state.as_json()))) == state
    assert at_rest.as_json()["since_load_s"] is None
    assert gpu.state().since_load_s == pytest.approx(7.7)
    with pytest.raises(KeyError):
        State.from_json({"time_s": 1.0})


@pytest.mark.parametrize("rest_s", [0.0, 4.2])
def test_the_next_process_goes_on_where_the_last_one_ended(rest_s: float) -> None:
    first = fresh(replace(TURING, wander_w=0.0))
    first.run(WORK, 400)
    first.sleep(rest_s)
    second = VirtualGpu(first.preset, first.state(), NO_NOISE, seed=1)
    assert second.now() == first.now()
    assert second.opened == first.opened + 1
    now = np.array([first.now()])
    for name in ("temperature_c", "power_w"):
        one, two = (getattr(gpu.timeline, name)(now)[0] for gpu in (first, second))
        assert two == pytest.approx(one)
    assert second.counted_j(now)[0] == pytest.approx(first.counted_j(now)[0])
    first.sleep(10)
    second.sleep(10)
    later = np.array([first.now()])
    assert second.counted_j(later)[0] == pytest.approx(first.counted_j(later)[0])


@pytest.mark.parametrize("key", preset_names())
def test_the_counter_goes_on_over_processes_and_counts_with_its_gain(key: str) -> None:
    preset = read_preset(key)
    state = State.fresh(preset)
    shown: list[float] = []
    marks: list[tuple[float, float, float]] = []
    for _ in range(4):
        gpu = VirtualGpu(preset, state, NO_NOISE, seed=2)
        meter = VirtualMeter(gpu, "VIRTUAL", seed=2)
        gpu.sleep(2.5)
        gpu.attach()
        gpu.run(WORK, 200)
        gpu.sleep(1.0)
        opened = state.time_s
        at = np.linspace(opened, gpu.now(), 200)
        shown.extend(float(sample["energy_counter_j"] or 0) for sample in meter.read_at(at))
        marks.append((opened, gpu.now(), gpu.true_energy_j(opened, gpu.now())))
        state = gpu.state()
    assert (np.diff(shown) >= 0).all()
    true_j, lasted_s = sum(mark[2] for mark in marks), marks[-1][1] - marks[0][0]
    spec = preset.counter
    expected = spec.gain * true_j + spec.offset_w * lasted_s
    tick_j = 120 * 1.1 * 2 * spec.tick_s
    assert shown[-1] - shown[0] == pytest.approx(expected, abs=tick_j)
    # Between one process and the next nothing is counted twice or lost.
    seams = np.diff(shown)[199::200]
    assert np.abs(seams).max() <= tick_j


def test_the_seed_and_the_opening_determine_everything_random() -> None:
    def record(seed: int, state: State | None = None) -> FloatArray:
        gpu = VirtualGpu(TURING, state or State.fresh(TURING), Noise(0.01, 5.0), seed)
        gpu.sleep(20)
        for _ in range(20):
            gpu.run(WORK, 10)
        return gpu.timeline.power_w(gpu.now() - np.arange(0.05, 29, 0.1))

    one = record(1)
    assert (record(1) == one).all()
    assert (record(2) != one).mean() > 0.9
    again = replace(State.fresh(TURING), opened=1)
    assert (record(1, again) != one).mean() > 0.9


def test_every_preset_is_whole_and_physical() -> None:
    assert {"turing", "a100", "ada"} <= set(preset_names())
    for key in preset_names():
        preset = read_preset(key)
        assert preset.key == key
        assert preset.name
        assert 0 < preset.loop <= 1
        assert preset.sensors[0].column == "power_instant_w"
        for sensor in preset.sensors:
            assert 0.8 < sensor.gain < 1.2
            assert sensor.jitter_s < sensor.period_s / 2
            # At rest and cold the sensor must still show a power.
            assert sensor.gain * preset.idle_w + sensor.offset_w > 0
        counter = preset.counter
        assert counter.jitter_s < counter.tick_s / 2
        assert (counter.gain, counter.offset_w) == (
            preset.sensors[0].gain,
            preset.sensors[0].offset_w,
        )


def test_an_unknown_preset_is_refused_by_the_name_of_its_key() -> None:
    with pytest.raises(ConfigError, match=r"virtual\.gpu: there is no 'voodoo'; there are turing"):
        read_preset("voodoo")
