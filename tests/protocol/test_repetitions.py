import pytest

from nic_energy.energy.admissibility import Limits
from nic_energy.protocol.repetitions import (
    Progress,
    RepetitionError,
    WindowRule,
    executions_for,
    repeat,
    time_execution,
)
from nic_energy.statistics.stopping import StoppingRule
from tests.protocol.bench import FIELD, JumpingDevice

LIMITS = Limits(5.0, 3.0, 5.0, 10.0)
RULE = WindowRule(lead_in_s=1.0, limits=LIMITS)
STOP = StoppingRule(0.99, 0.02, "two_sided", 5, 20)


def test_m_executions_exceed_the_least_duration() -> None:
    for execution_s in (0.001, 0.0333, 0.7, 5.0, 12.0):
        executions = executions_for(5.0, execution_s)
        assert executions * execution_s > 5.0
        assert executions == 1 or (executions - 1) * execution_s < 5.0 * 1.04


def test_an_execution_is_timed_after_a_warm_up() -> None:
    device = JumpingDevice(execution_s=0.02)
    assert time_execution(device.bench(), 1.0) == pytest.approx(0.02)
    assert device.runs[0][2] == 1
    assert device.runs[-1][1] - device.runs[-1][0] >= 1.0


def test_a_steady_device_needs_the_fewest_windows_and_gives_its_energy() -> None:
    device = JumpingDevice(execution_s=0.05, idle_w=20, load_w=120)
    seen: list[Progress] = []
    result = repeat(
        device.bench(), RULE, STOP, FIELD, 20.0, device.execution_s, seed=1, report=seen.append
    )
    assert len(result.windows) == len(seen) == 5
    assert result.decision.converged
    assert result.decision.mean == pytest.approx(0.05 * (120 - 20), rel=1e-9)
    assert all(window.duration_s > 5.0 and window.admissible for window in result.windows)


def test_the_load_runs_before_and_after_every_window() -> None:
    device = JumpingDevice(execution_s=0.05)
    result = repeat(device.bench(), RULE, STOP, FIELD, 20.0, device.execution_s, seed=1)
    for window in result.windows:
        before = [r for r in device.runs if window.start_s - 1.0 <= r[0] < window.start_s]
        assert sum(end - start for start, end, _ in before) >= 1.0 - 0.11
        assert before[-1][1] == window.start_s
        after = [r for r in device.runs if r[0] >= window.end_s]
        assert after[0][0] == window.end_s


def test_windows_start_at_a_random_phase_that_the_seed_decides() -> None:
    def starts(seed: int) -> list[float]:
        device = JumpingDevice(execution_s=0.0125)
        return [
            w.start_s for w in repeat(device.bench(), RULE, STOP, FIELD, 20, 0.0125, seed).windows
        ]

    assert starts(1) == starts(1)
    assert starts(1) != starts(2)


def test_a_short_window_is_kept_flagged_left_out_and_m_enlarged() -> None:
    device = JumpingDevice(execution_s=0.05)
    run = device.run

    def faster_later(executions: int) -> tuple[float, float]:
        if executions > 50:
            device.execution_s = 0.045
        return run(executions)

    device.run = faster_later  # type: ignore[method-assign]
    result = repeat(device.bench(), RULE, STOP, FIELD, 20.0, device.execution_s, seed=1)
    first, *others = result.windows
    assert first.flags == ("window_too_short",)
    assert not first.admissible
    assert all(w.admissible and w.executions > first.executions for w in others)
    assert result.decision.repetitions == len(others) == 5


def test_a_noisy_device_hits_the_cap_and_says_so() -> None:
    device = JumpingDevice(noise=lambda n: 0.5 if n % 2 else -0.3)
    stop = StoppingRule(0.99, 0.02, "two_sided", 5, 7)
    result = repeat(device.bench(), RULE, stop, FIELD, 20.0, device.execution_s, seed=1)
    assert len(result.windows) == 7
    assert not result.decision.converged


def test_a_meter_without_samples_ends_the_loop_with_a_clear_error() -> None:
    device = JumpingDevice(hz=0.2)
    with pytest.raises(RepetitionError, match="too_few_samples") as caught:
        repeat(device.bench(), RULE, STOP, FIELD, 20.0, device.execution_s, seed=1)
    assert len(caught.value.windows) == 11
