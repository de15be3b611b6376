"""The one setting: how many threads share a large computation."""

from crossent import _spans, _validate


def get_num_threads() -> int:
    """Return the number of threads that share a large computation.

    Returns
    -------
    int
        At first ``OMP_NUM_THREADS``, where the environment sets it, or the number of processors
        that the process may use.

    Examples
    --------
    >>> import crossent
    >>> crossent.get_num_threads() >= 1
    True
    """
    return _spans.num_threads


def set_num_threads(threads: int) -> None:
    """Set the number of threads that share a large computation.

    Parameters
    ----------
    threads : int
        1 leaves all work in the calling thread.

    Raises
    ------
    ValueError
        If ``threads`` is less than 1.
    TypeError
        If it is not an integer.

    Notes
    -----
    Losses and gradients of more than a million predictions are shared. The results are the
    same for any number of threads, to the last bit. One call at a time is shared; others that run
    meanwhile keep to the threads that call them, as do all where no thread can be started.
    ``torch.set_num_threads`` is the same for torch.

    Examples
    --------
    >>> import crossent
    >>> before = crossent.get_num_threads()
    >>> crossent.set_num_threads(1)
    >>> crossent.get_num_threads()
    1
    >>> crossent.set_num_threads(before)
    """
    _spans.num_threads = _validate.positive_integer("threads", threads)
