"""Fast kernels: the shortest way that is accurate while the logits of a row are moderate.

They are given a tile, and return of each of its rows the loss, and whether they are sure of it
(None: of all rows). The gradient, or what a function of rows gives, is filled in, scaled. In `WIDE`
they are about as accurate as the careful ones, in float32 within the wider bound that docstrings
state for large arrays; what is below its smallest normal number may be 0 there.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from crossent._kernels._exact import difference
from crossent._kernels.masses import Masses
from crossent._spans import WIDE, Array, Span, is_turned
from crossent._sums import block_sums, row_sums

Sure = NDArray[np.bool_]
Answer = tuple[NDArray[Any], Sure | None]

# By the size of a number. The exponentials of logits in this window, their sums and their quotients
# are normal numbers, with all their digits.
NEAR = {4: 40.0, 8: 300.0}
LEAST = {4: -87.0, 8: -707.0}  # e^x is a normal number from here on, and exp takes no longer
LOW = 8.0  # so far below 0 the largest of a row may be
FLOOR = {4: 2.0**-80, 8: 2.0**-900}  # what has underflowed is nothing beside such a sum
HIDDEN = -1e30  # as good as −∞
FAR = 30.0  # so much larger than p_k, q_k is no multiple of it: p_k may have vanished
LEAST_FAR = 0.1  # what is less is lost in the difference of two logarithms
MOST = 1e20  # so large are only numbers that hide something, or are hidden
NO_ROW = np.empty(0, np.intp)
LEAST_KL = {2: 1e-14, 4: 1e-14, 8: 1e-5}  # by the size of the input: has its digits but three
TINY = 2.0**-1000  # of what is computed in `WIDE`
REACH = {4: 80.0, 8: 600.0}  # of (1 + γ) |z|, for σ(z)^γ e^−z to be normal
GONE = {4: 104.0, 8: 746.0}  # from here on it is 0, unless a weight lifts it
NOTHING = {4: 25.0, 8: 45.0}  # from here on γ |z| e^−|z| is nothing
LIGHT = 1e3  # such a weight does not
# Of sums of exponentials that nothing is known of: neither has lost digits.
WINDOW = {4: (2.0**-80, 2.0**120), 8: (2.0**-500, 2.0**500)}
FEW = 31
COLUMNS = 24  # of fewer columns, one after the other gives the maximum of each row sooner


def of_rows(extreme: np.ufunc, x: NDArray[Any]) -> NDArray[Any]:
    """Return the largest or the smallest number of each row."""
    if x.shape[1] > COLUMNS:
        return np.asarray(extreme.reduce(x, axis=1))
    result = x[:, 0].copy()
    for column in x.T[1:]:
        extreme(result, column, out=result)
    return result


def largest_of_rows(x: NDArray[Any]) -> NDArray[np.intp]:
    """Return where the largest number of each row is."""
    if not is_turned(x):
        return np.asarray(x.argmax(axis=1))
    # NumPy takes long across turned rows, but not for maxima, nor for bytes.
    count = x.shape[1]
    place = np.arange(count, 0, -1, dtype=np.uint8)[:, None] * np.equal(x.T, x.max(axis=1))
    found = count - place.max(axis=0).astype(np.intp)
    return np.asarray(np.minimum(found, count - 1))  # if there is none, it is nan


class Tile:
    """One class of each row of a tile against all the others: their exponentials.

    They are those of the logits as they are in a row where all are near 0, else of how far each is
    below the largest: in float64 the rounding of the difference is repaired. A row longer than the
    room is taken a piece at a time.
    """

    def __init__(self, span: Span, own: Any, keep: Any = None) -> None:
        """Look at a tile; exponentials may stay in an array to keep them, if it is as the room."""
        self.x, self.own, self.dtype = span.x, own, span.dtype
        self.room, self.more_room = span.scratch
        fits = keep is not None and keep.dtype == self.dtype and keep.flags.c_contiguous
        self.keep = keep if fits else None
        # In a sum of few terms nothing drifts.
        self.add_up = block_sums if span.is_large or self.x.shape[1] <= FEW else row_sums
        size = self.dtype.itemsize
        low, high = self.x.min(), self.x.max()
        self.near: Sure | None = None  # None: all rows are
        self.is_shifted = self.is_deep = False
        self.has_hidden = not low > -np.inf
        if not (-NEAR[size] <= low and high <= NEAR[size]):
            lowest, top = (of_rows(one, self.x) for one in (np.minimum, np.maximum))
            self.near = (lowest >= -NEAR[size]) & (top <= NEAR[size])
            # What is masked is far below a largest one near 0, and needs no shift to vanish.
            stays = self.near | ((top >= 0.0) & (top <= NEAR[size]))
            if not stays.all() and not self.has(LEAST[size] - LOW, LEAST[size]):
                stays |= (top >= -LOW) & (top <= 0.0)
            self.is_shifted = not stays.all()
            self.top = np.where(stays, 0.0, top).astype(self.dtype)[:, None]
            may_vanish = span.is_large or self.x.itemsize < WIDE.itemsize
            self.is_deep = may_vanish and not (lowest - self.top[:, 0]).min() >= LEAST[size]
        count, classes = self.x.shape
        self.step = min(classes, len(self.room))
        self.is_whole = self.step == classes
        self.is_kept = self.has_sums = False
        self.is_turned = is_turned(self.x)
        if own is not None:
            self.rows = np.arange(count)
            self.at = own * count + self.rows if self.is_turned else self.rows * classes + own
            self.x_own = self.x[self.rows, own].astype(WIDE)
            self.one = np.zeros(count)  # its exponential

    def has(self, low: float, high: float) -> bool:
        """Tell whether a logit lies between two numbers."""
        return bool(np.any((self.x >= low) & (self.x < high)))

    def classes(self) -> Iterator[slice]:
        """Cut the classes into pieces that fit the room."""
        for start in range(0, self.x.shape[1], self.step):
            yield slice(start, start + self.step)

    def fitting(self, room: NDArray[Any], some: slice) -> NDArray[Any]:
        """Return an array for some classes, in a room, in the order of the logits."""
        count = min(some.stop, self.x.shape[1]) - some.start
        if self.is_turned:
            return room[: len(self.x) * count].reshape(count, -1).T
        return room[: len(self.x) * count].reshape(-1, count)

    def line(self, array: NDArray[Any]) -> NDArray[Any]:
        """Return an array of all classes as one line, in the order of the logits."""
        return (array.T if self.is_turned else array).reshape(-1)

    def put(self, array: NDArray[Any], some: slice, value: Any) -> None:
        """Set what is of the class of its own, in an array of some classes."""
        if self.is_whole:
            self.line(array)[self.at] = value
        elif self.own is not None and some.start <= self.own[0] < some.stop:
            array[0, self.own[0] - some.start] = np.ravel(value)[0]

    def pick(self, array: NDArray[Any], some: slice) -> Any:
        """Return what is of the class of its own, in an array of some classes."""
        if self.is_whole:
            return self.line(array).take(self.at)
        inside = some.start <= self.own[0] < some.stop
        return array[0, self.own[0] - some.start] if inside else 0.0

    def exponentials(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield pieces of the exponentials, 0 for the class of its own."""
        for some in self.classes():
            e = self.fitting(self.room, some) if self.keep is None else self.keep[:, some]
            if not self.is_kept:
                self.fill(e, some)
            yield some, e
        self.is_kept = self.keep is not None or self.is_whole

    def fill(self, e: NDArray[Any], some: slice) -> None:
        """Compute a piece of the exponentials."""
        x, rounding = self.x[:, some], None
        if self.is_shifted and self.dtype == WIDE:
            x, rounding = difference(x.astype(WIDE, copy=False), self.top)
        elif self.is_shifted:
            x = np.subtract(x, self.top, out=e, dtype=self.dtype)
        exp_of_deep(x, e) if self.is_deep else np.exp(x, out=e, dtype=self.dtype)
        if rounding is not None:
            rounding *= e
            e += rounding
        if self.own is not None:
            if not self.has_sums:
                self.one += self.pick(e, some)
            self.put(e, some, 0.0)

    def sums(self) -> Array:
        """Return the sum of the exponentials of each row, without the class of its own."""
        result = np.zeros(len(self.x))
        for _, e in self.exponentials():
            result += self.add_up(e)
        self.has_sums = True
        return result

    def balance(self) -> tuple[Array, Array, Sure | None]:
        """Return the exponential of the class itself, the sum of the others, and what is sure."""
        others = self.sums()
        if self.near is None:
            return self.one, others, None
        one = np.where(self.near, self.one, np.exp(self.x_own - self.top[:, 0]))
        sure = (others >= FLOOR[self.dtype.itemsize]) & (others < np.inf)
        sure &= one >= TINY * np.maximum(others, 1.0)  # so that the quotient is a number
        return one, others, self.near | sure

    def gaps(self) -> Iterator[tuple[slice, NDArray[Any]]]:
        """Yield pieces of how far the logits are below that of the class of its own."""
        for some in self.classes():
            gap = self.fitting(self.more_room, some)
            own = self.x_own.astype(self.dtype)[:, None]
            np.subtract(own, self.x[:, some], out=gap, dtype=self.dtype)
            if self.has_hidden:  # so that nothing times infinity is nothing
                np.minimum(gap, np.finfo(self.dtype).max, out=gap)
            yield some, gap


def exp_of_deep(x: Any, out: NDArray[Any]) -> None:
    """Fill in e^x, 0 where it is subnormal: there and beyond, exp takes long."""
    least = LEAST[out.itemsize]
    normal = ~(x < least)  # nan remains
    np.maximum(x, least, out=out, dtype=out.dtype)
    np.exp(out, out=out)
    out *= normal


def all_of(*conditions: Sure | None) -> Sure | None:
    """Return where all conditions hold; None holds everywhere."""
    known = [one for one in conditions if one is not None]
    return np.asarray(np.logical_and.reduce(known)) if known else None


def factor_is_safe(factor: Array, scale: Any, dtype: np.dtype[Any]) -> Sure:
    """Tell which factors of a gradient are normal numbers in a dtype."""
    fits = (factor >= np.finfo(dtype).tiny) & (factor <= np.finfo(dtype).max)
    return np.asarray(fits | np.equal(scale, 0.0))


def column(x: Any, dtype: np.dtype[Any]) -> Any:
    """Return numbers of rows so that they broadcast to the rows, in a dtype."""
    return x.astype(dtype)[:, None] if isinstance(x, np.ndarray) else dtype.type(x)


# --- losses ------------------------------------------------------------------------------------


def label_logits(span: Span, y: NDArray[np.intp]) -> Answer:
    """−log p_y = log(1 + Σ_{j≠y} e^{z_j} / e^{z_y})."""
    tile = Tile(span, y, span.gradient)
    one, others, sure = tile.balance()
    if span.gradient is not None:
        factor = span.scale / (others + one)
        sure = all_of(sure, factor_is_safe(factor, span.scale, span.dtype))
        # Where nothing is weighted the gradient is 0, not −0.
        at_label = np.where(np.equal(span.scale, 0.0), 0.0, -others)
        for some, e in tile.exponentials():
            tile.put(e, some, at_label)
            np.multiply(e, column(factor, span.dtype), out=span.gradient[:, some])
    return log1p(others / one), sure


def dense_logits(span: Span, masses: Masses) -> Answer:
    """Σ_k m_k (z_max − z_k) + Σ_k m_k (−log p_max), for the masses m_k of the classes."""
    best = largest_of_rows(span.x)
    tile = Tile(span, best, span.gradient)
    one, others, sure = tile.balance()
    far = np.zeros(len(best))  # Σ_k m_k (z_max − z_k)
    for some, gap in tile.gaps():
        soft = masses.soft(some, span.dtype)
        if tile.has_hidden:  # a class at −∞ that has a mass makes it infinite
            sure = all_of(sure, ~((span.x[:, some] == -np.inf) & (soft > 0.0)).any(axis=1))
        if isinstance(soft, np.ndarray):
            far += tile.add_up(np.multiply(gap, soft, out=gap))
        else:
            far += soft * tile.add_up(gap)
    own, rest = shares(tile, masses)
    hard = 0.0
    if masses.labels is not None:
        hard = masses.hard()
        at_label = span.x[np.arange(len(best)), masses.labels].astype(WIDE)
        far += hard * (tile.x_own - at_label)
        is_best = masses.labels == best
        own, rest = own + hard * is_best, rest + hard * ~is_best
    if tile.near is not None:
        sure = all_of(sure, np.isfinite(far))
    whole = own + rest
    if span.gradient is not None:
        # p_k Σ_j m_j − m_k; for the best class without the difference of what is nearly equal
        factor = span.scale * whole / (others + one)
        at_best = span.scale * ((one * rest - own * others) / (others + one)) + 0.0
        fill_slopes(span, tile, masses, factor, at_best, hard)
        scale = np.broadcast_to(span.scale, len(best))
        sure = all_of(
            sure,
            factor_is_safe(factor, factor, span.dtype),
            factor_is_safe(scale, scale, span.dtype),
        )
    return far + whole * log1p(others / one), sure


def shares(tile: Tile, masses: Masses) -> tuple[Any, Any]:
    """Return the soft masses of each row: that of the class itself, and the sum of the others."""
    own, rest = np.zeros((2, len(tile.x)))
    for some in tile.classes():
        soft = masses.soft(some, tile.dtype)
        if not isinstance(soft, np.ndarray):
            return soft, (masses.classes - 1) * soft
        if len(soft) < len(tile.x):  # the same for all rows: sums from the left and from the right
            line = soft[0].astype(WIDE)
            return line[tile.own], sums_without(line, tile.own)
        copy = tile.fitting(tile.more_room, some)
        np.copyto(copy, soft)
        own += tile.pick(copy, some)
        tile.put(copy, some, 0.0)
        rest += tile.add_up(copy)
    return own, rest


def sums_without(line: Array, own: Any) -> Array:
    """Return the sum of all but one, for each of some: no difference of what is nearly equal."""
    if len(own) < 16:
        return np.asarray([line[:one].sum() + line[one + 1 :].sum() for one in own])
    left, right = np.cumsum(line[:-1]), np.cumsum(line[:0:-1])[::-1]
    return np.asarray((np.append(0.0, left) + np.append(right, 0.0))[own])


def fill_slopes(
    span: Span, tile: Tile, masses: Masses, factor: Array, at_best: Array, hard: Any
) -> None:
    """Fill in factor · e − scale · m, and what it is at the best class."""
    scale = column(span.scale, span.dtype)
    for some, e in tile.exponentials():
        mass = soft = masses.soft(some, span.dtype)
        if isinstance(soft, np.ndarray):
            mass = np.multiply(soft, scale, out=tile.fitting(tile.more_room, some))
        else:
            mass = soft * scale
        np.multiply(e, column(factor, span.dtype), out=e)
        np.subtract(e, mass, out=e)
        if masses.labels is not None:
            y = masses.labels - some.start
            inside = np.flatnonzero((y >= 0) & (y < e.shape[1]))
            e[inside, y[inside]] -= np.broadcast_to(hard * span.scale, len(y))[inside]
        tile.put(e, some, at_best)
        if tile.keep is None:
            span.gradient[:, some] = e


def kl_logits(span: Span, logits: Masses, *, temperature: float, log_base: float) -> Answer:
    """log(1 + Σ_k p_k (e^{x_k} − 1 − x_k)), for x = log q − log p up to its mean under p.

    All is in `WIDE`. The difference of e^x − 1 and x leaves an error of about 2⁻⁵²/√D of the sum D.
    """
    q, p = span.x.astype(WIDE), np.array(logits.targets, WIDE)
    sure = None if q.min() > -np.inf else ~((q == -np.inf) & (p > -np.inf)).any(axis=1)
    tops = []
    for z in (q, p):
        if not z.min() > -np.inf:
            np.maximum(z, HIDDEN, out=z)  # hidden in both is no difference
        tops.append(of_rows(np.maximum, z)[:, None])
    q_top, p_top = tops
    x = gaps(q, p, q_top, p_top, temperature)
    x /= temperature
    p -= p_top
    p /= temperature
    np.exp(p, out=p)
    whole = block_sums(p)
    p /= whole[:, None]
    mean = (p * x).sum(axis=1)
    x -= mean[:, None]
    is_any_far = not x.max() <= FAR  # nan in one row says nothing of the others
    far = np.flatnonzero(of_rows(np.maximum, x) > FAR) if is_any_far else NO_ROW
    x[far] = 0.0
    growth = np.expm1(x)
    x -= growth
    x *= p
    excess = -x.sum(axis=1)
    loss = log1p(excess)
    least = LEAST_KL[span.x.itemsize] if span.is_large or span.x.itemsize < 8 else np.inf
    digits = loss >= least
    if len(far):  # where p may have vanished: the difference of two logarithms, less the mean
        q = np.exp((q[far] - q_top[far]) / temperature)
        total = block_sums(q)
        loss[far] = np.log(total / whole[far]) - mean[far]
        digits[far] = loss[far] >= max(LEAST_FAR, least)
    digits &= (np.maximum(abs(q_top), abs(p_top))[:, 0] < MOST) & (loss < MOST)
    sure = digits if sure is None else sure & digits
    if span.gradient is not None:
        # q − p = p (e^{x − D} − 1)
        growth -= excess[:, None]
        growth *= p
        factor = span.scale / (temperature * log_base)
        np.multiply(growth, column(factor / (1.0 + excess), WIDE), out=span.gradient)
        if len(far):
            span.gradient[far] = (q / total[:, None] - p[far]) * factor
    return loss / log_base, sure


def gaps(q: Array, p: Array, q_top: Array, p_top: Array, temperature: float) -> Array:
    """Return how much further below its largest is each p than q."""
    x = q - p  # first, for where they are nearly equal nothing is lost
    apart, of_tops = difference(q_top, p_top)
    if np.abs(apart).max() <= 4.0 * temperature:
        x -= apart
        return x
    # What is lost is put back, as in `difference`.
    less = x - q
    lost = x - less
    np.subtract(q, lost, out=lost)
    less += p
    lost -= less
    lost -= of_tops
    x -= apart
    x += lost
    return x


def binary_logits(span: Span, positive: Any, negative: Any, *, gamma: float) -> Answer:
    """Σ of the masses of the two classes times σ(∓z)^γ log(1 + e^∓z), with one exp a logit."""
    z = span.x[:, 0].astype(span.dtype, copy=False)
    # A power multiplies the rounding of its base by γ.
    if gamma and not span.is_large and span.x.itemsize == WIDE.itemsize:
        return np.zeros_like(z), np.zeros(len(z), np.bool_)
    reach = REACH[z.itemsize]
    low, high = z.min(), z.max()
    is_near = bool((1.0 + gamma) * low >= -reach and (1.0 + gamma) * high <= reach)
    if not is_near:  # so that nothing times infinity is nothing
        z = np.clip(z, -np.finfo(z.dtype).max, np.finfo(z.dtype).max)
    odds = np.exp(z if is_near else np.clip(z, -reach, reach))
    small = 1.0 / odds
    np.minimum(small, odds, out=small)
    sure = None
    if not is_near:
        size = (1.0 + gamma) * np.abs(z)
        gone = (size >= GONE[z.itemsize]) & (np.abs(z) >= NOTHING[z.itemsize])
        small *= ~gone
        light = np.max(span.weight) * max(np.max(positive), np.max(negative)) <= LIGHT
        sure = (size <= reach) | (gone & light)
    if_0 = np.maximum(z, 0.0)
    if_1 = if_0 - z
    small = log1p(small)
    # The losses, −log(1 − p) and −log p
    if_0 += small
    if_1 += small
    mass_0, mass_1 = negative, positive
    if gamma or not is_near:
        miss = 1.0 / (1.0 + odds)
        p = odds * miss
        if not is_near:
            p *= ~(gone & (z < 0.0))
            miss *= ~(gone & (z > 0.0))
    if gamma:
        mass_0, mass_1 = mass_0 * power(p, gamma, if_1), mass_1 * power(miss, gamma, if_0)
    loss_0, loss_1 = mass_0 * if_0, mass_1 * if_1
    if span.gradient is not None:
        slope = mass_0 * odds - mass_1 if is_near else mass_0 * p - mass_1 * miss
        if is_near:
            slope /= 1.0 + odds
        if gamma:
            slope += gamma * (miss * loss_0 - p * loss_1)
        # In an array, a scale that float32 does not hold stays one of float64.
        scale = np.asarray(span.scale, z.dtype if fits_float32(span.scale) else None)
        np.multiply(slope, scale, out=span.gradient[:, 0])
    loss = loss_0 + loss_1
    return loss, sure if sure is None else sure & (loss < -HIDDEN)


def power(p: NDArray[Any], gamma: float, surprise: NDArray[Any]) -> NDArray[Any]:
    """Return p^γ, given −log p: what float32 leaves of γ is made up for, p^δ = 1 + δ log p."""
    rest = gamma - float(p.dtype.type(gamma))
    result: NDArray[Any] = p**gamma
    return result * (1.0 - rest * surprise) if rest else result


def log1p(x: NDArray[Any]) -> NDArray[Any]:
    """Return log(1 + x) for finite x ≥ 0, sooner than NumPy: what 1 + x loses is put back."""
    whole = 1.0 + x
    rest = x - (whole - 1.0)
    result: NDArray[Any] = np.log(whole)
    result += rest / whole
    return result


def fits_float32(x: Any) -> bool:
    """Tell whether x is one number, and products with it in float32 are as good as others."""
    return isinstance(x, float) and (x == 0.0 or 1e-12 < x < 1e12)


# --- functions of rows -------------------------------------------------------------------------


def softmax(span: Span) -> Sure | None:
    """e^{z_k} / Σ_j e^{z_j}."""
    out = span.gradient
    tile = Tile(span, None, out)
    sums = tile.sums()
    for some, e in tile.exponentials():
        np.divide(e, column(sums, span.dtype), out=out[:, some])
    return None if tile.near is None else tile.near | (sums >= 1.0)


def log_softmax(span: Span) -> Sure | None:
    """(z_k − z_max) + log p_max."""
    out = span.gradient
    tile = Tile(span, largest_of_rows(span.x))
    one, others, sure = tile.balance()
    least = column(log1p(others / one), span.dtype)
    own = column(tile.x_own, span.dtype)
    for some in tile.classes():
        room = out[:, some] if out.dtype == span.dtype else tile.fitting(tile.more_room, some)
        np.subtract(span.x[:, some], own, out=room, dtype=span.dtype)
        np.subtract(room, least, out=out[:, some])
    return sure


def logsumexp(span: Span) -> Sure | None:
    """z_max − log p_max."""
    tile = Tile(span, largest_of_rows(span.x))
    one, others, sure = tile.balance()
    span.gradient[:, 0] = tile.x_own + log1p(others / one)
    return sure


def entropy_logits(span: Span, *, log_base: float) -> Sure | None:
    """Σ_k p_k (z_max − z_k) − log p_max."""
    tile = Tile(span, largest_of_rows(span.x))
    one, others, sure = tile.balance()
    far = np.zeros(len(span.x))
    for (_, e), (_, gap) in zip(tile.exponentials(), tile.gaps(), strict=True):
        far += tile.add_up(np.multiply(gap, e, out=gap))
    span.gradient[:, 0] = (far / (others + one) + log1p(others / one)) / log_base
    return sure


def sigmoid(span: Span) -> Sure | None:
    """1 / (1 + e^−z)."""
    out, z = span.gradient, span.x
    e = span.scratch[0, : z.size].reshape(z.shape)
    least = LEAST[e.itemsize]
    np.negative(z, out=e, dtype=e.dtype)
    is_moderate = bool(least <= e.min() and e.max() <= -least)
    if not is_moderate:
        np.clip(e, least, -least, out=e)
    np.exp(e, out=e)
    e += 1.0
    np.divide(1.0, e, out=out)
    if is_moderate:
        return None
    normal = ~(z < least)
    if span.is_large:
        out *= normal
    return None if span.is_large else normal[:, 0]


def log_sigmoid(span: Span) -> Sure | None:
    """min(z, 0) − log(1 + e^−|z|)."""
    z = span.x.astype(span.dtype, copy=False)
    np.subtract(np.minimum(z, 0.0), log1p(np.exp(-np.abs(z))), out=span.gradient)
    return None


# --- for the layer in linear.py ----------------------------------------------------------------


def exponentials(x: NDArray[Any], scratch: NDArray[Any]) -> NDArray[Any]:
    """Return the exponentials, in the scratch."""
    e: NDArray[Any] = scratch[: x.size].reshape(x.shape)
    np.exp(x, out=e, dtype=e.dtype)
    return e


def from_sums(
    others: Array, one: Array, factor: Array, scale: Any, dtype: np.dtype[Any]
) -> tuple[Array, Sure]:
    """Return log(1 + others / one), and where it and the factor of a gradient are accurate."""
    floor, ceiling = WINDOW[dtype.itemsize]
    sure = (np.minimum(others, one) >= floor) & (others + one <= ceiling)
    return log1p(others / one), sure & factor_is_safe(factor, scale, dtype) & (factor <= 2.0)
