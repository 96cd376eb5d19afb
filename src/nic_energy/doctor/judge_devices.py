"""Checks of which GPUs there are, and whether PyTorch and NVML mean the same one."""

from collections.abc import Sequence

from nic_energy.doctor.checks import Check, failure, in_two, note, ok, warning
from nic_energy.doctor.facts import Facts, Gpu, Nvml, OtherMeter, Torch, Visible

DRIVER_OF_CUDA = {11: 450, 12: 525, 13: 580}
"""The oldest driver branch for each major version of CUDA (CUDA Compatibility guide)."""

OTHER_BUILD = (
    "update the driver, or install a PyTorch built for it from PyTorch's own index (make setup "
    "TORCH_INDEX=https://download.pytorch.org/whl/cu126)"
)
LEAST_OF_CUDA_13 = (7, 5)
"""CUDA 13 has left out all GPUs before Turing."""


def nvml(found: Nvml) -> Check:
    """Whether NVIDIA's library answers."""
    if found.hung:
        return failure(
            "nvml",
            f"{found.hung} does not return",
            "the driver hangs, and every meter with it",
            "look for a hung process (nvidia-smi, dmesg); a reboot may be needed",
        )
    if found.error:
        what, remedy = in_two(found.error)
        return failure("nvml", what, "no GPU can be metered", remedy)
    return ok("nvml", f"driver {found.driver}, NVML {found.nvml_version}")


def devices(found: Nvml, seen: Visible, torch: Torch, uuid: str | None) -> Check:
    """All GPUs: how NVML and CUDA number them, which one is meant."""
    order = tuple(device.uuid for device in torch.devices) or seen.uuids
    lines = [_line(gpu, order, uuid) for gpu in found.gpus]
    silent = [gpu for gpu in found.gpus if gpu.error]
    if not found.gpus:
        return failure(
            "devices",
            "NVML sees no GPU",
            "there is nothing to run on or to meter",
            "look with lspci whether the card is there; in a container pass the GPUs (--gpus all)",
        )
    if silent and found.gpu(uuid) is None:
        return failure(
            "devices",
            "\n".join(lines),
            "the GPU that runs the networks is not among those that answer",
            in_two(str(silent[0].error))[1],
        )
    if silent:
        return note(
            "devices",
            "\n".join(lines),
            "the meter opens its GPU by UUID: one beside it that does not answer is left alone",
        )
    return ok("devices", "\n".join(lines))


def _line(gpu: Gpu, order: Sequence[str], uuid: str | None) -> str:
    if gpu.error:
        return f"NVML {gpu.index}: {gpu.error}"
    cuda = f"cuda:{order.index(gpu.uuid)}" if gpu.uuid in order else "hidden from CUDA"
    capability = ".".join(map(str, gpu.compute_capability or ("?",)))
    mark = ", the one meant" if gpu.uuid == uuid else ""
    return (
        f"NVML {gpu.index} = {cuda}: {gpu.name} ({gpu.uuid}), {gpu.architecture or '?'} "
        f"{capability}{mark}"
    )


def visible(facts: Facts, found: Nvml, seen: Visible) -> Check:
    """Whether CUDA_VISIBLE_DEVICES leaves the device of the configuration."""
    device, torch = facts.campaign.device, facts.torch
    setting = "not set" if seen.variable is None else repr(seen.variable)
    text = f"CUDA_VISIBLE_DEVICES {setting}"
    if seen.reason:
        text += f": {seen.reason}"
    if facts.uuid is None:
        there = ", ".join(f"cuda:{index}" for index in range(len(seen.uuids))) or "no GPU"
        return failure(
            "visible",
            f"{text}; CUDA shows {there}",
            f"the configuration wants {device}",
            "choose another `device`, or set CUDA_VISIBLE_DEVICES to the GPU's UUID",
        )
    if torch.devices and tuple(each.uuid for each in torch.devices) != seen.uuids:
        return note(
            "visible",
            f"{text}; PyTorch orders or hides GPUs otherwise than NVML lists them",
            f"PyTorch's word counts, and the meter is bound by UUID: {device} is {facts.uuid}",
        )
    if not seen.certain and not torch.devices:
        return warning(
            "visible",
            f"{text}; the GPUs are of several kinds, or not all of them answer",
            f"CUDA may put the fastest first, so {device} may be another than the one read here",
            "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or ask PyTorch (without --no-torch)",
        )
    if seen.reason:
        return warning(
            "visible", text, "GPUs that were meant may be hidden", "list them by their UUIDs"
        )
    return ok("visible", f"{text}: {device} is NVML {_index(found, facts.uuid)}")


def _index(found: Nvml, uuid: str) -> str:
    gpu = found.gpu(uuid)
    return "?" if gpu is None else str(gpu.index)


def same_device(facts: Facts, found: Nvml) -> Check:
    """Whether the GPU that PyTorch runs on is one that NVML meters."""
    torch, device = facts.torch, facts.campaign.device
    if not torch.asked:
        return note(
            "same_device",
            "PyTorch was not asked",
            "that it can use this GPU, and which one it takes, is inferred only",
            "ask without --no-torch",
        )
    if torch.error:
        return failure(
            "same_device",
            torch.error,
            "the networks cannot run on a GPU",
            "nvidia-smi must work; then see the checks torch_build and visible",
        )
    if facts.uuid is not None and found.gpu(facts.uuid) is None:
        return failure(
            "same_device",
            f"PyTorch's {device} is {facts.uuid}, which NVML does not list",
            "what runs there cannot be metered; a MIG instance has no meter of its own",
            "take a whole GPU: turn MIG off, set CUDA_VISIBLE_DEVICES to a GPU's UUID",
        )
    return ok("same_device", f"PyTorch's {device} and the meter are both {facts.uuid}")


def torch_build(torch: Torch, found: Nvml, gpu: Gpu | None) -> Check:
    """Whether driver, GPU and PyTorch's CUDA build go together."""
    if torch.version is None:
        return failure(
            "torch_build",
            "PyTorch is not installed",
            "no network can run",
            "make setup, then activate .venv",
        )
    if torch.cuda_build is None:
        return failure(
            "torch_build",
            f"PyTorch {torch.version} is built without CUDA",
            "it can run nothing on a GPU",
            "make clean setup, without TORCH_INDEX",
        )
    text = f"PyTorch {torch.version}, CUDA build {torch.cuda_build}"
    if found.cuda_driver_version is None:
        return note("torch_build", text, "there is no driver that tells which CUDA it supports")
    major, minor = (int(each) for each in torch.cuda_build.split(".")[:2])
    supported = divmod(found.cuda_driver_version // 10, 100)
    text += f"; driver {found.driver} supports CUDA {supported[0]}.{supported[1]}"
    if supported[0] < major:
        least = DRIVER_OF_CUDA.get(major)
        wanted = f"driver {least} or newer" if least else "a newer driver"
        return failure(
            "torch_build", text, f"this build needs {wanted}; CUDA will not start", OTHER_BUILD
        )
    if gpu is not None and not _runs_on(torch, major, gpu.compute_capability):
        capability = ".".join(map(str, gpu.compute_capability or ()))
        return failure(
            "torch_build",
            f"{text}; {gpu.name} has compute capability {capability}",
            "this build has no code for that GPU",
            "install a PyTorch for CUDA 12 from PyTorch's own index (make setup "
            "TORCH_INDEX=https://download.pytorch.org/whl/cu126)",
        )
    if supported < (major, minor):
        return note(
            "torch_build", text, "works by CUDA's minor version compatibility, within one major"
        )
    return ok("torch_build", text)


def _runs_on(torch: Torch, major: int, capability: tuple[int, int] | None) -> bool:
    """Whether a build has code for a GPU: binary code for its generation, or code that the driver
    compiles.
    """
    if capability is None:
        return True
    if not torch.architectures:
        return major < 13 or capability >= LEAST_OF_CUDA_13
    for each in torch.architectures:
        kind, _, digits = each.rstrip("af").partition("_")
        built = (int(digits[:-1]), int(digits[-1]))
        if built <= capability and (kind == "compute" or built[0] == capability[0]):
            return True
    return False


def other_meters(others: Sequence[OtherMeter], chosen: str) -> list[Check]:
    """The processor's meters: failures where one is the campaign's, for information elsewhere."""
    return [_other(each, each.meter == chosen) for each in others]


def _other(other: OtherMeter, chosen: bool) -> Check:
    name = f"meter_{other.meter}"
    if other.error:
        what, remedy = in_two(other.error)
        if chosen:
            return failure(name, what, "it is the meter of the campaign", remedy)
        return note(name, what, "this campaign does not need it")
    power = "no reading yet" if other.power_w is None else f"{other.power_w:.1f} W"
    text = f"{other.device_name}: {power}"
    if other.meter == "cpu_load":
        return note(name, text, "an estimate from processor load: its joules are never measured")
    if chosen and not other.power_w:
        return failure(
            name, text, "the counter stands still", "take meter: cpu_load for an estimate"
        )
    return ok(name, text)
