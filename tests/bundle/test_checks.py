"""What doctor and GPU tests said of the device, in a bundle."""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import pytest

from nic_energy.bundle.layout import DOCTOR, GPU_TESTS
from nic_energy.bundle.merge import merge
from nic_energy.bundle.pack import PackRequest, pack
from nic_energy.bundle.verify import verify
from nic_energy.errors import InputError
from nic_energy.files import write_json
from tests.bundle.campaigns import Lab, inside
from tests.bundle.conftest import Labs
from tests.bundle.forge import forged

DIAGNOSIS = {
    "verdict": "can run here.",
    "device_uuid": None,
    "checks": [
        {"name": "cores", "status": "ok", "area": "machine"},
        {"name": "disk_write", "found": "/home/me/results can be written", "area": "disk"},
    ],
    "facts": {"disk": {"folder": "/home/me/results"}},
}


@pytest.fixture
def checked(labs: Labs, tmp_path: Path) -> Lab:
    """Lab A with both checks."""
    shutil.copytree(labs.a.root, tmp_path / "checked")
    found = Lab(tmp_path / "checked", labs.a.config)
    environment = json.loads((found.folder / "reference" / "environment.json").read_text())
    write_json(found.folder / DOCTOR, DIAGNOSIS)
    device = {"device": "virtual", "uuid": environment["device"]["uuid"]}
    write_json(found.folder / GPU_TESTS, {"passed": True, "device": device, "findings": []})
    return found


def packed(source: Lab, target: Path) -> Path:
    with inside(source.root):
        pack(source.folder, target, PackRequest())
    return target


def test_the_checks_go_along_without_the_machines_folders(checked: Lab, tmp_path: Path) -> None:
    path = packed(checked, tmp_path / "a.zip")
    with zipfile.ZipFile(path) as archive:
        diagnosis = archive.read(DOCTOR)
        assert json.loads(archive.read(GPU_TESTS))["passed"] is True
    assert b"/home/me" not in diagnosis
    assert [check["name"] for check in json.loads(diagnosis)["checks"]] == ["cores"]
    assert verify(path).verified
    merge([path], tmp_path / "merged", {})
    merged = tmp_path / "merged" / "lab-a"
    assert (merged / DOCTOR).read_bytes() == diagnosis
    assert (merged / GPU_TESTS).exists()
    pack(merged, tmp_path / "again.zip", PackRequest())
    assert verify(tmp_path / "again.zip").verified


@pytest.mark.parametrize(
    ("name", "document"),
    [
        (DOCTOR, {**DIAGNOSIS, "device_uuid": "GPU-other"}),
        (GPU_TESTS, {"device": {"uuid": "GPU-other"}}),
    ],
)
def test_checks_of_another_device_are_refused(
    name: str, document: dict[str, Any], checked: Lab, tmp_path: Path
) -> None:
    good = packed(checked, tmp_path / "good.zip")
    bad = forged(good, tmp_path / "bad.zip", lambda folder: write_json(folder / name, document))
    assert verify(bad).problems == [f"{name}: is of another device, 'GPU-other'"]


def test_a_diagnosis_that_is_none_is_not_packed(checked: Lab, tmp_path: Path) -> None:
    (checked.folder / DOCTOR).write_text("doctor: ok\n")
    with pytest.raises(InputError, match=r"checks/doctor\.json: is no diagnosis"):
        packed(checked, tmp_path / "a.zip")
    assert not (tmp_path / "a.zip").exists()
