"""One short modality by the command line, as the workflow's rules call it."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nic_energy.config import project_root
from nic_energy.config.merge import overlay, read_merged
from nic_energy.energy.estimators import window_energies
from nic_energy.files import write_json
from nic_energy.traces import Trace, read_meta, read_trace
from nic_energy.vocabulary import ESTIMATORS
from tests.gpu.findings import Finding
from tests.gpu.power import barred
from tests.images.pictures import picture

SIZE = (768, 512)
NETWORK, QUALITY = "mbt2018-mean", 4
ESTIMATES_LIMIT = 0.05

COMMAND = [sys.executable, "-W", "ignore", "-c", "from nic_energy.cli.main import main; main()"]

CONFIG: Mapping[str, Any] = {
    "setup": "gpu-test",
    "weights": "random",
    "networks": [{"name": NETWORK, "qualities": [QUALITY]}],
    "images": {
        "collection": "gpu-test",
        "source": "folder",
        "path": "images",
        "url": None,
        "md5": None,
        "count": None,
        "pixel_sum": None,
    },
    "protocol": {
        "idle_s": 10,
        "idle_settle_max_s": 60,
        "preheat_celsius": None,
        "min_duration_s": 2,
        "lead_in_s": "auto",
        "sampling_hz": "auto",
        "min_repetitions": 3,
        "max_repetitions": 3,
    },
}

QUICK: Mapping[str, Any] = {
    "passport": False,
    "protocol": {
        "idle_s": 3,
        "idle_settle_max_s": 10,
        "settle_s": 3,
        "lead_in_s": 1,
        "sampling_hz": 10,
    },
}
"""Without the passport, which takes two minutes."""


@dataclass(frozen=True)
class Measured:
    """What the commands left: their last error, and the trace if there is one. `cooled_s` is how
    long the GPU was left at rest before the modality.
    """

    error: str | None
    trace: Trace | None = None
    idle_w: Mapping[str, float] | None = None
    cooled_s: float = 0.0


def measure(
    folder: Path, changes: Mapping[str, Any], cool: Callable[[], float] = lambda: 0.0
) -> Measured:
    """Idle reference, passport and one modality, by the commands of the rules, in a new folder.

    Args:
        changes: to the configuration.
        cool: lets the GPU cool down between the passport's load and the modality; the time in s.
    """
    document = overlay(read_merged([project_root() / "config" / "config.yaml"]), CONFIG)
    document = {**overlay(document, changes), "remeasure": True}
    config, image = folder / "config.json", folder / "image.png"
    folder.mkdir(parents=True, exist_ok=True)
    write_json(config, document)
    picture(*SIZE).save(image)
    reference = folder / "reference"
    idle, passport = reference / "idle.parquet", reference / "passport.json"
    output = folder / "trace.parquet"
    known = ["--passport", str(passport)] if document.get("passport", True) else []
    commands = {
        "idle": ["--output", str(idle), "--environment", str(reference / "env.json")],
        "passport": ["--output", str(passport)],
        "measure": [
            "--network", NETWORK, "--quality", str(QUALITY), "--image", "image",
            "--image-file", str(image), "--idle", str(idle), *known, "--output", str(output),
        ],
    }  # fmt: skip
    if not known:
        del commands["passport"]
    cooled_s = 0.0
    for name, options in commands.items():
        if name == "measure":
            cooled_s = cool()
        done = subprocess.run(
            [*COMMAND, name, "--config", str(config), *options],
            cwd=folder,
            env={**os.environ, "PYTHONPATH": _python_path()},
            capture_output=True,
            text=True,
        )
        if done.returncode:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            return Measured(f"nic-energy {name} ended with {done.returncode}: {last}")
    return Measured(None, read_trace(output), read_meta(idle).idle_power_w, cooled_s)


def _python_path() -> str:
    """This project's package before what is on the path already."""
    given = os.environ.get("PYTHONPATH")
    return os.pathsep.join([str(project_root() / "src"), *([given] if given else [])])


def end_to_end(measured: Measured, uuid: str | None, source: str = "measured") -> Finding:
    """What has to be true of the trace.

    Args:
        uuid: of PyTorch's device.
        source: what a joule of it must be called.
    """
    shows = "one modality, measured by the commands of the workflow, is measured and whole"
    trace = measured.trace
    if trace is None:
        return Finding("end_to_end", shows, {}, (str(measured.error),))
    meta = trace.meta
    column = str(meta.stopping.get("power_field"))
    means = mean_energies(trace, column)
    idle_w = (measured.idle_w or {}).get(column, float("nan"))
    numbers = {
        "source": meta.source,
        "device_uuid": meta.meter.device_uuid,
        "power_field": column,
        "windows": len(meta.windows),
        "executions": meta.windows[0].executions if meta.windows else 0,
        "idle_power_w": idle_w,
        "dynamic energy of an execution (J)": meta.stopping.get("mean"),
        **{f"gross energy of a window by {name} (J)": mean for name, mean in means.items()},
        "cooled down for (s)": measured.cooled_s,
    }
    differs = _differing(means)
    counted = differs.pop("counter", None)
    problems = (*_problems(trace, uuid, source), *differs.values())
    return Finding(
        "end_to_end", shows, numbers, problems, bars=barred([counted] if counted else [])
    )


def mean_energies(trace: Trace, column: str) -> Mapping[str, float]:
    """Mean gross energy of a window in J, by each estimator that has one."""
    field = trace.meta.meter.power_field(column)
    energies = [window_energies(trace, window, field) for window in trace.meta.windows]
    joules = {
        name: [each[name].energy_gross_j for each in energies if name in each]
        for name in ESTIMATORS
    }
    return {name: sum(each) / len(each) for name, each in joules.items() if each}


def _differing(means: Mapping[str, float]) -> dict[str, str]:
    """What the estimators say that differ from `trapezoid`."""
    first = means.get("trapezoid", float("nan"))
    return {
        name: f"{name} says {mean:.1f} J a window, trapezoid {first:.1f} J"
        for name, mean in means.items()
        if not abs(mean / first - 1) <= ESTIMATES_LIMIT
    }


def _problems(trace: Trace, uuid: str | None, source: str) -> tuple[str, ...]:
    meta = trace.meta
    wrong = {
        f"source is {meta.source}, not {source}": meta.source != source,
        f"the meter read {meta.meter.device_uuid}, PyTorch ran on {uuid}": (
            meta.meter.device_uuid != uuid
        ),
        f"outcome {meta.outcome}": meta.outcome != "accepted",
        "fewer than 3 admissible windows": sum(w.admissible for w in meta.windows) < 3,
        "the energy of an execution is not above 0": not meta.stopping.get("mean", 0) > 0,
    }
    return tuple(text for text, is_so in wrong.items() if is_so)
