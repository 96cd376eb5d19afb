"""What happened on the device during a measurement that should not have: throttling for heat or
by the power brake, compute processes of others, readings that stopped, and an idle reference on a
busy device.

The software power cap and steps of the boost clock are normal under load and no event.
"""

from collections.abc import Sequence

import numpy as np

from nic_energy.energy.admissibility import slowed
from nic_energy.traces import Trace, Window


def events(trace: Trace, windows: Sequence[Window]) -> set[str]:
    """Flags of a modality's trace: `throttled`, `other_processes`, `readings_lost`."""
    time = trace.column("time_s")
    inside = np.zeros(len(time), dtype=bool)
    for window in windows:
        inside |= (time >= window.start_s) & (time <= window.end_s)
    found = set()
    if any(slowed(trace.column, window) for window in windows):
        found.add("throttled")
    processes = trace.column("compute_processes")
    known = processes[np.isfinite(processes)]
    during = processes[inside & np.isfinite(processes)]
    if len(during) and during.max() > known[0]:
        found.add("other_processes")
    if any(_lost(trace, name, windows) for name in JUDGING):
        found.add("readings_lost")
    return found


def _lost(trace: Trace, name: str, windows: Sequence[Window]) -> bool:
    """Whether a column that has values elsewhere has none in one of the windows."""
    time, known = trace.column("time_s"), np.isfinite(trace.column(name))
    return bool(known.any()) and not all(
        known[(time >= window.start_s) & (time <= window.end_s)].any() for window in windows
    )


JUDGING = (
    "compute_processes",
    "performance_state",
    "sm_clock_mhz",
    "temperature_c",
    "throttle_reasons",
)
"""Auxiliary readings by which a window is judged; without them it is judged by the others."""

BUSY_PERCENT = 10.0
"""A desktop at rest keeps its device less busy than this, on average."""


def idle_events(trace: Trace) -> set[str]:
    """Flags of an idle reference: nobody computes on the device before anything is loaded, and
    nothing keeps it busy, since what it drew then would be missing from every energy.
    """
    processes, busy = trace.column("compute_processes"), trace.column("utilization_percent")
    known = processes[np.isfinite(processes)]
    found = set()
    if len(known) and known.max() > 0:
        found.add("idle_other_processes")
    marks = [mark for mark in trace.meta.intervals if mark.phase == "idle"]
    if marks:
        time = trace.column("time_s")
        busy = busy[(time >= marks[0].start_s) & (time <= marks[0].end_s)]
    busy = busy[np.isfinite(busy)]
    if len(busy) and busy.mean() > BUSY_PERCENT:
        found.add("idle_busy")
    return found
