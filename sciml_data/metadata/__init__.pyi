from .addresses import REGISTRY_PAGE, REPOSITORY, SITE, landing_page_address
from .facts import Facts, facts_of
from .forms import CITATIONS, FORMS, Form, find_form, write_form
from .html import template_environment
from .vocabularies import is_spdx
from .yaml_text import to_yaml

__all__ = [
    "CITATIONS",
    "FORMS",
    "REGISTRY_PAGE",
    "REPOSITORY",
    "SITE",
    "Facts",
    "Form",
    "facts_of",
    "find_form",
    "is_spdx",
    "landing_page_address",
    "template_environment",
    "to_yaml",
    "write_form",
]
