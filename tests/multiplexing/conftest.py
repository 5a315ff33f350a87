"""Leave out what needs a library that is not installed: starlette needs anyio."""

from importlib.util import find_spec

collect_ignore = [] if find_spec("starlette") is not None else ["test_graphql.py"]
