"""Under which software a trace was measured: another version may run other kernels, which need
other energy.
"""

from collections import Counter
from collections.abc import Iterable, Mapping

from nic_energy.traces import TraceMeta

PACKAGES = ("torch", "torchvision", "compressai")
LIBRARIES = ("cuda", "cudnn")
"""Of PyTorch, as it names them itself."""

Versions = Mapping[str, str]


def software_of(meta: TraceMeta) -> Versions:
    """Versions by name; what the trace does not know is left out."""
    packages = meta.run.get("packages") or {}
    named = {
        **{name: packages.get(name) for name in PACKAGES},
        **{name: meta.run.get(name) for name in LIBRARIES},
    }
    return {name: str(version) for name, version in named.items() if version is not None}


def usual_software(metas: Iterable[TraceMeta]) -> Versions:
    """The version of each that most traces were measured under; of as many, the earliest."""
    counts: dict[str, Counter[str]] = {}
    for meta in sorted(metas, key=lambda each: each.created_utc):
        for name, version in software_of(meta).items():
            counts.setdefault(name, Counter())[version] += 1
    return {name: count.most_common(1)[0][0] for name, count in counts.items()}


def differs(meta: TraceMeta, usual: Versions) -> bool:
    """Whether a trace was measured under another version of anything than usual."""
    return any(usual.get(name, own) != own for name, own in software_of(meta).items())
