"""Two runs that want one device at once."""

import signal

from tests.faults.command import Desk


def test_a_second_run_on_the_device_waits_for_its_turn(virtual: Desk) -> None:
    first = virtual.start("measure", "window")
    first.reach()
    second = virtual.start("passport", keep=True)
    second.reach("waiting for another measurement on VIRTUAL-")
    assert first.process.poll() is None
    assert not virtual.attempts("passport")
    first.go()
    assert first.end().code == 0
    done = second.end()
    assert done.code == 0, done.text
    assert [each.meta.outcome for each in virtual.attempts("passport")] == ["accepted"]


def test_a_run_that_waits_can_be_stopped_and_one_that_was_killed_holds_nothing(
    virtual: Desk,
) -> None:
    first = virtual.start("measure", "window")
    first.reach()
    second = virtual.start("passport", keep=True)
    second.reach("waiting for another measurement on VIRTUAL-")
    second.signal(signal.SIGTERM)
    assert second.end().code == 9
    first.signal(signal.SIGKILL)
    first.end()
    virtual.succeed("measure")
