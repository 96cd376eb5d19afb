"""What happened on the device during a measurement that should not have: throttling for heat or
by the power brake, and compute processes of others.

The software power cap and steps of the boost clock are normal under load and no event.
"""

from collections.abc import Sequence

import numpy as np

from nic_energy.energy.admissibility import slowed
from nic_energy.traces import Trace, Window


def events(trace: Trace, windows: Sequence[Window]) -> set[str]:
    """Flags of a modality's trace: `throttled`, `other_processes`."""
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
    return found


def idle_events(trace: Trace) -> set[str]:
    """Flags of an idle reference: nobody computes on the device before anything is loaded."""
    processes = trace.column("compute_processes")
    known = processes[np.isfinite(processes)]
    return {"idle_other_processes"} if len(known) and known.max() > 0 else set()
