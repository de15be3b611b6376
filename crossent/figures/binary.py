"""The figures of the chapter on binary cross-entropy."""

import numpy as np
from numpy.typing import ArrayLike

from crossent.activations import sigmoid
from crossent.figures import texts, vega
from crossent.figures.style import BLUE, GRAY, ORANGE
from crossent.gradients import value_and_grad
from crossent.losses import binary_cross_entropy, binary_cross_entropy_with_logits

_LOSS = "max({z}, 0) - target * {z} + log(1 + exp(-abs({z})))"
_ENTROPY = "-target * log(target) - (1 - target) * log(1 - target)"
_BINS = 20  # of forecast probabilities


def binary_loss(logit: float, target: float) -> vega.VegaLite:
    """Show binary cross-entropy against the logit, with sliders for the logit and the target.

    The tangent at the logit has the slope σ(z) − y. A dashed line marks the lowest loss that the
    target allows, its entropy. At first the sliders stand at ``logit``, −6 to 6, and at ``target``,
    0 to 1.
    """
    loss, slope = value_and_grad(binary_cross_entropy_with_logits)(logit, target)
    numbers = {
        "probability σ(z)": [("probability", sigmoid(logit))],
        "loss": [("loss", loss)],
        "lowest loss for this target": [("floor", binary_cross_entropy(target, target))],
        "gradient σ(z) − y": [("slope", slope)],
    }
    first, last = -6, 6
    logits, curve = vega.along("z", first, last + 0.05, 0.1), {"loss": _LOSS.format(z="datum.z")}
    sides = {"values": [{"side": -1.5}, {"side": 1.5}]}
    tangent = {"z": "logit + datum.side", "loss": "loss + datum.side * slope"}
    at, dot = {"x": "z", "y": "loss"}, {"z": "logit", "loss": "loss"}
    floor: vega.Json = {"x": first, "x2": last, "y": "loss", "color": GRAY} | vega.DASHED
    return vega.figure(
        f"A curve of binary cross-entropy against the logit z, from {first} to {last}. A dot on it"
        " marks the loss at one logit, a line through the dot the gradient there, a dashed line the"
        f" lowest loss. Above stand {texts.told(numbers)}.",
        360,
        {
            "logit": vega.slider("Logit z", logit, first, last, 0.1),
            "target": vega.slider("Target y", target, 0, 1, 0.1),
            "probability": "1 / (1 + exp(-logit))",
            "slope": "probability - target",
            "loss": _LOSS.format(z="logit"),
            "floor": f"target > 0 && target < 1 ? {_ENTROPY} : 0",
        },
        [
            vega.layer("rule", vega.ONE, {"loss": "floor"}, **floor),
            vega.layer("line", logits, curve, color=BLUE, **at),
            vega.layer("line", sides, tangent, color=ORANGE, strokeWidth=2.5, clip=True, **at),
            vega.layer("point", vega.ONE, dot, color=ORANGE, size=120, **at),
            *texts.table(texts.lines_of(numbers), (-5.8, 4.5), 9.3, -0.75),
        ],
        x=vega.axis((first, last), "logit z", values=[*range(first, last + 1, 2)]),
        y=vega.axis((0, 9.6), "loss in nats", values=[*range(7)], **vega.UPRIGHT),
    )


def decision_threshold(
    probs: ArrayLike, labels: ArrayLike, names: tuple[str, str] = ("no", "yes")
) -> vega.VegaLite:
    """Show what a decision threshold changes and what not, with a slider for it.

    Forecasts are counted in 20 bins, upwards where the label is 1 and downwards where it is 0.
    A second slider sets what a miss costs; a dashed line marks the threshold that this asks for.
    ``probs`` are the forecasts, of shape (N,), for label 1; ``labels`` are 0 or 1, and ``names``
    tell what these two mean.
    """
    threshold, miss = 0.5, 1
    probs, yes = np.asarray(probs), np.asarray(labels) == 1
    acts, size, loss = probs >= threshold, yes.size, binary_cross_entropy(probs, yes)
    precision, recall = np.mean(yes[acts]) if any(acts) else np.nan, np.mean(acts[yes])
    cost = np.mean(np.where(yes, miss * ~acts, acts))
    counts = [np.histogram(probs[yes == label], _BINS, (0, 1))[0].tolist() for label in (0, 1)]
    numbers = {
        "accuracy": [(f"(datum.hits + datum.passes) / {size}", np.mean(acts == yes))],
        "precision": [("datum.hits / (datum.hits + datum.alarms)", precision)],
        "recall": [("datum.hits / (datum.hits + datum.misses)", recall)],
        "cost (a false alarm is 1)": [(f"(datum.alarms + miss * datum.misses) / {size}", cost)],
        "log loss": [(f"{loss:.6f}", loss)],
    }
    bars = [{"label": y, "bin": b, "count": n} for y in (0, 1) for b, n in enumerate(counts[y])]
    low, high = -1.05 * max(counts[0]), 1.05 * max(counts[1])
    line = 0.075 * (high - low)
    top = high + 6 * line
    lines, once = texts.lines_of(numbers), "datum.bin + datum.label == 0"
    tint = vega.colors("label", {0: BLUE, 1: ORANGE})
    bar: vega.Json = {"x": "left", "x2": "right_end", "y": "height", "y2": 0, "strokeWidth": 1.5}
    bar |= {"fill": tint, "stroke": tint, "fillOpacity": vega.either("datum.right", 1, 0.2)}
    caption: vega.Json = {"data": vega.ONE, "fontWeight": "bold"}
    rule: vega.Json = {"x": "place", "y": low, "y2": high, "color": GRAY}
    return vega.figure(
        f"Bars count forecasts by their probability, upwards where the truth is {names[1]} and"
        f" downwards where it is {names[0]}. A bar is full where the decision is right and pale"
        f" where it is wrong. A line marks the threshold {threshold}, a dashed line the threshold"
        f" that the costs ask for, {1 / (1 + miss)}. Above stand {texts.told(numbers)}.",
        400,
        {
            "threshold": vega.slider("Threshold", threshold, 0, 1, 1 / _BINS),
            "miss": vega.slider("Cost of a miss", miss, 1, 20),
            "asked": "1 / (1 + miss)",
        },
        [
            vega.layer("rect", only="datum.count > 0", **bar),
            texts.text(f"{names[1]} ↑", 0.01, 0.8 * high, color=ORANGE, **caption),
            texts.text(f"{names[0]} ↓", 1, 0.8 * low, color=BLUE, align="right", **caption),
            vega.layer("rule", vega.ONE, {"place": "threshold"}, strokeWidth=2.5, **rule),
            vega.layer("rule", vega.ONE, {"place": "asked"}, **rule, **vega.DASHED),
            *texts.table(lines, (0.01, 0.75), top - line / 2, -line, only=once),
        ],
        data={"values": bars},
        fields={
            "right": f"(datum.bin >= round(threshold * {_BINS})) == (datum.label == 1)",
            "hit": "datum.right && datum.label == 1 ? datum.count : 0",
            "pass": "datum.right && datum.label == 0 ? datum.count : 0",
            "hits": vega.total("hit"),
            "passes": vega.total("pass"),
            "misses": f"{sum(counts[1])} - datum.hits",
            "alarms": f"{sum(counts[0])} - datum.passes",
            "left": f"(datum.bin + 0.1) / {_BINS}",
            "right_end": f"(datum.bin + 0.9) / {_BINS}",
            "height": "datum.label == 1 ? datum.count : -datum.count",
        },
        x=vega.axis((0, 1), "forecast probability", **vega.QUARTERS),
        y=vega.axis((low, top)),
    )
