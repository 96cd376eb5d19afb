"""Which GPUs CUDA shows, and in which order, from its environment variables.

The rules are those of the CUDA programming guide: a list of indices or UUIDs, of which all from
the first invalid one on are ignored. Indices count in CUDA's own order, which is that of NVML
only under CUDA_DEVICE_ORDER=PCI_BUS_ID; the default puts the fastest first.
"""

from collections.abc import Mapping, Sequence

from nic_energy.doctor.facts import Gpu, Visible

VARIABLE = "CUDA_VISIBLE_DEVICES"
ORDER = "CUDA_DEVICE_ORDER"


def visible(gpus: Sequence[Gpu], environment: Mapping[str, str]) -> Visible:
    """The GPUs that CUDA shows as cuda:0, cuda:1 and so on."""
    answering = [gpu for gpu in gpus if not gpu.error]  # CUDA does not count what it cannot open
    alike = len({gpu.name for gpu in answering}) <= 1
    ordered = alike or environment.get(ORDER) == "PCI_BUS_ID"
    ordered, gpus = ordered and len(answering) == len(gpus), answering
    variable = environment.get(VARIABLE)
    if variable is None:
        return Visible(tuple(gpu.uuid for gpu in gpus), None, ordered)
    entries = [entry.strip() for entry in variable.split(",")]
    uuids: list[str] = []
    for entry in entries:
        uuid = _uuid(entry, gpus)
        if uuid is None or uuid in uuids:
            twice = "stands there twice" if uuid else "names no GPU"
            reason = f"{entry!r} {twice}, so CUDA ignores it and all after it"
            return Visible(tuple(uuids), variable, ordered, reason)
        uuids.append(uuid)
        ordered = ordered or all(each.startswith("GPU-") for each in entries)
    return Visible(tuple(uuids), variable, ordered)


def _uuid(entry: str, gpus: Sequence[Gpu]) -> str | None:
    """UUID of an entry: an index, or a UUID that may be cut short as long as it is one GPU's."""
    if entry.isdigit():
        return gpus[int(entry)].uuid if int(entry) < len(gpus) else None
    found = [gpu.uuid for gpu in gpus if entry.startswith("GPU-") and gpu.uuid.startswith(entry)]
    return found[0] if len(found) == 1 else None
