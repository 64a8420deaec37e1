"""The Python functions of the benchmarks; the command line calls the same functions."""
