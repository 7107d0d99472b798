"""Settings of the documentation site; docs/site.md says how it is built."""

import sys
from importlib import metadata
from pathlib import Path

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_ext"))

project = "hacrl-lab"
author = "The hacrl-lab developers"
project_copyright = "The hacrl-lab developers, Apache-2.0"
release = metadata.version("hacrl-lab")

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_copybutton",
    "docstrings",
    "mathml",
    "offline",
    "repository_links",
]

# The source directory is the root of the repository, so that relative links are the same here and in the repository.
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "docs/**.md",
    "experiments/LOG.md",
    "experiments/README.md",
    "notebooks/**.ipynb",
    "notebooks/README.md",
    "results/**/README.md",
]
exclude_patterns = [".*", "build", "docs/_*", "results/*/cells", "runs"]

# Walkthroughs are shown with the outputs that are committed; the tests run them.
nb_execution_mode = "off"
nb_merge_streams = True
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 4

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_preserve_defaults = True
toc_object_entries = False  # with thousands of objects the navigation of every page took half of the time
napoleon_numpy_docstring = False

html_theme = "furo"
html_title = f"hacrl-lab {release}"
html_static_path = ["_static"]
html_extra_path = ["_extra"]
html_css_files = ["custom.css"]
html_js_files = ["interactive/load.js"]
html_math_renderer = "mathml"
html_copy_source = False
html_show_sphinx = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
