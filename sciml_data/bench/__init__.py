"""The benchmark engine: a task, a split and a model in; a run and its record out."""
