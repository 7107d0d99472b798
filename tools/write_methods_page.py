"""Writes ``docs/methods.md`` from the table of methods.

python tools/write_methods_page.py
"""

from __future__ import annotations

from pathlib import Path

from hacrl_lab.methods import method_rows
from hacrl_runs.tables import markdown_table

PAGE = Path(__file__).parents[1] / "docs" / "methods.md"
TEXT = """# Methods

<!-- written by tools/write_methods_page.py from hacrl_lab/methods.py -->

A method is one row of [`hacrl_lab/methods.py`](../hacrl_lab/methods.py): whose rollouts an agent learns from, what a
reward is compared with, what is maximised, and how a step's rollouts are cut into updates. On the command line it is
written by the name in the first column, for instance `hacrl-lab train --method hacpo --compare gspo`.

The roman numbers are the paper's four mechanisms: (i) capability-aware advantage (Eq. 6–7), (ii) capability discrepancy
coefficient ω (Eq. 10), (iii) exponential importance sampling (Eq. 11–12), (iv) stepwise clipping (Eq. 13–14).

{table}

How to add one: [extending.md](extending.md#a-method-a-row-and-its-function). What the paper leaves open:
[decisions.md](decisions.md).
"""


def page() -> str:
    """The page in Markdown."""
    rows = [(f"`{name}`", label, summary) for name, label, summary in method_rows()]
    return TEXT.format(table=markdown_table(["method", "in figures", "what it is"], rows))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
