"""Networks, padding, weights and execution, on the smallest network."""

import hashlib
import math
import pickle
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from compressai.zoo import image as zoo

from nic_energy import cublas
from nic_energy.codecs import execution, identity
from nic_energy.codecs.execution import NetworkLoad, configure, failing
from nic_energy.codecs.networks import build, load_network
from nic_energy.codecs.padding import crop, margins, pad, padded_size
from nic_energy.codecs.quality import bits_per_pixel, psnr_db, rate_and_distortion
from nic_energy.codecs.weights import check_digest, checkpoint_file, checkpoint_url, read_state
from nic_energy.config import project_root, read_networks
from nic_energy.errors import (
    ConfigError,
    CudaError,
    DeviceError,
    DeviceMemoryError,
    InputError,
    MeasurementError,
)

NETWORKS = read_networks(project_root() / "config" / "networks.tsv")
SMALL = NETWORKS["bmshj2018-factorized"]


@pytest.fixture(scope="module")
def module() -> torch.nn.Module:
    return build(SMALL, 1, seed=7)


def test_sizes_are_padded_to_the_next_multiple() -> None:
    assert padded_size(751, 500, 16) == (752, 512)
    assert padded_size(2048, 1366, 128) == (2048, 1408)
    assert padded_size(128, 128, 128) == (128, 128)
    assert margins(751, 500, 16) == (0, 1, 6, 6)


def test_padding_is_zero_all_around_and_can_be_undone() -> None:
    x = torch.rand(1, 3, 50, 75) + 0.1
    padded = pad(x, 16)
    assert padded.shape == (1, 3, 64, 80)
    assert torch.equal(crop(padded, 75, 50, 16), x)
    assert float(padded.sum()) == pytest.approx(float(x.sum()), rel=1e-5)


def test_random_weights_follow_from_the_seed_and_leave_the_global_state_alone(
    module: torch.nn.Module,
) -> None:
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    again = build(SMALL, 1, seed=7)
    assert torch.equal(torch.rand(1), expected)
    other = build(SMALL, 1, seed=8)
    first, second, third = (m.get_parameter("g_a.0.weight") for m in (module, again, other))
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert not module.training
    assert load_network(SMALL, 1, "random", 7, None)[1] == {"kind": "random", "seed": 7}


def test_a_users_own_factory_is_called_with_the_quality(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my_codec.py").write_text(
        "from torch import nn\n\ndef build(quality):\n    return nn.Conv2d(3, quality, 1)\n\n"
        "def wrong(quality):\n    return quality\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    own = replace(SMALL, network="mine", factory="my_codec:build")
    assert build(own, 4, 1).out_channels == 4
    assert load_network(own, 4, "pretrained", 1, None)[1]["factory"] == "my_codec:build"
    for factory, message in (
        ("my_codec:none", "has no attribute 'none'"),
        ("no_module:build", "No module named"),
        ("my_codec:wrong", "gives no torch.nn.Module"),
    ):
        with pytest.raises(ConfigError, match=message):
            build(replace(own, factory=factory), 1, 1)
    with pytest.raises(ConfigError, match="CompressAI has no network mine"):
        build(replace(own, factory="compressai"), 1, 1)


def save_checkpoint(folder: Path, content: Any) -> Path:
    """A checkpoint whose name holds the head of its digest, as CompressAI's do."""
    partial = folder / "part"
    torch.save(content, partial)
    digest = hashlib.sha256(partial.read_bytes()).hexdigest()[:8]
    return partial.rename(folder / f"bmshj2018-factorized-prior-1-{digest}.pth.tar")


def publish(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    table = {**zoo.model_urls, SMALL.network: {"mse": {1: url}}}
    monkeypatch.setattr(zoo, "model_urls", table)


def test_pretrained_weights_from_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: torch.nn.Module
) -> None:
    path = save_checkpoint(tmp_path, module.state_dict())
    publish(monkeypatch, f"https://example.org/models/{path.name}")
    loaded, note = load_network(SMALL, 1, "pretrained", 0, tmp_path)
    assert note["kind"] == "pretrained"
    assert note["file"] == path.name
    for name, value in module.state_dict().items():
        if value.numel():
            assert torch.equal(loaded.state_dict()[name], value)


def test_pretrained_weights_are_downloaded_once_and_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: torch.nn.Module
) -> None:
    served = tmp_path / "server"
    served.mkdir()
    path = save_checkpoint(served, module.state_dict())
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    publish(monkeypatch, path.as_uri())
    loaded = load_network(SMALL, 1, "pretrained", 0, None)[0]
    assert sum(p.numel() for p in loaded.parameters()) == 2_998_147
    path.unlink()
    assert checkpoint_file(checkpoint_url(SMALL.network, 1), None).exists()


def test_weights_that_are_not_there_damaged_or_another_networks_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: torch.nn.Module
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    url = (tmp_path / "gone-12345678.pth.tar").as_uri()
    with pytest.raises(InputError, match=r"cannot be downloaded.*weights_dir"):
        checkpoint_file(url, None)
    with pytest.raises(InputError, match=r"is not there. Download file:"):
        checkpoint_file(url, tmp_path)
    (tmp_path / "gone-12345678.pth.tar").write_bytes(b"damaged")
    with pytest.raises(InputError, match="its name says 12345678"):
        checkpoint_file(url, tmp_path)
    with pytest.raises(InputError, match="its name holds no digest"):
        check_digest(tmp_path / "plain.pth")
    with pytest.raises(InputError, match="lists no pretrained weights"):
        checkpoint_url(SMALL.network, 99)
    path = save_checkpoint(tmp_path, {"g_a.0.weight": torch.zeros(1)})
    publish(monkeypatch, path.as_uri())
    with pytest.raises(InputError, match="does not fit bmshj2018-factorized"):
        load_network(SMALL, 1, "pretrained", 0, tmp_path)


class Malicious:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return Path.touch, (self.marker,)


def test_no_code_of_a_checkpoint_runs(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    for path in (save_checkpoint(tmp_path, {"x": Malicious(marker)}), tmp_path / "raw.pth.tar"):
        if not path.exists():
            path.write_bytes(pickle.dumps(Malicious(marker)))
        with pytest.raises(InputError, match="no checkpoint of plain tensors"):
            read_state(path)
    assert not marker.exists()
    with pytest.raises(InputError, match="does not hold a state dictionary"):
        read_state(save_checkpoint(tmp_path, [1, 2]))


@pytest.fixture
def torch_settings() -> Any:
    before = (torch.are_deterministic_algorithms_enabled(), torch.get_num_threads())
    yield
    torch.use_deterministic_algorithms(before[0])
    torch.set_num_threads(before[1])


def test_run_settings_are_read_back(torch_settings: None) -> None:
    found = configure(True, "fp32", "cpu")
    assert found["deterministic_algorithms"] is True
    assert found["cudnn_deterministic"] is True
    assert found["cudnn_benchmark"] is False
    assert found["fill_uninitialized_memory"] is False
    assert found["conv_fp32_precision"] == found["matmul_fp32_precision"] == "ieee"
    assert found["cublas_workspace_config"] == ":4096:8"
    assert found["threads"] >= 1
    loose = configure(False, "tf32", "cuda:0")
    assert loose["deterministic_algorithms"] is False
    assert loose["conv_fp32_precision"] == "tf32"


def test_a_workspace_that_was_changed_since_is_refused(
    torch_settings: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cublas.VARIABLE, ":0:0")
    with pytest.raises(DeviceError, match=r"CUBLAS_WORKSPACE_CONFIG was set to\s+:4096:8"):
        configure(True, "fp32", "cuda:0")
    assert configure(False, "fp32", "cuda:0")["cublas_workspace_config"] is None


def test_a_load_runs_back_to_back_between_its_marks(module: torch.nn.Module) -> None:
    load = NetworkLoad(module, torch.rand(1, 3, 64, 64), "small")
    start, end = load.run(3)
    assert end > start
    calls = []
    handle = module.register_forward_hook(
        lambda *_: calls.append(torch.is_inference_mode_enabled())
    )
    load.run(2)
    handle.remove()
    assert calls == [True, True]


def test_deterministic_executions_are_equal(module: torch.nn.Module, torch_settings: None) -> None:
    configure(True, "fp32", "cpu")
    load = NetworkLoad(module, torch.rand(1, 3, 64, 64), "small")
    assert torch.equal(load.once()["x_hat"], load.once()["x_hat"])


class Failing(torch.nn.Module):
    """Raises what it is given whenever it runs."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        raise self.error


NAME = "mbt2018 quality 8 on big (9000x9000)"


def failures(error: Exception, kind: type[Exception] = MeasurementError) -> list[str]:
    """What a network that fails says, however it is run."""
    load, texts = NetworkLoad(Failing(error), torch.rand(1, 3, 8, 8), NAME), []
    for run in (lambda: load.run(1), load.once):
        with pytest.raises(kind) as caught:
            run()
        texts.append(str(caught.value))
    return texts


@pytest.mark.parametrize(
    "error",
    [
        torch.cuda.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
        RuntimeError("CUDA error: out of memory\nCompile with `TORCH_USE_CUDA_DSA`"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 4000000000000 bytes. Error code 12"
        ),
        MemoryError(),
    ],
    ids=["torch", "cuda", "cublas", "cpu", "python"],
)
def test_out_of_memory_says_which_network_and_what_helps(error: Exception) -> None:
    for text in failures(error):
        assert text.startswith(f"{NAME}: cpu ran out of memory. Free the device")
        assert "images.max_side" in text


def test_a_tensor_larger_than_any_memory_is_out_of_memory() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 50)
    assert "ran out of memory" in failures(caught.value)[0]


@pytest.mark.parametrize(
    "error",
    [
        torch.AcceleratorError("CUDA error: an illegal memory access\nCUDA kernel errors might"),
        RuntimeError("CUDA error: unspecified launch failure\nCUDA kernel errors might be ..."),
        RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"),
        RuntimeError("CUDA error: CUBLAS_STATUS_EXECUTION_FAILED when calling `cublasSgemm(..)`"),
    ],
    ids=["accelerator", "cuda", "cudnn", "cublas"],
)
def test_a_gpu_that_fails_under_the_network_is_named_with_the_first_line(error: Exception) -> None:
    for text in failures(error, CudaError):
        assert text == f"{NAME}: failed on cpu ({str(error).partition(chr(10))[0]})."


def test_out_of_memory_gives_the_activations_back() -> None:
    activations: list[weakref.ref[torch.Tensor]] = []

    class Large(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            held = x + 1
            activations.append(weakref.ref(held))
            raise torch.OutOfMemoryError("CUDA out of memory.")

    with pytest.raises(DeviceMemoryError) as caught:
        NetworkLoad(Large(), torch.rand(1, 3, 8, 8), NAME).once()
    assert caught.value.__cause__ is not None  # the traceback is there, without its tensors
    assert activations[0]() is None


def test_a_network_that_is_wrong_in_itself_says_so() -> None:
    (text, _) = failures(RuntimeError("mat1 and mat2 shapes cannot be multiplied (1x2 and 3x4)"))
    assert "shapes cannot be multiplied" in text
    assert "fails in the network itself" in text


def memory_text(error: Exception) -> str:
    with pytest.raises(DeviceMemoryError) as caught, failing("net", "cuda:0"):
        raise error
    return str(caught.value)


def test_free_memory_of_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    error = torch.OutOfMemoryError("CUDA out of memory")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (2**30, 4 * 2**30))
    assert "1.0 of 4.0 GiB free" in memory_text(error)

    def lost(_: object) -> None:
        raise RuntimeError("CUDA error: device is lost")

    monkeypatch.setattr(torch.cuda, "mem_get_info", lost)
    assert "cuda:0 ran out of memory. Free" in memory_text(error)


def test_rate_and_distortion_in_closed_form() -> None:
    likelihoods = {"y": torch.full((1, 2, 4, 4), 0.25), "z": torch.full((1, 1, 2, 2), 0.5)}
    assert bits_per_pixel(likelihoods, 64) == pytest.approx((32 * 2 + 4) / 64)
    original = torch.full((1, 3, 8, 8), 100 / 255)
    assert psnr_db(torch.full_like(original, 110 / 255), original) == pytest.approx(
        10 * math.log10(255**2 / 100)
    )
    assert psnr_db(original, original) is None
    assert psnr_db(torch.full_like(original, torch.nan), original) is None
    assert bits_per_pixel({"y": torch.zeros(1)}, 64) is None
    assert rate_and_distortion({"x_hat": original}, original, original * 0)[0] is None


def test_without_a_gpu_the_error_says_what_to_choose() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a usable GPU here")
    with pytest.raises(DeviceError, match=r"finds no usable NVIDIA GPU.*config/demo\.yaml"):
        identity.cuda_uuid("cuda:0")


def test_a_gpu_that_is_not_there_names_those_that_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class Properties:
        uuid = "1234"

    monkeypatch.setattr(torch.cuda, "init", lambda: None)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties())
    assert identity.cuda_uuid_in_process("cuda:1") == "GPU-1234"
    with pytest.raises(DeviceError, match=r"sees 2 GPU\(s\), cuda:0 to cuda:1"):
        identity.cuda_uuid_in_process("cuda:2")


def test_a_cuda_load_is_synchronised(monkeypatch: pytest.MonkeyPatch) -> None:
    class OnCuda:
        device = torch.device("cuda:0")

    calls: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda _: calls.append("synchronise"))
    load = execution.NetworkLoad(lambda _: calls.append("run"), OnCuda(), "x")  # type: ignore[arg-type]
    load.run(2)
    assert calls == ["synchronise", "run", "run", "synchronise"]
