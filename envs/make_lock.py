"""Write the lock files from what is installed: the closure of the direct requirements.

Usage: python envs/make_lock.py (inside the environment that passes the tests)
"""

import re
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

FOLDER = Path(__file__).resolve().parent
CUDA = re.compile(r"^(nvidia-(?!ml-py)|cuda-|triton)")


def names_of(path: Path) -> list[str]:
    lines = (line.split("#")[0].strip() for line in path.read_text().splitlines())
    return [Requirement(line).name for line in lines if line]


def closure(names: Iterable[str]) -> dict[str, str]:
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
        for text in metadata.requires(key) or []:
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": e}) for e in extras or {""}):
                queue.append((requirement.name, frozenset(requirement.extras)))
    return found


def write(name: str, head: str, pins: dict[str, str]) -> None:
    body = "".join(f"{key}=={version}\n" for key, version in sorted(pins.items()))
    (FOLDER / name).write_text(f"# {head}\n# Written by `make lock`; do not edit.\n{body}")


def main() -> None:
    run = closure(names_of(FOLDER / "requirements.in"))
    dev = closure(names_of(FOLDER / "requirements-dev.in"))
    cuda = {key: version for key, version in run.items() if CUDA.match(key)}
    base = {key: version for key, version in run.items() if key not in cuda}
    write("lock.txt", "Everything that nic-energy needs, torch's CUDA libraries apart.", base)
    write("lock-cuda.txt", "The CUDA libraries of the default torch build.", cuda)
    extra = {key: version for key, version in dev.items() if key not in run}
    write("lock-dev.txt", "What tests and checks need besides.", extra)
    pips = "".join(f"      - {key}=={v.split('+')[0]}\n" for key, v in sorted(run.items()))
    (FOLDER / "nic-energy.yaml").write_text(
        "# For `snakemake --sdm conda`. Written by `make lock`; do not edit.\n"
        "channels:\n  - conda-forge\n  - nodefaults\n"
        "dependencies:\n  - python =3.11\n  - pip\n  - pip:\n" + pips
    )


if __name__ == "__main__":
    main()
