"""Words that several rooms share, spelled once."""

from typing import Literal

Source = Literal["measured", "estimated", "simulated", "external"]
Level = Literal["low", "high"]
Part = Literal["chain", "encoder", "decoder", "entropy_encode", "entropy_decode"]
IdleKind = Literal["cold", "context", "paired"]
EstimatorName = Literal["paper_sum", "trapezoid", "counter"]
Sees = Literal["board", "machine"]
"""What an external meter sees: the GPU's board alone, or the whole machine at its plug."""

LEVELS: tuple[Level, ...] = ("low", "high")
OWN_IDLES: tuple[IdleKind, ...] = ("context", "paired")
"""Kinds of idle that every measurement has of its own."""

PARTS_AVAILABLE: tuple[Part, ...] = ("chain",)
ESTIMATORS: tuple[EstimatorName, ...] = ("paper_sum", "trapezoid", "counter")

SOURCE_NOTES: dict[str, str] = {
    "measured": "measured (read from a power sensor of the device that ran)",
    "estimated": "estimated (from processor load, not measured)",
    "simulated": "simulated (no real device was metered)",
    "external": "external (a table that was brought along)",
}

STOPPING_ENERGY = "trapezoid over cold idle, uncalibrated"
"""What the joules are that the stopping rule works on, whatever the tables report."""

PREDICTOR_WORDS: dict[str, str] = {
    "kmac_per_pixel": "MACs",
    "kmac_per_pixel_second_layer": "MACs to 2nd downsampling",
    "kmac_per_pixel_executed": "MACs executed",
    "kmac_per_pixel_analysis": "MACs, analysis",
    "kmac_per_pixel_synthesis": "MACs, synthesis",
    "kmac_per_pixel_hyper_analysis": "MACs, hyper analysis",
    "kmac_per_pixel_hyper_synthesis": "MACs, hyper synthesis",
    "kmac_per_pixel_entropy_model": "MACs, entropy model",
    "parameters": "parameters",
    "layers": "layers",
    "operator_calls": "operator calls",
    "activation_bytes_per_pixel": "activation bytes",
    "latent_values_per_pixel": "latent values",
    "pad_multiple": "padding multiple",
    "published_kmac_per_pixel": "MACs as printed",
    "published_kmac_per_pixel_second_layer": "MACs to 2nd downsampling as printed",
}
"""Network parameters in words; MACs, bytes and latent values are per pixel."""
