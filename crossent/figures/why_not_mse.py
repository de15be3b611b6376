"""The figure of the chapter on squared error."""

import numpy as np

from crossent.activations import sigmoid
from crossent.figures import texts, vega
from crossent.figures.style import BLUE, ORANGE
from crossent.losses import binary_cross_entropy_with_logits

_NAMES = {"ce": "cross-entropy", "se": "squared error"}
_COLORS = {"ce": BLUE, "se": ORANGE}
_LOSS = {"ce": "log(1 + exp(-{z}))", "se": "pow(1 / (1 + exp({z})), 2)"}
_SLOPE = {"ce": "-1 / (1 + exp({z}))", "se": "-2 * pow(1 / (1 + exp({z})), 2) / (1 + exp(-{z}))"}
_EVERY, _STOPS = 5, 21  # steps between two stops of the slider, and their number


def two_losses(start: float) -> vega.VegaLite:
    """Show gradient descent on cross-entropy and on squared error, from the same logit.

    The target is 1 and the learning rate 1. Sliders set the logit at the start, at first ``start``,
    −6 to 6 in steps of ½, and the number of steps.
    """
    first, last = -6, 8
    starts = np.arange(first, 6.5, 0.5).tolist()
    descents = [{"start": z, **{loss: _descend(z, loss) for loss in _NAMES}} for z in starts]
    losses = {"ce": binary_cross_entropy_with_logits(start, 1), "se": sigmoid(-start) ** 2}
    numbers = {
        "logit": [(f"datum.z_{loss}", start) for loss in _NAMES],
        "loss": [(f"datum.loss_{loss}", losses[loss]) for loss in _NAMES],
        "gradient": [(f"datum.slope_{loss}", _slope(start, loss)) for loss in _NAMES],
    }
    falls = vega.listed(f"{_NAMES[loss]} {_slope(first, loss):.3f}" for loss in _NAMES)
    logits, curves, balls = vega.along("z", first, last + 0.05, 0.1), [], []
    heads: list[texts.Cell] = []
    fields: dict[str, str] = {}
    for loss, color in _COLORS.items():
        curve = {"loss": _LOSS[loss].format(z="datum.z")}
        curves.append(vega.layer("line", logits, curve, x="z", y="loss", color=color))
        balls.append(vega.layer("point", x=f"z_{loss}", y=f"loss_{loss}", size=150, color=color))
        heads.append((_NAMES[loss], {"fontWeight": "bold", "color": color}))
        fields |= {
            f"z_{loss}": f"datum.{loss}[steps / {_EVERY}]",
            f"loss_{loss}": _LOSS[loss].format(z=f"datum.z_{loss}"),
            f"slope_{loss}": _SLOPE[loss].format(z=f"datum.z_{loss}"),
        }
    lines = [["", *heads], *texts.lines_of(numbers)]
    return vega.figure(
        f"Curves of {vega.listed(_NAMES.values())} against the logit of the true class. At the left"
        f" end their slopes are: {falls}. A ball on each marks where gradient descent on it stands;"
        f" of both a table lists the {texts.told(numbers)}.",
        360,
        {
            "start": vega.slider("Logit at the start", start, first, 6, 0.5),
            "steps": vega.slider("Steps", 0, 0, _EVERY * (_STOPS - 1), _EVERY),
        },
        [*curves, *balls, *texts.table(lines, (-5.8, 2.4, 8), 9.25, -0.75)],
        data={"values": descents},
        fields=fields,
        only="datum.start == start",
        x=vega.axis((first, last), "logit z", values=[*range(first, last + 1, 2)]),
        y=vega.axis((0, 9.6), "loss", values=[*range(7)], **vega.UPRIGHT),
    )


def _slope(z: float, name: str) -> float:
    """Return the derivative of a loss for target 1."""
    p = float(sigmoid(z))
    return p - 1 if name == "ce" else 2 * (p - 1) * p * (1 - p)


def _descend(z: float, name: str) -> list[float]:
    """Return the logit at each stop of the slider, with digits enough for what is shown of it."""
    stops = [z]
    for step in range(1, _EVERY * (_STOPS - 1) + 1):
        z -= _slope(z, name)
        if step % _EVERY == 0:
            stops.append(round(z, 8))
    return stops
