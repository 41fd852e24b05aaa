"""The web process: hooks before anything else, then API, health and console.

`tocsin.web:app` is what granian serves. Hooks are answered by a few lines of WSGI in front of Flask, because a storm of
alerts is the one moment at which a framework's overhead is felt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tocsin.web.hooks import HooksFirst

__all__ = ["create_app"]


def create_app() -> HooksFirst:
    """The WSGI application of this process, built from the environment's settings."""
    from tocsin.config.logs import start as start_logging  # noqa: PLC0415
    from tocsin.config.settings import Settings  # noqa: PLC0415
    from tocsin.receive import open_receiver  # noqa: PLC0415
    from tocsin.web.hooks import HooksFirst  # noqa: PLC0415
    from tocsin.web.site import site  # noqa: PLC0415

    settings = Settings()
    start_logging(settings.log_level)
    receiver = open_receiver(settings)
    return HooksFirst(receiver, site(settings, receiver).wsgi_app)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """`app` is made when the server first asks for it, so that importing this package starts nothing."""
    if name == "app":
        globals()["app"] = create_app()
        return globals()["app"]
    raise AttributeError(name)
