"""Ready observers for metrics and tracing. Each is an extra of its own, and imported only by who asks for it."""
