"""Gradients of the losses in closed form, and a check of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import product
from typing import Any, cast

import numpy as np
from numpy.typing import ArrayLike, NDArray

from crossent._forms import FORMS, Form
from crossent.linear import linear_cross_entropy


def value_and_grad(loss: Callable[..., Any]) -> Callable[..., tuple[Any, Any]]:
    """Return a function for a loss and its gradient, found in one pass.

    Parameters
    ----------
    loss : callable
        A loss of this package, for example ``binary_cross_entropy_with_logits``.

    Returns
    -------
    callable
        Takes the arguments of the loss and returns the loss and its gradient. The gradient is as
        ``grad`` describes it. The loss is within the bound that it states; in its last digits it
        may differ from a call of the loss alone.

    Raises
    ------
    ValueError
        If the gradient of ``loss`` is not known here.

    Examples
    --------
    >>> import crossent
    >>> f = crossent.value_and_grad(crossent.binary_cross_entropy_with_logits)
    >>> f([0.0, 0.0], [1, 0])
    (np.float64(0.6931471805599453), array([-0.25,  0.25]))
    """
    return _derived(value_and_grad, _known(loss))


def grad(loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function for the gradient of a loss with respect to its first argument.

    Parameters
    ----------
    loss : callable
        A loss of this package, for example ``sparse_categorical_cross_entropy_with_logits``.

    Returns
    -------
    callable
        Takes the arguments of the loss and returns the gradient, in closed form: an array of the
        shape and dtype of the predictions. For ``reduction="none"`` it is the gradient of the sum,
        in which each row holds the derivative of its own loss. An element that is ignored or of
        weight 0 has gradient 0. In an array of 16 bits an entry that they cannot hold is infinite.
        Probabilities are taken as free: their sum is not held at 1.
        Of ``kl_divergence_with_logits`` it is that with respect to ``q_logits``, the second.

    Raises
    ------
    ValueError
        If the gradient of ``loss`` is not known here.

    Notes
    -----
    The bounds are those of the losses, whose notes give each formula; below 1e-307 the error may
    reach 5e-324 times the weight instead. The entry of the label is minus the sum of the other
    probabilities, so it does not fade to 0 before they do: in float32 at a margin of 17 torch
    gives 0 there.

    Examples
    --------
    >>> import crossent
    >>> slope = crossent.grad(crossent.sparse_categorical_cross_entropy_with_logits)
    >>> slope([[40.0, 0.0]], [0])
    array([[-4.24835426e-18,  4.24835426e-18]])
    """
    return _derived(grad, _known(loss))


@cache
def _derived(make: Callable[..., Any], loss: Callable[..., Any]) -> Callable[..., Any]:
    """Return what ``grad`` or ``value_and_grad`` makes of a loss: a function with a name."""
    build = FORMS[loss]

    def function(*arrays: ArrayLike, **options: Any) -> Any:
        with np.errstate(all="ignore"):
            both = build(*arrays, **options).evaluate(want_gradient=True)
            return both if make is value_and_grad else both[1]

    what = "Gradient" if make is grad else "Value and gradient"
    function.__name__ = function.__qualname__ = f"{make.__name__}_of_{loss.__name__}"
    function.__doc__ = (
        f"{what} of ``{loss.__name__}``.\n\n"
        f"Takes the arguments of the loss; ``crossent.{make.__name__}`` says what is returned."
    )
    # Without the types, which fill a page of help().
    bare = [
        one.replace(annotation=one.empty) for one in inspect.signature(loss).parameters.values()
    ]
    vars(function)["__signature__"] = inspect.Signature(bare)
    return function


def __getattr__(name: str) -> Callable[..., Any]:
    """Return a function that ``grad`` or ``value_and_grad`` makes, by the name pickle knows."""
    for make, loss in product((grad, value_and_grad), FORMS):
        if name == f"{make.__name__}_of_{loss.__name__}":
            return _derived(make, loss)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@dataclass(frozen=True)
class GradientCheck:
    """The entry of a gradient where closed form and numerical derivative differ most."""

    error: float
    index: tuple[int, ...]
    analytic: float
    numerical: float

    def __str__(self) -> str:
        return (
            f"largest difference {self.error:.2g} at {list(self.index)}: "
            f"closed form {self.analytic:.9g}, numerical derivative {self.numerical:.9g}"
        )


def check_grad(
    loss: Callable[..., Any], predictions: ArrayLike, targets: ArrayLike, **options: Any
) -> GradientCheck:
    """Compare the gradient of a loss with a numerical derivative.

    Parameters
    ----------
    loss : callable
        A loss of this package.
    predictions, targets : array_like
        Its first two arguments.
    **options
        Its options.

    Returns
    -------
    GradientCheck
        The worst entry: ``error``, ``index``, ``analytic`` and ``numerical``.

    Raises
    ------
    ValueError
        If the gradient of ``loss`` is not known here, there is no prediction, or the loss is not
        finite.

    Notes
    -----
    Central differences of the loss in float64 at two steps, extrapolated to step 0; errors of
    about 1e-11 times the loss are theirs. The loss is evaluated four times for each prediction.

    References
    ----------
    L. F. Richardson, "The approximate arithmetical solution by finite differences of physical
    problems", Philosophical Transactions A 210 (1911), 307-357.

    Examples
    --------
    >>> import crossent
    >>> loss = crossent.sparse_categorical_cross_entropy_with_logits
    >>> check = crossent.check_grad(loss, [[2.0, 1.0, 0.0]], [1], label_smoothing=0.1)
    >>> check.error < 1e-10
    True
    """
    build = FORMS[_known(loss)]
    if loss is linear_cross_entropy:
        raise ValueError(
            "linear_cross_entropy is the loss of two arrays: check the loss of its logits"
        )
    with np.errstate(all="ignore"):
        form = build(predictions, targets, **options)
        if form.predictions.size == 0:
            raise ValueError("there are no predictions, so there is nothing to compare")
        form = form._replace(predictions=form.predictions.astype(np.float64))
        value, analytic = form.evaluate(want_gradient=True)
        if not np.isfinite(value).all():
            raise ValueError(f"the loss is {value}, so it has no derivative to compare with")
        numerical = form.restore(_derivative(form))
        error = np.abs(analytic - numerical)
    index = tuple(int(i) for i in np.unravel_index(np.argmax(error), np.shape(error)))
    worst = (np.asarray(each)[index] for each in (analytic, numerical))
    return GradientCheck(float(np.max(error)), index, *map(float, worst))


def _derivative(form: Form) -> NDArray[np.float64]:
    """Return the numerical derivative of the sum of the losses."""
    x = form.predictions
    room = np.minimum(x - form.kernel.domain[0], form.kernel.domain[1] - x)
    steps = np.where(room > 0.0, np.minimum(room, 1.0), 1.0) / 256.0
    result = np.empty_like(x)
    for index in np.ndindex(x.shape):
        quotients = []
        for step in (steps[index], steps[index] / 2.0):
            ends = x.copy(), x.copy()
            ends[0][index] -= step
            ends[1][index] += step
            low, high = (
                np.sum(form._replace(predictions=end).evaluate(want_gradient=False)[0])
                for end in ends
            )
            quotients.append((high - low) / (ends[1][index] - ends[0][index]))
        result[index] = (4.0 * quotients[1] - quotients[0]) / 3.0
    return result


def _known(loss: Any) -> Callable[..., Any]:
    """Return a loss of this package, and refuse anything else."""
    if not callable(loss) or loss not in FORMS:
        name = getattr(loss, "__name__", repr(loss))
        names = ", ".join(sorted(known.__name__ for known in FORMS))
        raise ValueError(f"{name} has no gradient here; the losses that have one are {names}")
    return cast("Callable[..., Any]", loss)
