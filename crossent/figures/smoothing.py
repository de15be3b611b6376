"""The figures of the chapter on smoothing."""

import numpy as np

from crossent.activations import log_softmax
from crossent.figures import bars, texts, vega
from crossent.figures.style import BLUE, GRAY, ORANGE, PALETTE
from crossent.information import entropy
from crossent.losses import sparse_categorical_cross_entropy_with_logits

# Of the smoothed target: the probability of the labeled class, that of each other class, and the
# entropy, below which no loss is.
_TARGET = {
    "labeled": "1 - smoothing + smoothing / classes",
    "other": "smoothing / classes",
    "floor": "smoothing > 0 ? -labeled * log(labeled) - (classes - 1) * other * log(other) : 0",
}
_CLASSES = ("cat", "dog", "owl")
_LOSS = "log(exp({z}) + classes - 1) - {p} * {z}"


def smoothing_bars(smoothing: float, margin: float) -> vega.VegaLite:
    """Show the smoothed loss of three classes as an area, of which a part cannot be learned away.

    The bars are as wide as the share of a class in the smoothed target, the labeled class first,
    and as high as its surprise −log ŷ in nats. The sliders stand at first at ``smoothing``, 0 to
    0.5, and ``margin``, the labeled class's logit above the others, 0 to 6.
    """
    target = np.array(_smoothed(len(_CLASSES), smoothing))
    surprises = -log_softmax(np.array([margin, 0, 0]))
    floor, loss = entropy(target), target @ surprises
    terms = vega.listed(
        f"{name} {share:.3f} × {surprise:.3f} = {share * surprise:.3f}"
        for name, share, surprise in zip(_CLASSES, target, surprises, strict=True)
    )
    shares = ["1 - 2 * smoothing / 3", "smoothing / 3", "smoothing / 3"]
    beliefs = [f"{power} / (exp(margin) + 2)" for power in ("exp(margin)", "1", "1")]
    return bars.surprise_bars(
        "Three bars for a picture labeled cat: as wide as the share of a class in the smoothed"
        " target, and as high as the class surprises the model, in nats. What it would surprise a"
        " model that believes the target is solid; what it surprises this model more is pale; what"
        " it surprises less is a dashed box. A dashed line is at the height of the loss. A table"
        f" above lists share × surprise, {terms}; the floor, the entropy of the target,"
        f" {floor:.3f} nats, the excess {loss - floor:.3f} nats, and the loss, their sum,"
        f" {loss:.3f} nats.",
        {
            "smoothing": vega.slider("Smoothing ε", smoothing, 0, 0.5, 0.05),
            "margin": vega.slider("Margin of the cat", margin, 0, 6, 0.25),
        },
        dict(zip(_CLASSES, zip(shares, beliefs, strict=True), strict=True)),
        [
            ("floor H(y′)", bars.number("entropy", "nats")),
            ("+ excess KL(y′‖ŷ)", bars.number("divergence", "nats")),
            ("= loss H(y′, ŷ)", bars.number("cross_entropy", "nats")),
        ],
        lines={"cross_entropy": GRAY},
        unit="nats",
        surprise="−ln ŷ",
    )


def smoothing_floor(classes: int, smoothing: float, margin: float) -> vega.VegaLite:
    """Show the loss with label smoothing against the margin, with its lowest point.

    The labeled class has the margin as its logit, all others have 0. A gray curve shows the loss
    without smoothing. The sliders stand at first at ``classes``, 2 to 100; ``smoothing``, 0 to 0.5;
    and ``margin``, −2 to 12.
    """
    target = _smoothed(classes, smoothing)
    logits = np.where(np.arange(classes) == 0, margin, 0.0)
    loss = sparse_categorical_cross_entropy_with_logits(logits, 0, label_smoothing=smoothing)
    best = np.log(target[0] / target[1]) if smoothing else np.inf
    first, last = -2, 12
    margins = vega.along("margin", first, last + 0.01, 0.1)
    plain, smoothed = (_LOSS.format(z="datum.margin", p=p) for p in ("1", "labeled"))
    at, dot = {"x": "margin", "y": "loss"}, {"margin": "margin", "loss": "loss"}
    rule: vega.Json = {"x": first, "x2": last, "y": "loss", "color": ORANGE} | vega.DASHED
    half: vega.Json = {"pixels": (340, 90), "tickCount": 5, "grid": True, "domain": False}
    return vega.figure(
        "The loss with label smoothing against the margin, the logit of the labeled class above all"
        f" others. A dot marks the loss {loss:.4f}, a dashed line the floor, the entropy of the"
        f" smoothed target, {entropy(target):.4f}; the curve comes down to it at the best margin,"
        f" {best:.2f}. A gray curve is the loss without smoothing.",
        340,
        {
            "smoothing": vega.slider("Smoothing ε", smoothing, 0, 0.5, 0.01),
            "classes": vega.slider("Classes K", classes, 2, 100),
            "margin": vega.slider("Margin", margin, first, last, 0.1),
            **_TARGET,
            "loss": _LOSS.format(z="margin", p="labeled"),
            "best": "log(labeled / other)",
        },
        [
            vega.layer("line", margins, {"loss": plain}, color=GRAY, strokeWidth=1.5, **at),
            vega.layer("line", margins, {"loss": smoothed}, color=BLUE, **at),
            vega.layer("rule", vega.ONE, {"loss": "floor"}, **rule),
            vega.layer("point", vega.ONE, dot, color=BLUE, size=130, **at),
            *texts.lines(
                "loss {loss:.4f}",
                "floor H(target) {floor:.4f}",
                "best margin {isFinite(best) ? format(best, '.2f') : '∞'}",
            ),
        ],
        x=vega.axis(None, "margin", tickCount=7),
        y=vega.axis(None, "loss", **half),
    )


def loss_ruler(loss: float, classes: int, smoothing: float) -> vega.VegaLite:
    """Show where a loss stands between the floors and the loss of a guess.

    A ruler carries four marks: the loss, the floor of label smoothing, the least loss after
    a softmax too many, and log K, the loss of equal probabilities. The sliders stand at first at
    ``loss``, 0 to 8; ``classes``, 2 to 1000; and ``smoothing``, 0 to 0.5.
    """
    sparse = sparse_categorical_cross_entropy_with_logits
    right = np.where(np.arange(classes) == 0, 1.0, 0.0)  # the best probabilities, as logits
    marks = {
        "your loss": ("loss", loss),
        "floor of smoothing": ("floor", entropy(_smoothed(classes, smoothing))),
        "floor after a second softmax": ("second", sparse(right, 0)),
        "guessing: log K": ("guess", np.log(classes)),
    }
    shown = "; ".join(f"{name} {value:.3f}" for name, (_, value) in marks.items())
    verdict = (
        "loss < floor - 0.00005 ? 'below the floor: another smoothing, or a wrong loss'"
        " : loss > guess ? 'worse than guessing'"
        " : 'better than guessing by ' + format(1 - loss / guess, '.0%')"
    )
    color = vega.colors("row", dict(enumerate(PALETTE)))
    far = "datum.at > 4"  # there is more room on the other side
    beside = {"align": {"expr": f"{far} ? 'right' : 'left'"}, "dx": {"expr": f"{far} ? -10 : 10"}}
    return vega.figure(
        f"A ruler of losses in nats with marks: {shown}. Above it stands the geometric mean of"
        f" p(truth), {np.exp(-loss):.3f}.",
        230,
        {
            "loss": vega.slider("Your loss", loss, 0, 8, 0.01),
            "classes": vega.slider("Classes K", classes, 2, 1000),
            "smoothing": vega.slider("Smoothing ε", smoothing, 0, 0.5, 0.01),
            **_TARGET,
            "second": "log(E + classes - 1) - 1",
            "guess": "log(classes)",
        },
        [
            vega.layer("point", x="at", color=color, size=130),
            texts.text("{datum.name} {datum.at:.3f}", "at", "line", **beside),
            *texts.lines("geometric mean of p(truth) {exp(-loss):.3f}", f"{{{verdict}}}"),
        ],
        data=vega.rows("name", marks),
        fields={
            "at": vega.of_row(each for each, _ in marks.values()),
            "line": "95 + 30 * datum.row",
        },
        x=vega.axis((0, 8), "loss in nats", tickCount=8),
        y=vega.as_is("line") | {"axis": None},
    )


def _smoothed(classes: int, smoothing: float) -> list[float]:
    """Return the smoothed target of the first class."""
    other = smoothing / classes
    return [1 - smoothing + other, *[other] * (classes - 1)]
