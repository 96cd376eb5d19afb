"""What a test on the GPU found: numbers, limits, and whether the one is within the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nic_energy.files import write_json
from nic_energy.measure.environment import git_commit, package_versions
from nic_energy.session import utc_now


@dataclass(frozen=True)
class Finding:
    """`shows` says in words what was tested; `problems` are what was wrong, none if all is well."""

    name: str
    shows: str
    numbers: Mapping[str, Any]
    problems: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether all is well."""
        return not self.problems


class Report:
    """The findings of a run, written as one JSON file that a lab can attach to its results.

    `source` says whether a GPU was measured or a virtual one simulated.
    """

    def __init__(self, path: Path, source: str, device: Mapping[str, Any]) -> None:
        self.path, self.source, self.device = path, source, device
        self.findings: list[Finding] = []

    def add(self, finding: Finding) -> None:
        """Keep a finding, on disk too: the next test may end the process."""
        self.findings.append(finding)
        write_json(self.path, self.document())

    def document(self) -> dict[str, Any]:
        """For the file."""
        return {
            "created_utc": utc_now(),
            "source": self.source,
            "device": dict(self.device),
            "packages": package_versions(),
            "git_commit": git_commit(),
            "passed": bool(self.findings) and all(each.passed for each in self.findings),
            "findings": [{**vars(each), "passed": each.passed} for each in self.findings],
        }

    def lines(self) -> list[str]:
        """For people."""
        return [line for each in self.findings for line in _lines(each)]


def _lines(finding: Finding) -> list[str]:
    numbers = ", ".join(f"{key} {_short(value)}" for key, value in finding.numbers.items())
    word = "passed" if finding.passed else "FAILED"
    problems: Sequence[str] = [f"    {problem}" for problem in finding.problems]
    return [f"{word} {finding.name}: {finding.shows}", f"    {numbers}", *problems]


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
