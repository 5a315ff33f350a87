"""Observers: the protocol that logging, metrics and tracing implement, and the ready ones.

``observers.prometheus`` and ``observers.opentelemetry`` need an extra each, and are imported only on request.
"""

from polysocket.observers.logging import LoggingObserver
from polysocket.observers.observation import Observation, Observer

__all__ = ["LoggingObserver", "Observation", "Observer"]
