"""Field types that the shapes of several sources share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BeforeValidator, Field, StringConstraints

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
"""What something is called: identity, so that blank is refused."""

Text = Annotated[str, BeforeValidator(lambda value: "" if value is None else value)]
"""A text that may be null, which means empty."""

Count = Annotated[int, Field(ge=0, lt=2**63)]
"""A number of rows or samples, within what a database column holds."""
