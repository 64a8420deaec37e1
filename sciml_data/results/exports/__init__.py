"""Export a run in the forms of others: RO-Crate, MLflow, Every Eval Ever, the catalogue's YAML.

`RUN_FORMS` lists the forms and `export_run` writes one. docs/reference/run-exports.md says which
facts of a record each form cannot hold.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
