from .addresses import (
    REPOSITORY,
    Identity,
    identity_problems,
    landing_page_address,
    registry_identity,
    registry_name,
    source_address,
)
from .facts import Facts, facts_of
from .forms import CITATIONS, FORMS, Form, find_form, write_form
from .html import template_environment
from .vocabularies import is_spdx
from .yaml_text import to_yaml

__all__ = [
    "CITATIONS",
    "FORMS",
    "REPOSITORY",
    "Facts",
    "Form",
    "Identity",
    "facts_of",
    "find_form",
    "identity_problems",
    "is_spdx",
    "landing_page_address",
    "registry_identity",
    "registry_name",
    "source_address",
    "template_environment",
    "to_yaml",
    "write_form",
]
