"""How well the joint model of some set-ups predicts another one, from their results."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from nic_energy import tables
from nic_energy.errors import InputError, MismatchError
from nic_energy.models.joint.document import HEAD, PADDED, training_rows
from nic_energy.models.joint.fit import Points
from nic_energy.models.joint.setups import leave_one_setup_out
from nic_energy.predict import networks_of

LEAST_SETUPS = 2


def transfer(folders: Sequence[Path]) -> pd.DataFrame:
    """A row per set-up that was left out, and network that its predictions were scaled by.

    Args:
        folders: `results/{setup}`, of two set-ups at least.

    Raises:
        InputError: a file is missing, or the set-ups are fewer than two.
        MismatchError: two folders hold the same set-up, or energies of different estimators.
    """
    rows = pd.concat([_rows(folder) for folder in folders], ignore_index=True)
    setups = rows.drop_duplicates("setup")
    if len(setups) != len(folders):
        raise MismatchError("two of the folders hold the same set-up.")
    if len(setups) < LEAST_SETUPS:
        raise InputError("leaving a set-up out takes at least two of them.")
    if len(set(rows["estimator"])) > 1:
        kinds = ", ".join(sorted(set(rows["estimator"])))
        raise MismatchError(f"energies with different estimator are not compared: {kinds}.")
    head = setups.set_index("setup")[[name for name in HEAD if name != "setup"]]
    sources = ";".join(sorted(set(rows["source"])))
    found = [
        {**each, **head.loc[each["setup"]].to_dict(), "sources": sources}
        for each in leave_one_setup_out(Points.of(rows, PADDED))
    ]
    return tables.frame(found, tables.LEFT_OUT_SETUP_COLUMNS)


def _rows(folder: Path) -> pd.DataFrame:
    energy = tables.read_csv(folder / "energy.csv", tables.ENERGY_COLUMNS)
    complexity = tables.read_csv(folder.parent / "complexity.csv", tables.COMPLEXITY_COLUMNS)
    return training_rows(energy, complexity, networks_of(folder))
