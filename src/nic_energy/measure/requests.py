"""The request of a modality: what the configuration says of all, and what is its own."""

from pathlib import Path
from typing import Any

from nic_energy.config import Config
from nic_energy.measure.modality import MeasureRequest


def request_of(config: Config, network: str, **own: Any) -> MeasureRequest:
    """The request of a modality.

    Args:
        network: its name in the networks table.
        own: what the configuration does not say, by the names of `MeasureRequest`.
    """
    document = config.document
    return MeasureRequest(
        setup=config.setup,
        network=config.networks[network],
        settings=config.settings(),
        power_field=document["power_field"],
        weights_dir=Path(document["weights_dir"]) if document["weights_dir"] else None,
        idle_kind=config.protocol.idle_kind,
        neighbours=document["neighbours"],
        **own,
    )
