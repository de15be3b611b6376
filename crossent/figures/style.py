"""The look of the book's figures."""

import matplotlib.style
from cycler import cycler
from IPython.core.getipython import get_ipython
from matplotlib_inline.backend_inline import set_matplotlib_formats

# Four of the eight colors of Okabe and Ito (2008), "Color Universal Design": those that stand out
# by at least 3:1 from a white page and from a dark one.
PALETTE = BLUE, ORANGE, GREEN, PINK = "#0072B2", "#D55E00", "#009E73", "#CC79A7"
GRAY = "#767676"  # for lines that must show on both

_STYLE = {
    "axes.axisbelow": True,
    "axes.edgecolor": GRAY,
    "axes.grid": True,
    "axes.prop_cycle": cycler(color=PALETTE),
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": "medium",
    "figure.constrained_layout.use": True,
    "figure.facecolor": "white",  # a card of its own, so that labels stay legible on a dark page
    "figure.figsize": (5.0, 3.0),
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same drawing on every machine
    "font.size": 12,  # more than 10 px on a phone, where a figure shrinks to 70 %
    "grid.color": "#E5E5E5",
    "legend.frameon": False,
    "lines.linewidth": 2.5,
    "svg.hashsalt": "crossent",  # ids that do not change from run to run
}


def use_style() -> None:
    """Draw matplotlib figures as the book does: SVG, one palette, the same bytes at every run.

    Call it once, before the first plot. Outside of a notebook it sets the style alone.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> use_style()
    >>> plt.rcParams["font.size"]
    12.0
    """
    matplotlib.style.use(_STYLE)
    if get_ipython() is not None:
        set_matplotlib_formats("svg", metadata={"Date": None})  # type: ignore[no-untyped-call]
