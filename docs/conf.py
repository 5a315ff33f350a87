"""How Sphinx builds these pages: from the docstrings of the polysocket that is installed."""

from importlib.metadata import version as installed_version

project = "polysocket"
author = "the polysocket authors"
copyright = "2026, the polysocket authors"  # noqa: A001 - Sphinx reads this name
release = version = installed_version("polysocket")

extensions = ["sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
default_role = "literal"

autodoc_default_options = {"members": True, "show-inheritance": True}
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"

html_theme = "furo"
html_title = f"polysocket {release}"
