"""The machine, the device and the software that measured."""

from collections.abc import Mapping
from typing import Any

from nic_energy.report.blocks import Block, Facts, Text
from nic_energy.report.context import Context
from nic_energy.report.sections import Section


def body(context: Context) -> list[Block]:
    """What environment.json says, in short."""
    if context.environment is None:
        return []
    return [
        Text(
            "As recorded with the idle reference, before anything ran on the device. Everything "
            "else that was recorded stands in reference/environment.json."
        ),
        Facts(facts(context.environment)),
    ]


def facts(environment: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and values for people; what was not recorded is left out."""
    device = environment.get("device") or {}
    machine = environment.get("machine") or {}
    packages = environment.get("packages") or {}
    memory = machine.get("memory_bytes")
    rows = [
        ("Device", device.get("name")),
        ("UUID", device.get("uuid")),
        ("Driver", device.get("driver")),
        ("Meter", device.get("meter")),
        ("Processor", machine.get("processor")),
        ("Usable cores", machine.get("usable_cores")),
        ("Memory", f"{memory / 2**30:.1f} GiB" if memory else None),
        ("System", machine.get("system")),
        ("Python", machine.get("python")),
        ("Packages", ", ".join(f"{name} {version}" for name, version in packages.items())),
        ("Git commit", environment.get("git_commit")),
        ("Recorded", environment.get("created_utc")),
    ]
    return [(name, str(value)) for name, value in rows if value]


SECTION = Section(180, "environment", "Environment", body)
