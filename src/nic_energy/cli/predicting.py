"""Command `predict`: joules of a network on an image, whether it was measured or not."""

import json
import re
from typing import TYPE_CHECKING, Any

import click

from nic_energy.vocabulary import SOURCE_NOTES

if TYPE_CHECKING:
    from nic_energy.models.prediction import Outside
    from nic_energy.predict import Answer


class Size(click.ParamType[tuple[int, int]]):
    """An option that takes a size such as 1920x1080."""

    name = "size"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        """(width, height)."""
        found = re.fullmatch(r"([1-9]\d{0,5})[x×]([1-9]\d{0,5})", str(value).strip().lower())
        if not found:
            self.fail(f"{value!r} is no size such as 1920x1080", param, ctx)
        return int(found[1]), int(found[2])


@click.command("predict")
@click.option("--setup", required=True, help="A set-up's label, or its folder results/{setup}.")
@click.option(
    "--network",
    required=True,
    help="A network of the networks table or of CompressAI's zoo, or your own: file.py:Name, a "
    "class or a function that makes it. The file is run.",
)
@click.option("--quality", type=click.IntRange(min=1), help="Its quality level.")
@click.option("--size", type=Size(), required=True, help="Width and height, such as 1920x1080.")
@click.option(
    "--pad-multiple",
    type=click.IntRange(min=1),
    help="What height and width are padded to, for a network that does not say.",
)
@click.option(
    "--model",
    "basis",
    type=click.Choice(["auto", "own", "joint"]),
    default="auto",
    show_default=True,
    help="The network's own line, the joint model of all networks, or the former if there is one.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def predict_command(setup: str, size: tuple[int, int], as_json: bool, **options: Any) -> None:
    """Predict the joules of one execution, with an interval, from what a set-up measured.

    It says what the prediction rests on, and how far outside of it the network and size are.
    """
    from nic_energy.predict import Request, find_folder, predict

    answer = predict(Request(find_folder(setup), width=size[0], height=size[1], **options))
    if as_json:
        click.echo(json.dumps(document(answer), indent=2, allow_nan=False))
    else:
        click.echo("\n".join(lines(answer)))


def document(answer: "Answer") -> dict[str, Any]:
    """The answer as JSON."""
    request, subject, found = answer.request, answer.subject, answer.prediction
    joint = answer.joint
    return {
        "network": subject.name,
        "quality": request.quality,
        "level": subject.level,
        "width": request.width,
        "height": request.height,
        "pixels": request.width * request.height,
        "padded_pixels": answer.padded[0] * answer.padded[1],
        "pad_multiple": subject.pad_multiple,
        "energy_j": found.energy_j,
        "low_j": found.low_j,
        "high_j": found.high_j,
        "coverage": found.coverage,
        "basis": found.basis,
        "details": dict(found.details),
        "features": dict(subject.features),
        "model": None if joint is None else joint["model"],
        "left_out_error_percent": None if joint is None else joint["left_out_error_percent"],
        "remoteness": found.remoteness,
        "outside": [
            {
                "quantity": each.quantity,
                "value": each.value,
                "training_range": [each.least, each.most],
                "factor": each.factor,
            }
            for each in found.outside
        ],
        "notes": list(found.notes),
        **answer.about,
    }


def lines(answer: "Answer") -> list[str]:
    """The answer for people."""
    request, subject, found = answer.request, answer.subject, answer.prediction
    quality = "" if request.quality is None else f" quality {request.quality}"
    level = f" ({subject.level})" if subject.level else ""
    width, height = answer.padded
    interval = (
        "no interval"
        if found.low_j is None or found.high_j is None
        else f"{100 * found.coverage:.0f} % prediction interval {_figure(found.low_j)} to "
        f"{_figure(found.high_j)} J"
    )
    about = answer.about
    device = about["device"] or "a device that is not stated"
    return [
        f"{subject.name}{quality}{level}, {request.width}x{request.height} "
        f"({request.width * request.height / 1e6:.3g} Mpx, padded to {width}x{height})",
        f"  energy       {_figure(found.energy_j)} J an execution, {interval}",
        *_basis(answer),
        *_outside(answer),
        *(f"  note         {note}" for note in found.notes),
        f"  source       {SOURCE_NOTES[about['source']]}: set-up {about['setup']}, "
        f"{', '.join(device) if isinstance(device, list) else device}, "
        f"estimator {about['estimator']}",
    ]


def _figure(value: float) -> str:
    """Three figures, or all that stand before the decimal point."""
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _basis(answer: "Answer") -> list[str]:
    from nic_energy.models.joint.document import equation
    from nic_energy.models.joint.fit import TITLES

    found, joint = answer.prediction, answer.joint
    if joint is None:
        alpha, beta = found.details["alpha_j_per_pixel"], found.details["beta_j"]
        sign = "+" if beta >= 0 else "−"
        return [
            f"  from         its own line over {found.details['images']} images, "
            f"E = {alpha * 1e6:.3g} J/Mpx · S {sign} {abs(beta):.3g} J"
        ]
    counts = ", ".join(
        f"{_figure(value)} {TITLES[name]}" for name, value in answer.subject.features.items()
    )
    errors = joint["left_out_error_percent_by_network"]
    worst = max(errors, key=errors.__getitem__)
    return [
        f"  from         the joint model of {joint['networks']} networks, {equation(joint)}",
        f"  counted      {counts}",
        f"  left out     these networks were predicted with a mean error of "
        f"{joint['left_out_error_percent']:.3g} %, at worst {errors[worst]:.3g} % ({worst})",
    ]


def _outside(answer: "Answer") -> list[str]:
    from nic_energy.models.joint.document import features_of

    found = answer.prediction
    used = ["pixels"] if answer.joint is None else features_of(answer.joint)
    said = [
        f"  outside      {_beyond(each)}"
        + ("" if each.quantity in used else ", which is no term of the model")
        for each in found.outside
    ]
    if found.remoteness is not None:
        said.append(
            f"  distance     errors to expect: {found.remoteness:.2g} times those of the networks "
            "that were left out"
        )
    if not found.outside:
        said.append("  range        inside what was measured")
    elif found.basis == "joint model":
        said.append("  range        outside, the interval holds only if the same law holds there")
    return said


def _beyond(each: "Outside") -> str:
    from nic_energy.models.joint.fit import TITLES

    side = "most" if each.value > each.most else "least"
    return (
        f"{_figure(each.value)} {TITLES[each.quantity]}, measured were {_figure(each.least)} to "
        f"{_figure(each.most)} ({each.factor:.2g} times the {side})"
    )
