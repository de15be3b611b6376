"""Cross-entropy losses for NumPy, accurate to the last digits."""

from crossent.activations import log_sigmoid, log_softmax, logsumexp, sigmoid, softmax
from crossent.information import cross_entropy, entropy, js_divergence, kl_divergence

__version__ = "0.1.0"

__all__ = [
    "cross_entropy",
    "entropy",
    "js_divergence",
    "kl_divergence",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "sigmoid",
    "softmax",
]
