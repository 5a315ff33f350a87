"""The client in each flavour, measured beside the peers that are installed in that flavour: ``python -m benchmarks``.

What is measured (:mod:`benchmarks.measurements`): round trips, receiving and sending, of small and large messages,
against one server in a process of its own, without compression. How noise is dealt with (:mod:`benchmarks.rounds`):
the peers take turns in short slices, and only slices of the same round are compared. Adding a peer is one function and
one line in :mod:`benchmarks.peers`. Nothing here is a test: only ``--check`` judges, by one promise.
"""
