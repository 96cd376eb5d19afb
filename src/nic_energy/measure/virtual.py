"""The virtual GPU as a device for the protocol: its own clock, sampler and loads.

The protocol's code is that of a real GPU; only time passes by leaps. Temperature, clock and
counter go on from process to process through a state file beside the raw store.
"""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from nic_energy.codecs.padding import padded_size
from nic_energy.errors import StoreError
from nic_energy.files import digest_of, write_json
from nic_energy.measure.device import LoadedModality, LoadRequest, RunningSampler
from nic_energy.meters.virtual import (
    Fault,
    Noise,
    State,
    VirtualGpu,
    VirtualMeter,
    Work,
    read_preset,
    read_workload,
    work_of,
)
from nic_energy.meters.virtual.meter import EPOCH_S
from nic_energy.protocol.bench import Clock, Load
from nic_energy.sampler.inline import InlineSampler
from nic_energy.traces import ImageInfo

WARM_LOAD_S = 0.3
"""From one modality to the next, the network on the device already."""

BURN = Work(energy_j=0.6, duration_s=0.004)
"""The load of a sensor's passport: 150 W, steady."""


class VirtualLoad:
    """A modality's work on a virtual GPU."""

    def __init__(self, gpu: VirtualGpu, meter: VirtualMeter, work: Work) -> None:
        self._gpu, self._meter, self._work = gpu, meter, work

    def run(self, executions: int) -> tuple[float, float]:
        """Execute back to back between two marks: (start_s, end_s)."""
        self._meter.throttle()
        return self._gpu.run(self._work, executions)


class VirtualBackend:
    """A virtual GPU under the settings of the configuration.

    Args:
        settings: run settings with the key `virtual`.
        state_file: what it goes on from, and where it leaves its state at the end.
        cold: for the idle reference, which the faults on demand spare.
        resident: (network, quality) that a worker keeps on the device: loaded in no time.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        state_file: Path,
        cold: bool = False,
        resident: Collection[tuple[str, int]] = (),
    ) -> None:
        self._resident = resident
        self._settings, self._options = settings, settings["virtual"]
        self._state_file = state_file
        preset = read_preset(self._options["gpu"])
        self._seed = int(settings["seed"])
        noise = Noise(
            self._options["noise_percent"] / 100,
            self._options["noise_correlation_s"],
            self._options["drift_percent_per_hour"] / 100,
        )
        self.gpu = VirtualGpu(preset, self._read_state(preset), noise, self._seed)
        faults = [] if cold else [Fault(**fault) for fault in self._options["faults"]]
        self.meter = VirtualMeter(self.gpu, self.device_uuid(), self._seed, faults)
        self.clock: Clock = self.gpu

    def device_uuid(self) -> str:
        """UUID of the virtual GPU: one a preset and seed."""
        return f"VIRTUAL-{digest_of([self._options['gpu'], self._seed])}"

    def sampler(self) -> RunningSampler:
        """A sampler on the virtual clock."""
        hz = float(self._settings["protocol"]["sampling_hz"])
        return InlineSampler(self.meter, self.gpu, hz, EPOCH_S, self._seed + self.gpu.opened)

    def load(self, request: LoadRequest) -> LoadedModality:
        """The modality's work; the image matters by its size alone.

        `run["truth"]` of the trace holds the true energy and duration of an execution.
        """
        with Image.open(request.image_path) as picture:
            width, height = picture.size
        network = request.network
        work = work_of(
            read_workload(self._options["workload"]),
            network.network,
            network.level(request.quality),
            request.quality,
            request.image,
            width * height,
            int(self._options["residual_seed"]),
        )
        resident = (network.network, request.quality) in self._resident
        self.gpu.sleep(WARM_LOAD_S if resident else float(self._options["load_s"]))
        self.gpu.attach()
        size = padded_size(width, height, network.pad_multiple)
        return LoadedModality(
            VirtualLoad(self.gpu, self.meter, work),
            ImageInfo(request.image, request.image_sha256, width, height, *size),
            {"truth": asdict(work), "idle_true_w": self.gpu.preset.idle_w},
        )

    def burn(self) -> Load:
        """A steady load."""
        self.gpu.attach()
        return VirtualLoad(self.gpu, self.meter, BURN)

    def run_settings(self) -> dict[str, Any]:
        """The virtual GPU's figures."""
        return {"virtual": asdict(self.gpu.preset)}

    def close(self) -> None:
        """Leave the state for the next process."""
        write_json(self._state_file, self.gpu.state().as_json())

    def _read_state(self, preset: Any) -> State:
        if not self._state_file.exists():
            return State.fresh(preset)
        try:
            return State.from_json(json.loads(self._state_file.read_text(encoding="utf-8")))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreError(
                f"{self._state_file}: is no state of a virtual GPU ({error}); delete it."
            ) from error
