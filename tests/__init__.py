"""The test suite, importable so that its notebooks and benchmarks can be run as modules."""
