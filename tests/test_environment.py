"""The pinned environment: lock files with digests, and what the audit says of them."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nic_energy.config import project_root

ENVS = project_root() / "envs"
LOCKS = sorted(ENVS.glob("lock*.txt"))
PIN = re.compile(
    r"[a-z0-9-]+(\[[a-z0-9,_-]+\])?==[^\s\\+]+( \\\n {4}--hash=sha256:[0-9a-f]{64})+\n"
)
DIRECT = re.compile(r"^([A-Za-z0-9_.-]+)", re.MULTILINE)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_locked_package_has_its_version_and_digests(path: Path) -> None:
    text = re.sub(r"^#.*\n", "", path.read_text(), flags=re.MULTILINE)
    assert text
    assert PIN.sub("", text) == ""


def test_every_direct_requirement_is_locked() -> None:
    for name, locks in {
        "requirements.in": ["lock.txt"],
        "requirements-dev.in": ["lock.txt", "lock-dev.txt"],
        "requirements-cluster.in": ["lock-cluster.txt"],
    }.items():
        locked = "".join((ENVS / lock).read_text() for lock in locks)
        for requirement in DIRECT.findall((ENVS / name).read_text()):
            assert re.search(rf"^{requirement.lower()}(\[\S+\])?==", locked, re.MULTILINE), (
                requirement
            )


def test_the_environment_is_installed_with_its_digests_checked() -> None:
    makefile = (project_root() / "Makefile").read_text()
    installs = [line for line in makefile.splitlines() if re.search(r"-r envs/lock", line)]
    assert len(installs) == 7
    assert all("$(INSTALL)" in line for line in installs)
    assert "--require-hashes" in re.search(r"^INSTALL := (.*)$", makefile, re.MULTILINE)[1]  # type: ignore[index]


FOUND = {
    "dependencies": [
        {"name": "fine", "version": "1.0", "vulns": []},
        {
            "name": "bad",
            "version": "2.0",
            "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["2.1"]}],
        },
        {"name": "unknown", "skip_reason": "not found"},
    ]
}
UNKNOWN = {"dependencies": [{"name": "unknown", "skip_reason": "not found"}]}


@pytest.mark.parametrize(
    ("program", "shown"),
    [
        (f"print({json.dumps(json.dumps(FOUND))}); raise SystemExit(1)", "6 packages, 3 known"),
        (f"print({json.dumps(json.dumps(FOUND))})", "bad 2.0: PYSEC-1, CVE-1; fixed in 2.1"),
        (f"print({json.dumps(json.dumps(FOUND))})", "3 are not known to the database"),
        (f"print({json.dumps(json.dumps(UNKNOWN))})", "NOTHING was audited"),
        ("raise SystemExit('ConnectionError: no name')", "could not be reached"),
        ("raise SystemExit('ConnectionError: no name')", "lock.txt: ConnectionError: no name"),
        ("", "pip-audit said nothing"),
    ],
)
def test_the_audit_reports_and_fails_nothing(tmp_path: Path, program: str, shown: str) -> None:
    """Also without network, which it says: what was not looked at is not called fine."""
    (tmp_path / "pip_audit.py").write_text(program)
    done = subprocess.run(
        [sys.executable, str(ENVS / "audit.py")],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout
