"""The figure of the chapter on weights."""

import numpy as np

from crossent.figures import texts, vega
from crossent.figures.style import BLUE, GREEN, ORANGE, PINK

_LOSSES = {"A": 0.5, "B": 2.0}  # of a sample of the class
_MOST = 8  # samples of a class


def weighted_means(samples: tuple[int, int], weights: tuple[float, float]) -> vega.VegaLite:
    """Show the two means of a weighted loss as two boxes of equal area.

    A sample of class A has loss 0.5, one of class B loss 2. Each is a bar as wide as its weight
    and as high as its loss. One dashed box has the area of all bars and is as wide as the number
    of samples: its height is the sum divided by N. The other is as wide as the sum of the weights.
    Sliders set how many samples each class has, at first ``samples``, 0 to 8, and the weights of
    the classes, at first ``weights``, 0 to 6.
    """
    count, mass = sum(samples), float(np.dot(samples, weights))
    total = float(np.dot(np.multiply(samples, weights), [*_LOSSES.values()]))
    mean, weighted = (f"{total / n if n else np.nan:.3f}" for n in (count, mass))
    classes = "; ".join(
        f"{n} of class {name}, with loss {loss:g} and weight {weight:g}"
        for n, weight, (name, loss) in zip(samples, weights, _LOSSES.items(), strict=True)
    )
    data = {"values": [{"class": name, "number": i + 1} for name in _LOSSES for i in range(_MOST)]}
    bar: vega.Json = {"x": "left", "x2": "right", "y": "loss", "y2": 0}
    bar |= {"opacity": 0.5, "color": vega.colors("class", {"A": BLUE, "B": ORANGE})}
    bar |= {"stroke": "white", "strokeWidth": vega.either("datum.weight > 0", 1, 0)}
    over = "{0} {{total:.2f}} / {{{1}}} = {{isFinite({2}) ? format({2}, '.3f') : 'nan'}}"
    means = over.format("mean", "count", "mean"), over.format("weighted mean", "mass", "weighted")
    signs: list[texts.Cell] = [("▬▬", {"color": GREEN}), ("▬▬", {"color": PINK})]
    return vega.figure(
        f"A bar for each sample, as wide as its weight and as high as its loss: {classes}. Dashed"
        f" boxes have the area of all bars together, the sum of weight times loss, {total:.2f}. One"
        f" is as wide as the number of samples, {count}, and as high as the mean, {mean}; the other"
        f" as wide as the sum of the weights, {mass:g}, and as high as the weighted mean,"
        f" {weighted}.",
        340,
        {
            **vega.sliders("samples_", "Samples of class ", _LOSSES, samples, 0, _MOST),
            **vega.sliders("weight_", "Weight of class ", _LOSSES, weights, 0, 6, 0.5),
            "count": "samples_A + samples_B",
            "mass": "samples_A * weight_A + samples_B * weight_B",
            "total": " + ".join(f"samples_{k} * weight_{k} * {_LOSSES[k]}" for k in _LOSSES),
            "mean": "total / count",
            "weighted": "total / mass",
        },
        [
            vega.layer("rect", **bar),
            vega.layer("text", x="middle", y="loss", text="name", dy=12),
            _box("count", "mean", GREEN),
            _box("mass", "weighted", PINK),
            *texts.lines("sum of weight × loss = {total:.2f}", *signs, x=-30),
            *texts.lines("", *means),
        ],
        data=data,
        fields={
            # of weight 0 rather than filtered away: Vega complains about a scale without data
            "here": "datum.number <= (datum.class == 'A' ? samples_A : samples_B)",
            "weight": "datum.here ? (datum.class == 'A' ? weight_A : weight_B) : 0",
            "name": "datum.weight > 0 ? datum.class : ''",
            "loss": f"{_LOSSES}[datum.class]",
            "right": vega.so_far("weight"),
            "left": "datum.right - datum.weight",
            "middle": "datum.right - datum.weight / 2",
        },
        x=vega.axis(None, "weight", tickCount=6),
        y=vega.axis(None, "loss", pixels=(340, 90), tickCount=4, grid=True, domain=False),
    )


def _box(width: str, height: str, color: str) -> vega.Json:
    """Draw the area of all bars as a box of some width."""
    box = {
        "left": "0",  # a datum will not do beside x2, which is a field
        "width": width,
        "height": f"isFinite({height}) ? {height} : 0",
    }
    place: vega.Json = {"x": "left", "x2": "width", "y": "height", "y2": 0}
    look: vega.Json = {"filled": False, "stroke": color, "strokeDash": [7, 4], "strokeWidth": 3}
    return vega.layer("rect", vega.ONE, box, **place, **look)
