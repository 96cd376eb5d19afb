"""What the command line makes of errors, and the signals that it takes."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from nic_energy import errors, interrupts
from nic_energy.cli.main import Group, main
from nic_energy.errors import (
    InterruptedMeasurementError,
    MeterError,
    NicEnergyError,
    exit_codes,
)
from nic_energy.interrupts import allowed, held


@pytest.fixture(autouse=True)
def installed() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in interrupts.SIGNALS}
    interrupts.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def stop() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def ended(act: Callable[[], object]) -> Result:
    """A command that does something, run by the command line's group."""
    group = Group("nic-energy")
    group.add_command(click.Command("act", callback=act))
    return CliRunner().invoke(group, ["act"])


def test_every_error_has_a_code_of_its_own_and_the_help_names_them_all() -> None:
    codes = dict(exit_codes())
    assert list(codes) == list(range(len(codes)))
    own = [kind for kind in NicEnergyError.__subclasses__() if kind.__module__ == errors.__name__]
    used = [kind.exit_code for kind in own]
    assert sorted([*used, InterruptedMeasurementError.exit_code]) == list(codes)[2:]
    text = CliRunner().invoke(main, ["--help"]).output
    for code, meaning in codes.items():
        assert f"{code}  {meaning}" in text


def test_an_error_is_a_message_and_its_code() -> None:
    def act() -> None:
        raise MeterError("the meter: gone")

    result = ended(act)
    assert (result.exit_code, result.output) == (4, "nic-energy: the meter: gone\n")


def test_a_file_error_that_nobody_foresaw_names_the_file(tmp_path: Path) -> None:
    result = ended(lambda: (tmp_path / "gone").read_text())
    assert result.exit_code == 7
    assert result.output == f"nic-energy: {tmp_path / 'gone'}: No such file or directory.\n"


def test_what_nobody_foresaw_keeps_its_traceback() -> None:
    result = ended(lambda: 1 / 0)
    assert result.exit_code == 1
    assert isinstance(result.exception, ZeroDivisionError)


def test_a_signal_is_no_exception_that_others_swallow() -> None:
    def act() -> None:
        try:
            stop()
        except Exception:
            click.echo("swallowed")

    result = ended(act)
    assert result.exit_code == 9
    assert result.output.startswith("nic-energy: stopped by SIGTERM; run again")


def test_a_signal_waits_while_it_is_held() -> None:
    done = []
    with pytest.raises(InterruptedMeasurementError, match="SIGTERM"), held():
        stop()
        done.append("inner")
        with held():
            stop()
        done.append("outer")
    assert done == ["inner", "outer"]
    with held():
        pass


def test_a_signal_comes_through_where_it_is_allowed() -> None:
    done = []
    with held():
        with pytest.raises(InterruptedMeasurementError), allowed():
            stop()
            done.append("too far")
        with pytest.raises(InterruptedMeasurementError), held():
            stop()
            with allowed():
                done.append("too far")
    assert done == []


def test_an_error_on_its_way_is_not_replaced_by_a_signal_that_comes_after_it() -> None:
    """A worker goes on after an error, and must not forget that it was asked to leave."""
    with pytest.raises(MeterError), held():
        stop()
        raise MeterError
    with pytest.raises(InterruptedMeasurementError):
        interrupts.raise_pending()
    interrupts.raise_pending()
    with pytest.raises(MeterError), held():
        stop()
        raise MeterError
    with pytest.raises(InterruptedMeasurementError), held():
        raise AssertionError


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    interrupts.install()
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
