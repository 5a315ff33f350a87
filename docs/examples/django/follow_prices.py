from typing import Any

from django.core.cache import cache
from django.core.management.base import BaseCommand

from polysocket import Gap
from polysocket.blocking import reconnect


class Command(BaseCommand):
    help = "Follow the prices, and keep the latest ones in the cache."

    def handle(self, *args: Any, **options: Any) -> None:
        # No error is final: the command runs until it is stopped.
        with reconnect("wss://prices.example.com/", is_final=lambda error: False) as connections:
            for message in connections.messages():
                if isinstance(message, Gap):
                    self.stdout.write(f"no prices for {message.seconds:.0f} seconds")
                else:
                    item, price = str(message).split("=")
                    cache.set(f"price-{item}", int(price), timeout=None)
