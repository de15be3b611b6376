"""The figures of the book: one matplotlib style, and figures that a static page recomputes.

Needs the extra: ``pip install "crossent[book]"``.
"""

from crossent.figures.binary import binary_loss, decision_threshold
from crossent.figures.categorical import categorical_terms
from crossent.figures.cross_entropy import cross_entropy_bars
from crossent.figures.entropy import entropy_bars
from crossent.figures.family import focal_curves
from crossent.figures.gradient import simplex_gradient
from crossent.figures.likelihood import coin_likelihood, expected_loss
from crossent.figures.smoothing import loss_ruler, smoothing_bars, smoothing_floor
from crossent.figures.softmax import softmax_bars
from crossent.figures.style import PALETTE, use_style
from crossent.figures.tensorflow import forgotten_logits
from crossent.figures.training import training_epochs
from crossent.figures.vega import VegaLite
from crossent.figures.weights import weighted_means
from crossent.figures.why_not_mse import two_losses

__all__ = [
    "PALETTE",
    "VegaLite",
    "binary_loss",
    "categorical_terms",
    "coin_likelihood",
    "cross_entropy_bars",
    "decision_threshold",
    "entropy_bars",
    "expected_loss",
    "focal_curves",
    "forgotten_logits",
    "loss_ruler",
    "simplex_gradient",
    "smoothing_bars",
    "smoothing_floor",
    "softmax_bars",
    "training_epochs",
    "two_losses",
    "use_style",
    "weighted_means",
]
