"""The tests as they run in a process of their own (see `tests.gpu.apart`).

Each takes the rig and gives a finding. Tests of the meter keep one load and one sampler for all.
"""

from functools import partial

from nic_energy.codecs.execution import configure
from nic_energy.codecs.identity import cuda_index
from nic_energy.measure.loading import resident_budget_bytes
from tests.gpu import board, power, running, synchronising
from tests.gpu.apart import KEPT
from tests.gpu.findings import Finding
from tests.gpu.rig import Rig
from tests.gpu.station import Loaded, burning, burning_here

_kept: list[Loaded] = []


def loaded(gpu: Rig) -> Loaded:
    """The load of the sensor's passport beside the campaign's sampler, opened once."""
    if not _kept:
        _kept.append(KEPT.enter_context(gpu.station.bench()))
    return _kept[0]


def same_device(gpu: Rig) -> Finding:
    """See `power.same_device`."""
    bench = loaded(gpu)
    if not gpu.real:
        return power.same_device(bench, **gpu.of("same_device"))
    with board.neighbours(gpu.uuid, bench.bench.sampling_hz / 10) as others:
        return power.same_device(bench, others, **gpu.of("same_device"))


def fresh_readings(gpu: Rig) -> Finding:
    """See `power.fresh_readings`."""
    return power.fresh_readings(loaded(gpu), **gpu.of("fresh_readings"))


def counter_against_integral(gpu: Rig) -> Finding:
    """See `power.counter_against_integral`."""
    return power.counter_against_integral(loaded(gpu), **gpu.of("counter_against_integral"))


def known_wave(gpu: Rig) -> Finding:
    """See `power.known_wave`."""
    return power.known_wave(loaded(gpu), **gpu.of("known_wave"))


def _device(gpu: Rig) -> str:
    """The networks' device as PyTorch names it, made ready for them."""
    device = "cpu" if not gpu.real else gpu.device
    if device.startswith("GPU-"):
        device = f"cuda:{cuda_index(device)}"
    configure(True, "fp32", device)
    return device


def equal_outputs(gpu: Rig, name: str) -> Finding:
    """See `running.equal_outputs`."""
    device, network = _device(gpu), running.networks()[name]
    load = partial(running.load_of, network, network.qualities[gpu.quality], *gpu.image, device)
    other, beside = (
        (burning_here, "another stream of this process (the GPU is in exclusive-process mode)")
        if gpu.exclusive
        else (burning, "another process")
    )
    return running.equal_outputs(
        name, load, partial(other, device), beside=beside, **gpu.of("equal_outputs")
    )


def marks_against_events(gpu: Rig) -> Finding:
    """See `running.marks_against_events`."""
    device, network = _device(gpu), running.networks()["mbt2018-mean"]
    load = running.load_of(network, network.qualities[gpu.quality], *gpu.image, device)
    events = running.CudaEvents(device) if gpu.real else running.HostEvents()
    return running.marks_against_events(load, events, **gpu.of("marks_against_events"))


def host_synchronisations(gpu: Rig) -> Finding:
    """See `synchronising.host_synchronisations`; on the cheapest network, where they cost most."""
    device, network = _device(gpu), running.networks()["bmshj2018-factorized"]
    loads = {
        f"{width}x{height}": partial(
            running.load_of, network, network.qualities[0], width, height, device
        )
        for width, height in (gpu.smallest, gpu.largest)
    }
    return synchronising.host_synchronisations(loads, **gpu.of("host_synchronisations"))


def peak_memory(gpu: Rig) -> Finding:
    """See `running.peak_memory`."""
    device = _device(gpu)
    loads = {
        f"{name} q{(quality := network.qualities[gpu.quality])}": partial(
            running.load_of, network, quality, *gpu.largest, device
        )
        for name, network in running.networks().items()
    }
    memory = running.CudaMemory(device) if gpu.real else running.HostMemory()
    resident_bytes = resident_budget_bytes(device, gpu.resident_bytes) if gpu.real else 0
    return running.peak_memory(loads, memory, gpu.largest, resident_bytes)
