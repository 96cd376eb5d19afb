"""A machine's own torch: what is accepted of it, what is installed besides, what is refused."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import site_torch
from installed import conflicts, pinned
from site_torch import Interpreter, describe, lacks, missing, refusals, release, runs_on

from nic_energy.config import project_root

OWN = {"torch": "2.9.1", "torchvision": "0.24.1", "numpy": "1.26.4"}
LOCK = pinned(project_root() / "envs" / "lock.txt")


def node(**packages: str) -> Interpreter:
    return Interpreter("/opt/python", "3.11.9", "x86_64", "2.35", (), {**OWN, **packages})


@pytest.mark.parametrize(
    ("name", "version", "said"),
    [
        ("torch", "2.8.0", "has torch 2.8.0, which is too old: torch 2.9.0 or newer"),
        ("torchvision", "0.15.2+cu118", "has torchvision 0.15.2+cu118, which is too old"),
        ("numpy", "1.24.4", "has numpy 1.24.4, which is too old: numpy 1.26.0 or newer, below 3"),
        ("numpy", "3.0.1", "has numpy 3.0.1, which is too new"),
    ],
    ids=["torch", "torchvision", "numpy", "numpy-new"],
)
def test_what_is_too_old_or_new_is_refused_by_name(name: str, version: str, said: str) -> None:
    found = refusals(node(**{name: version}))
    assert found[0].startswith(f"/opt/python {said}")
    assert "PYTHON=" in found[-1]


def test_what_is_not_there_is_refused_by_name() -> None:
    bare = replace(node(), packages={"numpy": "2.4.6"})
    assert [text.split(":")[0] for text in refusals(bare)[:2]] == [
        "/opt/python has no torch",
        "/opt/python has no torchvision",
    ]


@pytest.mark.parametrize("version", ["2.9.0+cu128", "2.9.0a0+50eac811a6.nv25.9", "2.14.1", "3.0"])
def test_builds_of_clusters_and_containers_are_accepted(version: str) -> None:
    assert refusals(node(torch=version)) == []
    assert release(version) >= (2, 9, 0, 0)


def test_torch_and_its_libraries_are_never_installed_and_the_rest_is() -> None:
    wanted = missing(node().packages)
    assert not {"torch", "torchvision", "numpy", "triton"} & set(wanted)
    assert not [name for name in wanted if name.startswith("nvidia-") and name != "nvidia-ml-py"]
    assert {"snakemake", "compressai", "pandas", "pyarrow", "nvidia-ml-py"} <= set(wanted)
    assert wanted["pandas"][0] == LOCK["pandas"]
    assert "--hash=sha256:" in wanted["pandas"][1]


def test_an_accepted_version_of_the_machine_is_kept_and_an_older_one_is_not() -> None:
    assert "pandas" not in missing(node(pandas="3.0.0").packages)
    assert "pandas" in missing(node(pandas="2.2.3").packages)
    assert "click" in missing(node(click="7.0").packages)  # not among those that are accepted
    assert "click" not in missing(node(click=LOCK["click"]).packages)


@pytest.mark.parametrize(
    ("file", "fits"),
    [
        ("a-1.0-py3-none-any.whl", True),
        ("a-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", True),
        ("a-1.0-cp38-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", True),
        ("a-1.0-cp312-cp312-manylinux_2_28_x86_64.whl", False),
        ("a-1.0-cp311-cp311-manylinux_2_39_x86_64.whl", False),
        ("a-1.0-cp311-cp311-manylinux_2_28_aarch64.whl", False),
        ("a-1.0.tar.gz", True),
    ],
)
def test_a_wheel_runs_where_its_tags_say(file: str, fits: bool) -> None:
    assert runs_on(file, node()) is fits


def test_a_wheelhouse_that_lacks_something_names_it(tmp_path: Path) -> None:
    assert "there is no such folder" in lacks(tmp_path / "none", [("click", "8.5.1")], node())[0]
    (tmp_path / "click-8.5.1-py3-none-any.whl").touch()
    (tmp_path / "pandas-3.0.6-cp312-cp312-manylinux_2_28_x86_64.whl").touch()
    wanted = [("click", "8.5.1"), ("pandas", "3.0.6"), ("rich", "15.0.0")]
    head, *rows, tail = lacks(tmp_path, wanted, node())
    assert "lacks 2 packages for Python 3.11.9, x86_64, glibc 2.35" in head
    assert "pandas-3.0.6-cp312-cp312-manylinux_2_28_x86_64.whl is for another Python" in rows[0]
    assert rows[1] == "  rich 15.0.0"
    assert "make wheelhouse NODE=node.json" in tail
    assert lacks(tmp_path, [("click", "8.5.1")], node()) == []


def test_a_description_of_a_node_is_read_back(tmp_path: Path) -> None:
    here = describe()
    done = subprocess.run(
        [sys.executable, site_torch.__file__, "describe"],
        capture_output=True,
        text=True,
        check=True,
    )
    path = tmp_path / "node.json"
    path.write_text(done.stdout)
    assert site_torch.read_node(path).packages["torch"] == here.packages["torch"]
    path.write_text("{}")
    with pytest.raises(SystemExit, match=r"not the description of a Python"):
        site_torch.read_node(path)


def test_a_missing_wheelhouse_stops_the_set_up_before_anything_is_made(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    done = subprocess.run(
        [sys.executable, site_torch.__file__, "setup", str(venv), str(tmp_path / "none")],
        capture_output=True,
        text=True,
        env={**os.environ, "PIP_NO_INDEX": "1"},
    )
    assert done.returncode == 1
    assert "there is no such folder. Make it with: make wheelhouse" in done.stderr
    assert not venv.exists()


def test_what_builds_is_installed_though_the_machine_has_it() -> None:
    build = pinned(site_torch.BUILD)
    assert set(missing({**OWN, **LOCK, **build})) == set(build) == {"setuptools", "wheel"}


def test_a_wheel_that_was_changed_is_refused(tmp_path: Path) -> None:
    """By its digest in the lock file, not by one that comes with the folder."""
    folder, venv = tmp_path / "wheels", tmp_path / "venv"
    folder.mkdir()
    for name, version in {**LOCK, **pinned(site_torch.BUILD)}.items():
        if name in missing(describe().packages):
            (folder / f"{name.replace('-', '_')}-{version}-py3-none-any.whl").write_bytes(
                b"changed"
            )
    done = subprocess.run(
        [sys.executable, site_torch.__file__, "setup", str(venv), str(folder)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert "DO NOT MATCH THE HASHES" in done.stderr
    assert done.stderr.splitlines()[-1] == "pip failed: see its message above."


def test_what_is_installed_here_goes_together() -> None:
    """But for one requirement, which CompressAI states and does not have."""
    assert conflicts(["snakemake", "compressai", "pandas", "pyarrow", "scikit-learn"]) == []
