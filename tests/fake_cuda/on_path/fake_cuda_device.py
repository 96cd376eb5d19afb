"""GPUs that are none: what is visible, whether CUDA has started, memory, faults, and busy times.

Nothing here imports torch.
"""

import atexit
import json
import mmap
import os
import struct
import sys
import time
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["FAKE_CUDA"])
RECORD = struct.Struct("=dddq")
"""A stretch of work: start, end (0 while it lasts), busy seconds before it, process."""

HEAD = struct.Struct("=q")
MOST_RECORDS = 1 << 20
GAP_S = 5e-4
"""Work that goes on within this time belongs to the stretch before: copies to the host wait for the
device, and the next kernel follows at once."""


class NoDriverError(RuntimeError):
    """CUDA does not start."""


def control() -> dict[str, Any]:
    """What the test asks for."""
    found: dict[str, Any] = json.loads((FOLDER / "control.json").read_text())
    return found


def visible(gpus: list[dict[str, Any]], variable: str | None) -> list[dict[str, Any]]:
    """GPUs that CUDA_VISIBLE_DEVICES leaves, in its order: indices, UUIDs or unique heads of these;
    an entry that is none of them hides all that follow.
    """
    if variable is None:
        return gpus
    found = []
    for entry in variable.split(","):
        text = entry.strip()
        if text.isdigit() and int(text) < len(gpus):
            found.append(gpus[int(text)])
            continue
        named = [gpu for gpu in gpus if text.startswith("GPU-") and gpu["uuid"].startswith(text)]
        if len(named) != 1:
            break
        found += named
    return found


class Busy:
    """When a GPU computes, in a file that the fake NVML library reads."""

    def __init__(self, uuid: str) -> None:
        path = FOLDER / f"busy-{uuid}"
        size = HEAD.size + MOST_RECORDS * RECORD.size
        self._file = path.open("a+b")
        os.ftruncate(self._file.fileno(), size)
        self._map = mmap.mmap(self._file.fileno(), size)
        self.running = False
        self._last_end = 0.0

    def _count(self) -> int:
        return int(HEAD.unpack_from(self._map)[0])

    def _read(self, place: int) -> tuple[float, float, float, int]:
        found = RECORD.unpack_from(self._map, HEAD.size + place * RECORD.size)
        return found  # type: ignore[return-value]

    def _write(self, place: int, start: float, end: float, before: float) -> None:
        RECORD.pack_into(
            self._map, HEAD.size + place * RECORD.size, start, end, before, os.getpid()
        )

    def begin(self) -> None:
        """Work is issued."""
        if self.running:
            return
        now, count = time.monotonic(), self._count()
        self.running = True
        if count:
            start, end, before, process = self._read(count - 1)
            if process == os.getpid() and now - end < GAP_S:
                self._write(count - 1, start, 0.0, before)
                return
            if end == 0.0:  # its process died over it
                end = now
                self._write(count - 1, start, end, before)
            before += end - start
        else:
            before = 0.0
        self._write(count, now, 0.0, before)
        HEAD.pack_into(self._map, 0, count + 1)

    def end(self) -> None:
        """All that was issued is done."""
        if self.running:
            place = self._count() - 1
            start, _, before, _ = self._read(place)
            self._write(place, start, time.monotonic(), before)
            self.running = False


class Gpu:
    """One visible GPU in this process."""

    def __init__(self, index: int, facts: dict[str, Any]) -> None:
        self.index, self.facts = index, facts
        self.uuid: str = facts["uuid"]
        self.total = int(facts["memory_mib"]) << 20
        self.allocated = self.peak = self.reserved = 0
        self._context: Path | None = None
        self._busy: Busy | None = None

    def use(self) -> None:
        """Make the context, if there is none.

        Raises:
            RuntimeError: another process has the GPU for itself.
        """
        if self._context is not None:
            return
        folder = FOLDER / f"contexts-{self.uuid}"
        folder.mkdir(exist_ok=True)
        others = [path for path in folder.iterdir() if Path("/proc", path.name).exists()]
        if self.facts["exclusive"] and others:
            raise RuntimeError(
                "CUDA error: CUDA-capable device(s) is/are busy or unavailable\n"
                f"(held by process {', '.join(path.name for path in others)})"
            )
        self._context = folder / str(os.getpid())
        self._context.touch()
        self._busy = Busy(self.uuid)
        atexit.register(self.leave)

    def leave(self) -> None:
        """The process ends."""
        self.wait()
        if self._context is not None:
            self._context.unlink(missing_ok=True)

    def work(self) -> None:
        """A kernel is issued."""
        self.use()
        assert self._busy is not None
        self._busy.begin()

    def wait(self) -> None:
        """The processor waits for all work."""
        if self._busy is not None:
            self._busy.end()

    def take(self, size: int) -> bool:
        """Take memory; whether there was room."""
        if self.allocated + size > self.total:
            return False
        self.allocated += size
        self.peak = max(self.peak, self.allocated)
        self.reserved = max(self.reserved, self.allocated)
        return True

    def free(self, size: int) -> None:
        """Give memory back; it stays with the process until the cache is emptied."""
        self.allocated -= size


class Cuda:
    """CUDA in this process."""

    def __init__(self) -> None:
        self.started = False
        self.poisoned = False
        self.workspace: str | None = None
        self.gpus: list[Gpu] | None = None
        self.executions: dict[tuple[int, int], int] = {}
        self._said = False

    def see(self) -> list[Gpu]:
        """The visible GPUs, fixed by the first look."""
        if self.gpus is None:
            asked = control()
            if asked["no_driver"] is not None:
                raise NoDriverError(asked["no_driver"])
            found = visible(asked["gpus"], os.environ.get("CUDA_VISIBLE_DEVICES"))
            self.gpus = [Gpu(index, facts) for index, facts in enumerate(found)]
        return self.gpus

    def start(self) -> None:
        """Start CUDA: from here on the environment counts no more."""
        if self.started:
            return
        if not self.see():
            raise NoDriverError("No CUDA GPUs are available")
        self.workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
        self.started = True
        said = {
            "pid": os.getpid(),
            "command": sys.orig_argv,
            "cublas_workspace_config": self.workspace,
            "visible": [gpu.uuid for gpu in self.see()],
        }
        with (FOLDER / "processes.jsonl").open("a") as log:
            log.write(json.dumps(said) + "\n")

    def demanded(self, width: int, height: int) -> str | None:
        """The error that the test wants of this execution."""
        number = self.executions.get((width, height), 0)
        self.executions[width, height] = number + 1
        for place, fault in enumerate(control()["faults"]):
            fits = (fault["width"], fault["height"]) == (width, height)
            if fits and number >= fault["after"] and _claimed(place, fault["times"]):
                return str(fault["error"])
        return None


def _claimed(place: int, times: int) -> bool:
    """Whether one of the times is left, and is taken now."""
    for number in range(times):
        try:
            (FOLDER / f"raised-{place}-{number}").touch(exist_ok=False)
        except FileExistsError:
            continue
        return True
    return False


CUDA = Cuda()
