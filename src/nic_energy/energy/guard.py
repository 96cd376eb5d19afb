"""Which traces may stand in one table."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nic_energy.config.settings import differences
from nic_energy.errors import MismatchError
from nic_energy.traces import TraceMeta


class Guard:
    """Refuses to mix what differs from the settings or from the first trace.

    With `auto` the sensor's passport chose the sampling rate and the lead-in of each trace. They
    may differ: a trace is computed with its own, and both only say how its power field was read.

    Args:
        power_field: the column that energies are computed from, or `auto`.
    """

    def __init__(
        self,
        expected_settings: Mapping[str, Any],
        power_field: str,
        first_path: Path,
        first: TraceMeta,
    ) -> None:
        self._expected = expected_settings
        self._power_field = power_field
        self._first_path = first_path
        self._first = first

    def check(self, path: Path, meta: TraceMeta) -> None:
        """Compare a trace.

        Raises:
            MismatchError: it must not be mixed with the others; says why.
        """
        if meta.outcome != "accepted":
            raise MismatchError(f"{path}: is a failed attempt ({meta.error}), not a measurement.")
        differing = differences(self._expected, meta.settings)
        if differing:
            raise MismatchError(
                f"{path}: was measured with other settings than the configuration: "
                f"{', '.join(differing)}. Run again so that it is measured with these settings "
                "(--forcerun measure where Snakemake does not see the change), or set the "
                "configuration back."
            )
        other_path, other = self._first_path, self._first
        for name, one, two in (
            ("setup", meta.setup, other.setup),
            ("source", meta.source, other.source),
            ("device", meta.meter.device_uuid, other.meter.device_uuid),
        ):
            if one != two:
                raise MismatchError(
                    f"{path}: has the {name} {one}, but {other_path} has {two}; they are not "
                    "mixed. Measure them under labels of their own (config key `setup`)."
                )
        own, others = self._column(meta), self._column(other)
        if own and others and own != others:
            common = {f.column for f in meta.meter.power_fields}
            common &= {f.column for f in other.meter.power_fields}
            raise MismatchError(
                f"{path}: power_field auto, by the sensor's passport of its time, is {own}, but "
                f"{other_path} has {others}; energies of two power fields are not mixed. Name one "
                f"(config key `power_field`; both hold {', '.join(sorted(common)) or 'none'}), or "
                "measure one of the two again (--forcerun measure)."
            )

    def _column(self, meta: TraceMeta) -> str | None:
        """The column that the energies of a trace are computed from; None where it lacks it."""
        try:
            return meta.meter.power_field(self._power_field).column
        except KeyError:
            return None
