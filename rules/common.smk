# The validated configuration, and the functions that say what a campaign consists of.

import json
import shlex
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from snakemake.exceptions import WorkflowError

from nic_energy import fingerprint
from nic_energy.campaign import (
    Staleness,
    compared_folder,
    keys,
    measuring_order,
    networks_of_table,
    passport_is_stale,
    trace_path,
)
from nic_energy.config import resolve
from nic_energy.errors import ConfigError, InputError
from nic_energy.external import layout_of
from nic_energy.files import canonical_json, digest_of
from nic_energy.images.index import entry_of, read_index
from nic_energy.images.sources import image_files

try:
    CAMPAIGN = resolve(config)
    EXTERNAL_METER = CAMPAIGN.document["external_meter"]
    if EXTERNAL_METER:
        layout_of(EXTERNAL_METER)
except ConfigError as error:
    raise WorkflowError(str(error)) from None

SETUP = CAMPAIGN.setup
METER = CAMPAIGN.document["meter"]
COLLECTION = CAMPAIGN.images.collection
MEASURED = CAMPAIGN.document["energy_table"] is None
RESULTS = f"results/{SETUP}"
MEASURING = MEASURED and not CAMPAIGN.document["allow_missing"]
PLAN_CONFIG = json.dumps(config)
NOT_ANALYSED = {
    "compare",
    "compare_reference",
    "neighbours",
    "order_blocks",
    "publication",
    "remeasure",
    "worker",
}
# What changes no table is no reason to compute them anew.
ANALYSIS_CONFIG = json.dumps({key: config[key] for key in config if key not in NOT_ANALYSED})
NETWORKS_DIGEST = digest_of({name: asdict(row) for name, row in CAMPAIGN.networks.items()})
SETTINGS_DIGEST = digest_of(CAMPAIGN.settings())
IMAGES_CONFIG = canonical_json(CAMPAIGN.document["images"])
CONFIG_FILE = f"{RESULTS}/config.json"
IDLE = f"{RESULTS}/reference/idle.parquet"
PASSPORT = f"{RESULTS}/reference/passport.json"
PASSPORT_OPTION = shlex.join(["--passport", PASSPORT]) if CAMPAIGN.passport else ""
MEASURING_CODE = fingerprint.of_measurement(METER)
# A job of its own on a cluster measures by itself: a worker would end with the job.
WORKER_OPTION = "" if workflow.remote_exec else shlex.join(["--worker", MEASURING_CODE])
PASSPORT_CODE = fingerprint.of_passport(METER) if CAMPAIGN.passport else ""
COUNTING_CODE = fingerprint.fingerprint(("complexity", "codecs/networks.py"))
PAPER = [
    workflow.source_path("../resources/paper_table1.csv"),
    workflow.source_path("../resources/paper_table2.csv"),
    workflow.source_path("../resources/paper_text.csv"),
]
COMPARED = [str(compared_folder(entry)) for entry in CAMPAIGN.document["compare"]]
TYPESET = ["table1", "table2", "section4", "section5", "predictors"]
CONDA = "../envs/nic-energy.yaml"


wildcard_constraints:
    image="[A-Za-z0-9_][A-Za-z0-9._-]*",
    network="[A-Za-z0-9][A-Za-z0-9._-]*",
    quality="[0-9]+",
    part="[a-z_]+",


def images_config(*names):
    """Some keys of `images`, the others null: what is made of these alone is not made anew for
    another one.
    """
    images = CAMPAIGN.document["images"]
    return canonical_json({key: images[key] if key in names else None for key in images})


def literal(path):
    """A path as an input. Snakemake knows no way to write braces that are none of a wildcard."""
    if "{" in str(path):
        raise WorkflowError(
            f"images: the name of {path} holds a brace, which Snakemake takes for a wildcard; give "
            "the file another one."
        )
    return str(path)


def image_sources():
    """Files that the image index is made from: the archive, or the images of a folder."""
    images = CAMPAIGN.images
    if images.source == "url":
        return [f"results/images/{COLLECTION}/archive.zip"]
    if images.source in ("zip", "sizes"):
        return [images.path]
    if images.source == "folder":
        return [literal(path) for path in image_files(Path(images.path))]
    return []


def archive_option():
    """The option that names the archive, where there is one."""
    if CAMPAIGN.images.source in ("url", "zip"):
        return shlex.join(["--archive", image_sources()[0]])
    return ""


ARCHIVE_OPTION = archive_option()


def image_source(wildcards):
    """The file that one image comes from; an archive is ancient, the index vouches for it."""
    if CAMPAIGN.images.source in ("url", "zip"):
        return ancient(image_sources())
    if CAMPAIGN.images.source == "folder":
        return [literal(image_entry(wildcards).member)]
    return []


def image_entry(wildcards):
    """The row of the image index for an image."""
    index = checkpoints.index_images.get().output.index
    try:
        return entry_of(read_index(Path(index)), wildcards.image)
    except InputError as error:
        raise WorkflowError(f"{index}: {error}") from None


def image_identity(wildcards):
    """What an image is made of: its source and its size. A changed image is prepared again, and
    with it all that was measured with it; one that others were selected beside is not.
    """
    entry = image_entry(wildcards)
    return [entry.source_sha256, entry.width, entry.height]


def counted_modules(wildcards):
    """Digests of the modules of networks that are not CompressAI's: an edited one is counted again."""
    found = {name: fingerprint.of_network(row) for name, row in CAMPAIGN.networks.items()}
    return {name: row["factory_sha256"] for name, row in found.items() if "factory_sha256" in row}


def campaign_traces(wildcards):
    """Traces of the campaign; none with `allow_missing`, which measures nothing."""
    if not MEASURING:
        return []
    index = checkpoints.index_images.get().output.index
    images = [entry.image for entry in read_index(Path(index))]
    return [str(trace_path(SETUP, *key)) for key in keys(CAMPAIGN, images)]


def traces_there(wildcards):
    """The traces that `allow_missing` makes do with, which are no input of any rule: another one, or
    one measured again, is a reason to compute the energies anew.
    """
    if MEASURING or not MEASURED:
        return None
    files = [*sorted(Path(RESULTS, "traces").rglob("*.parquet")), Path(IDLE)]
    found = [(str(path), path.stat()) for path in files if path.exists()]
    return digest_of([[name, stat.st_size, stat.st_mtime_ns] for name, stat in found])


def campaign_images(wildcards):
    """Prepared images of the campaign: no device is needed. With `nic-energy weights fetch`, all
    that may need a network.
    """
    index = checkpoints.index_images.get().output.index
    names = [entry.image for entry in read_index(Path(index))]
    return [f"results/images/{COLLECTION}/png/{name}.png" for name in names]


# An ancient input measures nothing again when it is new. But while its job runs, Snakemake looks for no
# other reason to run what comes after it: what is stale itself therefore takes it as a plain input.


def idle_of_passport(wildcards):
    """The idle reference, which has to come first."""
    return IDLE if passport_is_stale(CAMPAIGN, PASSPORT_CODE) else ancient(IDLE)


@lru_cache(maxsize=1)
def staleness():
    """Which traces have to be measured again, as it was when the run began."""
    return Staleness(CAMPAIGN, MEASURING_CODE)


@lru_cache(maxsize=None)
def is_stale(*key):
    """Whether the trace of a modality has to be measured again."""
    return staleness().of(*key)


def reference_of_modality(wildcards, path):
    """The idle reference or the passport; a new one alone measures no modality again."""
    key = (wildcards.part, wildcards.network, int(wildcards.quality), wildcards.image)
    return path if is_stale(*key) else ancient(path)


@lru_cache(maxsize=1)
def places():
    """The place of every modality in the order of measurement."""
    index = checkpoints.index_images.get().output.index
    images = [entry.image for entry in read_index(Path(index))]
    return {key: place for place, key in enumerate(measuring_order(CAMPAIGN, images))}


def priority_of_modality(wildcards):
    """What is measured first has the highest priority; all measurements come before the plots."""
    key = (wildcards.part, wildcards.network, int(wildcards.quality), wildcards.image)
    return len(places()) - places().get(key, 0)


def idle_of_modality(wildcards):
    """The idle reference of a modality."""
    return reference_of_modality(wildcards, IDLE)


def passport_of_modality(wildcards):
    """The passport of the power sensor, where it is measured."""
    return reference_of_modality(wildcards, PASSPORT) if CAMPAIGN.passport else []


def meter_logs():
    """The log of the external meter: its parts."""
    path = EXTERNAL_METER["path"] if EXTERNAL_METER else []
    return [path] if isinstance(path, str) else path


def external_meter_files():
    """What compares the sensor with an external meter, where there is one."""
    if not EXTERNAL_METER:
        return []
    return [f"{RESULTS}/external_meter.csv", f"{RESULTS}/external_meter.json"]


def shown_networks():
    """Networks with a figure of their own: those of the campaign, or of the table brought along."""
    if MEASURED:
        return sorted({name for name, _ in CAMPAIGN.points})
    return networks_of_table(CAMPAIGN)


def figures(wildcards):
    """Figures of the report; some need what only traces hold."""
    names = ["power_trace", "idle_drift", "uncertainty_budget"] if MEASURED else []
    names += [f"energy_over_pixels_{network}" for network in shown_networks()]
    names += ["residuals", "slope_over_mac", "predictor_correlations", "joint_model"]
    names += ["external_meter"] if EXTERNAL_METER else []
    return [f"{RESULTS}/figures/{name}.svg" for name in names]


def compared_tables(name):
    """A table of every set-up to compare, asked for when the comparison is."""

    def paths(wildcards):
        if len(COMPARED) < 2:
            raise WorkflowError(
                "compare: name at least two set-ups (labels, or folders like results/lab), for "
                "example --config compare='[lab, other]'."
            )
        return [f"{folder}/{name}" for folder in COMPARED]

    return paths


def reference_option():
    """The option that names the network to divide slopes by, where there is one."""
    wanted = CAMPAIGN.document["compare_reference"]
    return shlex.join(["--reference", wanted]) if wanted else ""


@lru_cache(maxsize=None)
def network_params(network):
    """`measurement_params` of every modality of a network."""
    return canonical_json(
        {
            "settings": CAMPAIGN.settings(),
            "code": MEASURING_CODE,
            "network": fingerprint.of_network(CAMPAIGN.networks[network]),
        }
    )


def measurement_params(wildcards):
    """What makes a measurement stale: settings, measuring code, row of the networks table."""
    return network_params(wildcards.network)
