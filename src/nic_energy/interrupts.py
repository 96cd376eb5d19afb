"""Signals that ask to stop, and the moments at which that has to wait.

A signal can come between any two steps. While samples are taken it ends the measurement at once;
while an attempt is written and linked it waits, so that what is finished is not lost. The signals
are counted here and not masked: other threads of the process would take those that are masked in
this one.
"""

import contextlib
import logging
import signal
from collections.abc import Iterator
from types import FrameType

from nic_energy.errors import InterruptedMeasurementError

log = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


class _State:
    """How many blocks hold signals back, and the one that came meanwhile."""

    holding = 0
    pending: str | None = None


def install() -> None:
    """Let the signals raise `InterruptedMeasurementError`; one that is ignored (nohup) stays so."""
    _State.holding, _State.pending = 0, None
    for number in SIGNALS:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _on_signal)


def _on_signal(number: int, _frame: FrameType | None) -> None:
    name = signal.Signals(number).name
    if not _State.holding:
        raise _error(name)
    _State.pending = name
    log.info("%s: what is finished is still put away", name)


def _error(name: str) -> InterruptedMeasurementError:
    return InterruptedMeasurementError(
        f"stopped by {name}; run again to go on where it stopped. What was finished is kept."
    )


def raise_pending() -> None:
    """Raise for a signal that was held back while another error was on its way: whoever goes on
    after that error asks here.

    Raises:
        InterruptedMeasurementError: there was one.
    """
    name, _State.pending = _State.pending, None
    if name is not None:
        raise _error(name)


@contextlib.contextmanager
def held() -> Iterator[None]:
    """Hold signals back; one that came is raised at the end, or later (`raise_pending`) if another
    error is on its way.
    """
    if not _State.holding:
        raise_pending()
    _State.holding += 1
    try:
        yield
    finally:
        _State.holding -= 1
    if not _State.holding:
        raise_pending()


@contextlib.contextmanager
def allowed() -> Iterator[None]:
    """Within `held`: let signals through again."""
    before = _State.holding
    raise_pending()
    _State.holding = 0
    try:
        yield
    finally:
        _State.holding = before
