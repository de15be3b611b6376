"""The figure of the chapter on softmax."""

import numpy as np

from crossent.activations import softmax
from crossent.figures.style import PALETTE
from crossent.figures.vega import VegaLite, calculate, slider
from crossent.information import entropy

_CLASSES = ("cat", "dog", "owl", "fox")


def softmax_bars(logits: tuple[float, float, float, float], temperature: float = 1.0) -> VegaLite:
    """Show the softmax of four logits as bars, with a slider for each and for the temperature.

    A tick on each bar marks the probability at temperature 1; the heading tells the entropy.

    Parameters
    ----------
    logits : tuple of four float
        Where the sliders of the logits stand at first, -5 to 5.
    temperature : float
        Where the slider of the temperature stands at first, 0.1 to 5.

    Returns
    -------
    VegaLite
        The figure.
    """
    probs = softmax(np.divide(logits, temperature))
    shown = ", ".join(f"{name} {p:.3f}" for name, p in zip(_CLASSES, probs, strict=True))
    logit_of_row = f"[{', '.join(f'logit_{name}' for name in _CLASSES)}][datum.row]"
    values = [{"row": row, "class": name} for row, name in enumerate(_CLASSES)]
    axis = {
        "title": "probability (tick: at temperature 1)",
        "values": [0, 0.25, 0.5, 0.75, 1],
        "format": ".2f",
        "labelFontSize": 12,
        "titleFontSize": 13,
        "titleFontWeight": "normal",
    }
    return VegaLite(
        {
            "description": (
                "Four horizontal bars, the probabilities that softmax gives to cat, dog, owl and"
                " fox; a tick marks what each would be at temperature 1. Above them stands the"
                f" entropy. At first: {shown}; entropy {entropy(probs):.3f} nats. Four sliders set"
                " the logits, a fifth the temperature."
            ),
            "height": 190,
            "view": {"stroke": None},
            "config": {"text": {"fontSize": 14}},
            "params": [
                *(
                    slider(f"logit_{name}", f"Logit of {name}", logit, 5, 0.1, -5)
                    for name, logit in zip(_CLASSES, logits, strict=True)
                ),
                slider("temperature", "Temperature", temperature, 5, 0.1, 0.1),
            ],
            "data": {"values": values},
            "transform": [
                calculate("logit", logit_of_row),
                {"joinaggregate": [{"op": "max", "field": "logit", "as": "largest"}]},
                *_softmax("p", "temperature"),
                *_softmax("plain", "1"),
                calculate("share", "datum.p > 0 ? -datum.p * log(datum.p) : 0"),
                {"joinaggregate": [{"op": "sum", "field": "share", "as": "entropy"}]},
            ],
            "encoding": {
                "x": {"type": "quantitative", "axis": axis, "scale": {"domain": [0, 1.15]}},
                "y": {
                    "field": "class",
                    "type": "nominal",
                    "sort": list(_CLASSES),
                    "axis": {
                        "title": None,
                        "domain": False,
                        "ticks": False,
                        "labelPadding": 8,
                        "labelFontSize": 14,
                    },
                },
            },
            "layer": [
                {
                    "mark": {"type": "bar", "height": {"band": 0.6}, "color": PALETTE[0]},
                    "encoding": {"x": {"field": "p"}},
                },
                {
                    "mark": {"type": "tick", "color": PALETTE[1], "thickness": 3},
                    "encoding": {"x": {"field": "plain"}},
                },
                {
                    "transform": [
                        calculate("right", "max(datum.p, datum.plain)"),
                        calculate("text", "format(datum.p, '.3f')"),
                    ],
                    "mark": {"type": "text", "align": "left", "dx": 8},
                    "encoding": {"x": {"field": "right"}, "text": {"field": "text"}},
                },
                {
                    "transform": [
                        {"filter": "datum.row == 0"},
                        calculate(
                            "text",
                            "'entropy ' + format(datum.entropy, '.3f') + ' nats (at most 1.386)'",
                        ),
                    ],
                    "mark": {"type": "text", "align": "left", "dy": -18, "fontWeight": "bold"},
                    "encoding": {
                        "x": {"datum": 0},
                        "y": {"value": 0},
                        "text": {"field": "text"},
                    },
                },
            ],
        }
    )


def _softmax(name: str, temperature: str) -> list[dict[str, object]]:
    """Return transforms that add the softmax of the field ``logit``, which the maximum shifts."""
    return [
        calculate("power", f"exp((datum.logit - datum.largest) / {temperature})"),
        {"joinaggregate": [{"op": "sum", "field": "power", "as": "total"}]},
        calculate(name, "datum.power / datum.total"),
    ]
