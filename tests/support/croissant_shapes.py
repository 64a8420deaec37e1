"""MLCommons' shapes of Croissant Tasks, as the tests apply them."""

from __future__ import annotations

import functools
import json
from typing import Any

import pytest

from tests.support.paths import ROOT

FOLDER = ROOT / "tests" / "support" / "croissant_tasks"


@functools.cache
def shapes() -> Any:
    """Return upstream's shapes, with the shape that has no path in well-formed SHACL.

    Upstream asks, in a property shape without `sh:path`, that a problem has a spec class among its
    inputs, outputs or implementations.
    """
    rdflib = pytest.importorskip("rdflib")
    sh = rdflib.Namespace("http://www.w3.org/ns/shacl#")
    problem = rdflib.URIRef("http://mlcommons.org/croissant/TaskProblemShape")
    graph = rdflib.Graph().parse(FOLDER / "croissant-tasks-shapes.ttl")
    (broken,) = [
        shape
        for shape in graph.objects(problem, sh.property)
        if (shape, sh.path, None) not in graph
    ]
    choices = rdflib.collection.Collection(graph, graph.value(broken, sh["or"]))
    alternatives = [_at_least_one(graph, sh, choice) for choice in choices]
    message = graph.value(broken, sh.message)
    graph.remove((problem, sh.property, broken))
    some = rdflib.BNode()
    rdflib.collection.Collection(graph, first := rdflib.BNode(), alternatives)
    graph.add((problem, sh.node, some))
    graph.add((some, sh["or"], first))
    graph.add((some, rdflib.RDF.type, sh.NodeShape))
    graph.add((some, sh.message, message))
    return graph


def _at_least_one(graph: Any, sh: Any, choice: Any) -> Any:
    """Return a node shape: at least one value of the choice's path is of the choice's class."""
    import rdflib

    outer, value = rdflib.BNode(), rdflib.BNode()
    graph.add((value, sh["class"], graph.value(choice, sh["class"])))
    graph.remove((choice, sh["class"], None))
    graph.add((choice, sh.qualifiedValueShape, value))
    graph.add((choice, sh.qualifiedMinCount, rdflib.Literal(1)))
    graph.add((outer, sh.property, choice))
    return outer


@functools.cache
def ontology() -> Any:
    rdflib = pytest.importorskip("rdflib")
    return rdflib.Graph().parse(FOLDER / "croissant-tasks.ttl")


def violations(document: Any) -> list[str]:
    """Return the messages of a validation, with and without subclasses of the ontology.

    With the ontology, every shape of a class holds for its subclasses: the shape of a task for
    problems and solutions, too.
    """
    pyshacl = pytest.importorskip("pyshacl")
    rdflib = pytest.importorskip("rdflib")
    text = document if isinstance(document, str) else json.dumps(document)
    found: list[str] = []
    for options in ({}, {"ont_graph": ontology(), "inference": "rdfs"}):
        graph = rdflib.Graph().parse(data=text, format="json-ld")
        conforms, _, report = pyshacl.validate(graph, shacl_graph=shapes(), **options)
        lines = [line.partition("Message: ")[2] for line in report.splitlines()]
        messages = [line for line in lines if line]
        assert conforms == (not messages)
        found += messages
    return list(dict.fromkeys(found))
