"""Careful kernels for one row that is longer than a span: a piece at a time, in constant memory."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossent._kernels import careful
from crossent._kernels._exact import NEAR, balance, direct_balance, powers, weighted
from crossent._kernels.careful import surprise
from crossent._spans import WIDE, Array, pieces
from crossent._sums import row_sums, total

Mass = Callable[[slice], Array]  # of some classes, as one row
Gradient = Iterator[tuple[slice, Array]]
Answer = tuple[float, Gradient, float]


class Row:
    """One class of a row against all the others: what `leave_one_out` does, but in pieces."""

    def __init__(self, z: NDArray[Any], y: int, keep: NDArray[Any] | None = None) -> None:
        """Split class y from the others, and keep their exponentials if there is room for them."""
        self.z, self.y, self.kept = z, y, keep
        own = z[y : y + 1].astype(WIDE)
        ends = np.array([(piece.max(), piece.min()) for _, piece in pieces(z)])
        # Exponentials in this window are normal numbers, as float32, too, if that is what is kept.
        self.near = bool((np.abs(ends) <= (NEAR if z.itemsize == 8 else 80.0)).all())
        self.top = np.zeros(1)  # what the others are shifted by
        if not self.near:
            self.top = np.max([piece.max() for _, piece in self.others()], keepdims=True)
        sums = []
        for classes, piece in self.others():
            e = self.powers(piece)
            sums.append(row_sums(e)[0])
            if keep is not None:
                keep[classes] = e[0]
        others = np.array([total(sums)])
        self.own = float(own[0])
        if self.near:
            self.sides = direct_balance(np.exp(own), others)
        else:
            self.sides = balance(own, self.top, others)
        self.unit = float(self.sides.subnormal_unit[0])
        self.loss = float(self.sides.loss[0])
        # Two logits at +∞ leave their own probabilities without a limit; the others still vanish.
        infinite = int(own[0] == np.inf) + (others[0] if self.top[0] == np.inf else 0.0)
        self.tied = infinite > 1 and not np.isnan(others[0] + own[0])

    def put(self, value: Any, classes: slice, piece: Array) -> None:
        """Set what is of the class itself, if it is in a piece."""
        if classes.start <= self.y < classes.stop:
            piece[self.y - classes.start] = value

    def powers(self, piece: Array) -> Array:
        """Return the exponentials of a piece as a row, shifted only where they need it."""
        return np.exp(piece[None]) if self.near else powers(piece[None], self.top)

    def others(self) -> Iterator[tuple[slice, Array]]:
        """Yield pieces of the row, with −∞ for the class itself."""
        for classes, piece in pieces(self.z):
            self.put(-np.inf, classes, piece)
            yield classes, piece

    def probabilities(self) -> Iterator[tuple[slice, Array]]:
        """Yield pieces of the probabilities of all classes, in the unit."""
        for classes, piece in self.others():
            e = self.powers(piece)[0] if self.kept is None else self.kept[classes].astype(WIDE)
            p = e * self.sides.of_others[0]
            if self.tied:
                p = np.where(piece == np.inf, np.nan, 0.0)
            no_limit = self.tied and self.own == np.inf
            self.put(np.nan if no_limit else self.sides.of_own[0], classes, p)
            yield classes, p


def softmax(z: NDArray[Any], result: NDArray[Any]) -> None:
    """Fill in the probabilities."""
    # The exponentials wait in the result, but for those that float16 has no room for.
    row = Row(z, int(z.argmax()), result if result.itemsize > 2 else None)
    for classes, p in row.probabilities():
        result[classes] = p * row.unit


def log_softmax(z: NDArray[Any], result: NDArray[Any]) -> None:
    """Fill in the logarithms of the probabilities."""
    row = Row(z, int(z.argmax()))
    for classes, piece in pieces(z):
        result[classes] = 0.0 - surprise(piece, row.own, row.loss * row.unit)


def logsumexp(z: NDArray[Any], result: NDArray[Any]) -> None:
    """Fill in the logarithm of the sum of the exponentials."""
    row = Row(z, int(z.argmax()))
    result[...] = row.own if np.isinf(row.own) else row.own + row.loss * row.unit


# Those of losses are as in `careful`, but that the gradient comes in pieces.


def label_logits(z: NDArray[Any], _: bool, y: int) -> Answer:
    """−log p_y."""
    row = Row(z, y)

    def gradient() -> Gradient:
        for classes, p in row.probabilities():
            row.put(0.0 - row.sides.miss[0], classes, p)
            yield classes, p

    return row.loss, gradient(), row.unit


def dense_logits(z: NDArray[Any], _: bool, mass: Mass) -> Answer:
    """Σ_k m_k (−log p_k), for the masses m_k of the classes."""
    row = Row(z, int(z.argmax()))
    loss = [
        row_sums(weighted(mass(classes), surprise(piece[None], row.own, row.loss, row.unit)))[0]
        for classes, piece in pieces(z)
    ]

    def gradient() -> Gradient:
        # See `careful`: the sum of the other masses, also for the class that has the most.
        largest, sums = [], []
        for classes, _ in pieces(z):
            own = mass(classes)
            largest.append(own[0].max())
            own[0, own[0].argmax()] = 0.0
            sums.append(row_sums(own)[0])
        most = int(np.argmax(largest))
        without_most = total([*sums, *largest[:most], *largest[most + 1 :]])
        whole = without_most + largest[most]
        for number, (classes, p) in enumerate(row.probabilities()):
            own = mass(classes)[0]
            others, miss = whole - own, 1.0 / row.unit - p
            if number == most:
                others[own.argmax()] = without_most
            row.put(row.sides.miss[0], classes, miss)
            yield classes, np.where(whole == 0.0, 0.0, p * others - own * miss)

    return total(loss), gradient(), row.unit


def label_probs(p: NDArray[Any], want_gradient: bool, y: int) -> Answer:
    """−log p_y."""
    own = np.array([y])
    loss, slope, unit = careful.label_probs(p[own][None].astype(float), want_gradient, own * 0)

    def gradient() -> Gradient:
        for classes, piece in pieces(p):
            piece[...] = 0.0
            if classes.start <= y < classes.stop:
                piece[y - classes.start] = slope[0, 0]
            yield classes, piece

    return float(loss[0]), gradient(), unit


def dense_probs(p: NDArray[Any], want_gradient: bool, mass: Mass) -> Answer:
    """Σ_k m_k (−log p_k), for the masses m_k of the classes."""
    parts = pieces(p)
    loss = [
        careful.dense_probs(piece[None], False, mass(classes))[0][0] for classes, piece in parts
    ]

    def gradient() -> Gradient:
        for classes, piece in pieces(p):
            yield classes, careful.dense_probs(piece[None], want_gradient, mass(classes))[1]

    return total(loss), gradient(), 1.0
