"""Comparisons of the client with other libraries and with a raw socket, in each flavour: ``python -m benchmarks``.

:mod:`benchmarks.cells` lists what is measured, :mod:`benchmarks.peers` the libraries, :mod:`benchmarks.goals` what
polysocket shall reach, and ``reached.json`` what it has reached. :mod:`benchmarks.server` is a raw socket that sends
frames that were made before. :mod:`benchmarks.rounds` deals with noise: the contestants take turns in short slices, and
only slices of the same round are compared. Each contestant works in a process of its own, :mod:`benchmarks.worker`. To
add a library, write one function and one line in :mod:`benchmarks.peers`.

Other commands measure one thing each: ``benchmarks.profile`` shows where the time of one cell goes,
``benchmarks.growth`` what more connections, larger messages and more buffered frames cost, ``benchmarks.memory`` and
``benchmarks.idle`` what a connection costs that does nothing, ``benchmarks.imports`` the time of imports,
``benchmarks.calls`` the Python calls of one message, ``benchmarks.fairness`` the turns of other tasks under a flood,
and ``benchmarks.soak`` what is lost or left with many connections.
"""
