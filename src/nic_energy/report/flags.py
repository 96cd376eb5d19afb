"""What the flags of energy.csv mean, for people."""

from collections import Counter

import pandas as pd

from nic_energy.report.grids import FLAG_VIEW, Grid, grid

FLAG_MEANINGS = {
    "context_idle_not_settled": "the context idle began before the power had come to rest",
    "context_idle_rejected": "there is no context idle, since its readings could not be right",
    "counter_disagrees": "counter and integrated power of a window differ by more than both can "
    "be wrong",
    "idle_busy": "the device was busy for more than a tenth of the idle reference: energies come "
    "out too low, record it again",
    "idle_not_settled": "the idle reference began before the power had come to rest",
    "idle_other_processes": "others computed on the device during the idle reference",
    "idle_session_differs": "measured in another session than the idle reference",
    "idle_neighbour_measured": "another device of the machine was being measured during the idle "
    "reference",
    "neighbour_measured": "another device of the machine was being measured meanwhile: they share "
    "power and air",
    "no_thermometer": "the device has no thermometer, or it failed, so it was not preheated to the "
    "end",
    "not_converged": "the interval of the reported energy is wider than the stopping rule asks "
    "for: the cap on K was reached, or the rule, which works on trapezoid over the cold idle, "
    "ended before it was narrow enough by this estimator and idle",
    "other_processes": "others began to compute on the device during the windows",
    "other_software": "measured under another version of PyTorch, torchvision, CompressAI, CUDA or "
    "cuDNN than most rows",
    "paired_idle_not_settled": "the paired idle began before the power had come to rest",
    "paired_idle_rejected": "there is no paired idle, since its readings could not be right",
    "passport_driver_differs": "the passport of the power sensor is of another driver",
    "power_capped": "the power limit held the clock down in some windows: normal under load",
    "preheat_settled": "the temperature settled below the preheating target",
    "preheat_timed_out": "preheating ended at its time limit",
    "readings_lost": "temperature, clock, performance state, slowdown or processes could not be "
    "read any more in some windows, which are judged without them",
    "session_differs": "the rows come from more than one session, and no repeated anchor says that "
    "they measure alike",
    "session_joined": "the rows come from more than one session, and the repeated anchor agrees",
    "throttled": "the device slowed down for heat or by its power brake",
    "units_checked": "the joules of the table were confirmed although no device should need them",
    "windows_rejected": "some windows were not admissible and were repeated (rejected_for); "
    "energy_all_windows_j is the energy with them",
}


def flag_grid(energy: pd.DataFrame) -> Grid | None:
    """How many rows carry each flag; None where there are none."""
    words = Counter(word for cell in energy["flags"].dropna() for word in str(cell).split(";"))
    rows = [
        {"flag": word, "rows": number, "meaning": FLAG_MEANINGS.get(word, "")}
        for word, number in sorted(words.items())
        if word
    ]
    return grid(pd.DataFrame(rows), FLAG_VIEW) if rows else None
