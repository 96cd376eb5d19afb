"""`--sdm conda` runs this project's code with the packages that it deployed.

There need not be a conda: one of a few lines makes an environment of what is installed here, and
Snakemake does with it what it does with the real one. What conda-forge and PyPI give is not tested.
"""

import json
import os
import sys
import sysconfig
from pathlib import Path

import pytest
import yaml

from tests.workflow.campaign import ROOT, Campaign

pytestmark = pytest.mark.workflow

CONDA = """#!{python}
import pathlib, subprocess, sys, sysconfig

arguments = sys.argv[1:]
if arguments == ["--version"]:
    print("conda 25.1.0")
elif arguments == ["info", "--json"]:
    print({info!r})
elif arguments[:1] == ["clean"]:
    pass
elif arguments[:1] == ["config"]:
    print('{{"get": {{"channel_priority": "strict"}}}}')
elif arguments[:2] == ["env", "create"]:
    prefix = arguments[arguments.index("--prefix") + 1]
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", prefix], check=True)
    site = pathlib.Path(prefix) / pathlib.Path({site!r}).relative_to(sys.prefix)
    for package in pathlib.Path({site!r}).iterdir():
        if not package.name.startswith(("__editable__", "nic_energy", "sitecustomize")):
            (site / package.name).symlink_to(package)
    (site / "sitecustomize.py").write_text({seen!r})
else:
    sys.exit(f"not known here: {{arguments}}")
"""
ACTIVATE = 'export CONDA_PREFIX="$1"\nexport PATH="$1/bin:$PATH"\n'
SEEN = """import os, sys
with open(os.environ["SEEN"], "a") as handle:
    print(sys.prefix, *sys.orig_argv, file=handle)
"""


@pytest.fixture
def conda(tmp_path: Path) -> Path:
    """The folder of the commands of a conda."""
    commands = tmp_path / "conda" / "bin"
    commands.mkdir(parents=True)
    info = json.dumps({"conda_prefix": str(commands.parent), "platform": "linux-64"})
    site = sysconfig.get_path("purelib")
    text = CONDA.format(python=sys.executable, info=info, site=site, seen=SEEN)
    (commands / "conda").write_text(text)
    (commands / "activate").write_text(ACTIVATE)
    (commands / "conda").chmod(0o755)
    return commands


def test_rules_run_this_project_in_the_environment_that_was_deployed(
    conda: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "campaign"
    folder.mkdir()
    seen = tmp_path / "seen.txt"
    path = f"{conda}:{Path(sys.executable).parent}:{os.environ['PATH']}"
    campaign = Campaign(folder, environment={"PATH": path, "SEEN": str(seen)}).prepare()
    campaign.succeed("images", "--sdm", "conda")
    assert (folder / "results/images/photos/index.csv").exists()
    (deployed,) = (p for p in (folder / ".snakemake/conda").iterdir() if p.is_dir())
    ran = [line for line in seen.read_text().splitlines() if "images index" in line]
    assert ran and all(
        line.startswith(f"{deployed} ") and f"{deployed}/bin/nic-energy" in line for line in ran
    )
    (installed,) = deployed.rglob("nic_energy-*.dist-info/direct_url.json")
    assert json.loads(installed.read_text()) == {
        "dir_info": {"editable": True},
        "url": ROOT.as_uri(),
    }


def test_what_the_installation_asks_for_is_deployed() -> None:
    """It builds without isolation: nothing comes from elsewhere than the file of versions."""
    document = yaml.safe_load((ROOT / "envs/nic-energy.yaml").read_text())
    (pips,) = (each["pip"] for each in document["dependencies"] if isinstance(each, dict))
    names = {each.partition("==")[0] for each in pips}
    assert "pip" in document["dependencies"]
    assert "setuptools" in names
    assert "nic-energy" not in names
