"""The folder that is served at a version's address: the page, and all that lies beside it."""

from __future__ import annotations

from sciml_data.metadata.facts import facts_of
from sciml_data.metadata.forms import CITATIONS, FORMS, write_form
from sciml_data.metadata.landing.landing import PAGE_NAME, landing_page
from sciml_data.registry.descriptor import DESCRIPTOR_NAME, Descriptor


def page_folder(descriptor: Descriptor) -> dict[str, bytes]:
    """Return every file of the folder by its name: page, exports, citations, descriptor, tables.

    Raises:
        CallError: the extra `fair` is not installed.
    """
    facts = facts_of(descriptor)
    forms = [form for formats in (*FORMS.values(), CITATIONS) for form in formats.values()]
    texts = {PAGE_NAME: landing_page(descriptor)}
    texts |= {form.file_name: write_form(facts, form) for form in forms}
    names = [DESCRIPTOR_NAME, *(one.path for one in facts.beside)]
    files = {name: (descriptor.folder / name).read_bytes() for name in names}
    return files | {name: text.encode("utf-8") for name, text in texts.items()}
