"""Worlds of another make than ours, as case files: written without a look at the scorer, judged by what is printed."""
