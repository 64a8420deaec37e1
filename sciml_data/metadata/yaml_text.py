"""YAML that every parser reads alike: the text of catalogues and citation files."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

WIDTH = 100


class _Dumper(yaml.SafeDumper):
    """PyYAML's safe dumper, which never writes references to equal values."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def to_yaml(document: Mapping[str, Any]) -> str:
    """Return a document as YAML, its keys in their order.

    A text that could be read as a number, a date or a truth value is quoted: the version "1.0"
    stays a text.
    """
    text: str = yaml.dump(
        dict(document), Dumper=_Dumper, allow_unicode=True, sort_keys=False, width=WIDTH
    )
    return text


def _text_node(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    # PyYAML quotes by the rules of YAML 1.1. Parsers of YAML 1.2 read more texts as numbers, such
    # as "1e5" and "0o14", so each text that begins like a number is quoted.
    style = "'" if text[:1] in "+-.0123456789" else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text_node)
