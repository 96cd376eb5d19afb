"""Write the lock files from what is installed: the closure of the direct requirements, each with
the SHA-256 of every file of its release, as the package index gives them.

Usage: python envs/make_lock.py (inside the environment that passes the tests, with network)
"""

import re
import subprocess
import sys
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

FOLDER = Path(__file__).resolve().parent
CUDA = re.compile(r"^(nvidia-(?!ml-py)|cuda-|triton)")
INSTALLER = "pip"
"""Comes with Python, is there before a lock file is read, and is not replaced by one."""
PIN = re.compile(r"^([a-z0-9-]+)==\S+((?:\s+--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def names_of(path: Path) -> list[str]:
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [Requirement(line).name for line in lines if line]


def closure(names: Iterable[str], extras_of: dict[str, set[str]]) -> dict[str, str]:
    """Versions of the requirements and of all that they require; the extras that are asked for go
    into `extras_of`, as pip with digests needs them in the pin.
    """
    found: dict[str, str] = {}
    queue = [(name, frozenset[str]()) for name in names]
    seen = set()
    while queue:
        name, extras = queue.pop()
        key = re.sub(r"[-_.]+", "-", name).lower()
        if (key, extras) in seen:
            continue
        seen.add((key, extras))
        found[key] = metadata.version(key)
        extras_of.setdefault(key, set()).update(extras)
        for text in metadata.requires(key) or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in extras or {""}):
                queue.append((requirement.name, frozenset(requirement.extras)))
    return found


def hashes_of(pins: dict[str, str]) -> dict[str, list[str]]:
    """Digests of all files of each release, for every platform. A local version such as `+cpu` is
    that of the public one.
    """
    done = subprocess.run(
        [
            "uv", "pip", "compile", "-", "--no-deps", "--generate-hashes", "--no-header",
            "--no-annotate", "--quiet", "--python-version", "3.11",
        ],
        input="".join(f"{key}=={public(version)}\n" for key, version in pins.items()),
        capture_output=True,
        text=True,
    )  # fmt: skip
    if done.returncode:
        sys.exit(f"No lock file was written: the package index gave no digests.\n{done.stderr}")
    found = {
        name: sorted(re.findall("[0-9a-f]{64}", text))
        for name, text in PIN.findall(done.stdout.replace("\\\n", ""))
    }
    if missing := sorted(set(pins) - set(found)):
        sys.exit(f"No lock file was written: no digests of {', '.join(missing)}.")
    return found


def pinned(path: Path) -> dict[str, str]:
    """The pins of lock-bench.txt, which are chosen by hand: its packages are not installed where
    the others are locked.
    """
    return dict(re.findall(r"^([a-z0-9-]+)==([^\s\\]+)", path.read_text(), re.MULTILINE))


def public(version: str) -> str:
    return version.split("+")[0]


def write(
    name: str,
    head: str,
    pins: dict[str, str],
    hashes: dict[str, list[str]],
    extras_of: dict[str, set[str]],
) -> None:
    lines = [f"# {head}", "# Written by `make lock`; do not edit."]
    for key, version in sorted(pins.items()):
        digests = (f"    --hash=sha256:{digest}" for digest in hashes[key])
        extras = ",".join(sorted(extras_of.get(key, ())))
        pin = f"{key}[{extras}]=={public(version)}" if extras else f"{key}=={public(version)}"
        lines.append(" \\\n".join([pin, *digests]))
    (FOLDER / name).write_text("\n".join(lines) + "\n")


def main() -> None:
    extras: dict[str, set[str]] = {}
    dev_extras: dict[str, set[str]] = {}
    run = closure(names_of(FOLDER / "requirements.in"), extras)
    dev = closure(names_of(FOLDER / "requirements-dev.in"), dev_extras)
    cluster = closure(names_of(FOLDER / "requirements-cluster.in"), extras)
    for pins in (run, dev, cluster):
        pins.pop(INSTALLER, None)
    bench = pinned(FOLDER / "lock-bench.txt")
    hashes = hashes_of({**run, **dev, **cluster, **bench})
    cuda = {key: version for key, version in run.items() if CUDA.match(key)}
    base = {key: version for key, version in run.items() if key not in cuda}
    write(
        "lock.txt",
        "Everything that nic-energy needs, torch's CUDA libraries apart.",
        base,
        hashes,
        extras,
    )
    write("lock-cuda.txt", "The CUDA libraries of the default torch build.", cuda, hashes, extras)
    on_cluster = {key: version for key, version in cluster.items() if key not in run}
    write(
        "lock-cluster.txt",
        "What running on a Slurm cluster needs besides lock.txt: pip install --no-deps.",
        on_cluster,
        hashes,
        extras,
    )
    # An extra that only the tests ask for is theirs to pin: what it needs is not in lock.txt.
    extra = {
        key: version
        for key, version in dev.items()
        if key not in run or dev_extras[key] - extras.get(key, set())
    }
    write("lock-dev.txt", "What tests and checks need besides.", extra, hashes, dev_extras)
    write(
        "lock-bench.txt",
        "What `make bench` compares with, besides lock.txt and lock-dev.txt; optional.",
        bench,
        hashes,
        extras,
    )
    pips = "".join(f"      - {key}=={public(v)}\n" for key, v in sorted(run.items()))
    (FOLDER / "nic-energy.yaml").write_text(
        "# For `snakemake --sdm conda`. Written by `make lock`; do not edit.\n"
        "channels:\n  - conda-forge\n  - nodefaults\n"
        "dependencies:\n  - python =3.11\n  - pip\n  - pip:\n" + pips
    )


if __name__ == "__main__":
    main()
