"""From an evaluated trace to its rows: means, intervals, uncertainty budget and flags."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from nic_energy import tables
from nic_energy.energy.estimates import Estimate, Evaluated
from nic_energy.energy.idle import IdlePower
from nic_energy.energy.software import Versions, differs
from nic_energy.energy.uncertainty import Inputs, RowBudget, TemperatureEffect, row_budget
from nic_energy.statistics.moderation import CommonVariance
from nic_energy.statistics.pooled import Pooled
from nic_energy.statistics.stopping import Decision, StoppingRule
from nic_energy.traces import FloatArray, TraceMeta
from nic_energy.vocabulary import OWN_IDLES, EstimatorName

LEVEL = 0.95
PREHEAT_FLAGS = {
    "settled": "preheat_settled",
    "timed_out": "preheat_timed_out",
    "no_thermometer": "no_thermometer",
}

Row = dict[str, Any]


@dataclass(frozen=True)
class CampaignFindings:
    """What only all modalities of a campaign together can tell, per estimator; `software` holds
    the versions that most were measured under.
    """

    pooled: Mapping[EstimatorName, Pooled | None]
    scatter: Mapping[EstimatorName, CommonVariance | None]
    temperature: Mapping[EstimatorName, TemperatureEffect | None]
    software: Versions = field(default_factory=dict)

    def inflation(self, estimator: EstimatorName, repetitions: int) -> float:
        """Factor on the standard deviation of the mean of so many windows."""
        pooled = self.pooled.get(estimator)
        return pooled.inflation(repetitions) if pooled and repetitions > 1 else 1.0

    def std(
        self, estimator: EstimatorName, dynamic_j: FloatArray, first: int
    ) -> tuple[float | None, float]:
        """Standard deviation of windows, moderated by the campaign's, in J, and its degrees of
        freedom; None of a single window.

        Args:
            first: windows of each modality that the campaign's scatter was taken from.
        """
        if len(dynamic_j) < 2:
            return None, 0.0
        own, free, mean_j = float(dynamic_j.std(ddof=1)), len(dynamic_j) - 1.0, dynamic_j.mean()
        common = self.scatter.get(estimator)
        if common is None or mean_j <= 0:
            return own, free
        pooled = self.pooled.get(estimator)
        ratio = pooled.scatter_ratio(len(dynamic_j), first) if pooled else 1.0
        common = replace(common, variance=ratio * common.variance)
        variance, free = common.moderate((own / mean_j) ** 2, free)
        return float(mean_j * np.sqrt(variance)), free

    def trend_share(self, estimator: EstimatorName, repetitions: int) -> float:
        """Standard uncertainty that a trend adds, as a share of the mean."""
        pooled = self.pooled.get(estimator)
        return pooled.trend_share(repetitions) if pooled and repetitions > 1 else 0.0


def decide(estimate: Estimate, meta: TraceMeta, inflation: float) -> Decision:
    """The stopping rule on an estimator's windows, their scatter inflated."""
    protocol = meta.settings["protocol"]
    rule = StoppingRule(
        protocol["confidence"],
        protocol["relative_width"],
        protocol["interval"],
        protocol["min_repetitions"],
        protocol["max_repetitions"],
    )
    mean = estimate.dynamic_j.mean()
    return rule.decide(list(mean + inflation * (estimate.dynamic_j - mean)))


def duration_s(found: Evaluated) -> float:
    """Mean time of one execution."""
    total = sum(window.duration_s for window in found.windows)
    return total / sum(window.executions for window in found.windows)


def budget_of(found: Evaluated, estimate: Estimate, campaign: CampaignFindings) -> RowBudget | None:
    """The uncertainty budget of an estimator's energy."""
    count, calibration = len(estimate.dynamic_j), estimate.calibration
    first = int(found.meta.settings["protocol"]["min_repetitions"])
    std_j, std_degrees_of_freedom = campaign.std(estimate.estimator, estimate.dynamic_j, first)
    return row_budget(
        Inputs(
            mean_j=float(estimate.dynamic_j.mean()),
            std_j=std_j,
            std_degrees_of_freedom=std_degrees_of_freedom,
            count=count,
            inflation=campaign.inflation(estimate.estimator, count),
            trend_share=campaign.trend_share(estimate.estimator, count),
            edge_window_j=float(np.sqrt(np.mean(estimate.edges.windows_j**2))),
            edge_common_j=estimate.edges.common_j,
            duration_s=duration_s(found),
            idle_u_w=estimate.idle.uncertainty_w,
            idle_degrees_of_freedom=estimate.idle.degrees_of_freedom,
            temperature_span_k=_span(found.temperatures_c),
            effect=campaign.temperature.get(estimate.estimator),
            gain_u_share=calibration.gain_u / calibration.gain if calibration else None,
            disagreement_j=found.disagreement_j(estimate.estimator),
        )
    )


def _span(values: FloatArray) -> float | None:
    known = values[np.isfinite(values)]
    return float(np.ptp(known)) if len(known) else None


def head(found: Evaluated) -> Row:
    """The columns that say which modality a row is about."""
    modality = found.modality
    return {
        "setup": found.meta.setup,
        "source": found.meta.source,
        "part": modality.part,
        "network": modality.network,
        "quality": modality.quality,
        "level": modality.level,
        "image": modality.image.image,
    }


def energies(found: Evaluated, estimate: Estimate, campaign: CampaignFindings) -> Row:
    """The columns of one estimator's energy."""
    decision = decide(
        estimate, found.meta, campaign.inflation(estimate.estimator, len(estimate.dynamic_j))
    )
    count = decision.repetitions
    return {
        "energy_j": decision.mean,
        "energy_gross_j": float(estimate.gross_j.mean()),
        "energy_std_j": float(estimate.dynamic_j.std(ddof=1)) if count > 1 else None,
        "ci_half_width_percent": decision.half_width_percent,
        "repetitions": count,
        "idle_power_w": estimate.idle.power_w,
        "estimator": estimate.estimator,
        "power_field": estimate.power_field,
        "converged": decision.converged,
    }


def uncertainties(found: Evaluated, estimate: Estimate, campaign: CampaignFindings) -> Row:
    """The columns of one estimator's uncertainty budget; empty where nothing is known."""
    budget = budget_of(found, estimate, campaign)
    if budget is None:
        return dict.fromkeys(UNCERTAINTY_COLUMNS)
    return {
        "u_repeatability_j": budget.repeatability_j,
        "u_trend_j": budget.trend_j,
        "u_edges_j": budget.edges_j,
        "u_idle_j": budget.idle_j,
        "u_temperature_j": budget.temperature_j,
        "u_gain_j": budget.gain_j,
        "u_disagreement_j": budget.disagreement_j,
        "u_combined_j": budget.budget.combined_standard_uncertainty,
        "effective_degrees_of_freedom": _finite(budget.budget.effective_degrees_of_freedom),
        "expanded_uncertainty_j": budget.budget.expanded_uncertainty(LEVEL),
        "dominating_uncertainty": budget.dominating,
        "idle_degrees_of_freedom": _finite(budget.idle_degrees_of_freedom),
    }


UNCERTAINTY_COLUMNS = (
    "u_repeatability_j",
    "u_trend_j",
    "u_edges_j",
    "u_idle_j",
    "u_temperature_j",
    "u_gain_j",
    "u_disagreement_j",
    "u_combined_j",
    "effective_degrees_of_freedom",
    "expanded_uncertainty_j",
    "dominating_uncertainty",
    "idle_degrees_of_freedom",
)


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None


def estimator_rows(found: Evaluated, campaign: CampaignFindings) -> dict[EstimatorName, Row]:
    """Rows of energy_estimators.csv."""
    return {
        name: {
            **head(found),
            **energies(found, estimate, campaign),
            "idle_kind": found.idle.kind if found.idle else None,
            **uncertainties(found, estimate, campaign),
        }
        for name, estimate in found.estimates.items()
    }


def energy_row(
    found: Evaluated,
    estimate: Estimate,
    own: Row,
    cold: IdlePower | None,
    software: Versions,
) -> Row:
    """A row of energy.csv; its flags are still a set.

    Args:
        estimate: by the estimator that is reported. own: its row of `estimator_rows`.
        cold: the idle reference. software: what most of the set-up was measured with.
    """
    meta, image = found.meta, found.modality.image
    lasts = duration_s(found)
    return {
        **own,
        "width": image.width,
        "height": image.height,
        "pixels": image.pixels,
        "padded_pixels": image.padded_pixels,
        "executions": found.windows[-1].executions,
        "duration_s": lasts,
        "mean_power_w": float(estimate.gross_j.mean()) / lasts,
        "temperature_c": _mean(found.temperatures_c),
        "sm_clock_mhz": _mean(found.clocks_mhz),
        "deterministic": meta.settings.get("deterministic"),
        "weights": meta.settings.get("weights"),
        "bpp": meta.bpp,
        "psnr_db": meta.psnr_db,
        "session": meta.session,
        "flags": row_flags(found, bool(own["converged"]), cold, software),
        "calibrated": estimate.calibration is not None,
        "repetitions_rejected": len(meta.windows) - len(found.windows),
        "rejected_for": tables.join_flags(
            {flag for w in meta.windows if not w.admissible for flag in w.flags}
        ),
        "energy_all_windows_j": float(
            np.concatenate([estimate.dynamic_j, estimate.rejected_j]).mean()
        ),
        "preheat": meta.preheat.get("outcome"),
        "device_name": meta.meter.device_name,
        "device_uuid": meta.meter.device_uuid,
        "driver": meta.meter.driver,
        "created_utc": meta.created_utc,
    }


REPEATED = ("u_repeatability_j", "u_edges_j", "u_temperature_j", "u_disagreement_j")
"""Components that are new in every repeat, whatever its idle."""


def anchor_row(row: Row, unix_time_s: float) -> Row:
    """A row of anchors.csv from one of `energy_row`; `u_repeat_j` holds the components that are
    new in every repeat: the idle too where each repeat has its own.
    """
    names = REPEATED + (("u_idle_j",) if row["idle_kind"] in OWN_IDLES else ())
    parts = [row[name] for name in names]
    u_repeat = None if parts[0] is None else float(np.hypot.reduce([p or 0.0 for p in parts]))
    return {
        **{name: row.get(name) for name in tables.ANCHOR_COLUMNS},
        "unix_time_s": unix_time_s,
        "u_repeat_j": u_repeat,
        "flags": tables.join_flags(row["flags"]),
    }


def _mean(values: FloatArray) -> float | None:
    known = values[np.isfinite(values)]
    return float(known.mean()) if len(known) else None


def row_flags(
    found: Evaluated, converged: bool, cold: IdlePower | None, usual: Versions
) -> set[str]:
    """The flags of one modality; `usual` is the software of the campaign."""
    meta, idle = found.meta, found.idle
    kind = idle.kind if idle else "cold"
    unsettled = {f"{other}_idle_not_settled" for other in ("context", "paired") if other != kind}
    flags = {flag for flag in meta.flags if flag not in unsettled}
    if not converged:
        flags.add("not_converged")
    if len(found.windows) < len(meta.windows):
        flags.add("windows_rejected")
    if kind == "cold" and cold is not None:
        flags |= set(cold.flags)
        if meta.session != cold.session:
            flags.add("idle_session_differs")
    flags |= {flag for window in found.windows for flag in window.flags}
    flags.update(filter(None, [PREHEAT_FLAGS.get(str(meta.preheat.get("outcome")))]))
    if found.disagrees:
        flags.add("counter_disagrees")
    if differs(meta, usual):
        flags.add("other_software")
    return flags | found.events
