"""The figure of the chapter on weights."""

from typing import Any

from crossent.figures.style import PALETTE
from crossent.figures.vega import CONFIG, VegaLite, calculate, slider

_LOSSES = (0.5, 2.0)  # of a sample of class A, of class B
_MOST = 8  # samples of a class
_COUNT, _MASS, _TOTAL = (
    "(samples_A + samples_B)",
    "(samples_A * weight_A + samples_B * weight_B)",
    f"(samples_A * weight_A * {_LOSSES[0]} + samples_B * weight_B * {_LOSSES[1]})",
)


def weighted_means(samples: tuple[int, int], weights: tuple[float, float]) -> VegaLite:
    """Show the two means of a weighted loss as two boxes of equal area.

    A sample of class A has loss 0.5, one of class B loss 2. Each is a bar as wide as its weight
    and as high as its loss. One dashed box has the area of all bars and is as wide as the number
    of samples: its height is the sum divided by N. The other is as wide as the sum of the weights.

    Parameters
    ----------
    samples : tuple of two int
        How many samples of class A and of class B there are at first, 0 to 8.
    weights : tuple of two float
        The weights of the two classes at first, 0 to 6 in steps of 0.5.

    Returns
    -------
    VegaLite
        The figure.
    """
    count = sum(samples)
    mass = samples[0] * weights[0] + samples[1] * weights[1]
    total = samples[0] * weights[0] * _LOSSES[0] + samples[1] * weights[1] * _LOSSES[1]
    x = {"title": "weight", "tickCount": 6, "grid": False}
    y = {"title": "loss", "tickCount": 4, "domain": False}
    return VegaLite(
        {
            "description": (
                "Bars, one for each sample of two classes: as wide as the sample's weight and as"
                " high as its loss, 0.5 in class A and 2 in class B. Two dashed boxes have the same"
                " area as all bars together, the sum of weight times loss:"
                f" at first {total:.2f}. One box is as wide as the number of samples, {count}, and"
                f" its height is their mean, {total / count:.3f}; the other is as wide as the sum"
                f" of the weights, {mass:g}, and its height is the weighted mean,"
                f" {total / mass:.3f}. Four sliders set the numbers of samples and the weights."
            ),
            "height": 340,
            "view": {"stroke": None},
            "config": CONFIG,
            "params": [
                *(
                    slider(f"samples_{name}", f"Samples of class {name}", value, _MOST)
                    for name, value in zip("AB", samples, strict=True)
                ),
                *(
                    slider(f"weight_{name}", f"Weight of class {name}", value, 6, 0.5)
                    for name, value in zip("AB", weights, strict=True)
                ),
            ],
            "layer": [
                {
                    "layer": [_bars(), *_boxes()],
                    "encoding": {
                        "x": {"type": "quantitative", "axis": x},
                        "y": {"type": "quantitative", "axis": y, "scale": {"range": [340, 90]}},
                    },
                },
                *_numbers(),
            ],
        }
    )


def _bars() -> dict[str, Any]:
    """Draw a bar for each sample, one next to the other, with the name of its class."""
    samples = [{"class": name, "number": i + 1} for name in "AB" for i in range(_MOST)]
    color = {"field": "class", "scale": {"domain": ["A", "B"], "range": [*PALETTE[:2]]}}
    bar = {"x": {"field": "left"}, "x2": {"field": "right"}, "y": {"field": "loss"}}
    name = {"x": {"field": "middle"}, "y": {"field": "loss"}, "text": {"field": "name"}}
    return {
        "data": {"values": samples},
        "transform": [
            # of weight 0 rather than filtered away: Vega complains about a scale without data
            calculate("here", "datum.number <= (datum.class == 'A' ? samples_A : samples_B)"),
            calculate("weight", "datum.here ? (datum.class == 'A' ? weight_A : weight_B) : 0"),
            calculate("name", "datum.weight > 0 ? datum.class : ''"),
            calculate("loss", f"datum.class == 'A' ? {_LOSSES[0]} : {_LOSSES[1]}"),
            {"window": [{"op": "sum", "field": "weight", "as": "right"}]},
            calculate("left", "datum.right - datum.weight"),
            calculate("middle", "datum.right - datum.weight / 2"),
        ],
        "layer": [
            {
                "mark": {"type": "rect", "opacity": 0.5, "stroke": "white"},
                "encoding": {
                    **bar,
                    "y2": {"datum": 0},
                    "color": {**color, "legend": None},
                    "strokeWidth": {
                        "condition": {"test": "datum.weight > 0", "value": 1},
                        "value": 0,
                    },
                },
            },
            {"mark": {"type": "text", "dy": 12}, "encoding": name},
        ],
    }


def _boxes() -> list[dict[str, Any]]:
    """Draw the area of all bars twice: as wide as N, and as wide as the sum of the weights."""
    return [
        {
            "data": {"values": [{}]},
            "transform": [
                calculate("width", width),
                calculate("left", "0"),  # a datum will not do beside x2, which is a field
                calculate("height", f"datum.width > 0 ? {_TOTAL} / datum.width : 0"),
            ],
            "mark": {
                "type": "rect",
                "filled": False,
                "stroke": color,
                "strokeDash": [7, 4],
                "strokeWidth": 3,
            },
            "encoding": {
                "x": {"field": "left"},
                "x2": {"field": "width"},
                "y": {"field": "height"},
                "y2": {"datum": 0},
            },
        }
        for width, color in zip((_COUNT, _MASS), PALETTE[2:], strict=True)
    ]


def _numbers() -> list[dict[str, Any]]:
    """Write the sum and the two means above the bars."""

    def mean(name: str, divisor: str) -> str:
        value = f"({divisor} > 0 ? format({_TOTAL} / {divisor}, '.3f') : 'nan')"
        return f"'{name} ' + format({_TOTAL}, '.2f') + ' / ' + {divisor} + ' = ' + {value}"

    def text(x: int, row: int, content: str, **mark: object) -> dict[str, Any]:
        return {
            "data": {"values": [{}]},
            "transform": [calculate("text", content)],
            "mark": {"type": "text", "align": "left", "fontWeight": "bold", **mark},
            "encoding": {
                "x": {"value": x},
                "y": {"value": 10 + 22 * row},
                "text": {"field": "text"},
            },
        }

    lines = [
        f"'sum of weight × loss = ' + format({_TOTAL}, '.2f')",
        mean("mean", _COUNT),
        mean("weighted mean", _MASS),
    ]
    return [
        *(text(0 if row else -30, row, content) for row, content in enumerate(lines)),
        *(text(-30, row, "'▬▬'", color=PALETTE[row + 1]) for row in (1, 2)),
    ]
