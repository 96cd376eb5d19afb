"""The configuration: validated once, typed from then on.

`resolve` takes the merged mapping (config.yaml and overlays), checks it against the schema and
the networks table, and returns a `Config`. `Config.settings()` is the part of it that can change
a measured number: it goes into every trace and decides what has to be measured again.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from nic_energy.config.networks import Network, read_networks
from nic_energy.config.schema import (
    check,
    project_root,
    read_schema,
    spoken,
    with_defaults,
)
from nic_energy.config.settings import is_open
from nic_energy.errors import ConfigError

__all__ = [
    "Config",
    "Images",
    "Network",
    "Protocol",
    "networks_path",
    "project_root",
    "read_networks",
    "resolve",
]


@dataclass(frozen=True)
class Protocol:
    """The keys under `protocol`; see the schema for their meaning."""

    idle_s: float
    idle_settle_max_s: float
    idle_kind: str
    context_idle_s: float
    paired_idle_s: float
    paired_settle_max_s: float
    preheat_celsius: float | None
    preheat_max_s: float
    settle_s: float
    settle_kelvin: float
    temperature_band_celsius: float
    clock_tolerance_percent: float
    max_rejected: int
    min_duration_s: float
    lead_in_s: float | Literal["auto"]
    sampling_hz: float | Literal["auto"]
    confidence: float
    relative_width: float
    interval: str
    min_repetitions: int
    max_repetitions: int


@dataclass(frozen=True)
class Images:
    """The keys under `images`; see the schema for their meaning."""

    collection: str
    source: str
    path: str | None
    url: str | None
    md5: str | None
    count: int | None
    pixel_sum: list[int] | None
    select: int | list[str] | None
    scale: float
    max_side: int | None
    max_megapixels: float


@dataclass(frozen=True)
class Config:
    """A valid configuration. `points` are the (network, quality) pairs to measure."""

    document: Mapping[str, Any]
    protocol: Protocol
    images: Images
    networks: Mapping[str, Network]
    points: tuple[tuple[str, int], ...]

    @property
    def setup(self) -> str:
        """Label of the set-up."""
        return str(self.document["setup"])

    @property
    def networks_table(self) -> Path:
        """Path of the networks table."""
        return networks_path(self.document["networks_table"])

    @property
    def parts(self) -> list[str]:
        """Parts of the codec to measure."""
        return list(self.document["parts"])

    @property
    def passport(self) -> bool:
        """Whether the power sensor is measured first: not where there is no sensor that could
        be, nor where it is not that of the device which runs.
        """
        return bool(self.document["passport"]) and self.document["device"] != "cpu"

    def settings(self) -> dict[str, Any]:
        """The run settings that can change the measured number of a modality, ready for JSON.

        The idle reference has settings of its own (`idle_settings`): a new one joins at the
        energy row and re-measures nothing.
        """
        keys = ("deterministic", "precision", "weights", "seed")
        protocol = {k: v for k, v in asdict(self.protocol).items() if k not in IDLE_AND_ANALYSIS}
        run = {key: self.document[key] for key in keys}
        if self.document["device"] != "cpu":
            run["passport"] = self.passport
        settings: dict[str, Any] = _plain({**self._meter(), **run, "protocol": protocol})
        return settings

    def idle_settings(self) -> dict[str, Any]:
        """The run settings that can change the idle reference, ready for JSON."""
        keys = ("idle_s", "idle_settle_max_s", "sampling_hz")
        protocol = {key: getattr(self.protocol, key) for key in keys}
        settings: dict[str, Any] = _plain({**self._meter(), "protocol": protocol})
        return settings

    def passport_settings(self) -> dict[str, Any]:
        """The run settings that can change the sensor's passport, ready for JSON."""
        return dict(_plain({**self._meter(), "seed": self.document["seed"]}))

    def _meter(self) -> dict[str, Any]:
        settings = {key: self.document[key] for key in ("device", "meter", "test_switch")}
        if self.document["meter"] in ("cpu_load", "virtual"):
            settings[self.document["meter"]] = self.document[self.document["meter"]]
        return settings


IDLE_AND_ANALYSIS = ("idle_s", "idle_settle_max_s", "idle_kind")


def _plain(value: Any) -> Any:
    """Equal numbers spelled alike: 5.0 and 5 are one setting."""
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def resolve(document: Mapping[str, Any]) -> Config:
    """Validate a merged configuration and fill in the defaults.

    Args:
        document: the configuration as read from YAML.

    Raises:
        ConfigError: names every wrong key with what is allowed.
    """
    schema = read_schema()
    document = spoken(schema, document)
    check(schema, document)
    filled = with_defaults(schema, document)
    check(schema, filled)
    networks = read_networks(networks_path(filled["networks_table"]))
    config = Config(
        document=filled,
        protocol=Protocol(**filled["protocol"]),
        images=Images(**filled["images"]),
        networks=networks,
        points=_points(filled["networks"], networks),
    )
    _check_together(config)
    return config


def networks_path(table: str | None) -> Path:
    """The networks table of the configuration; the project's own without one."""
    return Path(table) if table else project_root() / "config" / "networks.tsv"


def _points(
    entries: list[dict[str, Any]], networks: Mapping[str, Network]
) -> tuple[tuple[str, int], ...]:
    points: list[tuple[str, int]] = []
    for index, entry in enumerate(entries):
        name, wanted = entry["name"], entry["qualities"]
        if name not in networks:
            raise ConfigError(
                f"networks.{index}.name: {name!r} is no network of the networks table; "
                f"there are {', '.join(networks)}."
            )
        offered = networks[name].qualities
        for quality in offered if wanted == "all" else wanted:
            if quality not in offered:
                raise ConfigError(
                    f"networks.{index}.qualities: {name} has no quality level {quality}; "
                    f"it has {', '.join(map(str, offered))}."
                )
            if (name, quality) in points:
                raise ConfigError(f"networks.{index}: {name} quality {quality} stands there twice.")
            points.append((name, quality))
    return tuple(points)


METERS_OF_DEVICE = {"cuda": ("nvml",), "cpu": ("rapl", "cpu_load"), "virtual": ("virtual",)}


def _check_together(config: Config) -> None:
    """Rules between keys, which a JSON schema cannot say clearly."""
    document, protocol, images = config.document, config.protocol, config.images
    device, meter = document["device"], document["meter"]
    kind = "cuda" if device.startswith("GPU-") else device.split(":")[0]
    allowed = METERS_OF_DEVICE[kind]
    if meter not in allowed and not (document["test_switch"] and meter == "nvml"):
        raise ConfigError(
            f"meter: {meter} does not meter what runs on device {document['device']}, so its "
            f"joules would be another device's. For this device: {' or '.join(allowed)}."
        )
    if protocol.max_repetitions < protocol.min_repetitions:
        raise ConfigError(
            f"protocol.max_repetitions: {protocol.max_repetitions} is less than "
            f"protocol.min_repetitions ({protocol.min_repetitions})."
        )
    for kind in ("context", "paired"):
        if protocol.idle_kind == kind and not getattr(protocol, f"{kind}_idle_s"):
            raise ConfigError(
                f"protocol.{kind}_idle_s: must be more than 0 for protocol.idle_kind {kind}."
            )
    if is_open(document) and not config.passport:
        raise ConfigError(
            "protocol: sampling_hz and lead_in_s can be auto only where the power sensor is "
            "measured: with passport: true, on a GPU or device virtual. Give numbers."
        )
    _check_anchor(config)
    if images.source in ("folder", "zip", "sizes") and not images.path:
        raise ConfigError(f"images.path: must be given for images.source {images.source}.")
    if images.source == "url" and not images.url:
        raise ConfigError("images.url: must be given for images.source url.")
    if document["external_meter"] and document["energy_table"]:
        raise ConfigError(
            "external_meter: needs traces to compare with, but energy_table brings none."
        )
    _check_calibration(document)
    if document["cpu_load"]["full_w"] <= document["cpu_load"]["idle_w"]:
        raise ConfigError("cpu_load.full_w: must be more than cpu_load.idle_w.")


def _check_calibration(document: Mapping[str, Any]) -> None:
    """The calibration is of what energy.csv is to report, as far as the configuration tells."""
    calibration, estimator = document["calibration"], document["estimator"]
    if not calibration or document["energy_table"]:
        return
    of, column = calibration["estimator"], calibration["power_field"]
    if of == "counter" and column is not None:
        raise ConfigError(
            f"calibration.power_field: {column}, but calibration.estimator is counter, which reads "
            "no power field. Leave it out."
        )
    of_counter, of_power = of == "counter", of not in (None, "counter") or column is not None
    if (of_counter and estimator != "counter") or (of_power and estimator == "counter"):
        raise ConfigError(
            f"calibration: is of {of or column}, but estimator is {estimator}: the energy counter "
            "and the power fields have gains of their own. Set estimator to what was calibrated, "
            "or calibration: null."
        )
    if column is not None and document["power_field"] not in ("auto", column):
        raise ConfigError(
            f"calibration.power_field: {column}, but power_field is {document['power_field']}, "
            "which has a gain of its own. Set power_field to what was calibrated, or calibration: "
            "null."
        )


def _check_anchor(config: Config) -> None:
    """The anchor's network and quality level go together, and there are such."""
    anchor = config.document["anchor"]
    if (anchor["network"] is None) != (anchor["quality"] is None):
        raise ConfigError("anchor: give both network and quality, or neither.")
    if anchor["network"] is None:
        return
    if anchor["network"] not in config.networks:
        raise ConfigError(
            f"anchor.network: {anchor['network']!r} is no network of the networks table; there "
            f"are {', '.join(config.networks)}."
        )
    offered = config.networks[anchor["network"]].qualities
    if anchor["quality"] not in offered:
        raise ConfigError(
            f"anchor.quality: {anchor['network']} has no quality level {anchor['quality']}; it "
            f"has {', '.join(map(str, offered))}."
        )
