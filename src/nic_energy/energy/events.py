"""What happened on the device during a measurement that should not have: throttling for heat or
by the power brake, and compute processes of others.

The software power cap and steps of the boost clock are normal under load and no event.
"""

from collections.abc import Sequence

import numpy as np

from nic_energy.traces import Trace, Window

SLOWDOWN_REASONS = 0x8 | 0x20 | 0x40 | 0x80
"""Clocks event reasons of NVML: hardware slowdown, software thermal, hardware thermal, power
brake."""

SLOWDOWN_TIMES = (
    "throttle_thermal_policy_ns",
    "throttle_sw_thermal_ns",
    "throttle_hw_thermal_ns",
    "throttle_power_brake_ns",
)
"""Cumulative counters, which see what falls between two samples too."""


def events(trace: Trace, windows: Sequence[Window]) -> set[str]:
    """Flags of a modality's trace: `throttled`, `other_processes`."""
    time = trace.column("time_s")
    inside = np.zeros(len(time), dtype=bool)
    for window in windows:
        inside |= (time >= window.start_s) & (time <= window.end_s)
    found = set()
    if _throttled(trace, inside) or _throttled_between(trace, windows):
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


def _throttled(trace: Trace, inside: np.ndarray) -> bool:  # type: ignore[type-arg]
    reasons = trace.column("throttle_reasons")[inside]
    known = reasons[np.isfinite(reasons)].astype(np.int64)
    return bool((known & SLOWDOWN_REASONS).any())


def _throttled_between(trace: Trace, windows: Sequence[Window]) -> bool:
    """Whether a slowdown counter advanced between the samples around any window."""
    time = trace.column("time_s")
    for name in SLOWDOWN_TIMES:
        values = trace.column(name)
        usable = np.isfinite(values)
        at, counted = time[usable], values[usable]
        if len(at) < 2:
            continue
        for window in windows:
            first = max(np.searchsorted(at, window.start_s, side="right") - 1, 0)
            last = min(np.searchsorted(at, window.end_s), len(at) - 1)
            if counted[last] > counted[first]:
                return True
    return False
