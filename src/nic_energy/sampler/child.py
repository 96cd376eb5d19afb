"""The sampler's process: reads the meter on time, answers requests in between.

    python -m nic_energy.sampler.child DESCRIPTOR SAMPLING_HZ

The first thing that comes over the pipe of that descriptor is the meter's request. Words follow:
`collect`, `latest`, `report`, `stop`. An answer is `(kind, payload)` with kind `ok`, or `error`
with the class name, message and nothing else, so that no exception object has to be pickled.
Samples stay in this process until they are asked for: the network's process needs no thread for
them.

Signals that ask to stop go to a whole group of processes at once. They are left to the measuring
process here, so that it still gets the last samples; this one ends with `stop`, or when the other
end of the pipe is gone.
"""

import contextlib
import os
import select
import signal
import sys
import time
from collections import Counter
from dataclasses import replace
from multiprocessing.connection import Connection
from typing import Any

from nic_energy.errors import NicEnergyError
from nic_energy.interrupts import SIGNALS
from nic_energy.meters import MeterRequest, open_meter
from nic_energy.meters.base import Meter
from nic_energy.sampler.schedule import SamplerReport, Schedule
from nic_energy.traces import Sample


def main(pipe: Connection, sampling_hz: float) -> None:
    """Sample until told to stop."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):
        _run(pipe, sampling_hz)


def _run(pipe: Connection, sampling_hz: float) -> None:
    request: MeterRequest = pipe.recv()
    try:
        meter = open_meter(request)
    except NicEnergyError as error:
        pipe.send(_failure(error))
        return
    try:
        pipe.send(("ok", meter.info()))
        _Server(pipe, meter, 1 / sampling_hz).serve()
    finally:
        meter.close()


def _failure(error: NicEnergyError) -> tuple[str, tuple[str, str]]:
    return "error", (type(error).__name__, str(error))


class _Server:
    def __init__(self, pipe: Connection, meter: Meter, period_s: float) -> None:
        self.pipe, self.meter = pipe, meter
        self.schedule = Schedule(period_s, time.monotonic())
        self.pending: list[Sample] = []
        self.latest: Sample | None = None
        self.error: NicEnergyError | None = None
        self.failures: Counter[str] = Counter()
        self.realtime = _realtime()

    def serve(self) -> None:
        """Sample and answer until told to stop."""
        while True:
            wait = None if self.error else self.schedule.next_s - time.monotonic()
            if wait is None or wait > 0:
                if self._asked(wait) and not self._answer(self.pipe.recv()):
                    return
                continue
            self._sample()

    def _asked(self, wait_s: float | None) -> bool:
        """Wait for a request; `Connection.poll` would round the time up to a millisecond."""
        return bool(select.select([self.pipe], [], [], wait_s)[0])

    def _sample(self) -> None:
        began = time.monotonic()
        try:
            values = self.meter.read()
        except NicEnergyError as error:
            self.error = error
            return
        ended = time.monotonic()
        middle = (began + ended) / 2
        wall = time.time() - (ended - middle)
        self.latest = {
            "time_s": middle,
            "read_duration_s": ended - began,
            "wall_time_s": wall,
            **values,
        }
        self.pending.append(self.latest)
        self.schedule.done(began, ended)

    def _report(self) -> SamplerReport:
        """How well it sampled since the last report."""
        report = self.schedule.report(self.realtime, os.getpid())
        failures = Counter(self.meter.failures())
        new, self.failures = failures - self.failures, failures
        self.schedule.forget()
        return replace(report, failures=dict(new))

    def _answer(self, word: str) -> bool:
        """Answer one request; False when it was the last."""
        answer: tuple[str, Any]
        if word in ("stop", "report"):
            answer = ("ok", self._report())
        elif word == "collect" and (self.pending or self.error is None):
            answer = ("ok", self.pending)
            self.pending = []
        elif self.error is not None:
            answer = _failure(self.error)
        else:
            answer = ("ok", self.latest)
        self.pipe.send(answer)
        return word != "stop"


def _realtime() -> bool:
    """Ask for real-time priority; not every user may have it."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except OSError:
        return False
    return True


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])), float(sys.argv[2]))
