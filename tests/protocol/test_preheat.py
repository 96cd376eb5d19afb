import math
from dataclasses import replace

import pytest

from nic_energy.protocol.preheat import PreheatRule, preheat
from tests.protocol.bench import JumpingDevice

RULE = PreheatRule(target_c=80, max_s=600, settle_s=60, settle_kelvin=1)


def warming(to_c: float, tau_s: float = 40.0) -> JumpingDevice:
    return JumpingDevice(heat=lambda loaded: 40 + (to_c - 40) * (1 - math.exp(-loaded / tau_s)))


def ready(device: JumpingDevice) -> JumpingDevice:
    device.sleep(0.5)
    return device


def test_it_heats_with_the_load_until_the_target() -> None:
    device = ready(warming(95))
    result, interval = preheat(device.bench(), RULE, 0.05)
    assert result.outcome == "reached"
    assert result.end_c == pytest.approx(80, abs=1)
    assert interval.end_s - interval.start_s == pytest.approx(result.duration_s)
    assert device.runs


def test_it_stops_where_the_temperature_settles_below_the_target() -> None:
    result, _ = preheat(ready(warming(65)).bench(), RULE, 0.05)
    assert result.outcome == "settled"
    assert result.end_c == pytest.approx(65, abs=2)
    assert result.duration_s > 60


def test_it_never_aims_above_the_slowdown_threshold() -> None:
    result, _ = preheat(ready(warming(95)).bench(slowdown_c=75), RULE, 0.05)
    assert (result.target_c, result.limited_by) == (72, "slowdown_threshold")
    assert result.outcome == "reached"
    assert result.end_c is not None
    assert result.end_c < 75


@pytest.mark.parametrize(
    ("slowdown_c", "source", "target_c", "limited_by", "said"),
    [
        (None, None, 80, "preheat_celsius", "the device tells no slowdown temperature"),
        (95, "threshold", 80, "preheat_celsius", "to 80 degC, limited by preheat_celsius"),
        (75, "margin", 72, "margin_temperature", "to 72 degC, limited by margin_temperature"),
    ],
)
def test_it_says_what_limits_the_target(
    caplog: pytest.LogCaptureFixture,
    slowdown_c: float | None,
    source: str | None,
    target_c: float,
    limited_by: str,
    said: str,
) -> None:
    caplog.set_level("INFO")
    bench = ready(warming(95)).bench(slowdown_c)
    bench.meter = replace(bench.meter, details={"slowdown_from": source})
    result, _ = preheat(bench, RULE, 0.05)
    assert (result.outcome, result.target_c) == ("reached", target_c)
    assert result.as_dict()["limited_by"] == limited_by
    assert said in caplog.text


def test_a_thermometer_that_fails_meanwhile_is_no_temperature_that_has_settled() -> None:
    device = ready(JumpingDevice(heat=lambda loaded: 40 + loaded if loaded < 20 else None))
    result, _ = preheat(device.bench(), RULE, 0.05)
    assert (result.outcome, result.end_c) == ("no_thermometer", None)
    assert 20 < result.duration_s < 30


def test_it_gives_up_after_its_time_limit() -> None:
    rule = PreheatRule(80, max_s=100, settle_s=60, settle_kelvin=1)
    result, _ = preheat(ready(warming(95, tau_s=900)).bench(), rule, 0.05)
    assert result.outcome == "timed_out"
    assert 100 <= result.duration_s < 110


def test_without_a_thermometer_or_a_target_nothing_is_heated() -> None:
    device = ready(JumpingDevice())
    assert preheat(device.bench(), RULE, 0.05)[0].outcome == "no_thermometer"
    off = PreheatRule(None, 600, 60, 1)
    assert preheat(ready(warming(95)).bench(), off, 0.05)[0].outcome == "off"
    assert not device.runs
