"""Tables and images in a descriptor: whether its native block fits the declared variables."""

from __future__ import annotations

import zoneinfo
from collections.abc import Iterator, Mapping
from typing import Any

from sciml_data.errors import Problem, nearest

# Names for the path of the native file of each row of a table: the first that is no column.
FILE_VARIABLES = ("file", "native_file")


def declaration_problems(native: Mapping[str, Any], declared: Mapping[str, Any]) -> list[Problem]:
    """Return every contradiction between a native block and the declared variables.

    Args:
        native: `sciml.native` of a descriptor, with one of our readers of tables or images.
        declared: `sciml.variables`.
    """
    if native["reader"] == "image_folder":
        return list(_image_problems(native, declared))
    return [*_column_problems(native, declared), *_schema_problems(native)]


def _column_problems(native: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[Problem]:
    columns = native["columns"]
    for name in columns:
        if name not in declared:
            hint = nearest(name, declared)
            message = f"{name} is not declared in variables{hint}"
            yield Problem("native", f"$.sciml.native.columns.{name}", message)
    dims = {tuple(declared[name]["dims"]) for name in columns if name in declared}
    if len(dims) > 1 or any(len(each) != 1 for each in dims):
        message = "the variables of columns have one dimension, and the same"
        yield Problem("native", "$.sciml.variables", message)
    rows = {dim for each in dims for dim in each}  # their numbers may be a variable, too
    paths = {name for name in FILE_VARIABLES if declared.get(name, {}).get("dtype") == "S"}
    for name in sorted(set(declared) - set(columns) - rows - paths):
        message = f"native.columns has no column of {name}"
        yield Problem("native", f"$.sciml.variables.{name}", message)
    zone = native.get("timezone", "UTC")
    if zone not in zoneinfo.available_timezones():
        message = f"there is no time zone {zone!r}{nearest(zone, zoneinfo.available_timezones())}"
        yield Problem("native", "$.sciml.native.timezone", message)


def _schema_problems(native: Mapping[str, Any]) -> Iterator[Problem]:
    if "schema" not in native:
        return
    names = [field["name"] for field in native["schema"]["fields"]]
    for name in sorted({name for name in names if names.count(name) > 1}):
        message = f"{names.count(name)} fields have the name {name!r}"
        yield Problem("native", "$.sciml.native.schema.fields", message)
    for variable, label in native["columns"].items():
        if label not in names:
            message = f"the schema has no field {label!r}{nearest(label, names)}"
            yield Problem("native", f"$.sciml.native.columns.{variable}", message)


def _image_problems(native: Mapping[str, Any], declared: Mapping[str, Any]) -> Iterator[Problem]:
    ranks = {"image": (3, 4), "file": (1,)}
    if "classes" in native:
        ranks |= {"label": (1,), "class_name": (1,)}
    if "size" in native:
        ranks |= {"height": (1,), "width": (1,)}
    for name in sorted(set(ranks) ^ set(declared)):
        wrong = "is not declared" if name in ranks else "is not a variable of image_folder here"
        yield Problem("native", f"$.sciml.variables.{name}", wrong)
    for name in sorted(set(ranks) & set(declared)):
        if len(declared[name]["dims"]) not in ranks[name]:
            expected = " or ".join(map(str, ranks[name]))
            message = f"{expected} dimensions expected, {declared[name]['dims']} declared"
            yield Problem("native", f"$.sciml.variables.{name}", message)
