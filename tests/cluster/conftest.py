"""A cluster, and a campaign on it."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.campaign import ClusterCampaign
from tests.cluster.slurm import Slurm, slurm


@pytest.fixture(scope="session")
def cluster() -> Iterator[Slurm]:
    """A real Slurm, for all tests of a process; in a short path, for its sockets."""
    root = Path(f"/tmp/nic-slurm-{os.getpid()}-{os.urandom(3).hex()}")
    root.mkdir()
    try:
        with slurm(root) as found:
            yield found
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
def campaign(cluster: Slurm) -> Iterator[ClusterCampaign]:
    """A campaign whose images are prepared, as on a login node with a network."""
    folder = cluster.root / f"campaign-{os.urandom(3).hex()}"
    made = ClusterCampaign(folder, cluster=cluster).prepare()
    made.prepare_images()
    yield made
    cluster.ask("scancel", "--user", str(os.getuid()))
    shutil.rmtree(folder, ignore_errors=True)
