"""What the stand-in for CUDA keeps of the real one."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from nic_energy import cublas
from nic_energy.measure.neighbours import Machine
from tests.fake_cuda import FakeCuda, Fault, Gpu, uuid_of

HEAD = """
import json, os, torch
def failed(call):
    try:
        call()
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}".splitlines()[0]
def started(call):
    call()
    return torch.cuda.is_initialized()
"""


@pytest.fixture
def cuda(tmp_path: Path) -> FakeCuda:
    return FakeCuda(tmp_path / "cuda").put()


def run(cuda: FakeCuda, program: str, **environment: str) -> Any:
    """What a program of its own prints as JSON."""
    inherited = {k: v for k, v in os.environ.items() if k != cublas.VARIABLE}
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", HEAD + program],
        env={**inherited, **cuda.environment(), **environment},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_cuda_starts_where_it_really_does(cuda: FakeCuda) -> None:
    program = """
look = [started(torch.cuda.is_available), started(torch.cuda.device_count)]
print(json.dumps([*look, started(lambda: {call})]))
"""
    for call in (
        "torch.cuda.get_device_properties(0)",
        "torch.zeros(1, device='cuda:0')",
        "torch.cuda.synchronize()",
    ):
        assert run(cuda, program.format(call=call)) == [False, False, True]


def test_the_workspace_counts_only_if_it_is_set_before(cuda: FakeCuda) -> None:
    program = f"""
torch.use_deterministic_algorithms(True)
torch.cuda.init()
os.environ["{cublas.VARIABLE}"] = "{cublas.VALUE}"
one = torch.ones(4, 4, device="cuda:0")
print(json.dumps(failed(lambda: one @ one)))
"""
    assert "CuBLAS" in run(cuda, program)
    assert run(cuda, program, **{cublas.VARIABLE: cublas.VALUE}) is None


def test_importing_the_package_sets_it_in_time_and_knows_when_it_is_too_late(
    cuda: FakeCuda,
) -> None:
    program = """
{first}
from nic_energy.codecs.execution import configure
from nic_energy.errors import DeviceError
try:
    print(json.dumps(configure(True, "fp32", "cuda:0")["cublas_workspace_config"]))
except DeviceError as error:
    print(json.dumps(str(error)))
"""
    assert run(cuda, program.format(first="")) == cublas.VALUE
    assert run(cuda, program.format(first=""), **{cublas.VARIABLE: ":0:0"}) == cublas.VALUE
    late = run(cuda, program.format(first="torch.cuda.init()"))
    assert "CUDA was started in this process before CUBLAS_WORKSPACE_CONFIG was set" in late


@pytest.mark.parametrize(
    ("variable", "places"),
    [
        ("0,1", [0, 1]),
        ("1", [1]),
        (uuid_of(1), [1]),
        ("GPU-a", [2]),
        ("2,GPU-fa4e", [2]),  # no unique prefix
        ("0,9,1", [0]),
        ("", []),
    ],
)
def test_an_entry_that_is_wrong_hides_all_that_follow(
    cuda: FakeCuda, variable: str, places: list[int]
) -> None:
    gpus = [Gpu(uuid_of(0)), Gpu(uuid_of(1)), Gpu("GPU-abc")]
    cuda.put(gpus=gpus)
    program = """
from nic_energy.codecs.identity import _uuids
from nic_energy.errors import DeviceError
try:
    print(json.dumps(_uuids("cuda:0")))
except DeviceError as error:
    print(json.dumps(str(error)))
"""
    found = run(cuda, program, CUDA_VISIBLE_DEVICES=variable)
    if places:
        assert found == [gpus[place].uuid for place in places]
    else:
        assert "No CUDA GPUs are available; CUDA_VISIBLE_DEVICES is ''" in found


def test_a_driver_that_does_not_start_gives_its_own_reason(cuda: FakeCuda) -> None:
    reason = "The NVIDIA driver on your system is too old (found version 11040)."
    cuda.put(no_driver=reason)
    program = """
from nic_energy.codecs.identity import cuda_uuid
from nic_energy.errors import DeviceError
try:
    cuda_uuid("cuda:0")
except DeviceError as error:
    print(json.dumps(str(error)))
"""
    assert reason.rstrip(".") in run(cuda, program)


def test_after_a_sticky_error_every_call_of_the_process_fails(cuda: FakeCuda) -> None:
    cuda.put(faults=[Fault("sticky", 8, 8, after=1)])
    program = """
layer, image = torch.nn.Conv2d(3, 1, 1).to("cuda:0"), torch.ones(1, 3, 8, 8, device="cuda:0")
calls = [lambda: layer(image), lambda: layer(image), lambda: torch.cuda.synchronize(),
         lambda: torch.cuda.mem_get_info(), lambda: torch.zeros(1, device="cuda:0"),
         lambda: image.cpu()]
print(json.dumps([failed(call) for call in calls]))
"""
    illegal = "AcceleratorError: CUDA error: an illegal memory access was encountered"
    assert run(cuda, program) == [None, *5 * [illegal]]
    assert run(cuda, program) == 6 * [None]  # raised in one process alone


def test_memory_is_that_of_the_tensors_that_live(cuda: FakeCuda) -> None:
    cuda.put(gpus=[Gpu(memory_mib=3)])
    program = """
one = torch.zeros(1 << 19, device="cuda:0")
view = one.view(2, -1)
said = [torch.cuda.memory_allocated(), failed(lambda: torch.cat([one, one]))]
del one
said.append(torch.cuda.memory_allocated())
del view
said += [torch.cuda.memory_allocated(), torch.cuda.mem_get_info()[0]]
torch.cuda.empty_cache()
print(json.dumps([*said, torch.cuda.mem_get_info()[0], torch.cuda.max_memory_allocated()]))
"""
    size, total = 4 << 19, 3 << 20
    allocated, error, *rest = run(cuda, program)
    assert allocated == size
    assert error.startswith("OutOfMemoryError: CUDA out of memory.")
    assert rest == [size, 0, total - size, total, size]


def test_tensors_of_two_places_do_not_mix(cuda: FakeCuda) -> None:
    program = """
there, here = torch.ones(2, device="cuda:0"), torch.ones(2)
calls = [lambda: there + here, lambda: there.numpy(), lambda: there + 1]
said = []
for call in calls:
    try:
        call()
        said.append(None)
    except (RuntimeError, TypeError) as error:
        said.append(str(error))
print(json.dumps([*said, str((there + there.cpu().to("cuda:0")).device)]))
"""
    mixed, numpy, plain, device = run(cuda, program)
    assert "same device" in mixed
    assert "Tensor.cpu()" in numpy
    assert plain is None
    assert device == "cuda:0"


def test_its_gpus_share_a_machine_with_no_others(cuda: FakeCuda, tmp_path: Path) -> None:
    """Campaigns of tests side by side do not wait for each other; two on one stand-in do."""
    program = """
from pathlib import Path
from nic_energy.measure.neighbours import Machine
print(json.dumps([Machine.of(each, Path(each)).label for each in ("cuda:0", "cuda:1")]))
"""
    here, other = run(cuda, program), run(FakeCuda(tmp_path / "other").put(), program)
    labels = {*here, *other, Machine.of("cuda:0", tmp_path).label}
    assert (here[0], other[0]) == (here[1], other[1])
    assert len(labels) == 3
