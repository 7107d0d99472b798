"""Every method against GSPO, by team: score, tables, figures and a CSV file of every seed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS, draw_band, method_style, new_figure, save
from hacrl_runs.tables import Csv, by_agent, markdown_table, with_interval
from hacrl_studies.common.comparison import (
    TALLY,
    Comparison,
    bootstrap_interval,
    compare,
    interquartile_mean,
    means_and_errors,
    tally,
)
from hacrl_studies.common.figures import mark, team_panels
from hacrl_studies.common.study import Results
from hacrl_studies.common.teams import PAIRS, TEAMS, Team
from hacrl_studies.common.training import BY_SEED, by_seed, clipped_share, final_success
from hacrl_studies.common.tuning import sweep_section
from hacrl_studies.heterogeneity.study import REFERENCE, REPEATS, SECONDS, TIMED_STEPS, Options

Comparisons = dict[tuple[str, str], Comparison]
"""(name of the team, method) -> the method against GSPO."""


def comparisons(options: Options, results: Results, teams: Sequence[Team]) -> Comparisons:
    """Every method against GSPO in every team, corrected together."""
    final = {key: final_success(arrays) for key, arrays in results.items() if key != SECONDS}
    keys = [(team.name, method) for team in teams for method in options.others]
    return compare({(team, method): (final[team, method], final[team, REFERENCE]) for team, method in keys})


def of_method(against: Comparisons, method: str) -> list[Comparison]:
    """A method against GSPO, pair by pair."""
    return [against[team.name, method] for team in PAIRS]


def score(options: Options, results: Results) -> dict[str, float]:
    """Each method's gain over GSPO, mean over the pairs, and on how many it is significant, losses counted as −1."""
    against = comparisons(options, results, PAIRS)
    numbers = {}
    for method in options.others:
        comparisons_of_pairs = of_method(against, method)
        numbers[f"gain/{method}"] = float(np.mean([comparison.mean for comparison in comparisons_of_pairs]))
        significant = [comparison.mean for comparison in comparisons_of_pairs if comparison.significant]
        numbers[f"pairs/{method}"] = float(sum(np.sign(significant)))
    return numbers


def tables(options: Options, results: Results) -> dict[str, str]:
    """The placeholders of the page."""
    seconds = results[SECONDS]["seconds"]
    training = options.training
    minutes = sum(float(results[team.name, m]["seconds"]) for team in PAIRS for m in options.methods) / 60
    return {
        "summary": summary_table(options, results),
        "pairs": teams_table(options, results, PAIRS),
        "teams": teams_table(options, results, TEAMS),
        "rollouts": f"{options.steps * training.prompts_per_step * training.group_size:,}",
        "updates": str(options.steps * training.updates(REFERENCE, agents=1)),
        "sweep": sweep_table(options, results),
        "last": str(options.seed_counts[-1]),
        "minutes": f"{minutes:.1f}",
        "ratio": f"{seconds[-1] / seconds[0]:.1f}",
        **{name: str(value) for name, value in options.testbed.sizes().items()},
    }


def summary_table(options: Options, results: Results) -> str:
    """A line for each method: how it compares with GSPO over the six pairs."""
    against = comparisons(options, results, PAIRS)
    by_method = {method: of_method(against, method) for method in options.others}
    rows = [
        [get_method(method).label, f"{np.mean([comparison.mean for comparison in mine]):+.3f}", *tally(mine, "pairs")]
        for method, mine in by_method.items()
    ]
    return markdown_table(["method", "mean gain over GSPO", *TALLY], rows)


def teams_table(options: Options, results: Results, teams: Sequence[Team]) -> str:
    """What each agent can do alone afterwards, and each method against GSPO."""
    against = comparisons(options, results, teams)
    rows = []
    for team in teams:
        start = results[team.name, REFERENCE]["success"][0]
        name = f"**{team.name}** ({team.heterogeneity})"
        rows.append([name, "initial", by_agent(start), f"{start.mean():.3f}", "", "", "", ""])
        for method in options.methods:
            arrays = results[team.name, method]
            final = final_success(arrays)
            middle = with_interval(interquartile_mean(final), bootstrap_interval(final, "iqm"))
            numbers = [by_agent(arrays["success"][-1]), f"{final.mean():.3f}", middle]
            comparison = against.get((team.name, method))
            gain = ["", ""] if comparison is None else [comparison, f"{comparison.improved:.0%}"]
            rows.append(["", get_method(method).label, *numbers, *gain, clipped_share(method, arrays)])
    header = ["team", "method", "by agent", "mean", "interquartile mean", "− GSPO's", "improved", "clipped"]
    return markdown_table(header, rows)


def sweep_table(options: Options, results: Results) -> str:
    """The learning rates that were tried for every team and method."""
    teams = [*PAIRS, *TEAMS[1:]]
    rows = (
        ([team.name, get_method(method).label], results[team.name, method])
        for team in teams
        for method in options.methods
    )
    return sweep_section(["team", "method"], rows, options.tuning_seeds)


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each team, method, agent and seed."""
    rows = [
        [team.name, team.heterogeneity, method, *line]
        for team in (*PAIRS, *TEAMS[1:])
        for method in options.methods
        for line in by_seed(results[team.name, method], team)
    ]
    return {f"heterogeneity{options.suffix}.csv": (["team", "heterogeneity", "method", *BY_SEED], rows)}


def figures(options: Options, results: Results, folder: Path) -> None:
    """Differences after training, curves and gains in training, and the time of seeds."""
    heading = f"{options.testbed.title}, {options.seeds} seeds"
    plot_differences(options, results, heading, folder / "differences.png")
    plot_seconds(options, results, folder / "seconds.png")

    def success(team: Team, method: str) -> np.ndarray:
        return results[team.name, method]["success"].mean(1)  # (steps + 1, S)

    title = f"{heading}: what each agent can do alone\n(bands: 95 % intervals of each mean, not paired)"
    lines = _lines(options.methods, success)
    team_panels(PAIRS, lines, "training step", "success, mean of the agents", title, folder / "curves.png")

    def gain(team: Team, method: str) -> np.ndarray:
        return success(team, method) - success(team, REFERENCE)

    title = f"{heading}: against GSPO after as many steps\n(bands: 95 % intervals, paired by seed)"
    lines = _lines(options.others, gain)
    team_panels(PAIRS, lines, "training step", "success − GSPO's", title, folder / "gains.png")


def _lines(methods: Sequence[str], values: Callable[[Team, str], np.ndarray]) -> Callable[[Axes, Team], None]:
    """Draws one line a method; values are (steps + 1, S)."""

    def draw(axes: Axes, team: Team) -> None:
        for method in methods:
            curve = values(team, method)
            draw_band(axes, range(len(curve)), curve, get_method(method).label, **method_style(method))

    return draw


def plot_differences(options: Options, results: Results, heading: str, path: Path) -> None:
    """Each method against GSPO after training with its interval: one row a pair, one mark a method."""
    against = comparisons(options, results, PAIRS)
    figure = new_figure(5.6)
    axes = figure.subplots()
    height = 0.8 / len(options.others)
    for position, method in enumerate(options.others):
        means, errors = means_and_errors(of_method(against, method))
        centres = np.arange(len(PAIRS)) + (position - (len(options.others) - 1) / 2) * height
        colour, marker = mark(method)
        label = get_method(method).label
        axes.errorbar(means, centres, xerr=errors, fmt=marker, color=colour, label=label, capsize=2)
    axes.set_yticks(range(len(PAIRS)), [f"{team.name}\n({team.heterogeneity})" for team in PAIRS])
    axes.set_yticks(np.arange(len(PAIRS) - 1) + 0.5, minor=True)
    axes.tick_params(axis="y", which="both", length=0)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set(xlabel="success after training − GSPO's", title=f"{heading}: against GSPO, 95 % intervals, paired by seed")
    axes.grid(axis="x", alpha=0.25)
    axes.grid(axis="y", which="minor", alpha=0.5)
    figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3)
    save(figure, path)


def plot_seconds(options: Options, results: Results, path: Path) -> None:
    """Time against the number of seeds that advance together, beside as many runs of one seed."""
    figure = new_figure(4)
    axes = figure.subplots()
    counts, seconds = options.seed_counts, results[SECONDS]["seconds"]
    axes.plot(counts, seconds, marker="o", color=AGENT_COLOURS[0], label="together, one batched computation")
    apart = seconds[0] * np.array(counts)
    axes.plot(counts, apart, ":", color=AGENT_COLOURS[1], label="as many runs of one seed")
    timing = f"{TIMED_STEPS} steps of HACPO, {PAIRS[0].name}: median of {REPEATS} runs"
    axes.set(xlabel="seeds", ylabel="seconds", title=timing, xticks=counts, ylim=(0, None))
    axes.grid(alpha=0.25)
    axes.legend()
    save(figure, path)
