"""Sphinx configuration. ``python -m sphinx -W docs docs/_build`` builds the pages."""

import pathlib
import re
import shutil

import optaxwd

project = "optaxwd"
author = "the optaxwd authors"
copyright = f"2026, {author}"
release = version = optaxwd.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx-mathjax-offline",
]
# myst-nb keeps notebooks, and what it executed, beside the output folder.
exclude_patterns = ["_build", "jupyter_execute", ".jupyter_cache"]

myst_enable_extensions = ["attrs_inline", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "cache"
nb_execution_timeout = 120
nb_execution_raise_on_error = True

autodoc_typehints = "none"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
napoleon_use_rtype = False

html_theme = "furo"
html_title = "optaxwd"


# What readers of the repository see as it is, and readers of the site as links: anchors
# in HTML, notebooks that lie beside this folder, and names of the library.
AS_LINKS = {
    r'<a id="([\w-]+)"></a>': r"[]{#\1}",
    r"\[([^\]]+)\]\((?:\.\./)+notebooks/(\w+)\.ipynb\)": r"{doc}`\1 </notebooks/\2>`",
    r"(?<!`)`(optaxwd\.[\w.]+)`(?!`)": r"{py:obj}`\1`",
}


def setup(app):
    """Make the site of what is written for readers of the repository too."""

    def add_links(app, docname, source):
        for pattern, link in AS_LINKS.items():
            source[0] = re.sub(pattern, link, source[0])

    def add_the_sandbox(app, error):
        page = pathlib.Path(optaxwd.__file__).parent / "_commands" / "sandbox.html"
        # Not under its own name, which is that of the guide.
        shutil.copy(page, pathlib.Path(app.outdir) / "play.html")

    app.connect("source-read", add_links)
    app.connect("build-finished", add_the_sandbox)
