"""Linear agents of long answers: their fast functions are the definition; they begin with what was asked for."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from hacrl_envs.long_answers import LongAnswerFeatures, LongAnswerTask, long_answer_world
from hacrl_lab.agents.actions import ActionPolicy, plain_ascent
from hacrl_lab.agents.networks import Linear
from hacrl_lab.agents.neural import NeuralAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.evaluation import evaluate
from hacrl_lab.seeding import RandomStream
from hacrl_lab.theory.passing_chance import style_distance
from hacrl_lab.trainer import Trainer
from hacrl_studies.common.writers import Beginning, Writer, draw_writers, style_log_probs

TASK = LongAnswerTask(length=9, symbols=4, attributes=6)
SEEDS = [0, 1, 2]


def writers(beginning: Beginning = Beginning(), task: LongAnswerTask = TASK) -> list[Writer]:  # noqa: B008 - frozen
    return draw_writers(beginning, long_answer_world(SEEDS, task), SEEDS, plain_ascent)


@pytest.mark.parametrize("cost", [0.0, 3.0])
def test_sampling_and_scoring_at_once_are_those_of_the_definition(cost: float) -> None:
    agent, other = writers(Beginning(style_cost=cost))
    prompts = RandomStream(SEEDS, 1).integers(TASK.questions, 3)
    ours = agent.generate(prompts, 4, RandomStream(SEEDS, 2))
    slowly = ActionPolicy.generate(agent, prompts, 4, RandomStream(SEEDS, 2))
    assert torch.equal(ours.responses, slowly.responses)
    encoded = agent.encode(prompts, [ours, other.generate(prompts, 4, RandomStream(SEEDS, 3)).shared()])
    rows = encoded.rows()
    expected = ActionPolicy.token_log_probs(agent, encoded, rows)
    torch.testing.assert_close(agent.token_log_probs(encoded, rows), expected, rtol=0, atol=1e-13)


def test_a_writer_says_what_a_linear_network_on_joint_features_says() -> None:
    world = long_answer_world(SEEDS, TASK)
    features = LongAnswerFeatures(TASK, jointly=True)
    writer = writers()[0]
    network = NeuralAgent(
        "a", Linear(features.size, 4), features, TASK.space, RandomStream(SEEDS), plain_ascent, scale=0.0
    )
    with torch.no_grad():
        weight = network.parameters["out.weight"]  # (S, A, F)
        weight[..., : TASK.period] = writer.parameters["style"].transpose(-1, -2)
        skills = writer.parameters["skills"].movedim(-2, -4).flatten(-4, -2)  # (S, decisive·skills·7, A)
        weight[..., -skills.shape[-2] :] = skills.transpose(-1, -2)
    prompts = world.sample_prompts(3, RandomStream(SEEDS, 1))
    ours, theirs = (one.generate(prompts, 4, RandomStream(SEEDS, 2)) for one in (writer, network))
    assert torch.equal(ours.responses, theirs.responses)
    encoded = writer.encode(prompts, [ours])
    scores = (one.token_log_probs(encoded, encoded.rows()) for one in (writer, network))
    torch.testing.assert_close(*scores, rtol=0, atol=1e-13)


def test_success_is_the_share_of_right_answers() -> None:
    world = long_answer_world(SEEDS, TASK)
    agent = writers()[0]
    questions = TASK.held_out(3)
    right = world.right_tokens(questions)
    prompts = questions.expand(len(SEEDS), -1)
    exact = agent.success(questions, right, RandomStream(SEEDS))
    sampled = evaluate([agent], world, prompts, 4000, SEEDS)["a"].mean(-1)
    # 12,000 answers a seed, std at most 0.5/√12,000 = 0.0046; 5.4 stds, three seeds: false alarm < 1e-6
    assert abs(exact.numpy() - sampled).max() < 0.025


def test_with_a_style_cost_success_is_a_mean_over_sampled_style() -> None:
    world = long_answer_world(SEEDS, TASK)
    agent = writers(Beginning(style_cost=5.0))[0]
    questions = TASK.held_out(3)
    right = world.right_tokens(questions)
    with torch.no_grad():
        agent.parameters["style"].mul_(-1)  # as far from the style before training as can be
    estimated = agent.success(questions, right, RandomStream(SEEDS), answers=4000)
    sampled = evaluate([agent], world, questions.expand(len(SEEDS), -1), 4000, SEEDS)["a"].mean(-1)
    assert abs(estimated.numpy() - sampled).max() < 0.035  # both sampled: √2 as wide
    free = writers()[0].success(questions, right, RandomStream(SEEDS))
    assert bool((estimated < free - 0.05).all())


def test_an_answer_in_the_usual_style_costs_nothing_and_after_a_surprising_one_tokens_are_random() -> None:
    style = torch.tensor([[0.75, 0.25]]).double().log()
    task = LongAnswerTask(length=3, decisive=1, symbols=2, skills=1, attributes=6, period=1)
    skills = torch.zeros(1, 7, 1, 2, dtype=torch.float64)
    skills[0, 6, 0, 0] = math.log(4)  # 4/5 and 1/5 for every question
    agent = Writer("a", task, style, skills, plain_ascent, style_cost=2.0)
    usual, rare = torch.tensor([0, 0, 0]), torch.tensor([1, 1, 0])
    chances = agent.action_logits(torch.tensor([0, 0]), torch.stack([usual, rare]))[:, -1, 0].exp()
    # −mean log π_0: −ln 3/4, below the entropy, so no surprise, and −ln 1/4; minus −3/4·ln 3/4 − 1/4·ln 1/4
    kept = math.exp(-2 * 0.75 * (math.log(4) + math.log(0.75)))
    expected = torch.tensor([0.8, 0.8 * kept + 0.5 * (1 - kept)], dtype=torch.float64)
    torch.testing.assert_close(chances, expected, rtol=1e-12, atol=0)


def test_skills_are_taught_to_one_agent_each_to_both_or_to_a_part() -> None:
    task = LongAnswerTask(skills=4)
    assert Beginning(taught=2, other=-1).sharpness(task).tolist() == [[2, 2, -1, -1], [-1, -1, 2, 2]]
    assert Beginning(taught=2, other=0, overlap=1).sharpness(task).tolist() == [[2, 2, 0, 0]] * 2
    assert Beginning(taught=2, other=0, overlap=0.5).sharpness(task).tolist() == [[2, 2, 0, 0], [0, 2, 2, 0]]
    assert Beginning(taught=2, other=1, gap=0.5).sharpness(task).tolist() == [[2, 2, 1, 1], [0.5, 0.5, 1, 1]]
    three = Beginning(agents=3, taught=1, other=0).sharpness(LongAnswerTask(skills=12))
    assert three.sum(0).tolist() == [1] * 12
    assert three.sum(1).tolist() == [4] * 3


def test_agents_share_rules_and_differ_in_style_by_the_distance_asked_for() -> None:
    close, far = (style_log_probs(writers(Beginning(style_distance=d))) for d in (0.1, 1.0))
    distances = [float(torch.as_tensor(style_distance(*one.unbind(-3)).mean).mean()) for one in (close, far)]
    assert 0 < distances[0] < 0.05 < 0.3 < distances[1]
    same = style_log_probs(writers(Beginning(style_distance=0.0)))
    assert torch.equal(same[:, 0], same[:, 1])


@pytest.mark.parametrize("wrong", [{"agents": 0}, {"overlap": 1.5}, {"gap": -0.1}, {"style_cost": -1.0}])
def test_impossible_beginnings_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} must be"):
        Beginning(**wrong)  # type: ignore[arg-type]


def test_the_defaults_have_the_cross_ratios_of_table_6() -> None:
    """In a run of HACPO, on seeds of no study: the mean lies in the paper's range of steps."""
    seeds = list(range(3_000_000, 3_000_016))
    world = long_answer_world(seeds, LongAnswerTask())
    agents = draw_writers(Beginning(), world, seeds, partial(torch.optim.Adam, lr=0.03))
    trainer = Trainer(agents, world, "hacpo", TrainingConfig(), seeds)
    steps = [trainer.step() for _ in range(30)]
    means = [float(metrics[f"importance_ratio/{k}/{j}"].mean()) for metrics in steps for k, j in ("ab", "ba")]
    assert 0.862 <= sum(means) / len(means) <= 0.936
