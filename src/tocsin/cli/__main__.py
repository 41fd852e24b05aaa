"""`python -m tocsin.cli …` is `tocsin …`; it is how `tocsin up` starts its own parts."""

from __future__ import annotations

from tocsin.cli import main

main(prog_name="tocsin")
