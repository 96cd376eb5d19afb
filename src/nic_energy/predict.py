"""From a network, a quality and a size to joules, with what a set-up has measured and modelled."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pandas as pd

from nic_energy import tables
from nic_energy.config import Network, networks_path, read_networks, resolve
from nic_energy.errors import ConfigError, InputError
from nic_energy.models.joint.document import HEAD, PART, provenance
from nic_energy.models.joint.fit import FEATURES
from nic_energy.models.prediction import JointModel, Prediction, by_own_line

if TYPE_CHECKING:
    from torch import nn

Basis = Literal["auto", "own", "joint"]
JOINT_FILE = "models/joint_model.json"


@dataclass(frozen=True)
class Request:
    """What is asked for.

    Attributes:
        folder: `results/{setup}`.
        network: a network of the networks table, of CompressAI's zoo, or `file.py:Name`.
        quality: its quality level; None for a module of the user's that takes none.
        width, height: of the image, unpadded.
        pad_multiple: what the network's sides are padded to; None for what is known of it.
        basis: the network's own line, the joint model, or the former where there is one.
    """

    folder: Path
    network: str
    quality: int | None
    width: int
    height: int
    pad_multiple: int | None = None
    basis: Basis = "auto"


@dataclass(frozen=True)
class Subject:
    """The network that is asked for.

    `features` are its columns of complexity.csv; `level` is None for what is not in the networks
    table; `doubt` says why its counts may not hold.
    """

    name: str
    level: str | None
    pad_multiple: int
    features: Mapping[str, float]
    doubt: str | None = None


@dataclass(frozen=True)
class Answer:
    """A prediction, what it is of, and what it rests on.

    `source`, `device`, `settings` and `estimator` are those of the energies behind it; `joint` is
    joint_model.json, where it was used.
    """

    request: Request
    subject: Subject
    padded: tuple[int, int]
    prediction: Prediction
    about: Mapping[str, Any]
    joint: Mapping[str, Any] | None


def predict(request: Request) -> Answer:
    """Joules of one execution of the whole chain.

    Raises:
        ConfigError: the network, its quality or what it is padded to is not known.
        InputError: a file of the set-up is missing, or allows no prediction.
    """
    energy = _energy(request.folder)
    networks = networks_of(request.folder)
    own = None if request.basis == "joint" else _by_own_line(request, energy, networks)
    if own is not None:
        return own
    if request.basis == "own":
        raise InputError(
            f"{request.folder}: {request.network} at quality {request.quality} has no line of its "
            "own there. Leave --model out to take the joint model."
        )
    return _by_joint_model(request, networks)


def find_folder(setup: str) -> Path:
    """`results/{setup}` from a label or a path.

    Raises:
        InputError: there is none; says which there are.
    """
    for folder in (Path(setup), Path("results") / setup):
        if (folder / "energy.csv").is_file():
            return folder
    there = sorted(path.parent.name for path in Path("results").glob("*/energy.csv"))
    known = f"results/ holds {', '.join(there)}" if there else "results/ holds no set-up"
    raise InputError(
        f"--setup {setup}: neither {setup}/energy.csv nor results/{setup}/energy.csv is there "
        f"({known}). Run the campaign, or its tables, first."
    )


def _energy(folder: Path) -> pd.DataFrame:
    energy = tables.read_csv(folder / "energy.csv", tables.ENERGY_COLUMNS)
    energy = energy[energy["part"] == PART]
    if energy.empty:
        raise InputError(f"{folder / 'energy.csv'}: holds no energies of the part {PART}.")
    return energy


def networks_of(folder: Path) -> Mapping[str, Network]:
    """The networks table that the set-up was run with; the project's where it does not say."""
    path = folder / "config.json"
    if not path.is_file():
        return read_networks(networks_path(None))
    return resolve(_json(path)).networks


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read ({error}).") from error


def _level(request: Request, networks: Mapping[str, Network]) -> str | None:
    """The level of a network of the table.

    Raises:
        ConfigError: it has no such quality, or none was given.
    """
    network = networks.get(request.network)
    if network is None:
        return None
    if request.quality is None or request.quality not in network.qualities:
        offered = ", ".join(map(str, network.qualities))
        asked = "none was given" if request.quality is None else f"not {request.quality}"
        raise ConfigError(f"--quality: {request.network} has {offered}; {asked}.")
    return network.level(request.quality)


def _by_own_line(
    request: Request, energy: pd.DataFrame, networks: Mapping[str, Network]
) -> Answer | None:
    level = _level(request, networks)
    rows = energy[(energy["network"] == request.network) & (energy["level"] == level)]
    found = by_own_line(rows, float(request.width * request.height)) if len(rows) else None
    if found is None:
        return None
    network = networks[request.network]
    multiple = request.pad_multiple or network.pad_multiple
    subject = Subject(request.network, level, multiple, {})
    if request.quality not in set(rows["quality"]):
        measured = ", ".join(map(str, sorted(set(rows["quality"]))))
        note = f"quality {request.quality} was not measured; those of its level were: {measured}"
        found = replace(found, notes=(*found.notes, note))
    return Answer(request, subject, _padded(request, multiple), found, _about(rows), None)


def _by_joint_model(request: Request, networks: Mapping[str, Network]) -> Answer:
    path = request.folder / JOINT_FILE
    if not path.is_file():
        raise InputError(f"{path}: is not there. Build it: snakemake tables (or the campaign).")
    joint = JointModel.read(_json(path), path)
    subject = _subject(request, networks)
    unknown = [name for name in FEATURES if not subject.features[name] > 0]
    if unknown:
        raise InputError(f"{subject.name}: {', '.join(unknown)} is not known or 0.")
    padded = _padded(request, subject.pad_multiple)
    area = (
        padded if joint.document["pixels"] == "padded_pixels" else (request.width, request.height)
    )
    found = joint.predict(subject.features, float(area[0] * area[1]))
    if subject.doubt:
        found = replace(found, notes=(*found.notes, subject.doubt))
    about = {name: joint.document[name] for name in (*HEAD, "device", "settings")}
    return Answer(request, subject, padded, found, about, joint.document)


def _about(rows: pd.DataFrame) -> dict[str, Any]:
    """Where energies come from.

    Raises:
        InputError: they have different sources.
    """
    for name in HEAD:
        if len(set(rows[name])) > 1:
            raise InputError(f"energy.csv: energies of different {name} give no line together.")
    return {**{name: str(rows[name].iloc[0]) for name in HEAD}, **provenance(rows)}


def _padded(request: Request, multiple: int) -> tuple[int, int]:
    return -(-request.width // multiple) * multiple, -(-request.height // multiple) * multiple


def _subject(request: Request, networks: Mapping[str, Network]) -> Subject:
    level = _level(request, networks)
    if level is not None:
        network = networks[request.network]
        multiple = request.pad_multiple or network.pad_multiple
        counted = _counted(request)
        if counted is not None:
            return Subject(request.network, level, multiple, counted)
    from nic_energy.codecs.user_module import is_reference, load_user_module
    from nic_energy.complexity.module import count_module

    if is_reference(request.network):
        module = load_user_module(request.network, request.quality)
    else:
        module = _of_zoo(request, networks)
    multiple = request.pad_multiple or (
        networks[request.network].pad_multiple if level else _own_multiple(request, module)
    )
    width, height = _padded(request, multiple)
    columns, doubt = count_module(module, multiple, request.network, width * height)
    return Subject(request.network, level, multiple, {n: columns[n] for n in FEATURES}, doubt)


def _counted(request: Request) -> dict[str, float] | None:
    """What complexity.csv, beside the set-up, counts of the network and quality."""
    path = request.folder.parent / "complexity.csv"
    if not path.is_file():
        return None
    table = tables.read_csv(path, ("network", "quality", *FEATURES))
    rows = table[(table["network"] == request.network) & (table["quality"] == request.quality)]
    return {name: float(rows[name].iloc[0]) for name in FEATURES} if len(rows) else None


def _of_zoo(request: Request, networks: Mapping[str, Network]) -> "nn.Module":
    from compressai.zoo import image_models

    from nic_energy.codecs.networks import build

    name, quality = request.network, request.quality
    known = networks.get(name)
    if known is None and name not in image_models:
        there = ", ".join(sorted({*networks, *image_models}))
        raise ConfigError(
            f"--network {name}: is no network of the networks table or of CompressAI's zoo "
            f"({there}), and no file.py:Name."
        )
    if quality is None:
        raise ConfigError(f"--quality: {name} needs one.")
    try:
        return build(known or Network(name, name, (quality,), (), 1, "compressai"), quality, seed=0)
    except ValueError as error:
        raise ConfigError(f"--quality {quality}: {name}: {error}.") from error


def _own_multiple(request: Request, module: "nn.Module") -> int:
    """CompressAI's networks know by how much they downsample."""
    multiple = getattr(module, "downsampling_factor", None)
    if not isinstance(multiple, int) or multiple < 1:
        raise ConfigError(
            f"--pad-multiple: {request.network} does not say what its height and width have to be "
            "a multiple of (an attribute `downsampling_factor`); give it."
        )
    return multiple
