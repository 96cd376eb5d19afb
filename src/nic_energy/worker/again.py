"""A failure of the device or its meter: once more in a new process, then the end of the campaign.

A CUDA error can spoil every later call of its process, so only a new one tells whether the device
is at fault. If it is, each remaining modality would fail alike, within seconds.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from nic_energy.errors import DEVICE_FAILURES, CudaError

SECOND = "NIC_ENERGY_SECOND_TRY"
"""Environment variable of a process that does again what failed in the one before."""

ONCE_MORE = "the device or its meter failed; tried once more in a new process"


def after(exit_code: object, arguments: list[str]) -> None:
    """Do again in this process's place what a command of the workflow failed to do on the device.

    Returns, having said so, where nothing is to be tried again.

    Args:
        exit_code: how the command ended.
        arguments: those of the command line.
    """
    of_campaign = arguments[:1] == ["measure"] and "--idle" in arguments
    if exit_code != CudaError.exit_code and not (of_campaign and exit_code in DEVICE_FAILURES):
        return
    if os.environ.get(SECOND) is None:
        say(ONCE_MORE)
        command = [sys.executable, "-m", "nic_energy.cli", *arguments]
        os.execve(sys.executable, command, {**os.environ, SECOND: "1"})  # noqa: S606
    failed_twice(of_campaign)


def failed_twice(of_campaign: bool) -> None:
    """Say what to do about a device that failed in two processes in a row, and have Snakemake start
    no further job.
    """
    say(
        "the device or its meter failed twice in a row, the second time in a new process. See "
        "dmesg for Xid errors and nvidia-smi; a GPU that has failed needs a reset or a reboot. "
        "If it is always this modality, leave it out (images.select, networks)"
    )
    if of_campaign and (process := snakemake()) is not None:
        os.kill(process, signal.SIGTERM)
        say("the campaign ends here, since every modality would fail; run it again to go on")


def say(text: str) -> None:
    """A line of the log."""
    print(f"nic-energy: {text}.", file=sys.stderr, flush=True)  # noqa: T201


def snakemake() -> int | None:
    """The Snakemake process that schedules this one; None where there is none on this machine."""
    return next((pid for pid in _ancestors() if _schedules(_words(pid))), None)


def _ancestors() -> Iterator[int]:
    pid = os.getppid()
    while pid > 1:
        yield pid
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
        except OSError:
            return
        pid = int(stat.rpartition(")")[2].split()[1])  # the name in parentheses can hold anything


def _schedules(words: list[bytes]) -> bool:
    """Whether a command is `snakemake`, `python snakemake` or `python -m snakemake`, and not the
    Snakemake that runs a single job of another (`--mode`).
    """
    first, *others = [Path(os.fsdecode(word)).name for word in words[:3]] or [""]
    called = first == "snakemake" or (first.startswith("python") and "snakemake" in others)
    return called and b"--mode" not in words


def _words(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return []
