"""A cluster, and a campaign on it."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster.campaign import ClusterCampaign
from tests.cluster.slurm import Slurm, slurm


@contextmanager
def _up(min_job_age: int, accounted: bool) -> Iterator[Slurm]:
    """A cluster in a short path, for its sockets."""
    root = Path(f"/tmp/nic-slurm-{os.getpid()}-{os.urandom(3).hex()}")
    root.mkdir()
    try:
        with slurm(root, min_job_age, accounted) as found:
            yield found
    finally:
        shutil.rmtree(root, ignore_errors=True)


@contextmanager
def _on(
    cluster: Slurm, prepared: Callable[[ClusterCampaign], ClusterCampaign]
) -> Iterator[ClusterCampaign]:
    """A campaign whose images are prepared, as on a login node with a network."""
    folder = cluster.root / f"campaign-{os.urandom(3).hex()}"
    made = prepared(ClusterCampaign(folder, cluster=cluster))
    made.prepare_images()
    yield made
    cluster.ask("scancel", "--user", str(os.getuid()))
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Slurm]:
    """A real Slurm without accounting, for all tests of a process."""
    with _up(min_job_age=300, accounted=False) as found:
        yield found


@pytest.fixture
def campaign(cluster: Slurm) -> Iterator[ClusterCampaign]:
    """A campaign on the virtual GPU."""
    with _on(cluster, ClusterCampaign.prepare) as made:
        yield made


@pytest.fixture
def processors(cluster: Slurm) -> Iterator[ClusterCampaign]:
    """A campaign whose networks run in real time, on the processors."""
    with _on(cluster, ClusterCampaign.prepare_on_processors) as made:
        yield made


@pytest.fixture
def accounted() -> Iterator[ClusterCampaign]:
    """A campaign on a cluster with slurmdbd, whose controller soon forgets jobs that have ended."""
    with (
        _up(min_job_age=2, accounted=True) as cluster,
        _on(cluster, ClusterCampaign.prepare) as made,
    ):
        yield made
