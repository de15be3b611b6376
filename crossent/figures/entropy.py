"""The figure of the chapter on entropy."""

from typing import Any

import numpy as np

from crossent.figures import texts, vega
from crossent.figures.style import GRAY, PALETTE
from crossent.information import entropy

_OUTCOMES = "ABCD"
# The bars take the values 0 to 6 of the vertical axis, the lines of the table those above.
_TOP, _LINE = 10, 0.65


def entropy_bars(weights: tuple[int, int, int, int]) -> vega.VegaLite:
    """Show the entropy of four outcomes as an area, with a slider for the weight of each.

    A bar is as wide as its outcome's probability and as high as its surprise in bits; its area
    is what the outcome adds to the entropy. A table above the bars shows the same in numbers. At
    first the sliders stand at ``weights``, 0 to 16; divided by their sum they are probabilities.
    """
    probs = [weight / sum(weights) for weight in weights]
    surprises = [-np.log2(p) if p > 0 else np.inf for p in probs]
    terms = vega.listed(
        f"{name} {p:.3f} × {surprise:.3f} = {p * surprise if p else 0:.3f}"
        for name, p, surprise in zip(_OUTCOMES, probs, surprises, strict=True)
    )
    most = f"at most {np.log2(len(_OUTCOMES)):g}"
    params: dict[str, str | vega.Json] = {
        **vega.sliders("weight_", "Weight of ", _OUTCOMES, weights, 0, 16),
        "total": " + ".join(f"weight_{name}" for name in _OUTCOMES),
        "entropy": " + ".join(f"share_{name}" for name in _OUTCOMES),
    }
    lines: list[list[Any]] = [["outcome", "p", "surprise", "p × surprise"]]
    for name in _OUTCOMES:
        p, surprise, share = f"p_{name}", f"surprise_{name}", f"share_{name}"
        params[p] = f"weight_{name} / max(total, 1)"
        params[surprise] = f"-log({p}) / LN2"
        params[share] = f"{p} > 0 ? {p} * {surprise} : 0"
        shown = f"{{{p} > 0 ? format({surprise}, '.3f') : '∞'}}"
        lines.append([name, f"{{{p}:.3f}}", shown, f"{{{share}:.3f}}"])
    bold = {"fontWeight": "bold"}
    bits = "{total > 0 ? format(entropy, '.3f') + ' bits' : 'no weight'}"
    lines.append([(f"entropy ({most})", bold), "", "", (bits, bold)])
    color = vega.colors("outcome", dict(zip(_OUTCOMES, PALETTE, strict=True)))
    bar: vega.Json = {"x": "left", "x2": "right", "y": "surprise", "y2": 0, "color": color}
    label: vega.Json = {"x": "middle", "y": "surprise", "text": "outcome", "dy": -9} | bold
    line: vega.Json = {"x": 0, "x2": 1, "y": "entropy", "color": GRAY} | vega.DASHED
    return vega.figure(
        "A bar for each outcome, as wide as its probability and as high as its surprise in bits;"
        " its area is what the outcome adds to the entropy, which is the height of a dashed line."
        f" A table above lists probability × surprise, {terms}; and the entropy, their sum,"
        f" {entropy(probs, base=2):.3f} bits, {most}.",
        380,
        params,
        [
            vega.layer("rect", only="datum.p > 0", **bar),
            vega.layer("text", only="datum.p > 0", **label),
            vega.layer("rule", vega.ONE, {"entropy": "entropy"}, only="total > 0", **line),
            *texts.table(lines, (0.02, 0.38, 0.64, 1), _TOP - _LINE / 2, -_LINE, data=vega.ONE),
        ],
        data=vega.rows("outcome", _OUTCOMES),
        fields={
            "p": vega.of_row(f"p_{name}" for name in _OUTCOMES),
            "surprise": vega.of_row(f"surprise_{name}" for name in _OUTCOMES),
            "right": vega.so_far("p"),
            "left": "datum.right - datum.p",
            "middle": "datum.right - datum.p / 2",
        },
        x=vega.axis((0, 1), "probability", **vega.QUARTERS),
        y=vega.axis((0, _TOP), "surprise in bits", values=[*range(7)], **vega.UPRIGHT),
    )
