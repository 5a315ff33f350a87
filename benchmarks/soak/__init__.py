"""A soak: many connections with traffic for a time, in each flavour, beside websockets: ``python -m benchmarks.soak``.

Each run of a library has a process of its own (:mod:`benchmarks.soak.holding`), so its memory, descriptors and threads
are those of the client alone; the echo server is another process. All libraries have the same conversation
(:mod:`benchmarks.soak.conversation`). :mod:`benchmarks.soak.libraries` lists them.
"""
