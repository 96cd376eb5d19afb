"""Write the lock files from what is installed: the closure of the direct requirements, each with
the SHA-256 of every file of its release, as the package index gives them.

Usage: python envs/make_lock.py (inside the environment that passes the tests, with network)
"""

import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from importlib import metadata

from installed import FOLDER, IGNORED, conflicts, names_of, normal, pinned, requirements
from site_torch import lowest

CUDA = re.compile(r"^(nvidia-(?!ml-py)|cuda-|triton)")
BUILD = ("setuptools", "wheel")
WITHOUT_CONDA = sorted({name for name, _ in IGNORED})
"""Their metadata does not go together with the rest, and conda cannot be told to pass it over."""

INSTALLER = "pip"
"""Comes with Python, is there before a lock file is read, and is not replaced by one."""
PIN = re.compile(r"^([a-z0-9-]+)==\S+((?:\s+--hash=sha256:[0-9a-f]{64})+)$", re.MULTILINE)


def closure(names: Iterable[str], extras_of: dict[str, set[str]]) -> dict[str, str]:
    """Versions of the requirements and of all that they require; the extras that are asked for go
    into `extras_of`, as pip with digests needs them in the pin.
    """
    if found := conflicts(names):
        sys.exit(
            "No lock file was written; what is installed does not go together:\n" + "\n".join(found)
        )
    pins = {}
    for _, requirement in requirements(names):
        key = normal(requirement.name)
        pins[key] = metadata.version(key)
        extras_of.setdefault(key, set()).update(requirement.extras)
    return pins


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


def public(version: str) -> str:
    return version.split("+")[0]


def write(
    name: str,
    head: str,
    pins: Mapping[str, str],
    hashes: Mapping[str, list[str]],
    extras_of: Mapping[str, set[str]],
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
    bench, oldest = pinned(FOLDER / "lock-bench.txt"), lowest()
    hashes = hashes_of({**run, **dev, **cluster, **bench})
    cuda = {key: version for key, version in run.items() if CUDA.match(key)}
    build = {key: version for key, version in run.items() if key in BUILD}
    base = {key: version for key, version in run.items() if key not in {**cuda, **build}}
    on_cluster = {key: version for key, version in cluster.items() if key not in run}
    # An extra that only the tests ask for is theirs to pin: what it needs is not in lock.txt.
    extra = {
        key: version
        for key, version in dev.items()
        if key not in run or dev_extras[key] - extras.get(key, set())
    }
    for name, head, pins, asked in (
        (
            "lock.txt",
            "What nic-energy needs besides lock-build.txt and lock-cuda.txt.",
            base,
            extras,
        ),
        (
            "lock-build.txt",
            "What builds the packages that come as source; first of all.",
            build,
            {},
        ),
        ("lock-cuda.txt", "The CUDA libraries of the default torch build.", cuda, extras),
        ("lock-cluster.txt", "What running on a Slurm cluster needs besides.", on_cluster, extras),
        ("lock-dev.txt", "What tests and checks need besides.", extra, dev_extras),
        (
            "lock-bench.txt",
            "What `make bench` compares with, besides lock-dev.txt; optional.",
            bench,
            {},
        ),
    ):
        write(name, head, pins, hashes, asked)
    write("lock-oldest.txt", "The lowest of requirements-site.in.", oldest, hashes_of(oldest), {})
    pips = "".join(
        f"      - {key}=={public(v)}\n"
        for key, v in sorted(run.items())
        if key not in WITHOUT_CONDA
    )
    apart = ", ".join(f"{key}=={public(run[key])}" for key in WITHOUT_CONDA)
    (FOLDER / "nic-energy.yaml").write_text(
        "# For `snakemake --sdm conda`. Written by `make lock`; do not edit.\n"
        f"# Besides, nic-energy.post-deploy.sh installs {apart}.\n"
        "channels:\n  - conda-forge\n  - nodefaults\n"
        "dependencies:\n  - python =3.11\n  - pip\n  - pip:\n" + pips
    )


if __name__ == "__main__":
    main()
