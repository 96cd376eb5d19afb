"""Joules of the same network on different set-ups."""

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import pandas as pd

from nic_energy import tables
from nic_energy.models.ratios import logarithm, ratio_columns
from nic_energy.models.setups import SetUp, Slope, head
from nic_energy.models.uncertainty import GAIN, Quantity, difference


def joules(setups: Sequence[SetUp]) -> pd.DataFrame:
    """joules.csv: what the second set-up of a pair takes of the first, a row a slope of both.

    The ratio is given where joules are comparable: on one board, or with both calibrated against
    meters that see the same. A gain that is not known does not cancel between boards.
    """
    rows = []
    for one, two in combinations(setups, 2):
        if one.kind != two.kind:
            continue
        reason = why_not_comparable(one, two)
        for key, slope in one.slopes.items():
            other = two.slopes.get(key)
            if other is None:
                continue
            row = {**head([one, two], key), "comparable": reason is None, "note": reason}
            logs = _absolute(one, slope, two, other)
            if reason is None and logs is not None:
                row |= ratio_columns(logs[1].value - logs[0].value, difference(*logs))
            rows.append(row)
    return tables.frame(rows, tables.JOULE_COLUMNS)


def why_not_comparable(one: SetUp, two: SetUp) -> str | None:
    """Why joules of two set-ups cannot be compared; None where they can."""
    if one.calibrated and two.calibrated:
        return None if one.sees == two.sees else _seen(one, two)
    same_board = one.board is not None and one.board == two.board
    if same_board and one.calibrated == two.calibrated:
        return None
    if same_board:
        return "one of the two is calibrated, the other is not"
    raw = [setup.label for setup in (one, two) if not setup.calibrated]
    return f"not calibrated against an external meter: {', '.join(raw)}"


def _seen(one: SetUp, two: SetUp) -> str:
    """Joules at the plug hold the losses of the power supply, joules of the board do not."""
    seen = (f"{each.label}: {each.sees or 'not stated'}" for each in (one, two))
    return (
        f"calibrated against meters that do not see the same (calibration.sees): {', '.join(seen)}"
    )


def _absolute(
    one: SetUp, slope: Slope, two: SetUp, other: Slope
) -> tuple[Quantity, Quantity] | None:
    """Logarithms of two slopes; a gain is one input only where it is of the same board and
    calibration.
    """
    shared = one.board is not None and one.board == two.board
    shared &= _stated(one) == _stated(two)
    logs = [
        logarithm(
            each.alpha,
            lambda name, label=setup.label: (  # type: ignore[misc]
                name if shared and name == GAIN else f"{name} of {label}"
            ),
        )
        for setup, each in ((one, slope), (two, other))
    ]
    return None if logs[0] is None or logs[1] is None else (logs[0], logs[1])


def _stated(setup: SetUp) -> dict[str, Any]:
    """What the configuration says of the calibration; a key that is null says nothing."""
    return {key: value for key, value in (setup.calibration or {}).items() if value is not None}
