"""The layers up to and including the second downsampling step (paper, section 5).

The rule needs no layer names: f is a layer's downsampling factor; T the running maximum of f in
order of execution after it has increased twice; every layer, of the encoder or the decoder, with
f <= T counts.
"""

from collections.abc import Sequence

STEP = 1.5
"""An increase of f by less than this factor is no downsampling step."""


def threshold(factors: Sequence[float], steps: int = 2) -> float:
    """T: the coarsest grid after so many downsampling steps, in order of execution."""
    highest, taken = 1.0, 0
    for factor in factors:
        if factor > STEP * highest:
            highest, taken = factor, taken + 1
            if taken == steps:
                break
    return highest


def up_to_second(factors: Sequence[float]) -> list[bool]:
    """Which layers count, in the same order."""
    limit = threshold(factors) * 1.001
    return [factor <= limit for factor in factors]
