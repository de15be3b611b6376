"""The figures of the book: one matplotlib style, and figures that a static page recomputes.

Needs the extra: ``pip install "crossent[book]"``.
"""

from crossent.figures.entropy import entropy_bars
from crossent.figures.style import PALETTE, use_style
from crossent.figures.vega import VegaLite

__all__ = ["PALETTE", "VegaLite", "entropy_bars", "use_style"]
