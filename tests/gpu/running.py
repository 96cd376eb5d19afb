"""Tests of the networks on the device: equal outputs, true marks, enough memory."""

import contextlib
import csv
import hashlib
import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any, Protocol

from nic_energy.codecs.execution import NetworkLoad
from nic_energy.codecs.networks import build
from nic_energy.codecs.padding import padded_size
from nic_energy.config import Network, project_root, read_networks
from nic_energy.protocol.bench import Load
from tests.gpu.findings import Finding

if TYPE_CHECKING:
    import torch

SEED = 2023
MARGIN = 0.05
"""Share of the device's memory that has to stay free under the largest modality."""

MARK_S, MARK_SHARE = 1e-3, 1e-3
"""Marks may differ from the device's own clock by this time and this share of the window."""


def networks() -> Mapping[str, Network]:
    """The networks of the table."""
    return read_networks(project_root() / "config" / "networks.tsv")


def image_sizes() -> list[tuple[int, int]]:
    """(width, height) of the 60 images of the paper's set, from the smallest to the largest."""
    path = project_root() / "resources" / "image_sizes_60.csv"
    with path.open(encoding="utf-8") as handle:
        sizes = [(int(row["width"]), int(row["height"])) for row in csv.DictReader(handle)]
    return sorted(sizes, key=lambda size: size[0] * size[1])


def load_of(network: Network, quality: int, width: int, height: int, device: str) -> NetworkLoad:
    """A network with random weights and a random image of that size on a device."""
    import torch

    padded_width, padded_height = padded_size(width, height, network.pad_multiple)
    generator = torch.Generator().manual_seed(SEED)
    image = torch.rand(1, 3, padded_height, padded_width, generator=generator)
    module = build(network, quality, SEED).to(device)
    name = f"{network.network} quality {quality} on {width}x{height}"
    return NetworkLoad(module, image.to(device), name)


def digest(output: Any) -> str:
    """Digest of every bit of an output: tensors in mappings and sequences."""
    total = hashlib.sha256()
    for path, tensor in sorted(_tensors(output, "")):
        values = tensor.detach().cpu().contiguous()
        total.update(f"{path} {values.dtype} {tuple(values.shape)}".encode())
        total.update(values.numpy().tobytes())
    return total.hexdigest()[:16]


def _tensors(output: Any, path: str) -> "list[tuple[str, torch.Tensor]]":
    if isinstance(output, Mapping):
        return [pair for key in output for pair in _tensors(output[key], f"{path}/{key}")]
    if isinstance(output, list | tuple):
        return [pair for i, item in enumerate(output) for pair in _tensors(item, f"{path}/{i}")]
    return [(path, output)]


def equal_outputs(
    name: str,
    load: Callable[[], NetworkLoad],
    other_load: Callable[[], contextlib.AbstractContextManager[None]],
    runs: int = 3,
    beside: str = "another process",
) -> Finding:
    """Outputs are equal to the last bit: run after run, loaded anew, and beside another load.

    Args:
        beside: where the other load runs, in words.
    """
    first = load()
    digests = {
        "run after run": [digest(first.once()) for _ in range(runs)],
        "loaded anew": [digest(load().once())],
    }
    with other_load():
        digests[f"beside {beside}"] = [digest(first.once()) for _ in range(runs)]
    return Finding(
        f"equal_outputs, {name}",
        "in deterministic mode the outputs are equal to the last bit, alone and beside another "
        "load on the device",
        {kind: " ".join(sorted(set(found))) for kind, found in digests.items()},
        unequal(digests),
    )


def unequal(digests: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """What differs from the first run."""
    first = next(iter(digests.values()))[0]
    return tuple(
        f"{kind}: {sum(each != first for each in found)} of {len(found)} outputs differ from the "
        "first"
        for kind, found in digests.items()
        if set(found) != {first}
    )


class Events(Protocol):
    """Marks in the device's own stream of work."""

    def mark(self) -> Any:
        """Put a mark behind the work issued so far."""
        ...

    def seconds(self, first: Any, last: Any) -> float:
        """The time between two marks by the device's clock, in s."""
        ...


class CudaEvents:
    """CUDA events in the stream that the networks run in."""

    def __init__(self, device: str) -> None:
        self.device = device

    def mark(self) -> Any:
        """Record an event."""
        import torch

        with torch.cuda.device(self.device):
            event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
            event.record(torch.cuda.current_stream())
        return event

    def seconds(self, first: Any, last: Any) -> float:
        """Wait for the last and ask the device for the time between."""
        last.synchronize()
        return float(first.elapsed_time(last)) / 1e3


class HostEvents:
    """A processor works as it is told to, so its own clock tells when."""

    def mark(self) -> float:
        """The time."""
        return time.perf_counter()

    def seconds(self, first: float, last: float) -> float:
        """The time between."""
        return last - first


def marks_against_events(
    load: Load, events: Events, windows: int = 5, seconds: float = 1.0
) -> Finding:
    """The marks of a window, taken by the processor, against events in the device's stream."""
    load.run(1)
    start, end = load.run(TIMED_EXECUTIONS)
    executions = max(1, round(seconds * TIMED_EXECUTIONS / (end - start)))
    marked, timed = [], []
    for _ in range(windows):
        first = events.mark()
        start, end = load.run(executions)
        last = events.mark()
        marked.append(end - start)
        timed.append(events.seconds(first, last))
    differences = [abs(m - t) for m, t in zip(marked, timed, strict=True)]
    typical = median(differences)  # one window may fall on a busy processor
    limit = MARK_S + MARK_SHARE * min(timed)
    problems: tuple[str, ...] = ()
    if typical > limit:
        found = f"{1e3 * typical:.2f} ms, limit {1e3 * limit:.2f} ms"
        problems = (f"marks differ from the device's clock by {found}",)
    return Finding(
        "marks_against_events",
        "the marks of a window are those of the work on the device",
        {
            "executions": executions,
            "windows_s by marks": marked,
            "windows_s by events": timed,
            "typical difference (ms)": 1e3 * typical,
            "worst difference (ms)": 1e3 * max(differences),
        },
        problems,
    )


TIMED_EXECUTIONS = 3


class DeviceMemory(Protocol):
    """A device's memory, in bytes."""

    def reset(self) -> None:
        """Forget the peak."""
        ...

    def peak_bytes(self) -> int:
        """The most that this process has taken since."""
        ...

    def available_bytes(self) -> int:
        """What this process could take, its context being there."""
        ...

    def total_bytes(self) -> int:
        """All of it."""
        ...


class CudaMemory:
    """The memory of a CUDA device, as PyTorch's allocator takes it."""

    def __init__(self, device: str) -> None:
        self.device = device

    def reset(self) -> None:
        """Give back what is cached and forget the peak."""
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(self.device)

    def peak_bytes(self) -> int:
        """The peak of what the allocator had reserved."""
        import torch

        return int(torch.cuda.max_memory_reserved(self.device))  # with what it keeps in its cache

    def available_bytes(self) -> int:
        """Free memory, and what the allocator holds already."""
        import torch

        free, _total = torch.cuda.mem_get_info(self.device)
        return int(free) + int(torch.cuda.memory_reserved(self.device))

    def total_bytes(self) -> int:
        """The memory of the card."""
        import torch

        return int(torch.cuda.mem_get_info(self.device)[1])


class HostMemory:
    """The main memory, for networks that run on the processor; the peak is that of the process."""

    def reset(self) -> None:
        """Its peak cannot be forgotten."""

    def peak_bytes(self) -> int:
        """The most that was resident."""
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    def available_bytes(self) -> int:
        """All of it."""
        return self.total_bytes()

    def total_bytes(self) -> int:
        """All of it."""
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def peak_memory(
    loads: Mapping[str, Callable[[], NetworkLoad]],
    memory: DeviceMemory,
    image: tuple[int, int],
    resident_bytes: int,
) -> Finding:
    """The memory that each network takes at most on the largest image, beside what a campaign
    keeps on the device: its context, and the networks that its worker keeps for later.

    Args:
        resident_bytes: the worker's budget for networks. The peak holds the network in use, which
            is of the budget too: what is needed is overestimated by that one network.
    """
    memory.reset()
    total, available = memory.total_bytes(), memory.available_bytes()
    peaks: dict[str, int] = {}
    for name, make in loads.items():
        memory.reset()
        load = make()
        load.once()
        peaks[name] = memory.peak_bytes()
        del load
    largest = max(peaks, key=lambda name: peaks[name])
    needed = peaks[largest] + resident_bytes
    margin = 1 - needed / available
    problems = (
        (
            f"{largest} takes {_mib(peaks[largest])} and the worker keeps networks of up to "
            f"{_mib(resident_bytes)}, which leaves {100 * margin:.1f} % of the {_mib(available)} "
            f"that are free beside the context, less than {100 * MARGIN:.0f} %. Set worker."
            "memory_mb lower, or measure smaller images (images.max_side)",
        )
        if margin < MARGIN
        else ()
    )
    return Finding(
        "peak_memory",
        f"every network fits on an image of {image[0]}x{image[1]} beside the networks that the "
        "worker keeps, with memory to spare",
        {
            "memory of the device (MiB)": total / 2**20,
            "context and other processes (MiB)": (total - available) / 2**20,
            "available (MiB)": available / 2**20,
            "resident budget (MiB)": resident_bytes / 2**20,
            **{f"{name} (MiB)": peak / 2**20 for name, peak in peaks.items()},
            "margin (%)": 100 * margin,
        },
        problems,
    )


def _mib(size: int) -> str:
    return f"{size / 2**20:.0f} MiB"
