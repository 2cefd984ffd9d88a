"""Sphinx configuration: ``make docs`` builds the site into docs/_build; a warning is an error."""

from gnnspin.core.version import __version__

project = "gnnspin"
copyright = "the gnnspin developers"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
html_theme = "furo"
exclude_patterns = ["_build"]
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
napoleon_google_docstring = False
napoleon_use_ivar = True
myst_heading_anchors = 3
myst_enable_extensions = ["dollarmath"]
suppress_warnings = ["ref.python"]  # attributes of one name in several classes
