"""A method = whose rollouts + which baseline + which objective + which schedule: one row of :data:`METHODS` each.

The table is the only list of methods: names, ``--help``, ``docs/methods.md``, labels and looks in figures come from it.
The roman numbers in the summaries are the paper's four mechanisms: (i) capability-aware advantage, (ii) capability
coefficient ω, (iii) exponential importance sampling, (iv) stepwise clipping.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial

from torch import Tensor

from hacrl_lab.advantages import (
    Baseline,
    calibrated_baseline,
    capability_aware_baseline,
    group_mean_baseline,
    leave_one_out_capability_baseline,
)
from hacrl_lab.capability import CapabilityTracker, LaggedCapabilityTracker
from hacrl_lab.errors import SettingError
from hacrl_lab.importance import capped_weight, hard_lower_ppo_upper, ppo_clip, ppo_lower_hard_upper
from hacrl_lab.objectives import (
    Objective,
    ObjectiveSettings,
    epsilon_bounds,
    grpo_objective,
    gspo_objective,
    hacpo_objective,
    lower_bound_only,
    no_bounds,
    unit_coefficient,
)
from hacrl_lab.schedules import EmptyUpdates, Schedule, UpdatePlan, mixed, own_part, self_first


@dataclass(frozen=True)
class Method:
    """One way of learning from a step's rollouts."""

    name: str
    """Name as written on the command line."""
    label: str
    """Name as written in tables and figures."""
    summary: str
    """What it is, in one line."""
    baseline: Baseline
    """What a reward is compared with."""
    objective: Objective
    """What is maximised."""
    shares: bool = False
    """Whether a learner learns from everyone's rollouts or from its own."""
    reads_capability: bool = False
    """Whether what is learned depends on capability ratios, which need mean rewards of at least 0."""
    rollout_factor: int = 1
    """Multiplies the group size and the number of mini-batches: rollouts and updates a step."""
    tracker: Callable[[int], CapabilityTracker] = CapabilityTracker
    """Makes what measures capabilities, from the window K."""
    schedule: Schedule = mixed
    """How a step's rollouts are cut into updates."""
    empty_updates: EmptyUpdates = "skip"
    """What is done in an update that has no gradient."""
    overrides: Mapping[str, float] = field(default_factory=dict)
    """Objective settings that the method fixes."""
    planned_as_sharing: bool = False
    """Whether a learner that shares nothing has the updates of one that shares, without the others' rollouts. Updates
    that are left without any rollouts have no gradient."""

    def pool(self, learner: int, agents: int) -> list[int]:
        """The samplers that a learner learns from, as agent indices in ascending order."""
        return list(range(agents)) if self.shares else [learner]

    def plan(self, schedule: Schedule, order: Tensor, minibatches: int, learner: int, agents: int) -> UpdatePlan:
        """A learner's updates of a step.

        Args:
            schedule: the run's, or the method's own.
            order: of the step's prompts, (..., P).
            minibatches: of the run; the method may multiply them.
            learner: index of the learner.
            agents: n.
        """
        updates = minibatches * self.rollout_factor
        if self.planned_as_sharing:
            return own_part(schedule(order, updates, agents, learner), learner)
        pool = self.pool(learner, agents)
        return schedule(order, updates, len(pool), pool.index(learner))

    def settings(self, settings: ObjectiveSettings) -> ObjectiveSettings:
        """The run's objective settings with the method's own in their place."""
        return replace(settings, **self.overrides)


_GSPO = Method("gspo", "GSPO", "single agent, sequence-level ratios", group_mean_baseline, gspo_objective)
HACPO = Method(
    "hacpo",
    "HACPO",
    "pooled rollouts, all four mechanisms",
    capability_aware_baseline,
    hacpo_objective,
    shares=True,
    reads_capability=True,
)
_PPO_CLIP = partial(hacpo_objective, cross_clip=ppo_clip)
_CAPPED = partial(hacpo_objective, cross_bounds=lower_bound_only, cross_weight=capped_weight)
_NO_WEIGHT = {"alpha": 0.0}
_RELEASED = {
    "epsilon_low": 3e-4,
    "epsilon_high": 4e-4,
    "alpha": 1.0,
    "delta": 0.2,
    "delta_step": 0.025,
    "kl_weight": 1e-3,
}
"""The settings of the authors' launch scripts (November 2026), own rollouts' KL penalty included."""


def _hacpo(name: str, label: str, summary: str, **changes: object) -> Method:
    """HACPO with some parts replaced."""
    return replace(HACPO, name=f"hacpo_{name}", label=label, summary=summary, **changes)  # type: ignore[arg-type]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        _GSPO,
        HACPO,
        replace(
            _GSPO,
            name="gspo_x2",
            label="GSPO×2",
            summary="GSPO with twice the rollouts and updates in a step",
            rollout_factor=2,
        ),
        replace(_GSPO, name="naive", label="Naive", summary="GSPO on pooled rollouts, no mechanism", shares=True),
        _hacpo(
            "released",
            "HACPO, released",
            "as the authors' code runs it: own rollouts first, 2·U updates, also those without a gradient, ε of 3e-4 "
            "and 4e-4, KL penalty of 1e-3",
            schedule=self_first,
            empty_updates="step",
            overrides=_RELEASED,
        ),
        Method("grpo", "GRPO", "single agent, token-level ratios", group_mean_baseline, grpo_objective),
        _hacpo(
            "lagged_loo_capped",
            "HACPO, lagged + LOO + capped",
            "the lagged ω, the leave-one-out baseline and the capped weight together",
            baseline=leave_one_out_capability_baseline,
            objective=_CAPPED,
            tracker=LaggedCapabilityTracker,
        ),
        _hacpo(
            "ppo_clip_alpha0",
            "HACPO, PPO clip, α = 0",
            "(iii) dropped, and (iv) with PPO's clip instead of a hard one",
            objective=_PPO_CLIP,
            overrides=_NO_WEIGHT,
        ),
        _hacpo("ppo_clip", "HACPO, PPO clip", "(iv) with PPO's clip instead of a hard one", objective=_PPO_CLIP),
        _hacpo(
            "no_advantage",
            "HACPO − advantage",
            "(i) replaced by the plain group mean (Table 2)",
            baseline=group_mean_baseline,
        ),
        _hacpo(
            "no_omega",
            "HACPO − ω",
            "(ii) dropped from the update, kept in the baseline (Table 3)",
            objective=partial(hacpo_objective, coefficient=unit_coefficient),
        ),
        _hacpo(
            "no_stepwise",
            "HACPO − stepwise",
            "(iv) with a constant bound (Figure 4)",
            overrides={"delta_step": 0.0},
        ),
        _hacpo(
            "no_clip",
            "HACPO − clip",
            "(iv) dropped (Figure 4)",
            objective=partial(hacpo_objective, cross_bounds=no_bounds),
        ),
        _hacpo(
            "lagged",
            "HACPO, lagged ω",
            "capability from a window that excludes the current batch",
            tracker=LaggedCapabilityTracker,
        ),
        _hacpo(
            "loo",
            "HACPO, leave-one-out",
            "no reward is part of its own capability-aware baseline",
            baseline=leave_one_out_capability_baseline,
        ),
        _hacpo(
            "calibrated",
            "HACPO, calibrated",
            "a capability ratio of each prompt's own, shrunk towards the global one",
            baseline=calibrated_baseline,
        ),
        _hacpo(
            "capped",
            "HACPO, capped",
            "cross weights above 1 are capped at 1 and keep their gradient",
            objective=_CAPPED,
        ),
        _hacpo(
            "ppo_lower_alpha0",
            "HACPO, PPO lower bound, α = 0",
            "(iii) dropped, and (iv) whose lower bound holds for A < 0 only",
            objective=partial(hacpo_objective, cross_clip=ppo_lower_hard_upper),
            overrides=_NO_WEIGHT,
        ),
        _hacpo(
            "ppo_upper_alpha0",
            "HACPO, PPO upper bound, α = 0",
            "(iii) dropped, and (iv) whose upper bound holds for A > 0 only",
            objective=partial(hacpo_objective, cross_clip=hard_lower_ppo_upper),
            overrides=_NO_WEIGHT,
        ),
        replace(
            HACPO,
            name="naive_hard_clip",
            label="Naive, hard clip",
            summary="Naive whose clip of the others' rollouts holds whatever the advantage",
            reads_capability=False,
            baseline=group_mean_baseline,
            objective=partial(hacpo_objective, coefficient=unit_coefficient, cross_bounds=epsilon_bounds),
            overrides=_NO_WEIGHT,
        ),
        replace(
            _GSPO,
            name="shares_nothing",
            label="Shares nothing",
            summary="GSPO in the schedule of a method that shares, the control; others' updates are empty",
            planned_as_sharing=True,
        ),
        replace(
            _GSPO,
            name="shares_nothing_released",
            label="Shares nothing, released",
            summary="GSPO with all settings of hacpo_released, its control: others' updates are empty, and made",
            schedule=self_first,
            empty_updates="step",
            overrides=_RELEASED,
            planned_as_sharing=True,
        ),
    )
}
"""By name, those of most figures first."""

MECHANISMS = (
    "The mechanisms of HACPO: (i) an advantage whose baseline weighs the others' rewards by capability, (ii) a "
    "capability coefficient on the others' rollouts, (iii) an exponential weight of their importance ratios, (iv) a "
    "clip bound on them that tightens from update to update."
)
ALPHA_FAMILY = "hacpo_alpha<number>"
_ALPHA_NAME = re.compile(r"hacpo_alpha(\d+(?:\.\d+)?)")


def get_method(name: str) -> Method:
    """The method of that name.

    Raises:
        SettingError: an unknown name; the message lists the known ones.

    >>> get_method("hacpo_alpha2").overrides
    {'alpha': 2.0}
    """
    if name in METHODS:
        return METHODS[name]
    if match := _ALPHA_NAME.fullmatch(name):
        label, summary = f"HACPO, α = {match[1]}", f"(iii) with α = {match[1]} (Table 4)"
        return replace(HACPO, name=name, label=label, summary=summary, overrides={"alpha": float(match[1])})
    raise SettingError(f"unknown method {name!r}; choose one of {', '.join(METHODS)} or {ALPHA_FAMILY}")


def method_rows() -> list[tuple[str, str, str]]:
    """(name, label, summary) of every method and of the family of α, for help texts and pages."""
    rows = [(method.name, method.label, method.summary) for method in METHODS.values()]
    return [*rows, (ALPHA_FAMILY, "HACPO, α = …", "(iii) with another α, for instance hacpo_alpha2 (Table 4)")]


def methods_help() -> str:
    """The text of ``--help``: every method with what it is, and the four mechanisms by their numbers."""
    return "\n".join([*(f"{name}: {summary}." for name, _, summary in method_rows()), MECHANISMS])
