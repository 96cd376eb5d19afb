"""The passport of sensors whose true figures are known: presets of the virtual GPU and others."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nic_energy.energy.passport import (
    FieldPassport,
    Passport,
    as_document,
    from_document,
    passport_of,
)
from nic_energy.energy.passport_choice import choose
from nic_energy.energy.passport_updates import UndeterminedError, find_updates, period_of
from nic_energy.measure.virtual import BURN, VirtualLoad
from nic_energy.meters.virtual import (
    Fault,
    Noise,
    Preset,
    State,
    VirtualGpu,
    VirtualMeter,
    preset_names,
    read_preset,
)
from nic_energy.meters.virtual.meter import EPOCH_S
from nic_energy.meters.virtual.sensor import SensorSpec
from nic_energy.protocol.bench import Bench
from nic_energy.protocol.passport import WaveRule, record_wave
from nic_energy.sampler.inline import InlineSampler
from nic_energy.traces import (
    FloatArray,
    MeterInfo,
    PowerField,
    Sample,
    Trace,
    TraceMeta,
    samples_table,
)

HZ = 400.0


def recorded(
    preset: Preset,
    seed: int,
    rule: WaveRule | None = None,
    faults: Sequence[Fault] = (),
    hz: float = HZ,
    change: Callable[[Sample], Sample] = lambda sample: sample,
) -> Trace:
    gpu = VirtualGpu(preset, State.fresh(preset), Noise(share=0.008), seed)
    meter = VirtualMeter(gpu, "VIRTUAL", seed, faults)
    sampler = InlineSampler(meter, gpu, hz, EPOCH_S, seed)
    gpu.attach()
    bench = Bench(gpu, sampler, VirtualLoad(gpu, meter, BURN), sampler.start(), hz)
    marks = record_wave(bench, rule or WaveRule(), BURN.duration_s, seed)
    meta = TraceMeta(
        "passport", "accepted", "test", "simulated", "virtual", "", {}, "", "", bench.meter,
        intervals=marks,
    )  # fmt: skip
    return Trace(samples_table([change(sample) for sample in bench.history]), meta)


def made(base: str, **sensor: Any) -> Preset:
    """A preset whose first column alone is there, with another sensor behind it."""
    preset = read_preset(base)
    return replace(preset, sensors=(replace(preset.sensors[0], **sensor),))


def check(found: FieldPassport, spec: SensorSpec) -> None:
    assert found.update_period_s == pytest.approx(spec.period_s, rel=0.002)
    assert found.averaging_window_s == pytest.approx(spec.window_s, rel=0.12)
    assert found.lag_s == pytest.approx(spec.lag_s, abs=max(0.0015, 5 * (found.lag_u_s or 0)))
    assert found.duty == pytest.approx(spec.window_s / spec.period_s, rel=0.12)
    assert found.reasons == {}


@pytest.fixture(scope="module")
def hopper() -> tuple[Trace, Passport]:
    trace = recorded(read_preset("hopper"), 5)
    return trace, passport_of(trace)


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("name", preset_names())
def test_every_column_of_every_preset_is_recovered(name: str, seed: int) -> None:
    preset = read_preset(name)
    passport = passport_of(recorded(preset, seed))
    assert [field.column for field in passport.fields] == [s.column for s in preset.sensors]
    for found, spec in zip(passport.fields, preset.sensors, strict=True):
        check(found, spec)
        assert found.kind == spec.kind
        assert found.stamped == (spec.column != "power_legacy_w")
        errors = (found.averaging_window_s or 0) - spec.window_s, found.averaging_window_u_s or 0
        assert abs(errors[0]) < max(6 * errors[1], 0.01 * spec.window_s)
    assert passport.counter_tick_s == pytest.approx(preset.counter.tick_s, rel=0.002)
    assert 60 < passport.wave_s < 170


@pytest.mark.parametrize(
    "sensor",
    [
        {"period_s": 0.02, "window_s": 0.01, "jitter_s": 0.0005},
        {"lag_s": 0.05},
        {"window_s": 2.0, "lag_s": 0.02},
        {"window_s": 0.3, "noise_w": 2.0},
        {"resolution_w": 1.0},
    ],
    ids=["volta", "lag", "long", "noisy", "coarse"],
)
@pytest.mark.parametrize("column", ["power_instant_w", "power_legacy_w"])
def test_other_sensors_are_recovered_with_and_without_time_stamps(
    sensor: Mapping[str, Any], column: str
) -> None:
    preset = made("ampere", column=column, **sensor)
    check(passport_of(recorded(preset, 4)).fields[0], preset.sensors[0])


def test_the_choice_per_preset(hopper: tuple[Trace, Passport]) -> None:
    choice = hopper[1].choice
    assert (choice.power_field, choice.sampling_hz) == ("power_legacy_w", 20)
    assert 1.1 < choice.lead_in_s < 1.25
    assert "sees all the time" in choice.power_field_reason


FULL = PowerField("power_instant_w", "instant", 0.1, 0.05, 0.1)
MEAN = PowerField("power_average_w", "average", 1.0, 0.5, 0.1)
PART = PowerField("power_legacy_w", "instant", 0.02, 0.01, 0.1)


@pytest.mark.parametrize(
    ("fields", "column", "lead_in_s"),
    [
        ((MEAN, FULL, PART), "power_instant_w", 0.2),
        ((PART, MEAN), "power_average_w", 1.1),
        ((PART,), "power_legacy_w", 0.2),
        ((PART, replace(PART, column="power_instant_w", averaging_window_s=0.021)),
         "power_legacy_w", 0.2),
        ((replace(FULL, lag_s=0.17),), "power_instant_w", 0.4),
    ],
    ids=["shortest of full", "full before part", "part", "alike", "lag"],
)  # fmt: skip
def test_a_field_that_sees_all_the_time_then_the_shortest_window(
    fields: tuple[PowerField, ...], column: str, lead_in_s: float
) -> None:
    choice = choose(fields, {field.column for field in fields})
    assert (choice.power_field, choice.lead_in_s) == (column, lead_in_s)


@pytest.mark.parametrize(
    ("period_s", "hz"), [(0.1007, 20), (0.0985, 21), (0.02, 100), (0.003, 100), (0.5, 10)]
)
def test_two_readings_an_update_between_10_and_100_hz(period_s: float, hz: float) -> None:
    field = replace(FULL, update_period_s=period_s, averaging_window_s=period_s)
    assert choose((field,), {field.column}).sampling_hz == hz


def test_a_column_that_was_not_measured_is_not_preferred_to_one_that_was() -> None:
    assert choose((PART, MEAN), {"power_legacy_w"}).power_field == "power_legacy_w"
    unknown = PowerField("power_instant_w", "instant")
    choice = choose((unknown, MEAN), set())
    assert (choice.power_field, choice.sampling_hz, choice.lead_in_s) == (unknown.column, 10, 1)


def test_measured_figures_replace_the_documented_ones(hopper: tuple[Trace, Passport]) -> None:
    trace, passport = hopper
    documented = trace.meta.meter
    spare = PowerField("power_rapl_w", "interval_mean")
    applied = passport.applied_to(
        replace(documented, power_fields=(*documented.power_fields, spare))
    )
    assert applied.power_field("auto").column == passport.choice.power_field
    assert applied.power_field("power_rapl_w") == spare
    instant = applied.power_field("power_instant_w")
    assert instant.averaging_window_s == pytest.approx(0.025, rel=0.1)
    assert instant.lag_s == pytest.approx(0.0125, abs=0.002)
    assert instant.update_period_s == pytest.approx(0.1009, rel=0.01)


def test_a_passport_survives_json(hopper: tuple[Trace, Passport]) -> None:
    passport = hopper[1]
    text = json.dumps(as_document(passport), allow_nan=False)
    assert from_document(json.loads(text)) == passport


def test_a_missing_counter_and_a_missing_column_say_so() -> None:
    gone = {"energy_counter_j": None, "power_legacy_w": None}
    passport = passport_of(recorded(read_preset("a100"), 2, change=lambda s: {**s, **gone}))
    assert passport.counter_tick_s is None
    assert "no readings" in str(passport.counter_reason)
    there, missing = passport.fields
    assert there.duty == pytest.approx(0.25, rel=0.12)
    assert missing.update_period_s is missing.averaging_window_s is missing.duty is None
    assert "no readings" in missing.reasons["update_period_s"]
    assert passport.choice.power_field == "power_instant_w"


def test_a_record_that_is_too_short_gives_reasons_and_no_figures() -> None:
    short = WaveRule(0.5, 0.2, 0, (0.4, 0.5), 1)
    passport = passport_of(recorded(read_preset("turing"), 1, short))
    for field in passport.fields:
        assert field.update_period_s is field.averaging_window_s is field.lag_s is None
        assert set(field.reasons) == {
            "update_period_s", "averaging_window_s", "lag_s", "duty"
        }  # fmt: skip
        assert "updates" in field.reasons["update_period_s"]
        assert "4 switches" in field.reasons["averaging_window_s"]
    assert passport.counter_tick_s is None
    assert passport.choice.sampling_hz == 10


def test_polling_no_faster_than_the_sensor_updates_is_noticed() -> None:
    passport = passport_of(recorded(read_preset("turing"), 1, hz=10))
    reasons = passport.fields[0].reasons
    assert "at nearly every reading" in reasons["update_period_s"]
    assert "cannot be told apart" in reasons["averaging_window_s"]


@pytest.mark.parametrize(
    ("sensor", "reason"),
    [
        ({"window_s": 6.0}, "lasts longer than the load holds still"),
        ({"window_s": 0.001}, "too short"),
        ({"window_s": 0.001, "column": "power_legacy_w"}, "shorter than 7.5 ms"),
        ({"gain": 0.0}, "too little for its scatter"),
    ],
)
def test_what_the_wave_cannot_show_is_not_guessed(sensor: Mapping[str, Any], reason: str) -> None:
    (field,) = passport_of(recorded(made("turing", **sensor), 3)).fields
    assert field.update_period_s == pytest.approx(0.1007, rel=0.01)
    assert field.averaging_window_s is field.lag_s is field.duty is None
    assert reason in field.reasons["averaging_window_s"]


def test_a_filter_that_is_no_mean_over_a_window_is_refused() -> None:
    slow = 0.0

    def filtered(sample: Sample) -> Sample:
        nonlocal slow
        slow += (float(sample["power_instant_w"] or 0) - slow) / (HZ * 0.3)
        return {**sample, "power_instant_w": round(slow / 2) * 2, "power_instant_time_us": None}

    preset = made("turing", period_s=0.0025, window_s=0.0025, jitter_s=0.0, noise_w=0.0)
    trace = recorded(preset, 1, change=filtered)
    kept = np.arange(0, trace.samples.num_rows) // 40 * 40
    name = "power_instant_w"
    samples = trace.samples.set_column(
        trace.samples.column_names.index(name), name, trace.samples.column(name).take(kept)
    )
    (field,) = passport_of(Trace(samples, trace.meta)).fields
    assert field.averaging_window_s is None
    assert "not that of a mean" in field.reasons["averaging_window_s"]


def test_an_answer_of_irregular_lag_is_refused() -> None:
    trace = recorded(made("turing", window_s=0.2), 1)
    name, count = "power_instant_w", trace.samples.num_rows
    block = np.arange(count) // 40
    back = np.random.default_rng(1).integers(0, 160, block[-1] + 1)[block]
    shown = trace.samples.column(name).take(np.maximum(block * 40 - back, 0))
    samples = trace.samples.drop_columns([name, "power_instant_time_us"])
    samples = samples.append_column(name, shown).append_column("power_instant_time_us", shown)
    (field,) = passport_of(Trace(samples, trace.meta)).fields
    assert field.averaging_window_s is None
    assert "typical residuals" in field.reasons["averaging_window_s"]


def polled(
    updates: FloatArray, values: FloatArray, hz: float = HZ
) -> tuple[FloatArray, FloatArray]:
    """What a poller sees of a sensor with these updates."""
    time = np.arange(updates[0], updates[-1], 1 / hz)
    return time, values[np.searchsorted(updates, time, side="right") - 1]


def test_equal_values_in_a_row_and_lost_readings_do_not_change_the_period() -> None:
    rng = np.random.default_rng(1)
    updates = 0.1013 * np.arange(600) + 0.002 * rng.random(600)
    values = rng.integers(0, 3, 600).astype(float)
    time, shown = polled(updates, values)
    kept = rng.random(len(time)) > 0.2
    kept[5000:5400] = False
    shown[9000:9200] = np.nan
    period = period_of(find_updates(time[kept], shown[kept]))
    assert period.period_s == pytest.approx(0.1013, rel=0.005)
    assert 0 < period.u_s < 0.001


def test_values_that_mostly_repeat_hide_updates_but_not_the_period() -> None:
    rng = np.random.default_rng(4)
    updates = 0.0997 * np.arange(900.0)
    values = np.cumsum(rng.random(900) < 0.4).astype(float)
    assert period_of(find_updates(*polled(updates, values))).period_s == pytest.approx(
        0.0997, rel=0.005
    )


def test_an_update_in_a_gap_of_the_record_is_left_out() -> None:
    updates = 0.1 * np.arange(100.0)
    time, shown = polled(updates, np.arange(100.0))
    kept = (time < 3.03) | (time > 3.38)
    found = find_updates(time[kept], shown[kept])
    assert (found.latest_s - found.earliest_s).max() < 2 / HZ
    assert len(found.values) == len(find_updates(time, shown).values) - 3


def test_stamps_that_are_those_of_the_readings_are_not_taken_for_updates() -> None:
    updates = 0.1 * np.arange(200.0)
    time, shown = polled(updates, np.random.default_rng(2).random(200))
    wall = time + 1e9
    of_readings = find_updates(time, shown, wall, np.round(wall * 1e6))
    assert not of_readings.stamped
    stamps = np.round((updates[np.searchsorted(updates, time, side="right") - 1] + 1e9) * 1e6)
    of_updates = find_updates(time, shown, wall, stamps)
    assert of_updates.stamped
    assert of_updates.time_s == pytest.approx(updates[1 : len(of_updates.values) + 1], abs=1e-5)
    assert not find_updates(time, shown, wall, stamps - 60e6).stamped
    assert not find_updates(time, shown, wall, np.floor(2 * wall) / 2 * 1e6).stamped


def test_irregular_updates_have_no_period() -> None:
    rng = np.random.default_rng(3)
    updates = np.cumsum(rng.choice([0.05, 0.08, 0.14, 0.27, 0.9], 300))
    time, shown = polled(updates, rng.random(300))
    with pytest.raises(UndeterminedError, match="no regular intervals"):
        period_of(find_updates(time, shown))


def test_a_frozen_sensor_has_no_updates() -> None:
    passport = passport_of(recorded(read_preset("turing"), 1, faults=[Fault("freeze", 0.0)]))
    assert all("only 0 updates" in f.reasons["update_period_s"] for f in passport.fields)
    assert "only 0 updates" in str(passport.counter_reason)


def test_a_passport_that_knows_nothing_changes_nothing() -> None:
    meter = MeterInfo("nvml", "measured", "GPU", "GPU-1", "1", (FULL, MEAN), True, True)
    choice = choose(meter.power_fields, set())
    empty = Passport((), None, None, "none", None, 0.0, choice)
    assert empty.applied_to(meter).power_fields == meter.power_fields
