"""Gather the facts: NVML in processes of its own, PyTorch in another, the rest in this one."""

import os
from collections.abc import Callable
from dataclasses import dataclass, replace

from nic_energy.config import Config
from nic_energy.doctor import disk, machine, survey, torch_facts
from nic_energy.doctor.facts import Campaign, Facts, Lock, Nvml, Readings, Torch, Visible
from nic_energy.doctor.readings import readings_of
from nic_energy.doctor.visible import visible
from nic_energy.meters.machine import machine_uuid
from nic_energy.traces import PowerField

Progress = Callable[[str, float], None]
"""Told what is being done and the share of it that is done."""


@dataclass(frozen=True)
class Request:
    """For which campaign, and how thoroughly. A GPU is read for `seconds`; a call that takes
    longer than `limit_s` hangs; PyTorch need not be asked.
    """

    config: Config
    seconds: float = 6.0
    limit_s: float = 30.0
    ask_torch: bool = True


def collect(request: Request, progress: Progress = lambda _text, _share: None) -> Facts:
    """Everything that the checks need to know. Nothing is changed on the machine."""
    config = request.config
    progress("the machine", 0.0)
    campaign = campaign_of(config)
    facts = Facts(
        campaign=campaign,
        packages=machine.packages(),
        torch=torch_facts.installed(),
        machine=machine.machine(),
        disk=disk.inspect(config),
        others=machine.other_meters(config),
    )
    if config.document["energy_table"] or campaign.device == "virtual":
        return facts
    if campaign.meter != "nvml":
        return replace(facts, lock=machine.lock(machine_uuid()))
    return _with_gpu(facts, request, progress)


def campaign_of(config: Config) -> Campaign:
    """What the checks depend on."""
    document, protocol = config.document, config.protocol
    hz = protocol.sampling_hz
    calibration = document["calibration"] or {}
    return Campaign(
        setup=config.setup,
        device=document["device"],
        meter=document["meter"],
        estimator=document["estimator"],
        power_field=document["power_field"],
        sampling_hz=None if isinstance(hz, str) else float(hz),
        preheat_celsius=protocol.preheat_celsius,
        weights=document["weights"],
        test_switch=document["test_switch"],
        energy_table=document["energy_table"],
        counter_calibrated=calibration.get("estimator") == "counter",
    )


def _with_gpu(facts: Facts, request: Request, progress: Progress) -> Facts:
    progress("the list of GPUs", 0.0)
    nvml = survey.list_gpus(request.limit_s)
    seen = visible(nvml.gpus, os.environ)
    torch = facts.torch
    if request.ask_torch and torch.version and nvml.gpus and not nvml.hung:
        progress("PyTorch", 0.0)
        torch = torch_facts.asked(torch, request.limit_s)
    uuid = chosen(facts.campaign, torch, nvml, seen)
    facts = replace(facts, torch=torch, nvml=nvml, visible=seen, uuid=uuid)
    if uuid is None or nvml.gpu(uuid) is None:
        return facts
    held = machine.lock(uuid)
    return replace(facts, lock=held, readings=_read(facts, uuid, held, request, progress))


def chosen(campaign: Campaign, torch: Torch, nvml: Nvml, seen: Visible) -> str | None:
    """UUID of the GPU that will run the networks: PyTorch's word counts, where it has one."""
    uuids = tuple(device.uuid for device in torch.devices) or seen.uuids
    if campaign.device.startswith("GPU-"):
        return campaign.device if campaign.device in uuids else None
    if not campaign.device.startswith("cuda"):
        return next((gpu.uuid for gpu in nvml.gpus if not gpu.error), None)
    index = int(campaign.device.partition(":")[2])
    return uuids[index] if index < len(uuids) else None


def _read(facts: Facts, uuid: str, held: Lock, request: Request, progress: Progress) -> Readings:
    if held.holder:
        return Readings(skipped="a measurement runs on it, which polling would disturb")
    if facts.nvml and facts.nvml.hung:
        return Readings(skipped=f"{facts.nvml.hung} hangs")
    told = survey.ask(
        ["read", uuid, str(request.seconds)],
        request.limit_s,
        lambda share: progress("reading the GPU", share),
    )
    samples = [sample for event in told.all("samples") for sample in event["samples"]]
    fields = [PowerField(**each) for event in told.all("info") for each in event["power_fields"]]
    power_field = facts.campaign.power_field
    return readings_of(samples, fields, power_field, told.error(), told.hung)
