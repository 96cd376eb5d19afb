"""Two GPUs in the node, of which a job sees the one that Slurm gave it."""

import sys
from pathlib import Path

from tests.cluster.slurm import Slurm, wait_for
from tests.fake_nvml import FakeNvml, build

FIRST = "GPU-fa4e0000-0000-4000-8000-000000000000"
SECOND = "GPU-fa4e0001-0000-4000-8000-000000000000"

CONFINED = """#!/bin/sh
# What cgroups do on a cluster (ConstrainDevices=yes): of the GPUs of the node, NVML shows a job the
# one that Slurm gave it, and the login node has none.
export LD_LIBRARY_PATH={folder}/gpu${{CUDA_VISIBLE_DEVICES:-s-none}}
exec {program} "$@"
"""


def two_gpus(folder: Path) -> dict[str, str]:
    """Build a fake NVML library a GPU, and a `nic-energy` that takes that of its job.

    Returns:
        What the environment of a campaign needs besides.
    """
    for number, uuid in enumerate((FIRST, SECOND)):
        (folder / f"gpu{number}").mkdir(parents=True)
        library = build(folder / f"gpu{number}")
        # The library of another serial number.
        ours, theirs = FIRST[:12].encode(), uuid[:12].encode()
        assert library.read_bytes().count(ours) == 1
        library.write_bytes(library.read_bytes().replace(ours, theirs))
    fake = FakeNvml(library, folder / "control")
    fake.put("trace 0.05:70:1 0.05:300:100", "update_ms 5", "window_ms 5", "energy_ms 5")
    shim = folder / "bin" / "nic-energy"
    shim.parent.mkdir()
    program = Path(sys.executable).with_name("nic-energy")
    shim.write_text(CONFINED.format(folder=folder, program=program))
    shim.chmod(0o755)
    return {"FAKE_NVML_CTL": fake.environment()["FAKE_NVML_CTL"]}


def taken_by_another(cluster: Slurm, folder: Path) -> str:
    """Have another job hold the first GPU; its id."""
    said = folder / "other.out"
    job = cluster.ask(
        "sbatch", "--parsable", "--gpus-per-node=1", f"--output={said}", "--time=60",
        "--wrap=echo GPU $CUDA_VISIBLE_DEVICES; sleep 3600",
    )  # fmt: skip
    wait_for(lambda: said.exists() and said.read_text() != "", "another's job")
    assert said.read_text() == "GPU 0\n"
    return job
