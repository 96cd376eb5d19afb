"""Which transform of a codec a layer belongs to, by CompressAI's names of its parts."""

import re
from collections.abc import Iterable, Mapping

TRANSFORMS: Mapping[str, re.Pattern[str]] = {
    "analysis": re.compile(r"g_a\d*"),
    "synthesis": re.compile(r"g_s\d*"),
    "hyper_analysis": re.compile(r"h_a\d*"),
    "hyper_synthesis": re.compile(r"h_(\w+_)?s\d*"),
}
ENTROPY_MODEL = "entropy_model"
"""What is none of them: context prediction, entropy parameters, the entropy models themselves."""

NAMES = (*TRANSFORMS, ENTROPY_MODEL)


def transform_of(name: str) -> str:
    """The transform of a layer with this dotted name."""
    part = name.partition(".")[0]
    found = (word for word, pattern in TRANSFORMS.items() if pattern.fullmatch(part))
    return next(found, ENTROPY_MODEL)


def is_divided(names: Iterable[str]) -> bool:
    """Whether a network's layers say which is its analysis and which its synthesis transform."""
    return {"analysis", "synthesis"} <= {transform_of(name) for name in names}
