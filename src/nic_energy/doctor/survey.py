"""The survey of NVML in a process of its own, ended when a call hangs."""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import IO, Any

from nic_energy.doctor.facts import Nvml, gpu_of

MODULE = "nic_energy.meters.nvml_survey"
GRACE_S = 2.0

Event = Mapping[str, Any]


@dataclass(frozen=True)
class Told:
    """What the process said until it ended or was ended."""

    events: tuple[Event, ...]
    hung: str | None = None
    crashed: str | None = None

    def all(self, event: str) -> list[Event]:
        """Its events of a kind, in order."""
        return [each for each in self.events if each["event"] == event]

    def error(self) -> str | None:
        """Why it ended early, with a remedy."""
        errors = self.all("error")
        return str(errors[0]["message"]) if errors else self.crashed


def ask(
    arguments: list[str], limit_s: float, progress: Callable[[float], None] = lambda _: None
) -> Told:
    """Run the survey.

    Args:
        limit_s: a silence as long as this means that the call named last hangs.
        progress: told the share that is done.
    """
    process = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", MODULE, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    events: list[Event] = []
    try:
        for event in _events(process, limit_s):
            if event["event"] == "share":
                progress(event["share"])
            else:
                events.append(event)
    except TimeoutError:
        process.kill()
        return Told(tuple(events), hung=_last_call(events))
    finally:
        _end(process)
    if events and events[-1]["event"] == "end":
        return Told(tuple(events))
    return Told(tuple(events), crashed=_crash(process, events))


def _events(process: "subprocess.Popen[str]", limit_s: float) -> Iterator[Event]:
    """Events as they come, until the process ends.

    Raises:
        TimeoutError: none came for `limit_s`.
    """
    lines: queue.Queue[str | None] = queue.Queue()
    assert process.stdout is not None
    threading.Thread(target=_pump, args=(process.stdout, lines), daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=limit_s)
        except queue.Empty:
            raise TimeoutError from None
        if line is None:
            return
        with suppress(ValueError):  # the last line of a process that crashed is torn
            yield json.loads(line)


def _pump(source: IO[str], lines: "queue.Queue[str | None]") -> None:
    for line in source:
        lines.put(line)
    lines.put(None)


def _end(process: "subprocess.Popen[str]") -> None:
    """Wait for the end. A process that waits inside the driver cannot be killed: it is left."""
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE_S)
    process.kill()


def _last_call(events: list[Event]) -> str:
    calls = [each["name"] for each in events if each["event"] == "call"]
    return str(calls[-1]) if calls else "the start of the process"


def _crash(process: "subprocess.Popen[str]", events: list[Event]) -> str:
    code = process.returncode
    how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
    assert process.stderr is not None
    said = process.stderr.read().strip().splitlines()
    return (
        f"the process that asks NVML ended {how} in {_last_call(events)}"
        f"{': ' + said[-1] if said else ''}. Check the driver (nvidia-smi, dmesg)."
    )


def list_gpus(limit_s: float) -> Nvml:
    """What NVML says of all GPUs; what is known of a GPU before a hang is kept."""
    told = ask(["list"], limit_s)
    nvml = Nvml(
        gpus=tuple(gpu_of(event) for event in told.all("gpu")),
        error=told.error(),
        hung=told.hung,
    )
    for system in told.all("system"):
        keys = ("driver", "nvml_version", "cuda_driver_version")
        nvml = replace(nvml, **{key: system[key] for key in keys})
    return nvml
