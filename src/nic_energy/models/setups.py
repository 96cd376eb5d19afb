"""The energies of a set-up, to be put beside those of others."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import pandas as pd

from nic_energy.errors import InputError, MismatchError
from nic_energy.models.uncertainty import Quantity, line_uncertainty

KINDS = {
    "measured": "real",
    "external": "real",
    "estimated": "estimated",
    "simulated": "simulated",
}
"""Sources that may be compared have the same kind."""


class Key(NamedTuple):
    """What a slope is of."""

    part: str
    network: str
    level: str


@dataclass(frozen=True)
class Slope:
    """A slope in J/pixel with what is known of it, from `n` energies of `images` images."""

    alpha: Quantity
    n: int
    images: int


@dataclass(frozen=True)
class SetUp:
    """The energies of a set-up.

    Attributes:
        label: of the set-up.
        energy: energy.csv, of one source and one estimator.
        abbreviations: of its networks; a network without one goes by its name.
        calibration: of its power sensor, from the configuration.
    """

    label: str
    energy: pd.DataFrame
    abbreviations: Mapping[str, str] = field(default_factory=dict)
    calibration: Mapping[str, Any] | None = None

    @cached_property
    def source(self) -> str:
        """How its joules were obtained.

        Raises:
            MismatchError: its rows have different sources.
        """
        return self._only("source")

    @cached_property
    def estimator(self) -> str:
        """How its energies were computed.

        Raises:
            MismatchError: its rows have different estimators.
        """
        return self._only("estimator")

    @property
    def kind(self) -> str:
        """What its source may be compared with."""
        return KINDS[self.source]

    @cached_property
    def calibrated(self) -> bool | None:
        """Whether its joules are corrected by a calibration; None where that is not stated."""
        said = self._said("calibrated")
        return all(said) if said else None

    @property
    def sees(self) -> str | None:
        """What the meter of its calibration sees, `board` or `machine`; None where that is not
        stated.
        """
        return (self.calibration or {}).get("sees")

    @cached_property
    def board(self) -> str | None:
        """The device that all its energies are of; None where that is not stated."""
        found = set(self._said("device_uuid"))
        return str(found.pop()) if len(found) == 1 else None

    @cached_property
    def rows(self) -> pd.DataFrame:
        """The energies, an image named with its size: only images of the same name and size are
        the same.
        """
        images = zip(self.energy["image"], self.energy["pixels"], strict=True)
        return self.energy.assign(image=[f"{image} {pixels:g}" for image, pixels in images])

    @cached_property
    def slopes(self) -> Mapping[Key, Slope]:
        """All slopes that could be fitted."""
        found = {}
        for key, group in self.rows.groupby(list(Key._fields), sort=False):
            line = line_uncertainty(group)
            if line is not None:
                count = group["image"].nunique()
                found[Key(*map(str, key))] = Slope(line.alpha, len(group), count)
        return found

    @cached_property
    def positive(self) -> frozenset[Key]:
        """What has a slope above 0, which can be divided."""
        return frozenset(key for key, slope in self.slopes.items() if slope.alpha.value > 0)

    def short(self, network: str) -> str:
        """The abbreviation of a network."""
        return self.abbreviations.get(network, network)

    def _said(self, column: str) -> list[Any]:
        return list(self.energy[column].dropna()) if column in self.energy else []

    def _only(self, column: str) -> str:
        kinds = sorted(set(map(str, self.energy[column])))
        if len(kinds) != 1:
            raise MismatchError(
                f"set-up {self.label}: its energies have more than one {column}: "
                f"{', '.join(kinds)}."
            )
        return kinds[0]


def check(setups: Sequence[SetUp]) -> None:
    """Refuse what cannot be compared.

    Raises:
        InputError: fewer than two set-ups, two of one label, or no network in common.
        MismatchError: a set-up mixes sources or estimators.
    """
    if len(setups) < 2:
        raise InputError("comparing needs at least two set-ups.")
    labels = [setup.label for setup in setups]
    twice = sorted({label for label in labels if labels.count(label) > 1})
    if twice:
        raise InputError(
            f"two set-ups have the label {', '.join(twice)}; they could not be told apart. "
            "Rebuild one of them under another label (config key `setup`)."
        )
    for setup in setups:
        if setup.source not in KINDS:
            raise InputError(
                f"set-up {setup.label}: source {setup.source!r} is none of {', '.join(KINDS)}."
            )
        _ = setup.estimator
    if not set.intersection(*(set(setup.positive) for setup in setups)):
        having = "; ".join(
            f"{setup.label} has {', '.join(sorted({k.network for k in setup.positive})) or 'none'}"
            for setup in setups
        )
        raise InputError(
            f"the set-ups have no part, network and level in common with a line: {having}."
        )


def head(setups: Sequence[SetUp], key: Key) -> dict[str, Any]:
    """The columns that say what a row is about, and of which set-ups."""
    return {
        "setup": ";".join(setup.label for setup in setups),
        "source": ";".join(sorted({setup.source for setup in setups})),
        "part": key.part,
        "network": key.network,
        "abbreviation": setups[0].short(key.network),
        "level": key.level,
    }
