"""What may be chosen when granules are converted: label, mask, crop, packing.

label          bayes | summary        where the cloud label comes from
bayes_bits     any of the four bits   a pixel is cloud where one of these is set
exclude        any of the flags       a pixel with one of these is not valid
training_crop  none | reference       the reference's centre crop, training scenes only
compression    none | gzip            none reads quicker, gzip is about a third smaller or better
refs           reflectance | radiance what the key `refs` of the native files holds
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from sciml_data.errors import CallError, Problem, nearest

# Bits of bayes_in, as the level-1 product names them (flag_meanings of flags_in.nc); 16 to 128 are
# spare.
BAYES_BITS = {"single_low": 1, "single_moderate": 2, "dual_low": 4, "dual_moderate": 8}
NOT_COMPUTED = 255  # seen in every pixel of a granule of 2017, without a _FillValue to say so

# What a pixel may have; the last three say something and exclude nothing by themselves.
FLAGS = {
    "not_computed": 1,
    "unfilled": 2,
    "padded": 4,
    "cosmetic": 8,
    "duplicate": 16,
    "beyond_range": 32,
    "reflectance_missing": 64,
    "unlit": 128,
    "summary_cloud": 256,
}
EXCLUDED_BY_DEFAULT = (
    "not_computed",
    "unfilled",
    "padded",
    "cosmetic",
    "duplicate",
    "beyond_range",
)
CHOICES = {
    "label": ("bayes", "summary"),
    "training_crop": ("none", "reference"),
    "compression": ("none", "gzip"),
    "refs": ("reflectance", "radiance"),
}
SEVERAL = {"bayes_bits": tuple(BAYES_BITS), "exclude": tuple(FLAGS)}


@dataclass(frozen=True)
class Options:
    """The choices, checked; by default the reference's label, less what is not known."""

    label: str = "bayes"
    bayes_bits: tuple[str, ...] = tuple(BAYES_BITS)
    exclude: tuple[str, ...] = EXCLUDED_BY_DEFAULT
    training_crop: str = "none"
    compression: str = "none"
    refs: str = "reflectance"

    @property
    def bayes_mask(self) -> int:
        """Return the chosen bits as one number."""
        return sum(BAYES_BITS[name] for name in self.bayes_bits)

    @property
    def excluded_mask(self) -> int:
        """Return the flags that make a pixel invalid as one number.

        `not_computed` is of the Bayesian mask: it does not count where the label is `summary`.
        """
        not_asked = {"not_computed"} if self.label == "summary" else set()
        return sum(FLAGS[name] for name in set(self.exclude) - not_asked)


def parse_options(options: Mapping[str, Any], known: Sequence[str] = ()) -> Options:
    """Return the options; several words are a list or one text with commas.

    Args:
        options: as the caller gave them.
        known: names of the options that this reader has; none means all.

    Raises:
        CallError: unknown names or values; `.problems` has each, with the nearest known.
    """
    names = tuple(known) or tuple(field.name for field in fields(Options))
    problems: list[Problem] = []
    values: dict[str, Any] = {}
    for name, value in options.items():
        if name not in names:
            problems.append(Problem("unknown", name, f"no such option{nearest(name, names)}"))
        elif name in SEVERAL:
            values[name] = _several(name, value, problems)
        else:
            values[name] = _one(name, value, CHOICES[name], problems)
    if problems:
        raise CallError(
            f"{len(problems)} of {len(options)} conversion options cannot be used",
            problems=problems,
            untouched="nothing was read",
            hint=f"options: {', '.join(names)}",
        )
    return Options(**values)


def _several(name: str, value: Any, problems: list[Problem]) -> tuple[str, ...]:
    """Return the words in the order of the known ones, so that their order makes no other file."""
    words = [word.strip() for word in value.split(",")] if isinstance(value, str) else value
    if not isinstance(words, Sequence):
        problems.append(Problem("value", name, f"a list of words expected, {value!r} found"))
        return ()
    chosen = [_one(name, word, SEVERAL[name], problems) for word in words if word != ""]
    if not chosen and name == "bayes_bits":
        problems.append(Problem("value", name, "at least one bit is needed"))
    return tuple(word for word in SEVERAL[name] if word in chosen)


def _one(name: str, value: Any, known: Sequence[str], problems: list[Problem]) -> str:
    if value not in known:
        near = nearest(str(value), known)
        problems.append(Problem("value", name, f"{value!r} is none of {', '.join(known)}{near}"))
    return str(value)
