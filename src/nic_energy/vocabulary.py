"""Words that several rooms share, spelled once."""

from typing import Literal

Source = Literal["measured", "estimated", "simulated", "external"]
Level = Literal["low", "high"]
Part = Literal["chain", "encoder", "decoder", "entropy_encode", "entropy_decode"]
IdleKind = Literal["cold", "context", "paired"]
EstimatorName = Literal["paper_sum", "trapezoid", "counter"]

LEVELS: tuple[Level, ...] = ("low", "high")
PARTS_AVAILABLE: tuple[Part, ...] = ("chain",)
ESTIMATORS: tuple[EstimatorName, ...] = ("paper_sum", "trapezoid", "counter")

SOURCE_NOTES: dict[str, str] = {
    "measured": "measured (read from a power sensor of the device that ran)",
    "estimated": "estimated (from processor load, not measured)",
    "simulated": "simulated (no real device was metered)",
    "external": "external (a table that was brought along)",
}
