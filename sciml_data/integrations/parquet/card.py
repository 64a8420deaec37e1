"""README.md of a Parquet export: a header in YAML that Hugging Face reads, and text for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from sciml_data.integrations.parquet.plan import Config
from sciml_data.metadata import CITATIONS, Facts, to_yaml, write_form

# Licences that Hugging Face knows, of those in SPDX's list that data commonly have. The identifier
# is that of SPDX in small letters.
KNOWN_LICENCES = {
    "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc-by-3.0", "cc-by-4.0", "cc-by-nc-4.0",
    "cc-by-nc-sa-4.0", "cc-by-nd-4.0", "cc-by-sa-4.0", "cc0-1.0", "gpl-2.0", "gpl-3.0", "mit",
    "odbl", "pddl",
}  # fmt: skip
NAMES = {"float": "float32", "double": "float64", "halffloat": "float16"}  # Arrow -> Hugging Face
SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))


def write_card(facts: Facts, configs: Sequence[Config], *, is_synthetic: bool) -> str:
    """Return the text of README.md.

    Args:
        facts: about the dataset.
        configs: what was written; the first one is the default.
        is_synthetic: whether the data are a synthetic sample.
    """
    head = {
        "pretty_name": facts.title,
        **_licence(facts),
        "tags": list(facts.keywords),
        "size_categories": [_size(sum(configs[0].rows(split) for split in configs[0].splits))],
        "configs": [_files(config, is_default=not n) for n, config in enumerate(configs)],
        "dataset_info": [_info(config) for config in configs],
    }
    return f"---\n{to_yaml(head)}---\n\n" + "\n".join(_text(facts, configs, is_synthetic))


def features(schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the columns as Hugging Face writes them in a header."""
    named = []
    for field in schema:
        feature = _feature(field.type)
        block = feature if isinstance(feature, dict) else {"dtype": feature}
        named.append({"name": field.name, **block})
    return named


def _feature(kind: pa.DataType) -> str | dict[str, Any]:
    if pa.types.is_fixed_size_list(kind):
        return {"list": _feature(kind.value_type), "length": kind.list_size}
    return NAMES.get(str(kind), str(kind))


def _licence(facts: Facts) -> dict[str, Any]:
    """Return the fields for the licence: an identifier, or `other` with a name."""
    names = [licence.name for licence in facts.licences]
    short = [_identifier(name) for name in names]
    if not any(licence.is_stated for licence in facts.licences):
        return {"license": "unknown"}
    if all(name in KNOWN_LICENCES for name in short):
        return {"license": short[0] if len(short) == 1 else short}
    return {"license": "other", "license_name": ", ".join(names)}


def _identifier(name: str) -> str:
    return name.lower().removesuffix("-only").removesuffix("-or-later")


def _size(rows: int) -> str:
    return next((name for limit, name in SIZES if rows < limit), "n>1M")


def _files(config: Config, *, is_default: bool) -> dict[str, Any]:
    files = [
        {"split": split, "path": f"{config.name}/{split}-*.parquet"} for split in config.splits
    ]
    default = {"default": True} if is_default else {}
    return {"config_name": config.name, **default, "data_files": files}


def _info(config: Config) -> dict[str, Any]:
    splits = [
        {
            "name": split,
            "num_bytes": sum(shard.size_bytes for shard in shards),
            "num_examples": config.rows(split),
        }
        for split, shards in config.splits.items()
    ]
    return {"config_name": config.name, "features": features(config.schema), "splits": splits}


def _text(facts: Facts, configs: Sequence[Config], is_synthetic: bool) -> Iterator[str]:  # noqa: FBT001 - internal
    yield f"# {facts.title}\n"
    if is_synthetic:
        yield "**A synthetic sample: made by a program, not measured.**\n"
    yield f"{facts.description}\n"
    yield (
        f"Dataset `{facts.dataset}`, version {facts.version}, in its analysis-ready form, written "
        "by `sciml-data export parquet`. Times are UTC.\n"
    )
    first = configs[0].name
    split = next(iter(configs[0].splits))
    yield (
        "```python\n"
        f'datasets.load_dataset("FOLDER", "{first}", split="{split}")\n'
        f'polars.read_parquet("FOLDER/{first}/{split}-*.parquet")\n'
        f"duckdb.sql(\"FROM 'FOLDER/{first}/{split}-*.parquet'\")\n"
        "```\n"
    )
    for config in configs:
        yield from _table(config)
    yield "## Licence\n"
    for licence in facts.licences:
        yield f"- {licence.label}{f': {licence.text}' if licence.text else ''}"
    yield "\n## How to cite\n"
    yield f"```bibtex\n{write_form(facts, CITATIONS['bibtex']).rstrip()}\n```\n"


def _table(config: Config) -> Iterator[str]:
    rows = ", ".join(f"{split} {config.rows(split):,}" for split in config.splits)
    yield f"## {config.name}\n"
    yield f"Rows: {rows}.\n"
    yield "| column | type | unit | meaning |\n|---|---|---|---|"
    for field in config.schema:
        known = {key.decode(): value.decode() for key, value in (field.metadata or {}).items()}
        meaning = known.get("description", "")
        if "missing" in known:
            meaning += f" (missing: {known['missing']})"
        cells = (f"`{field.name}`", _shape(field.type), known.get("units", ""), meaning)
        yield (
            "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"
        )
    yield ""


def _shape(kind: pa.DataType) -> str:
    """Return a type as people read it, such as `float32 (256, 256)`."""
    shape = []
    while pa.types.is_fixed_size_list(kind):
        shape.append(str(kind.list_size))
        kind = kind.value_type
    return f"{_feature(kind)} ({', '.join(shape)})" if shape else str(_feature(kind))
