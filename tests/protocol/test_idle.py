from nic_energy.protocol.idle import record_idle
from tests.protocol.bench import JumpingDevice


def test_a_device_at_rest_is_recorded_for_the_time_asked() -> None:
    device = JumpingDevice(idle_w=25)
    record = record_idle(device, device, "power_instant_w", 120, 60, 10)
    assert record.settled
    settle, idle = record.intervals
    assert (settle.phase, idle.phase) == ("settle", "idle")
    assert idle.end_s - idle.start_s >= 120
    assert 10 <= settle.end_s - settle.start_s < 16
    assert record.samples[-1]["time_s"] > idle.end_s  # type: ignore[operator]
    times = [sample["time_s"] for sample in record.samples]
    assert times == sorted(times)  # type: ignore[type-var]


def test_it_waits_while_the_power_still_falls_and_says_when_it_never_rests() -> None:
    device = JumpingDevice()
    sleep = device.sleep

    def cooling(seconds: float) -> None:
        device.idle_w *= 0.9
        sleep(seconds)

    device.sleep = cooling  # type: ignore[method-assign]
    record = record_idle(device, device, "power_instant_w", 10, 30, 10)
    assert not record.settled
    assert record.intervals[0].end_s - record.intervals[0].start_s >= 30


def test_no_wait_was_asked_for() -> None:
    device = JumpingDevice()
    record = record_idle(device, device, "power_instant_w", 5, 0, 10)
    assert record.intervals[0].start_s == record.intervals[0].end_s
