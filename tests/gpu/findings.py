"""What a test on the GPU found: numbers, limits, and whether the one is within the other."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nic_energy.files import write_json
from nic_energy.measure.environment import git_commit, package_versions
from nic_energy.session import utc_now

OK = "ok"
"""How a session ends in which every test passed."""


@dataclass(frozen=True)
class Finding:
    """`shows` says in words what was tested; `problems` are what was wrong, none if all is well.

    `warnings` are facts about this card that a campaign has to live with. `bars` are settings of
    the configuration that must not be used on this card, each with the figures that show it.
    Neither makes the finding fail.
    """

    name: str
    shows: str
    numbers: Mapping[str, Any]
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    bars: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        """Whether all is well."""
        return not self.problems


class UnmetError(AssertionError):
    """A finding that did not pass, and is in the report already."""


class Report:
    """The findings of a session, written as one JSON file that a lab can attach to its results.

    It counts as passed only once the session has ended, every finding of `expected` is in it, and
    all of them passed. The file is written at once, so that no report of an earlier session
    remains, and again after each finding, as the next test may end the process.

    Args:
        source: whether a GPU was measured or a virtual one simulated.
        expected: names of the findings of a complete session.
    """

    def __init__(
        self, path: Path, source: str, device: Mapping[str, Any], expected: Sequence[str]
    ) -> None:
        self.path, self.source, self.device = path, source, device
        self.expected = tuple(expected)
        self.findings: list[Finding] = []
        self.ended: str | None = None
        self._write()

    def add(self, finding: Finding) -> None:
        """Keep a finding."""
        self.findings.append(finding)
        self._write()

    def settle(self, finding: Finding) -> None:
        """Keep a finding of a test, which fails with it.

        Raises:
            UnmetError: the finding did not pass.
        """
        self.add(finding)
        if not finding.passed:
            raise UnmetError("\n".join(finding.problems))

    def finish(self, ended: str) -> None:
        """The session ended, in the words of pytest's exit codes: `ok`, `interrupted`."""
        self.ended = ended
        self._write()

    @property
    def missing(self) -> list[str]:
        """Findings of a complete session that are not here."""
        found = {each.name for each in self.findings}
        return [name for name in self.expected if name not in found]

    @property
    def passed(self) -> bool:
        """Whether this was a complete session in which all is well."""
        complete = self.ended == OK and not self.missing
        return complete and all(each.passed for each in self.findings)

    @property
    def bars(self) -> dict[str, str]:
        """Settings that must not be used on this card, with the figures of all findings."""
        names = dict.fromkeys(name for each in self.findings for name in each.bars)
        return {
            name: "; ".join(each.bars[name] for each in self.findings if name in each.bars)
            for name in names
        }

    def document(self) -> dict[str, Any]:
        """For the file."""
        return {
            "created_utc": utc_now(),
            "source": self.source,
            "device": dict(self.device),
            "packages": package_versions(),
            "git_commit": git_commit(),
            "passed": self.passed,
            "ended": self.ended,
            "missing": self.missing,
            "bars": self.bars,
            "findings": [{**vars(each), "passed": each.passed} for each in self.findings],
        }

    def lines(self) -> list[str]:
        """For people."""
        lines = [line for each in self.findings for line in _lines(each)]
        lines += [f"BARRED on this card: {name} ({why})" for name, why in self.bars.items()]
        if self.ended != OK:
            lines.append(f"The session did not end well: {self.ended or 'no end was recorded'}.")
        if self.missing:
            lines.append(f"INCOMPLETE, no finding of: {'; '.join(self.missing)}.")
        return lines

    def _write(self) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.document())


def _lines(finding: Finding) -> list[str]:
    numbers = ", ".join(f"{key} {_short(value)}" for key, value in finding.numbers.items())
    word = "passed" if finding.passed else "FAILED"
    return [
        f"{word} {finding.name}: {finding.shows}",
        f"    {numbers}",
        *(f"    {problem}" for problem in finding.problems),
        *(f"    warning: {warning}" for warning in finding.warnings),
    ]


def _short(value: Any) -> str:
    return f"{value:.5g}" if isinstance(value, float) else str(value)
