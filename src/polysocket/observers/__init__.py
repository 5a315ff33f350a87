"""Observers: the protocol for logging, metrics and tracing, and its implementations.

``observers.prometheus`` and ``observers.opentelemetry`` need an extra each, and are not imported here.
"""

from polysocket.observers.logging import LoggingObserver
from polysocket.observers.observation import Observation, Observer

__all__ = ["LoggingObserver", "Observation", "Observer"]
