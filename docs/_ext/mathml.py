"""Formulas as MathML, which browsers render by themselves: no script, no network."""

from html import escape

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the renderer under the name that html_math_renderer has."""
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def visit_inline(translator: HTML5Translator, node: nodes.math) -> None:
    """A formula in a line of text."""
    translator.body.append(mathml(node, "inline"))
    raise nodes.SkipNode


def visit_block(translator: HTML5Translator, node: nodes.math_block) -> None:
    """A formula of its own, in a box that scrolls where it is too wide."""
    anchor = f' id="{node["ids"][0]}"' if node["ids"] else ""
    translator.body.append(f'<div class="math-block"{anchor}>{mathml(node, "block")}</div>\n')
    raise nodes.SkipNode


def mathml(node: nodes.math | nodes.math_block, display: str) -> str:
    """MathML of a node's TeX; what cannot be converted is a warning, and stands as it was written."""
    tex = node.astext()
    try:
        result = convert(tex, display=display)
    except Exception as error:  # of many kinds, by what is wrong with the formula
        logger.warning("formula %r: %r", tex, error, location=node)
        return f"<code>{escape(tex)}</code>"
    if "\\" in result:  # an unknown command is left as it was written
        logger.warning("formula %r has a command that latex2mathml does not know", tex, location=node)
    return result
