"""The surface: names, signatures, docstrings, imports, and good manners towards the caller."""

import ast
import doctest
import inspect
import pydoc
import subprocess
import sys
import tomllib
import typing
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import crossent

ROOT = Path(__file__).parents[1]
OVER_CLASSES = "axis=-1, class_weight=None, sample_weight=None, label_smoothing=0.0, "
SIGNATURES = {
    "entropy": "(p, *, axis=-1, base=None)",
    "cross_entropy": "(p, q, *, axis=-1, base=None)",
    "kl_divergence": "(p, q, *, axis=-1, base=None)",
    "js_divergence": "(p, q, *, axis=-1, base=None)",
    "entropy_with_logits": "(logits, *, axis=-1, base=None)",
    "kl_divergence_with_logits": "(p_logits, q_logits, *, axis=-1, temperature=1.0, base=None)",
    "perplexity": "(logits, labels, *, axis=-1, sample_weight=None, ignore_index=None)",
    "logsumexp": "(z, *, axis=-1, keepdims=False)",
    "softmax": "(z, *, axis=-1)",
    "log_softmax": "(z, *, axis=-1)",
    "sigmoid": "(z)",
    "log_sigmoid": "(z)",
    "binary_cross_entropy": (
        "(probs, targets, *, sample_weight=None, label_smoothing=0.0, reduction='mean')"
    ),
    "binary_cross_entropy_with_logits": (
        "(logits, targets, *, pos_weight=None, sample_weight=None, label_smoothing=0.0, "
        "reduction='mean')"
    ),
    "categorical_cross_entropy": f"(probs, targets, *, {OVER_CLASSES}reduction='mean')",
    "categorical_cross_entropy_with_logits": (
        f"(logits, targets, *, {OVER_CLASSES}reduction='mean')"
    ),
    "sparse_categorical_cross_entropy": (
        f"(probs, labels, *, {OVER_CLASSES}ignore_index=None, reduction='mean')"
    ),
    "sparse_categorical_cross_entropy_with_logits": (
        f"(logits, labels, *, {OVER_CLASSES}ignore_index=None, reduction='mean')"
    ),
    "binary_focal_loss_with_logits": (
        "(logits, targets, *, gamma=2.0, alpha=None, sample_weight=None, reduction='mean')"
    ),
    "grad": "(loss)",
    "value_and_grad": "(loss)",
    "check_grad": "(loss, predictions, targets, **options)",
    "linear_cross_entropy": (
        "(hidden, weight, labels, *, bias=None, class_weight=None, sample_weight=None, "
        "label_smoothing=0.0, ignore_index=None, reduction='mean')"
    ),
    "get_num_threads": "()",
    "set_num_threads": "(threads)",
}
SECTIONS = ["Parameters", "Returns", "Raises", "Notes", "References", "Examples"]
LEFT_OUT = {
    "grad": {"Notes", "References"},
    "value_and_grad": {"Notes", "References"},
    "get_num_threads": {"Parameters", "Raises", "Notes", "References"},
    "set_num_threads": {"Returns", "References"},
}


def test_all_is_sorted_and_is_what_there_is() -> None:
    assert crossent.__all__ == sorted(crossent.__all__)
    left_out = set(crossent.__all__) ^ set(SIGNATURES)
    assert not left_out, f"SIGNATURES here and crossent.__all__ differ in {left_out}"
    defined = {
        name
        for name, value in vars(crossent).items()
        if not name.startswith("_") and not inspect.ismodule(value)
    }
    assert defined == set(crossent.__all__)


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name: str) -> None:
    signature = inspect.signature(getattr(crossent, name))
    bare = [one.replace(annotation=one.empty) for one in signature.parameters.values()]
    plain = signature.replace(parameters=bare, return_annotation=signature.empty)
    assert str(plain) == SIGNATURES[name]


@pytest.mark.parametrize("name", SIGNATURES)
def test_docstring(name: str) -> None:
    function = getattr(crossent, name)
    lines = (inspect.getdoc(function) or "").splitlines()
    assert lines[0].endswith(".")
    assert lines[1] == ""
    found = [title for title, rule in pairwise(lines) if rule and set(rule) == {"-"}]
    assert found == [title for title in SECTIONS if title in found]
    assert set(SECTIONS) - set(found) <= LEFT_OUT.get(name, set())
    described = "\n".join(lines).partition("Parameters\n")[2].partition("Returns\n")[0]
    for parameter in inspect.signature(function).parameters:
        assert parameter in described
    assert doctest.DocTestFinder(recurse=False).find(function)[0].examples


@pytest.mark.parametrize("name", SIGNATURES)
def test_help_begins_with_a_short_signature(name: str) -> None:
    function = getattr(crossent, name)
    summary = (inspect.getdoc(function) or "").splitlines()[0]
    head, found, _ = pydoc.plain(pydoc.render_doc(function)).partition(summary)
    assert found
    assert f"{name}(" in head
    assert len(head) < 500
    # Whoever wants the types themselves finds them.
    types = typing.get_type_hints(function)
    assert types == {
        key: one.annotation
        for key, one in inspect.signature(function, eval_str=True).parameters.items()
    } | {"return": types["return"]}
    assert not any(isinstance(each, str) for each in types.values())


def parameters_in_stub() -> dict[str, list[set[str]]]:
    """What each function takes in each of its overloads, as type checkers are told."""
    body = ast.parse((ROOT / "crossent" / "__init__.pyi").read_text(encoding="utf-8")).body
    options: dict[str, set[str]] = {"TypedDict": set()}
    result: dict[str, list[set[str]]] = {}
    for node in body:
        if isinstance(node, ast.ClassDef):
            fields = {
                ast.unparse(one.target) for one in node.body if isinstance(one, ast.AnnAssign)
            }
            inherited = options.get(ast.unparse(node.bases[0]), set())
            options[node.name] = fields | inherited
        elif isinstance(node, ast.FunctionDef):
            named = {one.arg for one in (*node.args.args, *node.args.kwonlyargs)}
            more = ast.unparse(node.args.kwarg.annotation or node) if node.args.kwarg else ""
            unpacked = options.get(more.removeprefix("Unpack[").removesuffix("]"), {"options"})
            result.setdefault(node.name, []).append(named | unpacked if more else named)
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                if alias.asname:
                    result[alias.asname] = [
                        set(inspect.signature(getattr(crossent, alias.name)).parameters)
                    ]
    return result


def test_type_checkers_are_told_of_every_parameter() -> None:
    told = parameters_in_stub()
    left_out = set(told) ^ set(crossent.__all__)
    assert not left_out, f"crossent/__init__.pyi and crossent.__all__ differ in {left_out}"
    for name, overloads in told.items():
        parameters = set(inspect.signature(getattr(crossent, name)).parameters)
        for overload in overloads:
            message = f"crossent/__init__.pyi gives {name} other parameters than it has"
            assert overload == parameters, message


def test_version_is_that_of_the_distribution() -> None:
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert crossent.__version__ == metadata["project"]["version"]


def test_import_needs_numpy_and_the_standard_library_only() -> None:
    code = (
        "import sys, numpy; before = set(sys.modules); import crossent; "
        "print(*{name.split('.')[0] for name in set(sys.modules) - before})"
    )
    output = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert set(output.split()) - {"crossent", "numpy"} <= sys.stdlib_module_names


def test_no_module_imports_itself_in_a_circle() -> None:
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for path in (ROOT / "crossent").rglob("*.py")
    }
    graph: dict[str, set[str]] = {module: set() for module in paths}
    for module, path in paths.items():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module in paths:
                names = {f"{node.module}.{alias.name}" for alias in node.names}
                graph[module] |= names & paths.keys() or {node.module}
    assert "crossent._spans" in graph["crossent._forms"]
    list(TopologicalSorter(graph).static_order())  # raises if there is a circle


Z = np.array([[800.0, 0.0, -750.0], [-np.inf, 0.0, 1.0], [np.nan, 0.0, np.inf], [0.1, 2.0, -0.5]])
P = np.array([[1.0, 0.0, 0.0], [1e-310, 0.5, 0.5], [0.2, 0.2, 0.6], [1 / 3, 1 / 3, 1 / 3]])
LABELS = np.array([2, 0, 1, 1])
LOSSES: list[tuple[Any, Any, Any]] = [
    (crossent.binary_cross_entropy, P, P[::-1]),
    (crossent.binary_cross_entropy_with_logits, Z, P),
    (crossent.binary_focal_loss_with_logits, Z, P),
    (crossent.categorical_cross_entropy, P, P[::-1]),
    (crossent.categorical_cross_entropy_with_logits, Z, P),
    (crossent.sparse_categorical_cross_entropy, P, LABELS),
    (crossent.sparse_categorical_cross_entropy_with_logits, Z, LABELS),
]
ON_LOGITS: list[Any] = [
    crossent.softmax, crossent.log_softmax, crossent.logsumexp, crossent.sigmoid,
    crossent.log_sigmoid, crossent.entropy_with_logits,
]  # fmt: skip


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
def test_no_floating_point_error_escapes(dtype: Any) -> None:
    z, p = Z.astype(dtype), P.astype(dtype)
    with np.errstate(all="raise"):
        for function in ON_LOGITS:
            assert np.isnan(function(z)).any()
        assert np.all(crossent.entropy(p, base=3) >= 0)
        for divergence in (crossent.cross_entropy, crossent.kl_divergence, crossent.js_divergence):
            assert np.all(divergence(p, p[::-1], base=0.1) <= 0)
        assert crossent.perplexity(z[:1], LABELS[:1]) == np.inf
        both = crossent.value_and_grad(crossent.kl_divergence_with_logits)(z, z[::-1], base=3)
        np.testing.assert_array_equal(
            crossent.kl_divergence_with_logits(z, z[::-1], base=3), both[0]
        )


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16])
@pytest.mark.parametrize(("loss", "predictions", "targets"), LOSSES)
def test_no_floating_point_error_escapes_from_a_loss(
    loss: Any, predictions: Any, targets: Any, dtype: Any, smoothing: float
) -> None:
    arguments = [each if each is LABELS else each.astype(dtype) for each in (predictions, targets)]
    options: dict[str, Any] = {"sample_weight": 1e-300, "reduction": "weighted_mean"}
    if "label_smoothing" in inspect.signature(loss).parameters:
        options |= {"label_smoothing": smoothing}
    with np.errstate(all="raise"):
        value, gradient = crossent.value_and_grad(loss)(*arguments, **options)
        np.testing.assert_array_equal(loss(*arguments, **options), value)
        np.testing.assert_array_equal(crossent.grad(loss)(*arguments, **options), gradient)


def test_no_floating_point_error_escapes_from_check_grad() -> None:
    with np.errstate(all="raise"):
        check = crossent.check_grad(crossent.binary_cross_entropy_with_logits, [700.0], [1])
    assert check.error < 1e-300
