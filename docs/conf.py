"""Sphinx configuration: `pip install 'gnnspin[docs]' && sphinx-build docs docs/_build`."""

from gnnspin.core.version import __version__

project = "gnnspin"
version = release = __version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.mathjax"]
html_theme = "furo"
exclude_patterns = ["_build"]
autodoc_typehints = "description"
napoleon_google_docstring = False
myst_heading_anchors = 3
