"""A Django project made of the documentation's views, consumer and command.

``python -m tests.docs.django_project serve UPSTREAM CACHE FD`` serves it with daphne on a listening socket, and
``python -m tests.docs.django_project follow_prices UPSTREAM CACHE`` runs the command.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from tests.docs.applications import loaded


def configure(cache: str) -> None:
    """Set up Django with a cache that processes share."""
    import django
    from django.conf import settings

    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        CACHES={"default": {"BACKEND": "django.core.cache.backends.filebased.FileBasedCache", "LOCATION": cache}},
        ROOT_URLCONF="tests.docs.django_project",
        SECRET_KEY="for tests only",
    )
    django.setup()


def make_application(upstream: str) -> Any:
    """Return the ASGI application, and define the urls of this module."""
    from channels.routing import ProtocolTypeRouter, URLRouter
    from django.core.asgi import get_asgi_application
    from django.urls import path

    views: ModuleType = loaded("django/views.py", upstream)
    global urlpatterns  # noqa: PLW0603 - Django reads this name of its ROOT_URLCONF.
    urlpatterns = [
        path("translate/", views.translate),
        path("translate-async/", views.translate_async),
        path("prices/<item>/", views.price_of),
    ]
    consumer = loaded("django/consumers.py", upstream).ChatConsumer
    return ProtocolTypeRouter(
        {"http": get_asgi_application(), "websocket": URLRouter([path("chat/", consumer.as_asgi())])}
    )


urlpatterns: list[Any] = []


def main(task: str, upstream: str, cache: str, descriptor: str = "") -> None:
    configure(cache)
    if task == "serve":
        from daphne.server import Server

        Server(make_application(upstream), endpoints=[f"fd:fileno={descriptor}"]).run()
    else:
        from django.core.management import call_command

        call_command(loaded(f"django/{task}.py", upstream).Command())


if __name__ == "__main__":
    sys.modules["tests.docs.django_project"] = sys.modules["__main__"]
    main(*sys.argv[1:])
