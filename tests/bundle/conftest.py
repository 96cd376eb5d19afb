"""Two labs with different virtual GPUs, and their bundles."""

from dataclasses import dataclass
from pathlib import Path

import pytest

from nic_energy.bundle.pack import PackRequest, pack
from tests.bundle.campaigns import Lab, inside, lab

LAB_B = {"lab": "Lab B", "licence": None}


@dataclass(frozen=True)
class Labs:
    """Two labs, and what they hand on."""

    a: Lab
    b: Lab
    zip_a: Path
    zip_b: Path


@pytest.fixture(scope="session")
def labs(tmp_path_factory: pytest.TempPathFactory) -> Labs:
    """Two finished campaigns on GPUs of different presets, and their bundles."""
    root = tmp_path_factory.mktemp("labs")
    a = lab(root / "a")
    b = lab(root / "b", setup="lab-b", virtual={"gpu": "ampere"}, publication=LAB_B)
    paths = []
    for each in (a, b):
        paths.append(root / f"{each.config.setup}.zip")
        with inside(each.root):
            pack(each.folder, paths[-1], PackRequest())
    return Labs(a, b, *paths)
