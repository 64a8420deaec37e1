"""What a Process Run Crate 0.5 must have, held against a crate before it is written.

The MUSTs of https://w3id.org/ro/wfrun/process/0.5 and those of RO-Crate 1.1 that a crate of ours
could break: every entity once, every reference answered, every file a part of the root.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sciml_data.errors import Problem

PERMALINK = "https://w3id.org/ro/wfrun/process/"
ACTIONS = {"CreateAction", "ActivateAction", "UpdateAction"}
TOOLS = {"SoftwareApplication", "SoftwareSourceCode", "ComputationalWorkflow"}
ROOT = "./"
# What RO-Crate 1.1 asks of the root, besides its type.
ROOT_FIELDS = ("name", "description", "datePublished", "license")
RO_CRATE = "https://w3id.org/ro/crate/"  # the specification itself is no entity of a crate

Entity = Mapping[str, Any]


def crate_problems(crate: Mapping[str, Any]) -> list[Problem]:
    """Return every MUST that a crate breaks, with the entity that does."""
    graph = crate["@graph"]
    identifiers = [one["@id"] for one in graph]
    problems = [
        Problem("twice", one, "an entity stands in the graph once")
        for one in dict.fromkeys(identifiers)
        if identifiers.count(one) > 1
    ]
    entities = {one["@id"]: one for one in graph}
    if ROOT not in entities:
        return [*problems, Problem("root", ROOT, "there is no root data entity")]
    problems += _root_problems(entities)
    problems += _action_problems(entities)
    problems += [
        Problem("reference", f"{holder} {name}", f"{target} is not in the graph")
        for holder, name, target in _references(graph)
        if target not in entities and not target.startswith(RO_CRATE)
    ]
    return problems


def _root_problems(entities: Mapping[str, Entity]) -> Iterator[Problem]:
    root = entities[ROOT]
    profiles = [entities.get(one, {}) for one in _targets(root.get("conformsTo"))]
    if not any(
        str(one.get("@id")).startswith(PERMALINK) and "CreativeWork" in _types(one)
        for one in profiles
    ):
        yield Problem("profile", ROOT, f"conformsTo names no CreativeWork {PERMALINK}…")
    for name in ROOT_FIELDS:
        if not root.get(name):
            yield Problem("root", ROOT, f"{name} is missing")
    parts = set(_targets(root.get("hasPart")))
    for identifier, one in entities.items():
        if "File" in _types(one) and identifier not in parts:
            yield Problem("part", identifier, "a file is no part of the root")


def _action_problems(entities: Mapping[str, Entity]) -> Iterator[Problem]:
    actions = [one for one in entities.values() if ACTIONS & set(_types(one))]
    if not actions:
        yield Problem("action", ROOT, "there is no action")
    for one in actions:
        tools = [entities.get(target, {}) for target in _targets(one.get("instrument"))]
        if not any(TOOLS & set(_types(tool)) for tool in tools):
            yield Problem("instrument", one["@id"], "names no software of the graph")


def _references(graph: list[Entity]) -> Iterator[tuple[str, str, str]]:
    """Yield (entity, property, target) of every reference."""
    for one in graph:
        for name, value in one.items():
            for target in _targets(value):
                yield one["@id"], name, target


def _targets(value: Any) -> list[str]:
    values = value if isinstance(value, list) else [value]
    return [one["@id"] for one in values if isinstance(one, Mapping) and "@id" in one]


def _types(entity: Entity) -> list[str]:
    found = entity.get("@type", [])
    return list(found) if isinstance(found, list) else [found]
