"""Runs walkthroughs from a clean kernel and keeps their outputs, so that what is committed is what the code says.

python tools/notebooks.py                    all of notebooks/ and notebooks/solutions/
python tools/notebooks.py notebooks/03*      some of them
python tools/notebooks.py --clear FILE       takes outputs out instead
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

from hacrl_lab.files import atomic_write

ROOT = Path(__file__).parents[1] / "notebooks"
WIDGET = "application/vnd.jupyter.widget-view+json"
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def run(path: Path, *, clear: bool = False) -> float:
    """Execute one notebook where it lies and write it back; returns the seconds that took.

    Args:
        path: of the notebook.
        clear: only take its outputs out.

    Raises:
        nbclient.exceptions.CellExecutionError: a cell failed; the file is left as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    began = time.perf_counter()
    if clear:
        for cell in code_cells(notebook):
            cell.outputs, cell.execution_count = [], None
    else:
        NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(path.parent)}}).execute()
    tidy(notebook)
    with atomic_write(path) as file:
        file.write(f"{nbformat.writes(notebook)}\n".encode())
    return time.perf_counter() - began


def tidy(notebook: NotebookNode) -> None:
    """Take out what differs between two runs that come to the same (names of cells and widgets, times, progress on
    stderr); a widget's picture stays.
    """
    notebook.metadata = nbformat.from_dict(METADATA)
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number:02d}"
        cell.metadata = nbformat.from_dict({"tags": cell.metadata["tags"]} if "tags" in cell.metadata else {})
    for cell in code_cells(notebook):
        cell.outputs = [output for output in cell.outputs if not is_passing(output)]


def is_passing(output: NotebookNode) -> bool:
    """Whether an output is of no use without the kernel that wrote it, or only to who waited for it."""
    return output.get("name") == "stderr" or WIDGET in output.get("data", {})


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """Cells that can be run."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def main() -> int:
    """Command line; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("paths", nargs="*", type=Path)
    parser.add_argument("--clear", action="store_true")
    options = parser.parse_args()
    for path in options.paths or sorted([*ROOT.glob("*.ipynb"), *ROOT.glob("solutions/*.ipynb")]):
        print(f"{run(path, clear=options.clear):6.1f} s  {path}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
