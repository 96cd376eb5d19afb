"""From facts to checks: which ones a campaign needs, in the order of the page."""

from collections.abc import Sequence
from dataclasses import replace

from nic_energy.doctor import judge_devices, judge_gpu, judge_machine, judge_readings
from nic_energy.doctor.checks import Check, Diagnosis, note, ok
from nic_energy.doctor.facts import Facts, Nvml, Visible


def judge(facts: Facts) -> Diagnosis:
    """All checks for the campaign of these facts."""
    areas: dict[str, Sequence[Check]] = {
        "devices": _devices(facts),
        "GPU": _gpu(facts),
        "readings": _readings(facts),
        "software": _software(facts),
        "machine": _machine(facts),
        "disk": _disk(facts),
    }
    checks = tuple(replace(check, area=area) for area, found in areas.items() for check in found)
    campaign = facts.campaign
    return Diagnosis(campaign.setup, campaign.device, campaign.meter, checks)


def _devices(facts: Facts) -> list[Check]:
    campaign = facts.campaign
    if campaign.energy_table:
        return [ok("devices", f"nothing is measured: energies come from {campaign.energy_table}")]
    others = judge_devices.other_meters(facts.others, campaign.meter)
    if campaign.device == "virtual":
        simulated = "its joules are simulated, and every row, figure and page says so"
        return [note("devices", "a virtual GPU, on any machine", simulated), *others]
    if facts.nvml is None:
        return [ok("devices", "this machine's processor"), *others]
    return [*_nvml(facts, facts.nvml, facts.visible or Visible((), None)), *others]


def _nvml(facts: Facts, nvml: Nvml, seen: Visible) -> list[Check]:
    checks = [judge_devices.nvml(nvml)]
    if nvml.error or (nvml.hung and not nvml.gpus):
        return checks
    checks.append(judge_devices.devices(nvml, seen, facts.torch, facts.uuid))
    if facts.campaign.test_switch:
        checks.append(
            note(
                "test_switch",
                "on: the meter may read another device than the one that runs",
                "every joule is shown as simulated",
                "leave it out for a real campaign",
            )
        )
    elif nvml.gpus:
        checks.append(judge_devices.visible(facts, nvml, seen))
        checks.append(judge_devices.same_device(facts, nvml))
    return checks


def _gpu(facts: Facts) -> list[Check]:
    gpu = facts.gpu
    if gpu is None or gpu.error:
        return []
    checks = [
        judge_gpu.mig(gpu),
        judge_gpu.persistence(gpu),
        judge_gpu.compute_mode(gpu),
        judge_gpu.processes(gpu),
        *judge_gpu.mps(gpu, facts.machine),
        judge_gpu.display(gpu),
        judge_gpu.clocks(gpu),
        judge_gpu.power_limit(gpu),
        judge_gpu.temperature(gpu, facts.campaign),
        judge_gpu.throttling(gpu, facts.readings),
        judge_gpu.ecc(gpu),
        judge_gpu.memory(gpu),
        judge_gpu.permissions(gpu, facts.nvml.driver if facts.nvml else None),
    ]
    if facts.readings and facts.readings.samples:
        checks.append(judge_gpu.slowdown_counters(facts.readings))
    return checks


def _readings(facts: Facts) -> Sequence[Check]:
    if facts.gpu is None or facts.readings is None:
        return []
    return judge_readings.readings_checks(facts.readings, facts.campaign, facts.gpu)


def _software(facts: Facts) -> list[Check]:
    checks = [judge_machine.python(facts.packages), judge_machine.packages(facts.packages)]
    if facts.campaign.device.startswith(("cuda", "GPU-")) and not facts.campaign.energy_table:
        checks.append(judge_devices.torch_build(facts.torch, facts.nvml or Nvml(), facts.gpu))
    return checks


def _machine(facts: Facts) -> list[Check]:
    if facts.campaign.energy_table or facts.campaign.device == "virtual":
        return []
    return [
        *([judge_machine.lock(facts.lock)] if facts.lock else []),
        judge_machine.cores(facts.machine),
        judge_machine.host_memory(facts.machine),
        judge_machine.clock(facts.machine, facts.readings),
        judge_machine.governor(facts.machine, facts.campaign),
    ]


def _disk(facts: Facts) -> list[Check]:
    return [
        judge_machine.disk_space(facts.disk),
        judge_machine.disk_write(facts.disk),
        *judge_machine.weights(facts.disk, facts.campaign),
    ]
