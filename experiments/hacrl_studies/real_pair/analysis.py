"""The numbers, tables and figures of the page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import permutations
from pathlib import Path

from hacrl_lab.evaluation import mean_interval
from hacrl_lab.importance import stepwise_lower_bound
from hacrl_lab.theory.passing import token_budget
from hacrl_runs.figures import INITIAL
from hacrl_runs.tables import Csv, decimals, markdown_table, with_half_width
from hacrl_studies.common.arm_figures import gains_figure
from hacrl_studies.common.arm_tables import (
    agents,
    arm_score,
    curves,
    final_gains,
    label,
    mass_table,
    rates,
    ratios_table,
    run_ends,
    start,
    summary_table,
)
from hacrl_studies.common.arms import REFERENCE
from hacrl_studies.common.comparison import compare
from hacrl_studies.common.study import Results
from hacrl_studies.real_pair.pairs import RECIPES
from hacrl_studies.real_pair.study import START, Options


def of_pair(options: Options, results: Results, name: str) -> Results:
    """INITIAL and every arm of a pair -> its arrays."""
    return {key: results[name, key] for key in (INITIAL, *options.arms)}


def score(options: Options, results: Results) -> dict[str, float]:
    """Every arm's accuracy after training and during it, and its gain over GSPO, by pair."""
    return {
        f"{name}/{key}": value
        for name in options.pairs
        for key, value in arm_score(options, of_pair(options, results, name)).items()
    }


def tables(options: Options, results: Results) -> dict[str, str]:
    """The placeholders of the page."""

    def each(table: Callable[[Options, Results], str]) -> str:
        parts = ((name, table(options, of_pair(options, results, name))) for name in options.pairs)
        return "\n\n".join(f"*{name}*: {RECIPES[name].kind}\n\n{text}" for name, text in parts)

    return {
        "summary": each(lambda some, of: summary_table(some, of, (REFERENCE,))),
        "finding": "\n".join(_finding(options, results, name) for name in options.pairs),
        "by_task": each(tasks_table),
        "ratios": each(ratios_table),
        "passing": each(passing_table),
        "mass": each(mass_table),
        "silent": each(silent_table),
        "rates": each(rates),
        "answers": each(answers_table),
        "cost": each(cost_table),
        "hours": f"{sum(results[name, arm]['seconds'].sum() for name, arm in _runs(options)) / 3600:.1f}",
        "figures": "\n\n".join(
            f"![{name}: gain over GSPO, and each agent](gains_{name}.png)" for name in options.pairs
        ),
        "what_is_taught": taught_table(options),
        "budget": f"{token_budget(options.training.objective.delta):.3f}",
    }


def _finding(options: Options, results: Results, name: str) -> str:
    """What came out for a pair, in one line."""
    view = of_pair(options, results, name)
    gains = final_gains(options, view, REFERENCE)
    ends = "; ".join(f"{label(arm)} {view[arm]['accuracy'].mean():.3f}" for arm in options.arms)
    differences = "; ".join(f"{label(arm)} {comparison}" for arm, comparison in gains.items())
    beside = f" Differences to GSPO: {differences}." if differences else ""
    return f"- **{name}**: accuracy {start(view).mean():.3f} before training, then {ends}.{beside}"


def tasks_table(options: Options, results: Results) -> str:
    """Each agent's accuracy on each task, before and after, and the difference to GSPO paired by seed."""
    names, topics = agents(results), results[INITIAL]["topics"]
    asked = [(k, str(task)) for k in range(len(names)) for task in sorted(set(topics))]
    ends = {
        (arm, k, task): results[arm]["accuracy"][k][:, topics == task].mean(-1)
        for arm in options.arms
        for k, task in asked
    }
    others = [arm for arm in options.arms if arm != REFERENCE and REFERENCE in options.arms]
    gains = compare({(arm, *key): (ends[arm, *key], ends[REFERENCE, *key]) for arm in others for key in asked})
    rows: list[list[object]] = []
    for k, task in asked:
        before = results[INITIAL]["accuracy"][k][topics == task]
        rows.append([names[k], task, "before training", with_half_width(*mean_interval(before)), ""])
        rows += [
            ["", "", label(arm), with_half_width(*mean_interval(ends[arm, k, task])), gains.get((arm, k, task), "")]
            for arm in options.arms
        ]
    return markdown_table(["agent", "task", "method", "accuracy", "− GSPO"], rows)


def passing_table(options: Options, results: Results) -> str:
    """Before training: how far each agent is from what the other writes, and what passes the first clip bounds."""
    objective = options.training.objective
    below = f"share below {stepwise_lower_bound(objective.delta, objective.delta_step, 0):g}"
    names, rows = agents(results), []
    for learner, sampler in permutations(names, 2):

        def number(name: str, about: str = f"{learner} on {sampler}") -> float:
            return float(results[INITIAL][f"{START}{about}: {name}"])

        for kind in ("right", "wrong"):
            passes = 1 - number(f"{kind}, {below}") - number(f"{kind}, share above 1")
            shares = [passes, number(f"{kind}, {below}"), number(f"{kind}, share above 1")]
            length = number("length, 50%", sampler)
            deficit = number(f"{kind}, mean deficit")
            rows.append(
                [
                    f"{learner} on {sampler}",
                    kind,
                    f"{length:.0f}",
                    f"{number('mean s'):.3f}",
                    f"{deficit:.3f}",
                    *(f"{share:.0%}" for share in shares),
                ]
            )
    return markdown_table(
        [
            "learner on sampler",
            "answers",
            "median tokens",
            "mean s of all",
            "deficit per token, nats",
            "pass",
            "below",
            "above 1",
        ],
        rows,
    )


def silent_table(options: Options, results: Results) -> str:
    """Share of prompts whose answers give no gradient, by agent, mean over steps and seeds."""
    names = agents(results)
    rows = [
        [label(arm), *(f"{curves(results, arm, f'zero_variance_share/{name}').mean():.0%}" for name in names)]
        for arm in options.arms
    ]
    return markdown_table(["method", *names], rows)


def answers_table(options: Options, results: Results) -> str:
    """Sample answers before training and after it with each arm (seed 0), a line for each question and agent."""
    rows = []
    for q, question in enumerate(results[INITIAL]["questions"]):
        for k, name in enumerate(agents(results)):
            before = _answer(results[INITIAL]["answers"][k, q], results[INITIAL]["rewards"][k, q])
            after = [
                _answer(results[arm]["answers"][0, k, q], results[arm]["rewards"][0, k, q]) for arm in options.arms
            ]
            rows.append([question if k == 0 else "", name, before, *after])
    return markdown_table(["question", "agent", "before", *map(label, options.arms)], rows)


def cost_table(options: Options, results: Results) -> str:
    """Seconds of a run's steps, mean over seeds, and the most memory of any."""
    rows = [
        [label(arm), f"{results[arm]['seconds'].mean():.0f}", f"{results[arm]['peak_gib'].max():.1f}"]
        for arm in options.arms
    ]
    return markdown_table(["method", "seconds", "peak memory, GiB"], rows)


def taught_table(options: Options) -> str:
    """What every agent was before and what it was taught."""
    rows = [
        [
            pair,
            name,
            "SmolLM2" if teaching.start == "model" else "untrained Qwen3",
            f"`{' '.join(teaching.tasks)}`",
            f"{teaching.updates} × {teaching.examples}",
            f"{teaching.learning_rate:g}" if teaching.start == "model" else "its recipe's",
        ]
        for pair in options.pairs
        for name, teaching in RECIPES[pair].agents.items()
    ]
    return markdown_table(["pair", "agent", "from", "tasks (weight)", "updates × examples", "learning rate"], rows)


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each run, agent and task: its end."""
    rows = []
    for name in options.pairs:
        view = of_pair(options, results, name)
        topics = view[INITIAL]["topics"]
        for arm, rate, seed, accuracy in run_ends(options, view):
            for k, agent in enumerate(agents(view)):
                for task in sorted(set(topics)):
                    rows.append([name, arm, rate, seed, agent, task, *decimals([accuracy[k][topics == task].mean()])])
    return {"real_pair.csv": (["pair", "arm", "learning_rate", "seed", "agent", "task", "accuracy"], rows)}


def figures(options: Options, results: Results, folder: Path) -> None:
    """One for each pair: gain over GSPO of every arm; each agent's accuracy before and after."""
    for name in options.pairs:
        gains_figure(options, of_pair(options, results, name), folder / f"gains_{name}.png")


def _runs(options: Options) -> Iterator[tuple[str, str]]:
    yield from ((name, arm) for name in options.pairs for arm in options.arms)


def _answer(text: str, reward: float) -> str:
    """As a cell of a table: in one line, with a mark if it is right."""
    shown = repr(str(text))[1:-1].replace("|", "\\|")
    return f"`{shown}` ✓" if reward == 1 else f"`{shown}`"
