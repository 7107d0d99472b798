"""Links to code: files and folders of the repository that are no pages of the site get a page of their own.

`[text](../hacrl_lab/trainer.py)` leads to the file in the repository and to source/hacrl_lab/trainer.py.html on the
site, a link to a folder to the list of its files. Links to files of other kinds (CSV, TSV) stay downloads.
"""

from collections.abc import Iterator
from html import escape
from os.path import relpath
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "hacrl_lab",
    "envs/hacrl_envs",
    "hacrl_runs",
    "experiments/hacrl_studies/common",
)  # always there: the API pages lead to their lines


def setup(app: Sphinx) -> dict[str, bool]:
    """Registers the transform, and the pages that it needs."""
    app.add_transform(RepositoryLinks)
    app.connect("env-purge-doc", lambda app, env, docname: targets(env).pop(docname, None))
    app.connect("html-collect-pages", source_pages)
    app.setup_extension("sphinx.ext.linkcode")
    app.config.linkcode_resolve = source_of
    return {"parallel_read_safe": False, "parallel_write_safe": True}


def targets(env: BuildEnvironment) -> dict[str, set[str]]:
    """The files and folders that each page leads to, kept with the environment."""
    if not hasattr(env, "repository_targets"):
        env.repository_targets = {}
    return env.repository_targets


def page_name(path: str) -> str:
    """The page of a file or folder, from the root of the site, without .html."""
    return f"source/{path}/index" if (ROOT / path).is_dir() else f"source/{path}"


class RepositoryLinks(SphinxTransform):
    """Turns a page's links to Python files and to folders into links to their pages."""

    default_priority = 500

    def apply(self) -> None:
        """Runs once for each page."""
        found = self.document.findall(addnodes.download_reference), self.document.findall(addnodes.pending_xref)
        for node in [node for nodes_of_a_kind in found for node in nodes_of_a_kind]:
            path = self.file_or_folder(node)
            if path is not None:
                name = path.relative_to(ROOT).as_posix()
                targets(self.env).setdefault(self.env.docname, set()).add(name)
                uri = relpath(f"{page_name(name)}.html", Path(self.env.docname).parent)
                node.replace_self(nodes.reference("", "", *node.children, refuri=uri, internal=True))

    def file_or_folder(self, node: nodes.Element) -> Path | None:
        """What a link leads to, if that needs a page of its own."""
        if node.get("refdomain") == "doc":  # a Markdown file; most are pages of the site
            return None if node["reftarget"] in self.env.found_docs else ROOT / f"{node['reftarget']}.md"
        if node.get("refdomain"):
            return None
        path = Path(self.env.relfn2path(node["reftarget"], self.env.docname)[1])
        return path if path.is_dir() or (path.suffix == ".py" and path.is_file()) else None


def source_pages(app: Sphinx) -> Iterator[tuple[str, dict[str, str], str]]:
    """Pages of all files and folders that are linked, and of what is in these folders."""
    todo, done = {*PACKAGES, *(name for names in targets(app.env).values() for name in names)}, set()
    while todo:
        name = todo.pop()
        done.add(name)
        path = ROOT / name
        if path.is_dir():
            entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith((".", "__pycache__")))
            todo |= {entry.relative_to(ROOT).as_posix() for entry in entries if has_page(entry)} - done
            body = "<ul>\n" + "\n".join(f"<li>{listed(app, name, entry)}</li>" for entry in entries) + "\n</ul>"
        else:
            text = path.read_text("utf-8")
            language = "python" if path.suffix == ".py" else "markdown"
            body = app.builder.highlighter.highlight_block(text, language, lineanchors="line")
        yield page_name(name), {"title": name, "body": f"<h1>{escape(name)}</h1>\n{body}"}, "page.html"


def has_page(path: Path) -> bool:
    """Whether a file or folder gets a page when the folder that it is in has one."""
    return path.suffix == ".py" or any(path.glob("*.py"))


def listed(app: Sphinx, folder: str, entry: Path) -> str:
    """One line of a folder's page."""
    name = entry.relative_to(ROOT).as_posix()
    documents = [path for path in (name.removesuffix(".md"), f"{name}/README") if path in app.env.found_docs]
    page = page_name(name) if has_page(entry) else next(iter(documents), None)
    text = escape(entry.name)
    return f'<a href="{relpath(f"{page}.html", f"source/{folder}")}">{text}</a>' if page else text


def source_of(domain: str, info: dict[str, str]) -> str | None:
    """Where the source of an object of the API pages is, seen from docs/api/."""
    if domain != "py" or not info["module"]:
        return None
    analyzer = ModuleAnalyzer.for_module(info["module"])
    found = analyzer.find_tags().get(info["fullname"])
    name = Path(analyzer.srcname).relative_to(ROOT).as_posix()
    return f"../../source/{name}.html#line-{found[1]}" if found else None
