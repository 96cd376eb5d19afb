"""The sampler as the measuring process sees it."""

import logging
import multiprocessing
import subprocess
import sys
from multiprocessing.connection import Connection
from typing import Any

from nic_energy import errors
from nic_energy.errors import MeterError, NicEnergyError
from nic_energy.meters import MeterRequest
from nic_energy.sampler.schedule import SamplerReport
from nic_energy.traces import MeterInfo, Sample

log = logging.getLogger(__name__)

START_TIMEOUT_S = 60.0
END_TIMEOUT_S = 2.0
"""A process that was told to end, or killed, is waited for no longer: one that hangs in the driver
cannot even be killed, and must not hang the measurement too."""


class Sampler:
    """A meter read at a fixed rate by a process of its own, started once.

    Args:
        request: the meter to open there.
        sampling_hz: samples per second.
        timeout_s: an answer that takes longer means that a meter call hangs.
    """

    def __init__(self, request: MeterRequest, sampling_hz: float, timeout_s: float = 10.0) -> None:
        self._request, self._hz, self._timeout_s = request, sampling_hz, timeout_s
        self._pipe: Connection
        self._theirs: Connection
        self._pipe, self._theirs = multiprocessing.Pipe()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Id of the process, None before it was started."""
        return None if self._process is None else self._process.pid

    def start(self) -> MeterInfo:
        """Start the process, open the meter in it, and begin to sample.

        Raises:
            DeviceError: the meter cannot be opened; the message is the meter's own.
            MeterError: opening it hangs, or the process died.
        """
        descriptor = self._theirs.fileno()
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-P", "-m", "nic_energy.sampler.child"),
                *(str(descriptor), str(self._hz)),
            ],
            pass_fds=[descriptor],
            stdin=subprocess.DEVNULL,
        )
        self._theirs.close()
        self._send(self._request)
        info: MeterInfo = self._receive(START_TIMEOUT_S)
        return info

    def collect(self) -> list[Sample]:
        """All samples since the last call, in order of time.

        Raises:
            MeterError: the meter failed (after its last samples were handed over by an earlier
                call), hangs, or the process died.
        """
        samples: list[Sample] = self._ask("collect")
        return samples

    def latest(self) -> Sample | None:
        """The newest sample; `collect` still returns it.

        Raises:
            MeterError: see `collect`.
        """
        sample: Sample | None = self._ask("latest")
        return sample

    def report(self) -> SamplerReport:
        """How well it sampled since the last report; it goes on.

        Raises:
            MeterError: see `collect`.
        """
        report: SamplerReport = self._ask("report")
        return report

    @property
    def alive(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    def stop(self) -> SamplerReport:
        """End the process.

        Raises:
            MeterError: it hangs or died before.
        """
        try:
            report: SamplerReport = self._ask("stop")
            return report
        finally:
            self._wait()
            self._kill()
            self._pipe.close()

    def _ask(self, word: str) -> Any:
        self._send(word)
        return self._receive(self._timeout_s)

    def _send(self, message: Any) -> None:
        try:
            self._pipe.send(message)
        except OSError as error:
            raise self._died() from error

    def _receive(self, timeout_s: float) -> Any:
        if not self._pipe.poll(timeout_s):
            self._kill()
            raise MeterError(
                f"meter {self._request.meter}: a call hangs since {timeout_s:.0f} s; the sampler "
                "was ended, and the samples since the last window are lost. Check the driver "
                "(nvidia-smi, dmesg) before you run again."
            )
        try:
            kind, payload = self._pipe.recv()
        except (EOFError, ConnectionResetError) as error:
            raise self._died() from error
        if kind == "error":
            name, message = payload
            known: type[NicEnergyError] = getattr(errors, name, MeterError)
            raise known(message)
        return payload

    def _died(self) -> MeterError:
        self._wait()
        code = None if self._process is None else self._process.returncode
        return MeterError(
            f"meter {self._request.meter}: the sampler process {self.pid} died (exit code "
            f"{code}); samples since the last window are lost. -9 is a kill, by a user or for want "
            "of memory (dmesg); run again."
        )

    def _wait(self) -> bool:
        """Whether the process ended in time."""
        if self._process is None:
            return True
        try:
            self._process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            return False
        return True

    def _kill(self) -> None:
        if self._process is None or self._process.poll() is not None:
            return
        self._process.kill()
        if not self._wait():
            log.error("the sampler process %d cannot be killed: it hangs in the driver", self.pid)
