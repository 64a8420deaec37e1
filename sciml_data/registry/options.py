"""Texts of a command line as values of the types that defaults have."""

from __future__ import annotations

from typing import Any

WORDS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}


def value_like(text: str, default: Any) -> Any:
    """Return the text as a value of the default's type; a list is split at its commas.

    Raises:
        ValueError: it is none; the message says what is expected.
    """
    if isinstance(default, bool):
        if text.lower() not in WORDS:
            raise ValueError(f"true or false is expected, not {text!r}")
        return WORDS[text.lower()]
    if isinstance(default, list):
        kind = default[0] if default else ""
        return [value_like(part.strip(), kind) for part in text.split(",") if part.strip()]
    for kind, words_for_it in ((int, "a whole number"), (float, "a number")):
        if isinstance(default, kind):
            try:
                return kind(text)
            except ValueError:
                raise ValueError(f"{words_for_it} is expected, not {text!r}") from None
    return text
