"""How this process logs: key=value lines on standard error, secrets and personal data redacted at the root."""

from __future__ import annotations

import logging

from tocsin.decide.redact import Redactor
from tocsin.domain.policy import Redaction

FORMAT = "%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"


class Redacting(logging.Filter):
    """Rewrites every record before a handler sees it; a line that cannot be formatted is kept as its template."""

    def __init__(self) -> None:
        super().__init__()
        self._redactor = Redactor(Redaction())

    def filter(self, record: logging.LogRecord) -> bool:
        """Always True: lines are cleaned, never dropped."""
        try:
            text = record.getMessage()
        except (TypeError, ValueError):
            text = str(record.msg)
        record.msg, record.args = self._redactor.text(text), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = self._redactor.text(logging.Formatter().formatException(record.exc_info))
        return True


def start(level: str) -> None:
    """Log to standard error from this level on; called once by each process."""
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(Redacting())
    logging.basicConfig(level=level, handlers=[handler], force=True)
