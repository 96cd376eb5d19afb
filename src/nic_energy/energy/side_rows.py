"""Rows beside the energies: what the campaign as a whole shows, and every recorded idle power."""

import math
from collections.abc import Iterable, Sequence
from typing import Any

from nic_energy import tables
from nic_energy.energy.estimates import Evaluated
from nic_energy.energy.idle import IdlePower
from nic_energy.energy.rows import CampaignFindings, head
from nic_energy.vocabulary import ESTIMATORS


def diagnostics(found: Sequence[Evaluated], campaign: CampaignFindings) -> Iterable[dict[str, Any]]:
    """What the campaign as a whole shows, one row an estimator."""
    if not found:
        return
    meta = found[0].meta
    for name in ESTIMATORS:
        tested, effect = campaign.pooled[name], campaign.temperature[name]
        if not any(name in each.estimates for each in found):
            continue
        row: dict[str, Any] = {
            "setup": meta.setup,
            "source": meta.source,
            "part": found[0].modality.part,
            "estimator": name,
            "modalities": sum(name in each.estimates for each in found),
            "counter_disagrees": sum(each.disagrees for each in found),
        }
        common = campaign.scatter[name]
        if common is not None:
            row |= {
                "scatter_percent": 100 * math.sqrt(common.variance),
                "scatter_degrees_of_freedom": min(
                    common.degrees_of_freedom, common.total_degrees_of_freedom
                ),
            }
        if tested is not None:
            row |= {
                "windows": tested.windows,
                "autocorrelation": tested.autocorrelation,
                "autocorrelation_u": tested.autocorrelation_u,
                "autocorrelation_p": tested.autocorrelation_p,
                "trend_percent_per_window": 100 * tested.trend_per_window,
                "trend_u_percent_per_window": 100 * tested.trend_u,
                "trend_p": tested.trend_p,
            }
        if effect is not None:
            row |= {
                "temperature_percent_per_kelvin": 100 * effect.share_per_kelvin,
                "temperature_u_percent_per_kelvin": 100 * effect.uncertainty,
            }
        yield row


def idle_rows(
    cold: IdlePower | None, found: Sequence[Evaluated], idles: Sequence[Sequence[IdlePower]]
) -> Iterable[dict[str, Any]]:
    """Every recorded idle power: the reference, then those of the modalities in their order."""
    if not found or cold is None:
        return
    meta = found[0].meta
    campaign = {"setup": meta.setup, "source": meta.source, "part": found[0].modality.part}
    yield from ({**campaign, **row} for row in _idle_columns(cold, cold.flags))
    for each, own in zip(found, idles, strict=True):
        for idle in own:
            flags = [f for f in each.meta.flags if f == f"{idle.kind}_idle_not_settled"]
            yield from ({**head(each), **row} for row in _idle_columns(idle, flags))


def _idle_columns(idle: IdlePower, flags: Iterable[str]) -> Iterable[dict[str, Any]]:
    for column, mean in idle.columns.items():
        yield {
            "idle_kind": idle.kind,
            "power_field": column,
            "idle_power_w": mean.power_w,
            "idle_power_u_w": mean.uncertainty_w,
            "temperature_c": idle.temperature_c,
            "unix_time_s": idle.wall_time_s,
            "session": idle.session,
            "flags": tables.join_flags(flags),
        }
