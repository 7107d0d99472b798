"""Notebooks on pages without a kernel: their language is named, and where a widget would be stands where it moves."""

import json
from os.path import relpath
from pathlib import PurePosixPath

from sphinx.application import Sphinx

WIDGET = "application/vnd.jupyter.widget-view+json"
NOTE = "*The sliders move in a running notebook. [The same piece in the browser]({page})*"


def setup(app: Sphinx) -> dict[str, bool]:
    """Runs on the text of each notebook before it is read."""
    app.connect("source-read", without_kernel)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def without_kernel(app: Sphinx, docname: str, source: list[str]) -> None:
    """Rewrites a notebook's JSON; other pages stay as they are."""
    if app.env.doc2path(docname).suffix != ".ipynb":
        return
    notebook = json.loads(source[0])
    notebook["metadata"].setdefault("language_info", {"name": "python", "pygments_lexer": "ipython3"})
    page = relpath("docs/interactive/index.html", PurePosixPath(docname).parent)
    for output in (output for cell in notebook["cells"] for output in cell.get("outputs", [])):
        if WIDGET in output.get("data", {}):
            output["data"] = {"text/markdown": NOTE.format(page=page)}
    source[0] = json.dumps(notebook)
