"""Absolute deadlines on the monotonic clock, and how well they were kept."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class SamplerReport:
    """How well a sampler sampled. Times in s; `period_error_p99_s` is the 99th percentile of
    how late readings began. `realtime` says whether real-time priority was granted. `failures`
    are the readings that failed and were left null: how many of each message.
    """

    samples: int
    missed_deadlines: int
    realtime: bool
    pid: int
    period_error_p99_s: float | None
    max_read_duration_s: float | None
    failures: Mapping[str, int] = field(default_factory=dict)


@dataclass
class Schedule:
    """Deadlines every `period_s`; a missed one is skipped and counted, never caught up."""

    period_s: float
    next_s: float
    missed: int = 0
    late_s: list[float] = field(default_factory=list)
    read_s: list[float] = field(default_factory=list)

    def done(self, began_s: float, ended_s: float) -> None:
        """Note a reading and set the next deadline."""
        self.late_s.append(began_s - self.next_s)
        self.read_s.append(ended_s - began_s)
        self.next_s += self.period_s
        if ended_s > self.next_s:
            skipped = math.ceil((ended_s - self.next_s) / self.period_s)
            self.missed += skipped
            self.next_s += skipped * self.period_s

    def forget(self) -> None:
        """Begin anew to say how well the deadlines are kept."""
        self.missed, self.late_s, self.read_s = 0, [], []

    def report(self, realtime: bool, pid: int) -> SamplerReport:
        """How well the deadlines were kept."""
        late = sorted(self.late_s)
        return SamplerReport(
            samples=len(late),
            missed_deadlines=self.missed,
            realtime=realtime,
            pid=pid,
            period_error_p99_s=late[math.ceil(0.99 * len(late)) - 1] if late else None,
            max_read_duration_s=max(self.read_s, default=None),
        )
