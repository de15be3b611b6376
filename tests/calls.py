"""How often functions of the package are called, by whatever name they are reached.

A function that is patched under one name may go on being called under another, and the test that
patched it then guards nothing. So calls are counted by the code that runs.
"""

import inspect
import sys
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any


def count(
    functions: Iterable[Callable[..., Any]], run: Callable[..., Any], *args: Any, **options: Any
) -> tuple[int, Any]:
    """How often any of the functions is called in this thread by `run`, and what `run` returns."""
    codes = {inspect.unwrap(function).__code__ for function in functions}
    calls = 0

    def see(frame: Any, event: str, _: Any) -> None:
        nonlocal calls
        calls += event == "call" and frame.f_code in codes

    sys.setprofile(see)
    try:
        result = run(*args, **options)
    finally:
        sys.setprofile(None)
    return calls, result


def functions_of(*modules: ModuleType) -> list[Callable[..., Any]]:
    """Every function that is defined in one of the modules."""
    return [
        value
        for module in modules
        for value in vars(module).values()
        if inspect.isfunction(value) and value.__module__ == module.__name__
    ]
