"""Table, figure and CSV of exact success, with paired t intervals over seeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from hacrl_lab.plotting import draw_band, method_style, new_figure, save
from hacrl_runs.tables import Csv, decimals, markdown_table, with_half_width
from hacrl_studies.bandit.study import AGENTS, Options
from hacrl_studies.common.figures import label_line_ends
from hacrl_studies.common.study import Results
from hacrl_studies.common.tuning import sweep_section


def score(options: Options, results: Results) -> dict[str, float]:
    """Success after training by method, mean over agents and seeds, and its difference from the first method's."""
    reference, *others = options.methods
    final = {method: float(results[method]["success"][-1].mean()) for method in options.methods}
    gains = {f"gain/{method}": final[method] - final[reference] for method in others}
    return {**{f"success/{method}": value for method, value in final.items()}, **gains}


def tables(options: Options, results: Results) -> dict[str, str]:
    """Exact success before and after training, paired differences from the first method, cost and clip."""
    reference = options.methods[0]
    label = get_method(reference).label
    header = ["method", "rollouts of each agent", "updates of each agent", "initial", "final", f"final − {label}'s"]
    header += ["cross rollouts clipped"]
    rows = []
    for name in options.methods:
        method, curve = get_method(name), results[name]["success"]
        rollouts = options.steps * options.training.prompts_per_step * options.training.group_size
        gain = (curve[-1] - results[reference]["success"][-1]).mean(0)
        rows.append(
            [
                method.label,
                f"{rollouts * method.rollout_factor:,}",
                str(options.steps * options.training.updates(name, agents=2)),
                *(with_half_width(*mean_interval(curve[t].mean(0))) for t in (0, -1)),
                "—" if name == reference else with_half_width(*mean_interval(gain), "+.3f"),
                f"{results[name]['clipped'].mean():.0%}" if method.shares else "—",
            ]
        )
    tried = sweep_section(
        ["method"],
        (([get_method(name).label], results[name]) for name in options.methods),
        options.tuning_seeds,
    )
    return {"table": markdown_table(header, rows), "reference": label, "sweep": tried}


def figures(options: Options, results: Results, folder: Path) -> None:
    """Mean success over both agents against steps."""
    figure = new_figure(4.6)
    axes = figure.subplots()
    for name in options.methods:
        curve = results[name]["success"].mean(1)  # (steps + 1, S)
        draw_band(axes, range(len(curve)), curve, get_method(name).label, **method_style(name))
    axes.set(
        xlabel="training step",
        ylabel="exact success probability",
        title=f"Contextual bandit, two agents, {options.seeds} seeds; bands: 95 % t intervals",
        ylim=(0, 1),
    )
    axes.grid(alpha=0.25)
    label_line_ends(figure, [axes])
    save(figure, folder / "success.png")


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each method, agent and seed."""
    return {"bandit.csv": (["method", "agent", "seed", "initial", "final", "clipped"], _rows(options, results))}


def _rows(options: Options, results: Results) -> Iterator[list[str]]:
    for method in options.methods:
        success, clipped = results[method]["success"], results[method]["clipped"]
        for k, agent in enumerate(AGENTS):
            for seed, values in enumerate(zip(success[0, k], success[-1, k], clipped[k], strict=True)):
                yield [method, agent, str(seed), *decimals(values)]
