"""What the page says about the comparison with an external meter."""

from collections.abc import Mapping
from typing import Any

from nic_energy.typeset.cells import plus_minus

SEES = {
    "board": "sees the power of the board alone, so its gain is the sensor's own",
    "machine": "sees the whole machine, so its gain holds the efficiency of the power supply and "
    "its offset the power of the rest",
}
SIGNIFICANT = 0.01


def external_sentences(summary: Mapping[str, Any] | None) -> list[str]:
    """Gain, offset, correlation and what to know about them; empty without external_meter.json."""
    if summary is None:
        return []
    gain, offset = summary["gain"], summary["offset_w"]
    low, high = summary["pearson_r_power_95"]
    found = [
        f"Against {summary['meter']}, which {SEES[summary['sees']]}, over {summary['runs']} runs "
        f"({summary['windows']} windows): sensor = "
        f"{plus_minus(gain['value'], gain['expanded_95'])} × meter {_signed(offset)} W "
        "(expanded uncertainties, 95 %).",
        f"Correlation of the mean powers of the runs: r = {summary['pearson_r_power']:.5f} "
        f"({low:.5f} to {high:.5f}); of the gross energies of their windows: "
        f"{summary['pearson_r_energy']:.5f}.",
        _clock_sentence(summary["clock"]),
    ]
    if not summary["meter_uncertainty_stated"]:
        found.append(
            "The meter's own uncertainty is not stated: that of the gain is incomplete without it."
        )
    if summary["windows_not_covered"]:
        found.append(
            f"{summary['windows_not_covered']} windows are not covered by the meter's log and "
            "are left out."
        )
    curvature = summary["curvature_p"]
    if curvature is not None and curvature < SIGNIFICANT:
        found.append(f"The points bend significantly (p = {curvature:.2g}): a line is not all.")
    if summary["host_load_w"] is not None:
        found.append(
            f"During the windows the rest of the machine draws {summary['host_load_w']:.1f} W more "
            "than at idle, as far as the line holds down to idle."
        )
    return found


def _signed(offset: Mapping[str, Any]) -> str:
    sign = "−" if offset["value"] < 0 else "+"
    return f"{sign} ({plus_minus(abs(offset['value']), offset['expanded_95'])})"


def _clock_sentence(clock: Mapping[str, Any]) -> str:
    return (
        f"The meter's clock is {clock['offset_s']:+.3f} s off beside a time zone of "
        f"{clock['time_zone_s'] / 3600:+g} h and drifts by {clock['drift_ppm']:+.1f} ppm; both are "
        "taken out."
    )
