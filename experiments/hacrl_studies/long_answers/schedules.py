"""How a step's rollouts are cut into updates, and how tightly own rollouts are clipped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from hacrl_lab.config import TrainingConfig
from hacrl_lab.methods import get_method
from hacrl_lab.schedules import ScheduleName
from hacrl_runs.tables import markdown_table
from hacrl_studies.common.comparison import Comparison, compare
from hacrl_studies.common.study import Results
from hacrl_studies.common.training import final_success
from hacrl_studies.common.writers import Beginning
from hacrl_studies.long_answers.options import Options
from hacrl_studies.long_answers.runs import Run

PAPER_EPSILON = {"epsilon_low": 3e-4, "epsilon_high": 4e-4}
SCHEDULES: tuple[ScheduleName, ...] = ("mixed", "mixed_2u", "self_first")
SHARING = ("naive", "hacpo", "hacpo_ppo_clip_alpha0")
CONTROLS: tuple[ScheduleName, ...] = ("cross_first", "by_sampler")
CONTROL = "shares_nothing"
CONTROLLED: tuple[ScheduleName, ...] = ("mixed_2u", "self_first", "cross_first")
EMPTY_STEPS = "self_first, empty steps made"
"""The control as it would be without decision 12: Adam also makes the steps of mini-batches without a gradient."""
EQUAL_PAIRS = {"complementary skills": Beginning(), "the same skills": Beginning(overlap=1.0)}


def own_clips(options: Options) -> Mapping[str, TrainingConfig]:
    """The study's own clip and the paper's."""
    objective = options.training.objective
    paper = replace(options.training, objective=replace(objective, **PAPER_EPSILON))
    return {f"ε = {objective.epsilon_low}": options.training, "ε of the paper": paper}


def scheduled(training: TrainingConfig, method: str, schedule: ScheduleName) -> Run:
    """A method that shares, or the control, under a schedule; mixed is their own, and written as None."""
    return Run(method, training=replace(training, schedule=None if schedule == "mixed" else schedule))


def released(options: Options) -> Run:
    """The authors' code: its schedule, its clips and its KL penalty are the method's own."""
    return Run("hacpo_released", training=options.training)


def table_runs(options: Options) -> dict[tuple[str, str, str], Run]:
    """(own clip, method, schedule) -> run; single-agent methods under mixed, the control under the other schedules."""
    by_setting = {}
    for clip, training in own_clips(options).items():
        by_setting |= {(clip, method, "mixed"): Run(method, training=training) for method in ("gspo", "gspo_x2")}
        by_setting |= {(clip, m, schedule): scheduled(training, m, schedule) for m in SHARING for schedule in SCHEDULES}
        by_setting[clip, "hacpo", "cross_first"] = scheduled(training, "hacpo", "cross_first")
        by_setting |= {(clip, CONTROL, one): scheduled(training, CONTROL, one) for one in CONTROLLED}
        made = replace(training, schedule="self_first", empty_updates="step")
        by_setting[clip, CONTROL, EMPTY_STEPS] = Run(CONTROL, training=made)
    by_setting["ε of the paper", "hacpo_released", "self_first"] = released(options)
    by_setting["ε of the paper", "shares_nothing_released", "self_first"] = Run(
        "shares_nothing_released", training=options.training
    )
    return by_setting


def order_runs(options: Options) -> dict[tuple[str, str, str], Run]:
    """(pair of equal agents, method, schedule) -> HACPO and the control, to see what the order does to each agent."""
    ordered: tuple[ScheduleName, ...] = ("self_first", *CONTROLS)
    arms: list[tuple[str, ScheduleName]] = [*(("hacpo", schedule) for schedule in ordered), (CONTROL, "by_sampler")]
    return {
        (pair, *arm): replace(scheduled(options.training, *arm), beginning=beginning)
        for pair, beginning in EQUAL_PAIRS.items()
        for arm in arms
    }


def runs(options: Options) -> list[Run]:
    """Everything of this file."""
    return [*table_runs(options).values(), *order_runs(options).values()]


def differences(options: Options, results: Results) -> dict[tuple[str, str, str], tuple[Comparison, Comparison]]:
    """(own clip, method, schedule) -> against GSPO and against GSPO×2 with the same own clip.

    The controls are corrected for many comparisons by themselves.
    """
    by_setting = table_runs(options)
    final = {key: final_success(results[run]) for key, run in by_setting.items()}
    pairs = {
        (*key, reference): (values, final[key[0], reference, "mixed"])
        for key, values in final.items()
        for reference in ("gspo", "gspo_x2")
        if key[1] != reference
    }
    controls = {key: pair for key, pair in pairs.items() if get_method(key[1]).planned_as_sharing}
    compared = {**compare({key: pair for key, pair in pairs.items() if key not in controls}), **compare(controls)}
    scheduled_ones = [key for key in by_setting if key[1] not in ("gspo", "gspo_x2")]
    return {key: (compared[*key, "gspo"], compared[*key, "gspo_x2"]) for key in scheduled_ones}


def table(options: Options, results: Results) -> str:
    """A line for each own clip, method and schedule."""
    compared, by_setting = differences(options, results), table_runs(options)
    lines = []
    for (clip, method, schedule), run in by_setting.items():
        rollouts = run.training.prompts_per_step * run.training.group_size * get_method(method).rollout_factor
        own = run.training.updates(method, run.beginning.agents)
        success = f"{final_success(results[run]).mean():.3f}"
        gain = compared.get((clip, method, schedule), ("", ""))
        lines.append([clip, get_method(method).label, f"`{schedule}`", rollouts, own, success, *gain])
    header = ["own clip", "method", "schedule", "rollouts a step", "updates a step", "success"]
    return markdown_table([*header, "− GSPO", "− GSPO×2"], lines)


def order_table(options: Options, results: Results) -> str:
    """The success of each agent, and of the first minus the second, by the order of samplers."""
    by_order = order_runs(options)
    compared = compare({key: tuple(results[run]["success"][-1]) for key, run in by_order.items()})
    lines = []
    for key, run in by_order.items():
        pair, method, schedule = key
        first, second = results[run]["success"][-1].mean(-1)
        label = get_method(method).label
        lines.append([pair, label, f"`{schedule}`", f"{first:.3f}", f"{second:.3f}", compared[key]])
    return markdown_table(["pair", "method", "schedule", "agent a", "agent b", "a − b"], lines)
