from nic_energy.sampler.schedule import Schedule


def test_deadlines_are_absolute() -> None:
    schedule = Schedule(0.1, 100.0)
    schedule.done(100.03, 100.04)
    assert schedule.next_s == 100.1
    report = schedule.report(True, 7)
    assert (report.samples, report.missed_deadlines, report.realtime, report.pid) == (1, 0, True, 7)
    assert abs((report.period_error_p99_s or 0) - 0.03) < 1e-9


def test_missed_deadlines_are_skipped_and_counted() -> None:
    schedule = Schedule(0.1, 100.0)
    schedule.done(100.0, 100.35)
    assert schedule.missed == 3
    assert abs(schedule.next_s - 100.4) < 1e-9
    assert abs((schedule.report(False, 1).max_read_duration_s or 0) - 0.35) < 1e-9


def test_nothing_was_sampled() -> None:
    report = Schedule(0.1, 0.0).report(False, 1)
    assert (report.samples, report.period_error_p99_s, report.max_read_duration_s) == (
        0,
        None,
        None,
    )
