"""The public Python functions, one module for each kind; import them from `sciml_data`."""
