"""Every variant against HACPO, and every exchange of clip and weight against training alone."""

from __future__ import annotations

from itertools import product
from pathlib import Path

from hacrl_lab.methods import get_method
from hacrl_lab.plotting import AGENT_COLOURS, new_figure, save
from hacrl_runs.tables import Csv, by_agent, markdown_table
from hacrl_studies.ablations.study import ALONE, EXCHANGE_TESTBEDS, EXCHANGES, REFERENCE, Options, variants
from hacrl_studies.common.comparison import Comparison, compare
from hacrl_studies.common.study import Results
from hacrl_studies.common.teams import PAIRS
from hacrl_studies.common.testbeds import CHAIN
from hacrl_studies.common.training import BY_SEED, by_seed, clipped_share, final_success
from hacrl_studies.common.tuning import sweep_section


def against_hacpo(options: Options, results: Results) -> dict[str, Comparison]:
    """Every variant's label -> the variant against HACPO."""
    final = {variant.label: final_success(results[variant.label]) for variant in variants(options.training)}
    reference = final.pop(REFERENCE)
    return compare({label: (values, reference) for label, values in final.items()})


def score(options: Options, results: Results) -> dict[str, float]:
    """Each variant's difference from HACPO."""
    return {label: comparison.mean for label, comparison in against_hacpo(options, results).items()}


def tables(options: Options, results: Results) -> dict[str, str]:
    """The placeholders of the page."""
    return {
        "variants": variants_table(options, results),
        "exchanges": exchanges_table(options, results),
        "team": options.team.title,
        "sweep": sweep_table(options, results),
    }


def variants_table(options: Options, results: Results) -> str:
    """One line a variant."""
    against = against_hacpo(options, results)
    rows = []
    for variant in variants(options.training):
        arrays, comparison = results[variant.label], against.get(variant.label)
        gain = ["", ""] if comparison is None else [comparison, f"{comparison.improved:.0%}"]
        success = by_agent(arrays["success"][-1])
        rows.append([variant.label, variant.group, success, *gain, clipped_share(variant.method, arrays)])
    return markdown_table(["variant", "from", "by agent", "− HACPO's", "improved", "clipped"], rows)


def exchanges_table(options: Options, results: Results) -> str:
    """Clip × weight against training alone, one line a pair; one correction over all of it."""
    exchanges = list(product(EXCHANGE_TESTBEDS, options.exchange_pairs))
    keys = [(testbed.name, pair, method) for testbed, pair in exchanges for method in EXCHANGES]
    alone = {(testbed.name, pair): final_success(results[testbed.name, pair, ALONE]) for testbed, pair in exchanges}
    gains = compare({key: (final_success(results[key]), alone[key[:2]]) for key in keys})
    rows = [
        [
            testbed.title,
            PAIRS[pair].name,
            f"{alone[testbed.name, pair].mean():.3f}",
            *(gains[testbed.name, pair, method] for method in EXCHANGES),
        ]
        for testbed, pair in exchanges
    ]
    return markdown_table(["world", "pair", "GSPO", *(get_method(method).label for method in EXCHANGES)], rows)


def sweep_table(options: Options, results: Results) -> str:
    """The learning rates that were tried for every variant, and for every pair and method of an exchange."""
    rows = {
        (CHAIN.title, options.team.name, variant.label): results[variant.label]
        for variant in variants(options.training)
    }
    rows |= {
        (testbed.title, PAIRS[pair].name, get_method(method).label): results[testbed.name, pair, method]
        for testbed, pair, method in product(EXCHANGE_TESTBEDS, options.exchange_pairs, (ALONE, *EXCHANGES))
    }
    return sweep_section(["world", "pair", "variant"], rows.items(), options.tuning_seeds)


def csvs(options: Options, results: Results) -> dict[str, Csv]:
    """One line for each variant, agent and seed; and for each world, pair, method, agent and seed."""
    ablated = [
        [variant.label, variant.group, *line]
        for variant in variants(options.training)
        for line in by_seed(results[variant.label], options.team)
    ]
    exchanged = [
        [testbed.name, PAIRS[pair].name, method, *line]
        for testbed, pair, method in product(EXCHANGE_TESTBEDS, options.exchange_pairs, (ALONE, *EXCHANGES))
        for line in by_seed(results[testbed.name, pair, method], PAIRS[pair])
    ]
    return {
        "ablations.csv": (["variant", "from", *BY_SEED], ablated),
        "exchanges.csv": (["world", "pair", "method", *BY_SEED], exchanged),
    }


def figures(options: Options, results: Results, folder: Path) -> None:
    """Each variant's difference from HACPO with its interval; filled marks are significant."""
    against = against_hacpo(options, results)
    shown = [variant for variant in variants(options.training) if variant.label in against]
    figure = new_figure(1.2 + 0.28 * len(shown))
    axes = figure.subplots()
    for height, variant in enumerate(shown):
        comparison = against[variant.label]
        axes.errorbar(
            comparison.mean,
            height,
            xerr=[[comparison.mean - comparison.low], [comparison.high - comparison.mean]],
            fmt="o",
            color=AGENT_COLOURS[0],
            markerfacecolor=AGENT_COLOURS[0] if comparison.significant else "white",
            capsize=2,
        )
    axes.set_yticks(range(len(shown)), [f"{variant.label}  ({variant.group})" for variant in shown], fontsize=9)
    axes.invert_yaxis()
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_xlabel("success after training − HACPO's")
    axes.grid(axis="x", alpha=0.25)
    heading = f"Token chain, {options.team.name}, {options.seeds} seeds: each variant against HACPO, paired by seed"
    figure.suptitle(f"{heading}\n95 % bootstrap intervals; filled marks: significant together", fontsize=11)
    save(figure, folder / "differences.png")
