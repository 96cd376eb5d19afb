"""Running a command with its output in a log file."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

POLL_S = 0.5
ENDING_S = 60.0
"""How long a command that is asked to stop may take to put away what is finished."""


def run(
    command: Sequence[str],
    log: Path,
    tick: Callable[[], None],
    env: Mapping[str, str],
    cwd: Path | None = None,
    output: Path | None = None,
) -> int:
    """Run a command in a process group of its own; returns its exit status.

    Args:
        log: gets stdout and stderr, appended. output: gets stdout instead.
        tick: called twice a second while it runs.
        env: variables besides those of this process.

    A request to stop is handed on to the whole group, which may put away what is finished.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    # Programs that are started find their like first: nic-energy, snakemake, python.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    with log.open("ab") as said, (output or Path(os.devnull)).open("wb") as written:
        process = subprocess.Popen(
            list(command),
            cwd=cwd,
            env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", **env},
            stdin=subprocess.DEVNULL,
            stdout=written if output else said,
            stderr=said,
            start_new_session=True,
        )
        try:
            while True:
                try:
                    return process.wait(POLL_S)
                except subprocess.TimeoutExpired:
                    tick()
        finally:
            if process.poll() is None:
                _stop(process)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    for number, seconds in ((signal.SIGINT, ENDING_S), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, number)
            process.wait(seconds)
            return
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue


def nic_energy(*arguments: str) -> list[str]:
    """A command of this package."""
    return [sys.executable, "-W", "ignore", "-m", "nic_energy.cli", *arguments]


def last_words(log: Path) -> str:
    """The last error message of a log, else its last line."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    spoken = [line.strip() for line in lines if line.strip()]
    errors = [line for line in spoken if "nic-energy: " in line or line.startswith("E  ")]
    return (errors or spoken or [""])[-1]
