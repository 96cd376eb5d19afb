"""Running a command as a user would, and what it took: time, CPU, memory of everything it started."""

import os
import resource
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from nic_energy.config import project_root

MIB = 2**20
SAMPLE_S = 0.1


@dataclass(frozen=True)
class Ran:
    """A command that ended well.

    `cpu_s` is that of the processes that it waited for; `peak_mib` the largest sum over all
    processes at one time, pages that they share counted once (PSS).
    """

    wall_s: float
    cpu_s: float
    peak_mib: float
    output: str


class Watch:
    """Samples the memory of a process and its descendants, and of every process that works in a
    folder: a worker is no descendant of whoever made it start.
    """

    def __init__(self, folder: Path | None = None, sample_s: float = SAMPLE_S) -> None:
        self.peak_mib = 0.0
        self._folder, self._sample_s = folder, sample_s
        self._pid: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def follow(self, pid: int) -> None:
        """The process to sample from now on."""
        self._pid = pid

    def _watch(self) -> None:
        while not self._stop.wait(self._sample_s):
            if self._pid is not None:
                total = sum(_pss_bytes(process) for process in self._processes(self._pid))
                self.peak_mib = max(self.peak_mib, total / MIB)

    def _processes(self, pid: int) -> set[psutil.Process]:
        found = set()
        try:
            root = psutil.Process(pid)
            found = {root, *root.children(recursive=True)}
        except psutil.Error:
            pass
        return found | set(_working_in(self._folder))


def _working_in(folder: Path | None) -> Iterator[psutil.Process]:
    if folder is None:
        return
    for process in psutil.process_iter():
        try:
            if Path(process.cwd()) == folder:
                yield process
        except psutil.Error:
            continue


def _pss_bytes(process: Any) -> float:
    try:
        return float(process.memory_full_info().pss)
    except psutil.Error:
        return 0.0


def children_cpu_s() -> float:
    """CPU time of all processes that this one has waited for, and of those that they waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run(
    command: Sequence[str],
    cwd: Path,
    environment: Mapping[str, str],
    log: Path,
    folder: Path | None = None,
    sample_s: float = SAMPLE_S,
) -> Ran:
    """Run a command to its end; its output goes to a file first, so that no pipe slows it down.

    Args:
        folder: whose processes count for the memory besides the command's own.

    Raises:
        SystemExit: the command failed.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    before, begin = children_cpu_s(), time.perf_counter()
    with log.open("w", encoding="utf-8") as handle, Watch(folder, sample_s) as watch:
        process = subprocess.Popen(
            command, cwd=cwd, env=environment, stdout=handle, stderr=subprocess.STDOUT
        )
        watch.follow(process.pid)
        status = process.wait()
    wall_s = time.perf_counter() - begin
    if status:
        sys.exit(f"{' '.join(command)}: exit code {status}; see {log}")
    output = log.read_text(encoding="utf-8", errors="replace")
    return Ran(wall_s, children_cpu_s() - before, watch.peak_mib, output)


def environment(*paths: Path, **more: str) -> dict[str, str]:
    """The environment of a command: this Python's programs, the package, and `paths` on the path
    of its modules.
    """
    root = project_root()
    modules = [*map(str, paths), str(root / "src"), os.environ.get("PYTHONPATH", "")]
    return {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(path for path in modules if path),
        "PYTHONWARNINGS": "ignore",
        **more,
    }


def snakemake(*arguments: str, snakefile: Path, cores: int = 1) -> list[str]:
    """The Snakemake command, run in its working directory, with the project's default profile."""
    return [
        str(Path(sys.executable).with_name("snakemake")),
        *arguments,
        "--snakefile", str(snakefile),
        "--profile", str(project_root() / "profiles" / "default"),
        "--cores", str(cores),
        "--resources", "gpu=1",
    ]  # fmt: skip
