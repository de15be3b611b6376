"""Fast kernels: the shortest way that is accurate while the logits of a row are moderate.

They return of each row of a span the loss, and whether they are sure of it (None: of all rows), and
fill the gradient, scaled.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossent._spans import WIDE, Array, Span
from crossent._sums import block_sums, row_sums

Sure = NDArray[np.bool_]

# Neither the sums of exponentials of a row nor their quotients lose digits to overflow or underflow
# in this window, by the size of a number.
WINDOW = {4: (2.0**-80, 2.0**120), 8: (2.0**-500, 2.0**500)}
REACH = {4: 80.0, 8: 600.0}  # of (1 + γ) |z|, for σ(z)^γ e^−z to be normal
LOG2_E = np.float32(1.4426950408889634)


def label_logits(span: Span, y: NDArray[np.intp]) -> tuple[Array, Sure]:
    """−log p_y = log(1 + Σ_{j≠y} e^{z_j} / e^{z_y}), without a shift and with one exp a logit."""
    one, others, factor = np.empty(len(y)), np.empty(len(y)), np.empty(len(y))
    add_up = block_sums if span.is_large else row_sums
    for rows, tile in span.tiles():
        at_label = np.arange(0, tile.x.size, tile.x.shape[1]) + y[rows]
        np.exp(tile.x.reshape(-1)[at_label], out=one[rows], dtype=WIDE)
        # A row longer than the scratch is worked on in its gradient (of float16, in a copy).
        room = tile.scratch
        if tile.x.size > room.size and tile.gradient is not None:
            room = np.asarray(tile.gradient, room.dtype).reshape(-1)
        if tile.x.size > room.size:
            others[rows] = sum_in_pieces(tile, y[rows])
            continue
        e = exponentials(tile.x, room)
        e.reshape(-1)[at_label] = 0.0
        others[rows] = add_up(e)
        if tile.gradient is not None:
            np.divide(tile.scale, others[rows] + one[rows], out=factor[rows])
            # Where nothing is weighted the gradient is 0, not −0.
            e.reshape(-1)[at_label] = np.where(np.equal(tile.scale, 0.0), 0.0, -others[rows])
            np.multiply(e, factor[rows].astype(e.dtype)[:, None], out=tile.gradient)
    wanted = None if span.gradient is None else factor
    return from_sums(others, one, wanted, span.scale, span.scratch.dtype)


def sum_in_pieces(tile: Span, y: NDArray[np.intp]) -> Array:
    """Return the sum of the exponentials of all classes but y, of a row longer than the scratch."""
    step, sums = tile.scratch.size, []
    for start in range(0, tile.x.shape[1], step):
        e = exponentials(tile.x[:, start : start + step], tile.scratch)
        e[0, y[(y >= start) & (y < start + step)] - start] = 0.0
        sums.append(block_sums(e)[0])
    return row_sums(np.array([sums], WIDE))


def from_sums(
    others: Array, one: Array, factor: Array | None, scale: Any, dtype: np.dtype[Any]
) -> tuple[Array, Sure]:
    """Return log(1 + others / one), and where it and the factor of a gradient are accurate."""
    sure = sums_are_safe(others, one, dtype)
    if factor is not None:
        sure &= factor_is_safe(factor, scale, dtype)
    return np.log1p(others / one), sure


def exponentials(x: NDArray[Any], scratch: NDArray[Any]) -> NDArray[Any]:
    """Return the exponentials, in the scratch."""
    e = scratch[: x.size].reshape(x.shape)
    if e.itemsize == 8:
        np.exp(x, out=e, dtype=np.float64)
        return e
    # In float32, where exp2 takes half the time of exp: the product is rounded, which is as much
    # as if x were.
    np.multiply(x, LOG2_E, out=e, dtype=np.float32)
    np.exp2(e, out=e)
    return e


def sums_are_safe(others: Array, one: Array, dtype: np.dtype[Any]) -> Sure:
    """Tell which rows the sums of exponentials are accurate for."""
    floor, ceiling = WINDOW[dtype.itemsize]
    return (np.minimum(others, one) >= floor) & (others + one <= ceiling)


def factor_is_safe(factor: Array, scale: Any, dtype: np.dtype[Any]) -> Sure:
    """Tell which factors neither underflow nor lift an e^z out of the subnormals."""
    fits: Sure = (factor >= np.finfo(dtype).tiny) | np.equal(scale, 0.0)
    return fits & (factor <= 2.0)


def fits_float32(x: Any) -> bool:
    """Tell whether x is one number, and products with it in float32 are as good as others."""
    return isinstance(x, float) and (x == 0.0 or 1e-12 < x < 1e12)


def binary_logits(
    span: Span, positive: Any, negative: Any, *, gamma: float
) -> tuple[NDArray[Any], Sure | None]:
    """Σ of the masses of the two classes times σ(∓z)^γ log(1 + e^∓z), with one exp a logit."""
    z = span.x[:, 0].astype(span.scratch.dtype, copy=False)
    odds = np.exp(z)
    if_0, if_1 = np.log1p(odds), np.log1p(1.0 / odds)  # the losses, −log(1 − p) and −log p
    mass_0, mass_1 = negative, positive
    if gamma:
        p, miss = odds / (1.0 + odds), 1.0 / (1.0 + odds)
        # What float32 leaves of γ is made up for: p^δ = 1 + δ log p.
        rest = gamma - float(z.dtype.type(gamma))
        mass_0 = mass_0 * p**gamma * (1.0 - rest * if_1)
        mass_1 = mass_1 * miss**gamma * (1.0 - rest * if_0)
    loss_0, loss_1 = mass_0 * if_0, mass_1 * if_1
    if span.gradient is not None:
        slope = (mass_0 * odds - mass_1) / (1.0 + odds)
        if gamma:
            slope += gamma * (miss * loss_0 - p * loss_1)
        # In an array, a scale that float32 does not hold stays one of float64.
        scale = np.asarray(span.scale, z.dtype if fits_float32(span.scale) else None)
        np.multiply(slope, scale, out=span.gradient[:, 0])
    reach = REACH[z.itemsize] / (1.0 + gamma) - np.log(2.0)
    if z.min() >= -reach and z.max() <= reach:
        return loss_0 + loss_1, None  # a mask would take a tenth of the time
    return loss_0 + loss_1, np.abs(z) <= reach
