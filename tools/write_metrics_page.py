"""Writes ``docs/metrics.md`` from the table of metrics.

python tools/write_metrics_page.py
"""

from __future__ import annotations

from pathlib import Path

from hacrl_lab.metrics import metrics_table

PAGE = Path(__file__).parents[1] / "docs" / "metrics.md"
TEXT = """# Metrics

<!-- written by tools/write_metrics_page.py from hacrl_lab/metrics.py -->

Every step of a run writes a line to `metrics.jsonl`, in the folder of its method, and the same numbers to TensorBoard.
A name is followed by the agent, `accuracy/AGENT`, or by a pair of agents, `clip_fraction/LEARNER/SAMPLER`: the learner
is who learns, the sampler is whose rollouts these are. Seconds are in `timings.jsonl`, so that runs with the same seed
write the same `metrics.jsonl`; what is measured every few steps is in `evaluations.jsonl`.

P prompts in a step, G rollouts of an agent for each, R rewards, A advantages, M updates in a step; a bar over a
log-probability is its mean over a response's tokens. [The glossary](glossary.md) has all symbols.

{table}

Steps from which nothing can be learned end a run with a sentence that says why: [what goes wrong](failures.md).
"""


def page() -> str:
    """The page in Markdown."""
    return TEXT.format(table=metrics_table())


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
