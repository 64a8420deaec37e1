"""What is known about a dataset, in the standard forms that other programs and people read.

facts          a descriptor as one frozen `Facts`, which every export is made from
addresses      public addresses and identifiers
vocabularies   units, CF standard names and SPDX licences, looked up without network access
forms          the list of exports and citations, and the name of each file beside a landing page
croissant, datacite, schema_org, rocrate, dcat, cite   one standard each
html, yaml_text   how all pages and YAML files are written
fair/          how FAIR a version is, metric by metric
landing/       the landing page of a version
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
