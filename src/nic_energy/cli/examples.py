"""What `--help` shows beside the options: the story of the commands, and examples of each."""

from collections.abc import Mapping

import click

SECTIONS: Mapping[str, Mapping[str, str]] = {
    "Before a campaign": {
        "doctor": "What this machine can measure, how well, and what to mend.",
        "first-light": "A new GPU's first quarter of an hour: checks, a short pilot, one page.",
        "check": "Whether configuration files are right.",
        "plan": "How many modalities, what is stale, how long, how many joules.",
        "weights": "Fetch pretrained weights, before a GPU without network needs them.",
    },
    "Measure": {
        "measure": "One network on one image: one joule with its uncertainty.",
        "status": "What a running campaign is doing, from another terminal.",
        "worker": "See and stop the processes that measure for the workflow.",
    },
    "Look, compare, predict": {
        "show": "The main tables of a campaign.",
        "compare": "Set-ups side by side: rankings, slopes, what is portable.",
        "predict": "Joules of a network that was not measured, with an interval.",
        "transfer": "How well a joint model foretells a GPU that it has not seen.",
        "external": "Power logs of external meters and other tools.",
    },
    "Publish and combine": {
        "bundle": "Pack a campaign into one archive.",
        "verify": "Check a bundle, and derive its tables anew from its traces.",
        "merge": "Put bundles of many labs together.",
    },
    "What the workflow's rules call": {
        "images": "Fetch, index and prepare images.",
        "idle": "Record the idle reference.",
        "passport": "Measure the power sensor.",
    },
}

EXAMPLES: Mapping[str, tuple[str, ...]] = {
    "doctor": ("doctor", "doctor config/config.yaml config/pilot.yaml", "doctor --json"),
    "first-light": (
        "first-light --device cuda:0",
        "first-light --device virtual",
        "first-light --config mine.yaml",
    ),
    "check": ("check config/config.yaml mine.yaml",),
    "plan": (
        "plan config/config.yaml",
        "plan config/config.yaml config/pilot.yaml",
        "plan config/config.yaml --json",
    ),
    "weights fetch": (
        "weights fetch config/config.yaml",
        "weights fetch config/config.yaml config/pilot.yaml",
    ),
    "weights list": ("weights list config/config.yaml config/pilot.yaml",),
    "measure": (
        "measure photo.jpg --network mbt2018 --quality 4",
        "measure skimage:coffee.png --network mbt2018 --quality 4 --config config/demo.yaml --json",
    ),
    "status": ("status results/lab", "status results/lab --watch"),
    "worker status": ("worker status",),
    "worker stop": ("worker stop",),
    "show": ("show results/lab", "show results/lab --json"),
    "compare": (
        "compare results/lab results/a100",
        "compare lab a100 --reference bmshj2018-hyperprior:high --output results/comparison",
    ),
    "predict": (
        "predict --setup lab --network cheng2020-attn --quality 3 --size 1920x1080",
        "predict --setup lab --network my_codec.py:MyCodec --size 1920x1080 --json",
    ),
    "transfer": ("transfer results/lab results/a100",),
    "external show": ("external show wall.csv",),
    "external compare": ("external compare nvidia_smi.csv wall.csv --figure compared",),
    "bundle": ("bundle results/lab --licence CC-BY-4.0",),
    "verify": ("verify results/lab.nic-energy.zip", "verify results/lab.nic-energy.zip --json"),
    "merge": ("merge a.nic-energy.zip b.nic-energy.zip -o results/merged",),
    "images download": ('images download --images \'{"source": "url"}\' --output images.zip',),
    "images index": (
        'images index --images \'{"source": "folder", "path": "photos"}\' --output index.csv',
    ),
    "images prepare": (
        'images prepare --images \'{"source": "folder", "path": "photos"}\' --index index.csv '
        "--image mine --output mine.png",
    ),
    "idle": (
        "idle --config results/lab/config.json --output results/lab/reference/idle.parquet "
        "--environment results/lab/reference/environment.json",
    ),
    "passport": (
        "passport --config results/lab/config.json --output results/lab/reference/passport.json",
    ),
}


def give_examples(group: click.Group, path: tuple[str, ...] = ()) -> None:
    """Put the examples under the help of every command of a group."""
    for name, command in group.commands.items():
        below = (*path, name)
        if isinstance(command, click.Group):
            give_examples(command, below)
        elif not command.hidden:
            lines = [f"  nic-energy {each}" for each in EXAMPLES[" ".join(below)]]
            command.epilog = "\n".join(["\b", "Examples:", *lines])


class StoryGroup(click.Group):
    """A command group that lists its commands in the order in which they are used."""

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002
        formatter: click.HelpFormatter,
    ) -> None:
        """Write the sections of the help."""
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl(list(commands.items()))
