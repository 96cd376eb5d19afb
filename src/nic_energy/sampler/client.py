"""The sampler as the measuring process sees it."""

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

from nic_energy import errors
from nic_energy.errors import MeterError, NicEnergyError
from nic_energy.meters import MeterRequest
from nic_energy.sampler import child
from nic_energy.sampler.schedule import SamplerReport
from nic_energy.traces import MeterInfo, Sample

START_TIMEOUT_S = 60.0


class Sampler:
    """A meter read at a fixed rate by a process of its own, started once.

    Args:
        request: the meter to open there.
        sampling_hz: samples per second.
        timeout_s: an answer that takes longer means that a meter call hangs.
    """

    def __init__(self, request: MeterRequest, sampling_hz: float, timeout_s: float = 10.0) -> None:
        self._request, self._hz, self._timeout_s = request, sampling_hz, timeout_s
        context = multiprocessing.get_context("spawn")
        self._pipe: Connection
        self._pipe, theirs = context.Pipe()
        self._theirs: Connection | None = theirs
        self._process = context.Process(
            target=child.main, args=(theirs, request, sampling_hz), daemon=True
        )

    def start(self) -> MeterInfo:
        """Start the process, open the meter in it, and begin to sample.

        Raises:
            DeviceError: the meter cannot be opened; the message is the meter's own.
        """
        self._process.start()
        if self._theirs is not None:
            self._theirs.close()
            self._theirs = None
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
        return self._process.is_alive()

    def stop(self) -> SamplerReport:
        """End the process.

        Raises:
            MeterError: it hangs or died before.
        """
        try:
            report: SamplerReport = self._ask("stop")
            return report
        finally:
            self._process.join(2.0)
            self._kill()
            self._pipe.close()

    def _ask(self, word: str) -> Any:
        try:
            self._pipe.send(word)
        except (BrokenPipeError, OSError) as error:
            raise self._died() from error
        return self._receive(self._timeout_s)

    def _receive(self, timeout_s: float) -> Any:
        if not self._pipe.poll(timeout_s):
            self._kill()
            raise MeterError(
                f"meter {self._request.meter}: a call hangs since {timeout_s:.0f} s; the sampler "
                "was ended. Check the driver (nvidia-smi, dmesg)."
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
        self._process.join(2.0)
        return MeterError(
            f"meter {self._request.meter}: the sampler process {self._process.pid} died (exit code "
            f"{self._process.exitcode}); samples since the last window are lost."
        )

    def _kill(self) -> None:
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
