"""What users' own tests are made of."""

from polysocket.testing.echo import EchoServer

__all__ = ["EchoServer"]
