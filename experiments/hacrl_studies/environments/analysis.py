"""Table, figure and CSV of success in the environments, by agent."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from pathlib import Path

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import draw_band, method_style, new_figure, save
from hacrl_runs.tables import Csv, decimals, markdown_table, with_interval
from hacrl_studies.common.comparison import Comparison, bootstrap_interval, compare
from hacrl_studies.common.study import Results
from hacrl_studies.common.tuning import sweep_section
from hacrl_studies.environments.agents import AGENTS, ENVIRONMENTS
from hacrl_studies.environments.study import Options


def comparisons(options: Options, results: Results) -> dict[tuple[str, str, int], Comparison]:
    """(environment, method, agent) -> its difference from the first method; one correction over all."""
    reference, *others = options.methods
    return compare(
        {
            (name, method, k): (results[name, method]["after"][k], results[name, reference]["after"][k])
            for name, method, k in product(options.environments, others, range(len(AGENTS)))
        }
    )


def score(options: Options, results: Results) -> dict[str, float]:
    """By environment, agent and method the mean success after training."""
    return {
        f"success/{name}/{agent}/{method}": float(results[name, method]["after"][k].mean())
        for name, (k, agent), method in product(options.environments, enumerate(AGENTS), options.methods)
    }


def tables(options: Options, results: Results) -> dict[str, str]:
    """Success of each agent before and after training, and what the environments are."""
    worlds = "\n".join(
        f"- **{name}** ({ENVIRONMENTS[name].steps} steps): {ENVIRONMENTS[name].about}" for name in options.environments
    )
    tried = (([name, get_method(method).label], arrays) for (name, method), arrays in results.items())
    sweep = sweep_section(["environment", "method"], tried, options.tuning_seeds)
    return {"table": _success(options, results), "worlds": worlds, "sweep": sweep}


def _success(options: Options, results: Results) -> str:
    """One row an environment and agent, with paired differences from the first method."""
    reference, *others = options.methods
    label, *other_labels = (get_method(method).label for method in options.methods)
    sharing = [method for method in options.methods if get_method(method).shares]
    header = ["environment", "agent", "tokens", "before", label, *(f"{other} − {label}" for other in other_labels)]
    header += [f"clipped, {get_method(method).label}" for method in sharing]
    against = comparisons(options, results)
    rows = []
    for name, (k, agent) in product(options.environments, enumerate(AGENTS)):
        base = results[name, reference]
        numbers = [
            f"{base['length'][k].mean():.1f}",
            f"{base['before'][k].mean():.2f}",
            with_interval(base["after"][k].mean(), bootstrap_interval(base["after"][k])),
            *(against[name, method, k] for method in others),
            *(f"{results[name, method]['clipped'][k].mean():.0%}" for method in sharing),
        ]
        rows.append([name, agent, *numbers])
    return markdown_table(header, rows)


def figures(options: Options, results: Results, folder: Path) -> None:
    """Success in training against steps: one row an environment, one column an agent, one line a method."""
    figure = new_figure(1.4 + 2.1 * len(options.environments))
    panels = figure.subplots(len(options.environments), len(AGENTS), sharey=True, sharex="row", squeeze=False)
    for row, name in zip(panels, options.environments, strict=True):
        for k, (axes, agent) in enumerate(zip(row, AGENTS, strict=True)):
            for method in options.methods:
                curve = results[name, method]["curve"][:, k]  # (steps, S)
                draw_band(axes, range(1, len(curve) + 1), curve, get_method(method).label, **method_style(method))
            axes.set_title(f"{name}: {agent}", fontsize=10)
            axes.set_ylim(0, 1.02)
            axes.grid(alpha=0.25)
        row[0].set_ylabel("success")
    for axes in panels[-1]:
        axes.set_xlabel("training step")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="outside lower center", ncols=len(options.methods))
    title = f"Success of training episodes, mean of {options.seeds} seeds with 95 % t intervals"
    figure.suptitle(title, fontsize=11)
    save(figure, folder / "curves.png")


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each environment, method, agent and seed."""
    header = ["environment", "method", "agent", "seed", "before", "after", "tokens", "clipped"]
    return {"environments.csv": (header, _rows(results))}


def _rows(results: Results) -> Iterator[list[str]]:
    for (name, method), arrays in results.items():
        for k, agent in enumerate(AGENTS):
            for seed in range(arrays["after"].shape[-1]):
                values = decimals(arrays[key][k, seed] for key in ("before", "after", "length", "clipped"))
                yield [name, method, agent, str(seed), *values]
