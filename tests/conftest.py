"""Fixtures that several rooms share."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fake_nvml import FakeNvml, build


@pytest.fixture(scope="session")
def fake_nvml_built(tmp_path_factory: pytest.TempPathFactory) -> FakeNvml:
    """The library, in this process and on the path of every process started from it.

    The dynamic loader reads LD_LIBRARY_PATH only when a process starts; in this one the library
    is loaded by its path, after which its soname is found.
    """
    folder = tmp_path_factory.mktemp("fake_nvml")
    fake = FakeNvml(build(folder), folder / "control")
    fake.put()
    os.environ.update(fake.environment())
    ctypes.CDLL(str(fake.library), mode=ctypes.RTLD_GLOBAL)
    return fake


@pytest.fixture
def fake_nvml(fake_nvml_built: FakeNvml) -> Iterator[FakeNvml]:
    """The library with one healthy device; what a test puts is taken back."""
    fake_nvml_built.put()
    yield fake_nvml_built
    fake_nvml_built.put()


@pytest.fixture
def fixtures() -> Path:
    """Recorded data that lie with the tests."""
    return Path(__file__).parent / "data"
