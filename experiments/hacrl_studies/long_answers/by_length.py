"""The headline: nothing changes but the length of answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from hacrl_envs.long_answers import LongAnswerTask
from hacrl_lab.methods import get_method
from hacrl_lab.plotting import method_style, new_figure, save
from hacrl_runs.tables import markdown_table
from hacrl_studies.common.comparison import Comparison, compare, means_and_errors
from hacrl_studies.common.figures import label_line_ends
from hacrl_studies.common.study import Results
from hacrl_studies.common.training import final_success
from hacrl_studies.long_answers.options import Options
from hacrl_studies.long_answers.runs import Run

LENGTHS = (3, 8, 16, 32, 64, 128)
REFERENCE, DOUBLE = "gspo", "gspo_x2"
OTHERS = ("gspo_x2", "naive", "hacpo", "hacpo_ppo_clip_alpha0")
METHODS = (REFERENCE, *OTHERS)


def run_at(options: Options, length: int, method: str) -> Run:
    """One point of the headline."""
    return Run(method, replace(LongAnswerTask(), length=length), training=options.training)


def runs(options: Options) -> list[Run]:
    """Every method at every length."""
    return [run_at(options, length, method) for length in LENGTHS for method in METHODS]


def gains(options: Options, results: Results) -> dict[tuple[int, str], Comparison]:
    """(length, method) -> its success against GSPO's."""
    final = {(run.task.length, run.method): final_success(results[run]) for run in runs(options)}
    return compare({key: (values, final[key[0], REFERENCE]) for key, values in final.items() if key[1] != REFERENCE})


def against_double(options: Options, results: Results) -> dict[int, Comparison]:
    """Length -> HACPO's success against GSPO×2's."""
    final = {run: final_success(results[run]) for run in runs(options)}
    pairs = {
        length: (final[run_at(options, length, "hacpo")], final[run_at(options, length, DOUBLE)]) for length in LENGTHS
    }
    return compare(pairs)


def cross_means(results: Results, run: Run) -> dict[str, float]:
    """Mean over steps, agents and seeds of what is recorded of cross rollouts."""
    return {name: float(results[run][name].mean()) for name in ("ratio", "kept_positive", "kept_negative")}


def table(options: Options, results: Results) -> str:
    """A line for each length."""
    compared, double = gains(options, results), against_double(options, results)
    lines = []
    for length in LENGTHS:
        cross = cross_means(results, run_at(options, length, "hacpo"))
        alone = final_success(results[run_at(options, length, REFERENCE)]).mean()
        lines.append(
            [
                length,
                f"{alone:.3f}",
                *(compared[length, method] for method in OTHERS),
                double[length],
                f"{cross['ratio']:.3f}",
                f"{cross['kept_positive']:.0%} / {cross['kept_negative']:.0%}",
            ]
        )
    header = ["tokens", "GSPO", *(f"{get_method(name).label} − GSPO" for name in OTHERS)]
    return markdown_table([*header, "HACPO − GSPO×2", "mean cross s", "right / wrong mass that passes"], lines)


def figure(options: Options, results: Results, path: Path) -> None:
    """Gain over GSPO against length; below it what HACPO's clip lets through."""
    compared = gains(options, results)
    drawing = new_figure(6.2)
    above, below = drawing.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    for method in OTHERS:
        mean, error = means_and_errors(compared[length, method] for length in LENGTHS)
        label = get_method(method).label
        above.errorbar(LENGTHS, mean, yerr=error, label=label, capsize=2, **method_style(method))
    above.axhline(0, color="black", linewidth=0.8)
    title = f"The same skills in answers of other lengths; {options.seeds} seeds, 95 % bootstrap intervals"
    above.set(ylabel="success − GSPO's", title=title)
    above.title.set_fontsize(11)
    _draw_kept(below, options, results)
    for axes in (above, below):
        axes.grid(alpha=0.25)
    label_line_ends(drawing, [above])
    save(drawing, path)


def _draw_kept(axes: Axes, options: Options, results: Results) -> None:
    """The shares of advantage mass that pass HACPO's clip, by length."""
    cross = [cross_means(results, run_at(options, length, "hacpo")) for length in LENGTHS]
    for name, label, mark in (("kept_positive", "right answers", "o-"), ("kept_negative", "wrong answers", "s--")):
        axes.plot(LENGTHS, np.array([means[name] for means in cross]) * 100, mark, label=label, color="#D55E00")
    axes.set_xscale("log", base=2)
    axes.set_xticks(LENGTHS, [str(length) for length in LENGTHS])
    axes.set(xlabel="tokens in an answer", ylabel="advantage that\npasses HACPO's clip, %", ylim=(0, 100))
    axes.legend(loc="upper left")
