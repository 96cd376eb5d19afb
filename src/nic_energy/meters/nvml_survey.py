"""What NVML says of the GPUs of this machine, asked in a process of its own.

    python -m nic_energy.meters.nvml_survey list
    python -m nic_energy.meters.nvml_survey read UUID SECONDS

A call into a sick driver may hang or crash, which only the end of its process ends. This one
prints one JSON object a line, each with its `event`: `call` names what is called next, so that
who listens knows what hangs; `system`, `gpu` and `samples` are answers; `share` is progress;
`error` is a failure with its remedy; `end` comes last.
"""

import json
import os
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from typing import Any

import pynvml

from nic_energy.errors import NicEnergyError
from nic_energy.meters.nvml import FIELDS, NvmlMeter
from nic_energy.meters.nvml_calls import invoke
from nic_energy.meters.nvml_errors import at_open, error_name
from nic_energy.meters.nvml_facts import QUESTIONS, system
from nic_energy.meters.nvml_identity import listed

POLLING_HZ = 100.0
"""Tells the updates of the fastest sensors known, every 20 ms, apart."""

REPORT_S = 0.2


def tell(event: str, **content: Any) -> None:
    """Print one event."""
    sys.stdout.write(json.dumps({"event": event, **content}) + "\n")
    sys.stdout.flush()


def list_gpus() -> None:
    """Everything that can be asked without watching: the system, then GPU by GPU.

    Raises:
        DeviceError: NVML does not start, or does not count its GPUs.
    """
    tell("call", name="nvmlInit")
    try:
        invoke("nvmlInit")
    except pynvml.NVMLError as error:
        raise at_open("nvmlInit", "meter nvml", error) from error
    tell("call", name="nvmlDeviceGetCount")
    try:
        count = invoke("nvmlDeviceGetCount")
    except pynvml.NVMLError as error:
        raise at_open("nvmlDeviceGetCount", "meter nvml", error) from error
    tell("system", **_system(), count=count)
    for index in range(count):
        tell("gpu", index=index, **_gpu(index))
    pynvml.nvmlShutdown()


def _system() -> dict[str, Any]:
    calls = {
        "driver": "nvmlSystemGetDriverVersion",
        "nvml_version": "nvmlSystemGetNVMLVersion",
        "cuda_driver_version": "nvmlSystemGetCudaDriverVersion",
    }
    answers: dict[str, Any] = {}
    for key, name in calls.items():
        tell("call", name=name)
        answers[key] = system(name)
    return answers


def _gpu(index: int) -> dict[str, Any]:
    """Facts of a GPU: `answers`, and under `refusals` the calls that gave none, with the error."""
    tell("call", name=f"nvmlDeviceGetHandleByIndex({index})")
    found = listed(index)
    if found.error is not None:
        return {"error": str(at_open(found.call, f"GPU {index}", found.error))}
    answers: dict[str, Any] = {}
    refusals: dict[str, str] = {}
    for question in QUESTIONS:
        tell("call", name=str(question.call))
        try:
            answers[question.key] = question.ask(found.handle)
        except pynvml.NVMLError as error:
            refusals[str(question.call)] = error_name(error.value)
    refusals.update(_field_refusals(found.handle))
    return {"uuid": found.uuid, "name": found.name, "answers": answers, "refusals": refusals}


def _field_refusals(handle: Any) -> dict[str, str]:
    """The fields that the meter reads and this GPU does not give."""
    tell("call", name="nvmlDeviceGetFieldValues")
    try:
        values = invoke("nvmlDeviceGetFieldValues", handle, [field.id for field in FIELDS])
    except pynvml.NVMLError as error:
        return {"nvmlDeviceGetFieldValues": error_name(error.value)}
    return {
        f"field {field.id} ({field.column})": error_name(value.nvmlReturn)
        for field, value in zip(FIELDS, values, strict=True)
        if value.nvmlReturn != pynvml.NVML_SUCCESS
    }


def read_gpu(uuid: str, seconds: float) -> None:
    """Poll a GPU with the meter of the campaign; the samples up to an error are told before it.

    Raises:
        DeviceError: the meter cannot be opened on it.
        MeterError: a reading failed.
    """
    with suppress(OSError):  # as the sampler does, where it is allowed
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    tell("call", name="opening the meter")
    meter = NvmlMeter(uuid)
    tell("info", **asdict(meter.info()))
    samples: list[dict[str, Any]] = []
    tell("call", name="a reading of the meter")
    try:
        _poll(meter, seconds, samples)
    finally:
        tell("samples", samples=samples)
    meter.close()


def _poll(meter: NvmlMeter, seconds: float, samples: list[dict[str, Any]]) -> None:
    began = reported = deadline = time.monotonic()
    while (now := time.monotonic()) - began < seconds:
        if now - reported >= REPORT_S:
            tell("share", share=(now - began) / seconds)
            reported = now
        before = time.monotonic()
        values = meter.read()
        after = time.monotonic()
        middle = (before + after) / 2
        wall = time.time() - (time.monotonic() - middle)
        samples.append(
            {"time_s": middle, "wall_time_s": wall, "read_duration_s": after - before, **values}
        )
        deadline = max(deadline + 1 / POLLING_HZ, after)
        time.sleep(max(0.0, deadline - time.monotonic()))


def main(arguments: list[str]) -> None:
    """Answer one request."""
    try:
        if arguments[0] == "read":
            read_gpu(arguments[1], float(arguments[2]))
        else:
            list_gpus()
    except NicEnergyError as error:
        tell("error", message=str(error))
    tell("end")


if __name__ == "__main__":
    main(sys.argv[1:])
