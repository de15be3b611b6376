"""Cross-entropy losses for NumPy, accurate to the last digits.

The kind of input is in the name: losses take probabilities, or ``_with_logits`` logits, and then
the targets: ``binary_`` numbers from 0 to 1, ``categorical_`` distributions over the classes,
``sparse_categorical_`` labels. ``linear_cross_entropy`` takes the last layer instead of its logits.

>>> import crossent
>>> crossent.sparse_categorical_cross_entropy_with_logits([[2.0, 1.0, 0.0]], [0])
np.float64(0.4076059644443803)

``entropy``, ``cross_entropy``, ``kl_divergence`` and ``js_divergence`` are functions of
distributions, the true one first; ``entropy_with_logits`` and ``kl_divergence_with_logits`` take
their logits, ``perplexity`` logits and labels. ``softmax``,
``log_softmax``, ``logsumexp``, ``sigmoid`` and ``log_sigmoid`` make probabilities of logits.
``grad``, ``value_and_grad`` and ``check_grad`` are for the gradient of a loss.

``help`` tells of each what it computes, to how many digits, and how others differ.
"""

from crossent.activations import log_sigmoid, log_softmax, logsumexp, sigmoid, softmax
from crossent.gradients import check_grad, grad, value_and_grad
from crossent.information import (
    cross_entropy,
    entropy,
    entropy_with_logits,
    js_divergence,
    kl_divergence,
    kl_divergence_with_logits,
    perplexity,
)
from crossent.linear import linear_cross_entropy
from crossent.losses import (
    binary_cross_entropy,
    binary_cross_entropy_with_logits,
    binary_focal_loss_with_logits,
    categorical_cross_entropy,
    categorical_cross_entropy_with_logits,
    sparse_categorical_cross_entropy,
    sparse_categorical_cross_entropy_with_logits,
)
from crossent.threads import get_num_threads, set_num_threads

__version__ = "0.1.0"

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "binary_focal_loss_with_logits",
    "categorical_cross_entropy",
    "categorical_cross_entropy_with_logits",
    "check_grad",
    "cross_entropy",
    "entropy",
    "entropy_with_logits",
    "get_num_threads",
    "grad",
    "js_divergence",
    "kl_divergence",
    "kl_divergence_with_logits",
    "linear_cross_entropy",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "perplexity",
    "set_num_threads",
    "sigmoid",
    "softmax",
    "sparse_categorical_cross_entropy",
    "sparse_categorical_cross_entropy_with_logits",
    "value_and_grad",
]


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
