"""A record in the forms of others: RO-Crate, MLflow, Every Eval Ever, the catalogue's YAML.

Each form is a module that makes a document, or writes to a place, from a run's folder and record;
what a form has no word for is lost, and docs/run-exports.md says what that is.
"""

from sciml_data.results.exports.forms import RUN_FORMS, export_run
from sciml_data.results.exports.material import Ask

__all__ = ["RUN_FORMS", "Ask", "export_run"]
