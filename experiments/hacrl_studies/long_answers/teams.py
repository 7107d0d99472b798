"""What the agents know, how many they are, and what a foreign style costs them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hacrl_envs.long_answers import LongAnswerTask
from hacrl_lab.methods import get_method
from hacrl_runs.tables import by_agent, markdown_table
from hacrl_studies.common.comparison import Comparison, compare
from hacrl_studies.common.study import Results
from hacrl_studies.common.training import final_success
from hacrl_studies.common.writers import Beginning
from hacrl_studies.long_answers.options import Options
from hacrl_studies.long_answers.runs import Run
from hacrl_studies.long_answers.schedules import own_clips

METHODS = ("gspo_x2", "naive", "hacpo", "hacpo_ppo_clip_alpha0")
PAIRS = {
    "complementary": Beginning(),
    "half the same": Beginning(overlap=0.5),
    "the same": Beginning(overlap=1.0),
    "complementary, unequal": Beginning(gap=0.5),
    "weak skills never taught": Beginning(other=0.0),
    "weak skills misread": Beginning(other=-1.0),
}
"""By what the two agents know. A skill never taught is guessed: one answer in 64 is right. In one that is misread,
right answers are so rare that an agent alone practically never sees any."""
TWELVE = replace(LongAnswerTask(), skills=12)
SIZES = (2, 3, 4)
COSTS = (0.0, 3.0, 10.0, 30.0)
COST_METHODS = ("naive", "hacpo")

Line = tuple[str, str, Run]
"""Name of the table's row, method, run."""


def pair_lines(options: Options) -> list[Line]:
    """Every pair with every method, GSPO first."""
    return [
        (name, method, Run(method, beginning=beginning, training=options.training))
        for name, beginning in PAIRS.items()
        for method in ("gspo", *METHODS)
    ]


def size_lines(options: Options) -> list[Line]:
    """Teams of two, three and four that know twelve skills between them."""
    return [
        (f"{count} agents", method, Run(method, TWELVE, Beginning(agents=count), options.training))
        for count in SIZES
        for method in ("gspo", *METHODS)
    ]


def cost_lines(options: Options) -> list[Line]:
    """Pairs whose answers in another style are worse, with both clips."""
    return [
        (f"{cost:g}, {clip}", method, Run(method, beginning=Beginning(style_cost=cost), training=training))
        for clip, training in own_clips(options).items()
        for cost in COSTS
        for method in ("gspo", *COST_METHODS)
    ]


def runs(options: Options) -> list[Run]:
    """Everything of this file."""
    lines = [*pair_lines(options), *size_lines(options), *cost_lines(options)]
    return [run for _, _, run in lines]


def gains(lines: Sequence[Line], results: Results) -> dict[tuple[str, str], Comparison]:
    """(row, method) -> its success against GSPO's in the same row."""
    final = {(name, method): final_success(results[run]) for name, method, run in lines}
    return compare({key: (values, final[key[0], "gspo"]) for key, values in final.items() if key[1] != "gspo"})


def _table(what: str, lines: Sequence[Line], results: Results) -> str:
    """A line for each row, a column for each method.

    Args:
        what: title of the first column.
        lines: of one of the lists above.
        results: of the study.
    """
    compared = gains(lines, results)
    methods = list(dict.fromkeys(method for _, method, _ in lines if method != "gspo"))
    rows = []
    for name, method, run in lines:
        if method == "gspo":
            curve = results[run]["success"]
            rows.append([name, by_agent(curve[0]), by_agent(curve[-1]), *(compared[name, other] for other in methods)])
    header = [what, "before, by agent", "GSPO, by agent"]
    return markdown_table([*header, *(f"{get_method(method).label} − GSPO" for method in methods)], rows)


def pair_table(options: Options, results: Results) -> str:
    """By what the two agents know."""
    return _table("skills of the pair", pair_lines(options), results)


def size_table(options: Options, results: Results) -> str:
    """By how many they are."""
    return _table("team", size_lines(options), results)


def cost_table(options: Options, results: Results) -> str:
    """By what a foreign style costs them."""
    return _table("style cost, own clip", cost_lines(options), results)
