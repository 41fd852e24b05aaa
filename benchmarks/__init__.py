"""How fast is Tocsin, and how does it compare? `python -m benchmarks.run`, or `make bench`."""
