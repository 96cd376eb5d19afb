"""What would make a campaign shorter, and what each costs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from nic_energy.config import Config, resolve
from nic_energy.config.merge import overlay
from nic_energy.forecast.campaign import Forecast, Key, forecast
from nic_energy.forecast.knowledge import Knowledge

WIDER = 1.5
LOCKED_SHARE = 0.7
"""Scatter that is left once the clocks are locked, assumed."""

LEAST_SHARE = 0.005
"""A lever that saves less than this share of the time is not worth naming."""


@dataclass(frozen=True)
class Lever:
    """A change that makes the campaign shorter.

    `saved_s` and `saved_j` (estimated) compare the middle values; negative where what is measured
    already would have to be measured again.
    """

    name: str
    how: str
    price: str
    saved_s: float
    saved_j: float


def levers(
    config: Config,
    left: Sequence[Key],
    everything: Sequence[Key],
    knowledge: Knowledge,
    folder: Path | None = None,
) -> list[Lever]:
    """Levers that save time, the longest saving first.

    Args:
        left: modalities to measure. everything: all of the campaign; a changed protocol measures
            the finished ones again.
    """
    now = forecast(config, left, knowledge, folder)
    found = [
        *_protocol(config, left, everything, knowledge, now, folder),
        *_fewer(config, left, knowledge, now, folder),
    ]
    if config.document["device"].startswith("cuda"):
        steady = replace(knowledge, scatter=knowledge.scatter * LOCKED_SHARE)
        then = forecast(config, left, steady, folder)
        how = "nvidia-smi -lgc, see docs/faults.md"
        price = "energies at that clock only; other settings, so another set-up label"
        found.append(_lever("lock the clocks", how, price, now, then))
    least = LEAST_SHARE * now.total.duration_s.value
    return sorted((each for each in found if each.saved_s > least), key=lambda each: -each.saved_s)


def _protocol(
    config: Config,
    left: Sequence[Key],
    everything: Sequence[Key],
    knowledge: Knowledge,
    now: Forecast,
    folder: Path | None,
) -> Iterator[Lever]:
    protocol = config.protocol
    wider = round(WIDER * protocol.relative_width, 6)
    changes: list[tuple[str, str, str, Mapping[str, Any]]] = [
        (
            f"intervals of {100 * wider:g} % full width",
            f"protocol.relative_width: {wider:g}",
            "wider intervals; not the paper's protocol",
            {"protocol": {"relative_width": wider}},
        )
    ]
    if protocol.confidence > 0.95:
        changes.append(
            (
                "95 % confidence",
                "protocol.confidence: 0.95",
                "intervals that hold less often; not the paper's protocol",
                {"protocol": {"confidence": 0.95}},
            )
        )
    if protocol.paired_idle_s and protocol.idle_kind != "paired":
        changes.append(
            (
                "no paired idle",
                "protocol.paired_idle_s: 0",
                "the drift of the idle power over the campaign is not seen",
                {"protocol": {"paired_idle_s": 0}},
            )
        )
    for name, how, price, change in changes:
        other = resolve(overlay(dict(config.document), dict(change)))
        yield _lever(name, how, price, now, forecast(other, everything, knowledge, folder))
    if not config.document["worker"]["enabled"]:
        other = resolve(overlay(dict(config.document), {"worker": {"enabled": True}}))
        then = forecast(other, left, replace(knowledge, first_preheat_s=None), folder)
        yield _lever("a worker", "worker.enabled: true", "none", now, then)


def _fewer(
    config: Config,
    left: Sequence[Key],
    knowledge: Knowledge,
    now: Forecast,
    folder: Path | None,
) -> Iterator[Lever]:
    kept: set[tuple[str, int]] = set()
    for network in {name for name, _ in config.points}:
        qualities = sorted(quality for name, quality in config.points if name == network)
        kept |= {(network, qualities[0]), (network, qualities[-1])}
    fewer = [key for key in left if (key[1], key[2]) in kept]
    if len(fewer) < len(left):
        how = "networks: two qualities each"
        price = "the levels of the model rest on one quality each"
        yield _lever(
            "the lowest and the highest quality only", how, price, now,
            forecast(config, fewer, knowledge, folder),
        )  # fmt: skip
    images = sorted({key[3] for key in left})
    half = set(images[: (len(images) + 1) // 2])
    if len(images) > 1:
        fewer = [key for key in left if key[3] in half]
        how = f"images.select: {len(half)}"
        price = "α and β less certain by about the root of two"
        yield _lever("half the images", how, price, now, forecast(config, fewer, knowledge, folder))


def _lever(name: str, how: str, price: str, now: Forecast, then: Forecast) -> Lever:
    return Lever(
        name,
        how,
        price,
        now.total.duration_s.value - then.total.duration_s.value,
        now.total.energy_j.value - then.total.energy_j.value,
    )
