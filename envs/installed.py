"""What is installed, and whether it goes together. `pip check` says no to CompressAI 1.2.8, which
asks for numpy below 2 in its metadata alone: that one requirement is left out of account here.

Usage: python envs/installed.py LOCK... (ends with 1 where the versions in use are not those pinned)
"""

import re
import sys
from collections.abc import Iterable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement

FOLDER = Path(__file__).resolve().parent
IGNORED = {("compressai", "numpy")}
"""(package, requirement) that the metadata states and the code does not need."""

PIN = re.compile(r"^([a-z0-9-]+)(?:\[[a-z0-9,_-]+\])?==([^\s\\]+)", re.MULTILINE)


def normal(name: str) -> str:
    """A package's name as the lock files spell it."""
    return re.sub(r"[-_.]+", "-", name).lower()


def names_of(path: Path) -> list[str]:
    """Names of the packages of a requirements file."""
    lines = (line.split("#")[0].strip() for line in path.read_text("utf-8").splitlines())
    return [Requirement(line).name for line in lines if line]


def pinned(path: Path) -> dict[str, str]:
    """Versions of a lock file, by name."""
    return dict(PIN.findall(path.read_text("utf-8")))


def requirements(
    names: Iterable[str], leaves: frozenset[str] = frozenset()
) -> Iterator[tuple[str, Requirement]]:
    """(package, what it requires here) of the packages and of all that they need; the packages
    themselves are required by "".

    Args:
        leaves: packages whose own requirements are left out.

    Raises:
        PackageNotFoundError: one is not installed.
    """
    queue = [("", Requirement(name)) for name in names]
    seen = set()
    while queue:
        by, requirement = queue.pop()
        yield by, requirement
        key, extras = normal(requirement.name), frozenset(requirement.extras)
        if (key, extras) in seen or key in leaves:
            continue
        seen.add((key, extras))
        for each in map(Requirement, metadata.requires(key) or []):
            if each.marker is None or any(
                each.marker.evaluate({"extra": e}) for e in extras or {""}
            ):
                queue.append((key, each))


def conflicts(names: Iterable[str], leaves: frozenset[str] = frozenset()) -> list[str]:
    """Every requirement of the packages, and of all that they need, that is not met; one a line."""
    found = []
    try:
        for by, requirement in requirements(names, leaves):
            key = normal(requirement.name)
            version = metadata.version(key)
            met = requirement.specifier.contains(version, prereleases=True)
            if not met and (by, key) not in IGNORED:
                found.append(f"{by} {metadata.version(by)} needs {requirement}, found {version}")
    except metadata.PackageNotFoundError as error:
        found.append(f"{error.name} is not installed")
    return sorted(set(found))


def others(pins: dict[str, str]) -> list[str]:
    """Every package whose version in use is not the one pinned, as where another folder comes
    first on the path; one a line.
    """
    found = []
    for name, version in pins.items():
        try:
            used = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            found.append(f"{name} {version} is pinned, none is installed")
            continue
        if used.version.split("+")[0] != version:
            found.append(
                f"{name} {version} is pinned, {used.version} of {used.locate_file('')} is used"
            )
    return found


def main() -> None:
    pins = {name: version for path in sys.argv[1:] for name, version in pinned(Path(path)).items()}
    if found := others(pins):
        sys.exit("\n".join(found))


if __name__ == "__main__":
    main()
