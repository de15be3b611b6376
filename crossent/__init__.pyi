# What type checkers and editors are told. A loss gives an array for "none", else a number.
from collections.abc import Callable
from typing import (
    Any,
    Concatenate,
    Literal,
    ParamSpec,
    Protocol,
    TypedDict,
    TypeVar,
    Unpack,
    overload,
)

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent._validate import Reduction
from crossent.gradients import GradientCheck
from crossent.linear import LinearGradient
from crossent.threads import get_num_threads as get_num_threads
from crossent.threads import set_num_threads as set_num_threads

__version__: str
__all__: list[str]

Array = NDArray[Any]
Number = np.floating[Any]
Reduced = Literal["mean", "sum", "weighted_mean"]
Either = Array | Any  # a number where no axis is left: with it alone, no array could be indexed
P = ParamSpec("P")
Value = TypeVar("Value")

# --- the options of losses, beside the reduction -------------------------------------------------

class Weighted(TypedDict, total=False):
    sample_weight: ArrayLike | None

class Binary(Weighted, total=False):
    label_smoothing: float

class BinaryLogits(Binary, total=False):
    pos_weight: ArrayLike | None

class Focal(Weighted, total=False):
    gamma: float
    alpha: float | None

class Dense(Binary, total=False):
    axis: int
    class_weight: ArrayLike | None

class Sparse(Dense, total=False):
    ignore_index: int | None

class Linear(Weighted, total=False):
    bias: ArrayLike | None
    class_weight: ArrayLike | None
    label_smoothing: float
    ignore_index: int | None

# --- the losses ----------------------------------------------------------------------------------

@overload
def binary_cross_entropy(
    probs: ArrayLike, targets: ArrayLike, *, reduction: Reduced = "mean", **options: Unpack[Binary]
) -> Number: ...
@overload
def binary_cross_entropy(
    probs: ArrayLike, targets: ArrayLike, *, reduction: Literal["none"], **options: Unpack[Binary]
) -> Array: ...
@overload
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: Reduced = "mean",
    **options: Unpack[BinaryLogits],
) -> Number: ...
@overload
def binary_cross_entropy_with_logits(
    logits: ArrayLike,
    targets: ArrayLike,
    *,
    reduction: Literal["none"],
    **options: Unpack[BinaryLogits],
) -> Array: ...
@overload
def binary_focal_loss_with_logits(
    logits: ArrayLike, targets: ArrayLike, *, reduction: Reduced = "mean", **options: Unpack[Focal]
) -> Number: ...
@overload
def binary_focal_loss_with_logits(
    logits: ArrayLike, targets: ArrayLike, *, reduction: Literal["none"], **options: Unpack[Focal]
) -> Array: ...
@overload
def categorical_cross_entropy(
    probs: ArrayLike, targets: ArrayLike, *, reduction: Reduced = "mean", **options: Unpack[Dense]
) -> Number: ...
@overload
def categorical_cross_entropy(
    probs: ArrayLike, targets: ArrayLike, *, reduction: Literal["none"], **options: Unpack[Dense]
) -> Array: ...
@overload
def categorical_cross_entropy_with_logits(
    logits: ArrayLike, targets: ArrayLike, *, reduction: Reduced = "mean", **options: Unpack[Dense]
) -> Number: ...
@overload
def categorical_cross_entropy_with_logits(
    logits: ArrayLike, targets: ArrayLike, *, reduction: Literal["none"], **options: Unpack[Dense]
) -> Array: ...
@overload
def sparse_categorical_cross_entropy(
    probs: ArrayLike, labels: ArrayLike, *, reduction: Reduced = "mean", **options: Unpack[Sparse]
) -> Number: ...
@overload
def sparse_categorical_cross_entropy(
    probs: ArrayLike, labels: ArrayLike, *, reduction: Literal["none"], **options: Unpack[Sparse]
) -> Array: ...
@overload
def sparse_categorical_cross_entropy_with_logits(
    logits: ArrayLike, labels: ArrayLike, *, reduction: Reduced = "mean", **options: Unpack[Sparse]
) -> Number: ...
@overload
def sparse_categorical_cross_entropy_with_logits(
    logits: ArrayLike, labels: ArrayLike, *, reduction: Literal["none"], **options: Unpack[Sparse]
) -> Array: ...
@overload
def linear_cross_entropy(
    hidden: ArrayLike,
    weight: ArrayLike,
    labels: ArrayLike,
    *,
    reduction: Reduced = "mean",
    **options: Unpack[Linear],
) -> Number: ...
@overload
def linear_cross_entropy(
    hidden: ArrayLike,
    weight: ArrayLike,
    labels: ArrayLike,
    *,
    reduction: Literal["none"],
    **options: Unpack[Linear],
) -> Array: ...

# --- gradients: arrays, but a named tuple of them for a linear layer ------------------------------

class LinearLoss(Protocol):
    def __call__(self, hidden: ArrayLike, weight: ArrayLike, labels: ArrayLike) -> Any: ...

class LinearGrad(Protocol):
    def __call__(
        self,
        hidden: ArrayLike,
        weight: ArrayLike,
        labels: ArrayLike,
        *,
        reduction: Reduction = "mean",
        **options: Unpack[Linear],
    ) -> LinearGradient: ...

class LinearValueAndGrad(Protocol):
    @overload
    def __call__(
        self,
        hidden: ArrayLike,
        weight: ArrayLike,
        labels: ArrayLike,
        *,
        reduction: Reduced = "mean",
        **options: Unpack[Linear],
    ) -> tuple[Number, LinearGradient]: ...
    @overload
    def __call__(
        self,
        hidden: ArrayLike,
        weight: ArrayLike,
        labels: ArrayLike,
        *,
        reduction: Literal["none"],
        **options: Unpack[Linear],
    ) -> tuple[Array, LinearGradient]: ...

@overload
def grad(loss: LinearLoss) -> LinearGrad: ...
@overload
def grad(loss: Callable[P, Any]) -> Callable[P, Array]: ...
@overload
def value_and_grad(loss: LinearLoss) -> LinearValueAndGrad: ...
@overload
def value_and_grad(loss: Callable[P, Value]) -> Callable[P, tuple[Value, Array]]: ...
def check_grad(
    loss: Callable[Concatenate[ArrayLike, ArrayLike, P], Any],
    predictions: ArrayLike,
    targets: ArrayLike,
    *args: P.args,
    **options: P.kwargs,
) -> GradientCheck: ...

# --- activations: of a number, a number -----------------------------------------------------------

@overload
def logsumexp(z: ArrayLike, *, axis: None, keepdims: Literal[False] = False) -> Number: ...
@overload
def logsumexp(
    z: ArrayLike, *, axis: int | tuple[int, ...] | None = -1, keepdims: Literal[True]
) -> Array: ...
@overload
def logsumexp(
    z: ArrayLike, *, axis: int | tuple[int, ...] | None = -1, keepdims: bool = False
) -> Either: ...
def softmax(z: ArrayLike, *, axis: int | tuple[int, ...] | None = -1) -> Array: ...
def log_softmax(z: ArrayLike, *, axis: int | tuple[int, ...] | None = -1) -> Array: ...
@overload
def sigmoid(z: float) -> Number: ...
@overload
def sigmoid(z: ArrayLike) -> Array: ...
@overload
def log_sigmoid(z: float) -> Number: ...
@overload
def log_sigmoid(z: ArrayLike) -> Array: ...

# --- information: of one distribution a number, of several an array -------------------------------

def entropy(p: ArrayLike, *, axis: int = -1, base: float | None = None) -> Either: ...
def cross_entropy(
    p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None
) -> Either: ...
def kl_divergence(
    p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None
) -> Either: ...
def js_divergence(
    p: ArrayLike, q: ArrayLike, *, axis: int = -1, base: float | None = None
) -> Either: ...
def entropy_with_logits(
    logits: ArrayLike, *, axis: int = -1, base: float | None = None
) -> Either: ...
def kl_divergence_with_logits(
    p_logits: ArrayLike,
    q_logits: ArrayLike,
    *,
    axis: int = -1,
    temperature: float = 1.0,
    base: float | None = None,
) -> Either: ...
def perplexity(
    logits: ArrayLike,
    labels: ArrayLike,
    *,
    axis: int = -1,
    sample_weight: ArrayLike | None = None,
    ignore_index: int | None = None,
) -> Number: ...
