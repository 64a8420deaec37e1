"""What the text of a model's file tells before it is executed: its function and its settings.

Executing such a file imports Keras, which takes many seconds. A wrong name is reported at once.
"""

from __future__ import annotations

import ast
import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sciml_data.bench.training.own_model import (
    IMPORT,
    OwnModel,
    defaults_of,
    failures_named,
    file_and_function,
    label,
    no_function,
    read_source,
)

# A file that uses these may define names that its text does not show.
DYNAMIC = frozenset({"*", "exec", "globals", "setattr", "vars", "__getattr__"})


def outline_of(model: str) -> OwnModel | None:
    """Return a model as the text of its file declares it; None if only executing it can tell.

    The function of the outline makes no model. Name and settings are those of `read_own_model`.

    Args:
        model: `path/to/file.py:function`, or `path/to/file.py`.

    Raises:
        CallError: no such file or function, the file is not Python, or the arguments of the
            function cannot be settings.
    """
    path, name = file_and_function(model)
    source = read_source(path)
    outline = OwnModel(label(path, name), Path(path).name, _not_executed, source, path, {})
    with failures_named(outline, IMPORT), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Python prints them when the file is executed
        tree = ast.parse(source, path)
        compile(tree, path, "exec")  # finds what the parser does not, such as a lone `return`
    names = list(_names(tree))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    if name not in names and DYNAMIC.isdisjoint(names):
        raise no_function(path, name, list(functions))
    node = functions.get(name)
    if node is None or node.decorator_list or names.count(name) > 1:
        return None
    try:
        signature = inspect.Signature(list(_parameters(node.args)))
    except ValueError:  # a default is an expression
        return None
    defaults = defaults_of(signature, f"{Path(path).name}:{name}")
    return OwnModel(outline.name, outline.file, _not_executed, source, path, defaults)


def _not_executed(*_: Any) -> None:
    """Make no model."""


def _names(tree: ast.Module) -> Iterator[str]:
    """Yield each name that the file binds, or looks up among `DYNAMIC`; some more than once."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.alias):
            yield node.asname or node.name
        elif isinstance(node, ast.Name) and (isinstance(node.ctx, ast.Store) or node.id in DYNAMIC):
            yield node.id


def _parameters(arguments: ast.arguments) -> Iterator[inspect.Parameter]:
    """Yield the named parameters of a function.

    Raises:
        ValueError: a default is not a literal.
    """
    before, plain = arguments.posonlyargs, arguments.args
    absent = [None] * (len(before) + len(plain) - len(arguments.defaults))
    defaults = [*absent, *arguments.defaults, *arguments.kw_defaults]
    kinds = [
        *[inspect.Parameter.POSITIONAL_ONLY] * len(before),
        *[inspect.Parameter.POSITIONAL_OR_KEYWORD] * len(plain),
        *[inspect.Parameter.KEYWORD_ONLY] * len(arguments.kwonlyargs),
    ]
    named = [*before, *plain, *arguments.kwonlyargs]
    for argument, kind, default in zip(named, kinds, defaults, strict=True):
        value = inspect.Parameter.empty if default is None else ast.literal_eval(default)
        yield inspect.Parameter(argument.arg, kind, default=value)
