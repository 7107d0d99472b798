"""The training loop itself makes the steps whose expectations the theorems speak of."""

from dataclasses import replace
from functools import partial

import torch
from drawing import assert_mean_is
from torch import Tensor

from hacrl_envs.bandit import BanditWorld
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.methods import get_method
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.theory.gradients import CrossWeight, hete_gradient, homo_gradient
from hacrl_lab.theory.groups import response_advantages, standardised
from hacrl_lab.theory.problems import Problem, draw_problems
from hacrl_lab.trainer import Trainer

STEPS, GROUP = 4096, 3


def drawn_problem() -> Problem:
    return draw_problems(1, ResponseSpace(2, 2, stops=True), correlation=0.5, prompts=2, seed=9)[0]


def first_moves(problem: Problem, method: str) -> list[Tensor]:
    """How far each agent's table moves in 4096 independent first steps of plain gradient ascent: (S, P, rows, A)."""
    agents = [
        TabularAgent(str(j), table.expand(STEPS, *table.shape), problem.space, partial(torch.optim.SGD, lr=1.0))
        for j, table in enumerate(problem.logits)
    ]
    config = TrainingConfig(
        prompts_per_step=2,
        group_size=GROUP,
        minibatches=1,
        capability_window=3,
        objective=ObjectiveSettings(delta=0.4, delta_step=0.1),
    )
    world = BanditWorld(problem.rewards.expand(STEPS, *problem.rewards.shape), problem.space)
    Trainer(agents, world, method, config, range(STEPS)).step()
    return [agent.logits.detach() - table for agent, table in zip(agents, problem.logits, strict=True)]


def test_a_step_of_gspo_is_the_expected_gradient_of_each_agent_alone() -> None:
    problem = drawn_problem()
    one = torch.ones(1, 1, dtype=torch.float64)
    for k, moves in enumerate(first_moves(problem, "gspo")):
        alone = replace(problem, logits=(problem.logits[k],))
        advantages = response_advantages(alone, GROUP, standardised(get_method("gspo").baseline), one, 0)
        assert_mean_is(moves, homo_gradient(alone, 0, advantages))


def test_a_step_of_hacpo_is_the_expected_gradient_of_both_parts() -> None:
    # with the lagged window the first step's ω is 1, independent of its rewards
    problem, ones, weight = drawn_problem(), torch.ones(2, 2, dtype=torch.float64), CrossWeight(1.0, 0.6, 1.0)
    for k, moves in enumerate(first_moves(problem, "hacpo_lagged")):
        advantages = response_advantages(problem, GROUP, standardised(get_method("hacpo").baseline), ones, k)
        hete = hete_gradient(problem, k, 1 - k, advantages, ones, weight)
        assert float(hete.norm()) > 0.005  # not nothing
        assert_mean_is(moves, homo_gradient(problem, k, advantages) + hete)
