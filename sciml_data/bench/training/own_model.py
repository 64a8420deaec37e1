"""A model of the user's own instead of one of the registry: read, declared as a task's model, made.

    def build(spec, settings, *, width=64):       # in my_model.py
        return keras.Model(...)

The function gets the shapes that the benchmark expects (`interface.ModelSpec`) and the settings of
the run. It returns a Keras model, or an object with `fit(x, y)` and `predict(x)`. Its other
arguments are settings of the run: `--set width=128`. docs/how-to/own-model.md has examples.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

from sciml_data.bench.interface import OWN, ModelSpec
from sciml_data.bench.record.record import KERAS
from sciml_data.bench.task.settings import RESERVED, declarations
from sciml_data.bench.task.task import Task
from sciml_data.bench.training import backend
from sciml_data.errors import CallError, JsonError, Problem, RecordError, nearest
from sciml_data.home import read_small_file

SUFFIX = ".py"
DEFAULT_FUNCTION = "build"
FIT_PREDICT = "fit and predict"  # kind of a model without epochs, as records have it
LEADING = ("spec", "settings")  # arguments that the engine gives
SIMPLE = (bool, int, float, str)  # types of settings; lists of them are settings too
MEMORY = "memory_mib"  # setting that limits the arrays of a model with fit and predict
MEMORY_MIB = 4096
STYLE = re.compile(r"\x1b\[[0-9;]*m")  # bold letters in messages of Keras
SHORT_HASH = 12  # digits of a hash in a message
MAX_MESSAGE = 300  # characters of a message of the user's code
UNTOUCHED = "nothing was run"
IMPORT = "the import"  # what failed, in a message


@dataclass(frozen=True)
class OwnModel:
    """A function that makes a model, with the text that it was defined by.

    Attributes:
        name: of the model in settings and tables: `own-` and the name of the file.
        file: name of the file.
        function: gets a `ModelSpec` and settings.
        source: content of the file.
        path: of the file, as tracebacks have it.
        defaults: arguments that are settings, with their defaults.
    """

    name: str
    file: str
    function: Callable[..., Any]
    source: bytes
    path: str
    defaults: Mapping[str, Any]

    @property
    def origin(self) -> dict[str, str]:
        """Return file, function and digest, as records have them."""
        digest = hashlib.sha256(self.source).hexdigest()
        return {"file": self.file, "function": self.function.__name__, "sha256": digest}


def is_own_model(model: object) -> bool:
    """Return whether a model is a function, or names a Python file, and is not a registry's."""
    return callable(model) or f"{model}:".find(f"{SUFFIX}:") > 0


def own_model_of(model: object, backend_name: str | None = None) -> OwnModel | None:
    """Return the user's own model; None if `model` names a model of the registry.

    Args:
        model: as of `read_own_model`, or a name.
        backend_name: backend of Keras, which is chosen first: the file may import Keras.
    """
    if not is_own_model(model):
        return None
    backend.choose(backend_name)
    return read_own_model(model)  # type: ignore[arg-type] # a text or a function


def read_own_model(model: str | Callable[..., Any]) -> OwnModel:
    """Return the model of a Python file or of a function; the file is executed.

    Args:
        model: `path/to/file.py:function`, or `path/to/file.py` if the function is called `build`,
            or the function itself.

    Raises:
        CallError: no such file or function, the file raised an error, or the arguments of the
            function cannot be settings.
    """
    if callable(model):
        function, path, source = model, *_source_of(model)
    else:
        path, name = file_and_function(model)
        source = read_source(path)
        function = _function(_execute(path, source), path, name)
    name = getattr(function, "__name__", "")
    if not name.isidentifier():
        raise CallError(f"{model!r} is not a named function", untouched=UNTOUCHED)
    defaults = defaults_of(inspect.signature(function), f"{Path(path).name}:{name}")
    return OwnModel(label(path, name), Path(path).name, function, source, path, defaults)


def file_and_function(model: str) -> tuple[str, str]:
    """Return the path and the name of the function of `path/to/file.py:function`."""
    text, _, name = model.rpartition(":") if not model.endswith(SUFFIX) else (model, "", "")
    return str(Path(text).expanduser()), name or DEFAULT_FUNCTION


def label(path: str, name: str) -> str:
    """Return the name that a function of a file has as a model."""
    stem = Path(path).stem
    text = stem if name == DEFAULT_FUNCTION else f"{stem}-{name}"
    return OWN + re.sub(r"[^A-Za-z0-9._-]", "-", text)


def with_own_model(task: Task, own: OwnModel) -> Task:
    """Return the task with one more model, the default, whose settings are those of the function.

    The defaults of the function come before those of the task, its splits and its sample.

    Args:
        task: as `choose_variant` returns it.
        own: the model.
    """
    known = declarations(task)
    memory = {"default": MEMORY_MIB, "min": 0, "unit": "MiB", "help": "limit for training arrays"}
    declared = {} if MEMORY in known else {MEMORY: memory}
    for name, default in own.defaults.items():
        if name not in known:
            meaning = f"argument of {own.function.__name__} in {own.file}"
            declared[name] = {"default": default, "help": meaning}
    values = {MEMORY: task.settings.get(MEMORY, MEMORY_MIB), **own.defaults}
    settings = dict(task.settings)
    settings["model"] = {**task.settings.get("model", {}), own.name: values}
    # These groups come after that of the model.
    settings["sample"] = _without(task.settings.get("sample", {}), own.defaults)
    settings["split"] = {
        name: _without(block, own.defaults)
        for name, block in task.settings.get("split", {}).items()
    }
    return replace(
        task,
        models=(*task.models, own.name),
        default_model=own.name,
        settings=settings,
        declared={**task.declared, **declared},
    )


def _without(block: Mapping[str, Any], names: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in block.items() if name not in names}


def make(own: OwnModel, spec: ModelSpec, settings: Mapping[str, Any], seed: int) -> tuple[Any, str]:
    """Return what the user's function returns, and its kind: `KERAS` or `FIT_PREDICT`.

    Args:
        own: the model.
        spec: of the benchmark.
        settings: of the run.
        seed: of the run; the function gets it as a setting.

    Raises:
        CallError: the function raised an error, or returned neither kind of model.
    """
    import keras

    given = {name: settings[name] for name in own.defaults}
    with failures_named(own, own.function.__name__):
        made = own.function(spec, {**settings, "seed": seed}, **given)
    if isinstance(made, keras.Model):
        return made, KERAS
    if all(callable(getattr(made, name, None)) for name in ("fit", "predict")):
        return made, FIT_PREDICT
    raise CallError(
        f"{own.file}: {own.function.__name__} returned {type(made).__name__}; a Keras model, or an "
        "object with fit(x, y) and predict(x), is expected",
        untouched=UNTOUCHED,
        hint="docs/how-to/own-model.md has an example of each, and of a PyTorch model",
    )


def require_same_model(record: Mapping[str, Any], source: Mapping[str, str] | None) -> None:
    """Check that a resumed run trains the model that it began with.

    Args:
        record: of the run.
        source: `OwnModel.origin`; None for a model of the registry.

    Raises:
        RecordError: it began with another model, or the file was changed since.
    """
    began = record["model"]["source"]
    if _identity(began) != _identity(source):
        before, now = (
            f"{each['file']}:{each['function']} (sha256 {each['sha256'][:SHORT_HASH]})"
            if each
            else "a model of the registry"
            for each in (began, source)
        )
        copy = "; model.py in the folder of the run is that file" if began else ""
        raise RecordError(
            f"the run began with {before}, and would be resumed with {now}",
            untouched="the run was not changed",
            hint=f"give the model that the run began with{copy}, or start a new run",
        )


def _identity(source: Mapping[str, str] | None) -> tuple[str, str] | None:
    """Return what makes two models the same; the file may have another name."""
    return None if source is None else (source["function"], source["sha256"])


@contextlib.contextmanager
def failures_named(own: OwnModel, doing: str, untouched: str = UNTOUCHED) -> Iterator[None]:
    """Raise a CallError of one sentence, with file and line, if the user's code fails."""
    try:
        yield
    except CallError:  # it is a sentence already
        raise
    except Exception as error:  # the user's code may raise any
        # The text of a SyntaxError repeats the place.
        text = error.msg if isinstance(error, SyntaxError) else str(error)
        message = " ".join(STYLE.sub("", text).split())
        raise CallError(
            f"{_place(error, own.path)}: {doing} failed: {type(error).__name__}: "
            f"{message:.{MAX_MESSAGE}}",
            untouched=untouched,
        ) from error


def _place(error: Exception, path: str) -> str:
    """Return the file and the last line of it that an error passed."""
    lines = [
        frame.lineno
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == path
    ]
    if isinstance(error, SyntaxError) and error.filename == path:
        lines.append(error.lineno)
    return f"{Path(path).name}, line {lines[-1]}" if lines else Path(path).name


def read_source(path: str) -> bytes:
    """Return the content of a model's file.

    Raises:
        CallError: it cannot be read.
    """
    try:
        return read_small_file(Path(path))
    except (JsonError, OSError) as error:
        reason = getattr(error, "message", None) or getattr(error, "strerror", error)
        raise CallError(f"the model cannot be read: {reason}", untouched=UNTOUCHED) from error


def _execute(path: str, source: bytes) -> ModuleType:
    """Return the module of a file; exactly the bytes of the digest are executed."""
    module = ModuleType(f"sciml_own_{Path(path).stem}")
    module.__file__ = path
    sys.modules[module.__name__] = module  # dataclasses and pickles look their module up
    with failures_named(OwnModel("", Path(path).name, _execute, source, path, {}), IMPORT):
        exec(compile(source, path, "exec"), module.__dict__)  # noqa: S102 - the user named the file
    return module


def _function(module: ModuleType, path: str, name: str) -> Callable[..., Any]:
    function = getattr(module, name, None)
    if callable(function):
        return function  # type: ignore[no-any-return] # of the user
    raise no_function(
        path, name, [key for key, value in vars(module).items() if inspect.isfunction(value)]
    )


def no_function(path: str, name: str, names: Sequence[str]) -> CallError:
    """Return the error that a file lacks a function; `names` are those that it has."""
    return CallError(
        f"{Path(path).name} has no function {name!r}{nearest(name, names)}",
        untouched=UNTOUCHED,
        hint=f"--model {path}:FUNCTION" + (f", with one of {', '.join(names)}" if names else ""),
    )


def _source_of(function: Callable[..., Any]) -> tuple[str, bytes]:
    """Return the path and the content of a function's file, or of its cell in a notebook."""
    try:
        path = inspect.getsourcefile(function) or ""
        source = inspect.getsource(function).encode()
    except (OSError, TypeError) as error:
        raise CallError(
            f"the source of {function!r} is not known, so its digest cannot be recorded",
            untouched=UNTOUCHED,
            hint="define it with `def` in a file or in a cell of a notebook",
        ) from error
    return (path, read_source(path)) if Path(path).is_file() else (f"notebook{SUFFIX}", source)


def defaults_of(signature: inspect.Signature, place: str) -> dict[str, Any]:
    """Return the arguments after the first two with their defaults; lists are copied.

    Args:
        signature: of the function.
        place: file and function, for messages.

    Raises:
        CallError: the arguments are not those of a function that makes a model.
    """
    problems = []
    named = [
        parameter
        for parameter in signature.parameters.values()
        if parameter.kind not in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}
    ]
    if len(named) < len(LEADING) or any(each.kind is each.KEYWORD_ONLY for each in named[:2]):
        message = f"needs the arguments {' and '.join(LEADING)} first"
        problems.append(Problem("argument", place, message))
    defaults = {}
    for parameter in named[len(LEADING) :]:
        value = parameter.default
        if parameter.name in RESERVED:
            message = f"{parameter.name} is an option of a run, not a setting; rename it"
            problems.append(Problem("argument", place, message))
        elif not _is_simple(value):
            message = f"{parameter.name} needs a number, a text, true or false as its default"
            problems.append(Problem("argument", place, message))
        defaults[parameter.name] = list(value) if isinstance(value, tuple) else value
    if problems:
        hint = "settings['seed'] is the seed of the run"
        raise CallError(
            "this function cannot make a model", problems=problems, untouched=UNTOUCHED, hint=hint
        )
    return defaults


def _is_simple(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return bool(value) and all(type(item) is type(value[0]) in SIMPLE for item in value)
    return type(value) in SIMPLE
