"""Comparisons of the client with other libraries in each flavour: ``python -m benchmarks``.

:mod:`benchmarks.measurements` lists what is measured: round trips, receiving and sending of small and large messages,
without compression, against one server in a process of its own. :mod:`benchmarks.rounds` deals with noise: the
libraries take turns in short slices, and only slices of the same round are compared. To add a library, write one
function and one line in :mod:`benchmarks.peers`. Only ``--check`` judges, and only one promise.

:mod:`benchmarks.calls` counts Python calls, and :mod:`benchmarks.imports` compares the time of imports.
:mod:`benchmarks.soak` looks for what is lost or left with many connections.
"""
