from collections.abc import Callable
from functools import partial

import pytest
import torch
from pools import pool_log_probs
from torch import nn

from hacrl_envs.chain import ChainFeatures, ChainTask, chain_world
from hacrl_lab.agents.networks import GRU, MLP, CausalNetwork, Linear, Transformer
from hacrl_lab.agents.neural import NeuralAgent, initial_parameters
from hacrl_lab.config import TrainingConfig
from hacrl_lab.objectives import ObjectiveSettings
from hacrl_lab.responses import one_hot
from hacrl_lab.seeding import RandomStream, Seeds
from hacrl_lab.trainer import Trainer

TASK = ChainTask(skills=2, symbols=3, longest=2)
NETWORKS: tuple[Callable[[int, int], CausalNetwork], ...] = (Linear, MLP, GRU, Transformer)
every_network = pytest.mark.parametrize("kind", NETWORKS)


def agent(
    kind: Callable[[int, int], CausalNetwork], seeds: Seeds, name: str = "agent", rate: float = 0.05
) -> NeuralAgent:
    features = ChainFeatures(TASK)
    optimizer = partial(torch.optim.Adam, lr=rate)
    stream = RandomStream(seeds, 7)
    return NeuralAgent(name, kind(features.size, TASK.space.actions), features, TASK.space, stream, optimizer)


@every_network
def test_networks_are_causal(kind: Callable[[int, int], CausalNetwork]) -> None:
    net = kind(5, 3).double()
    inputs = torch.randn(2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    outputs = net(inputs)
    assert outputs.shape == (2, 4, 3)
    for t in range(1, 4):
        changed = inputs.clone()
        changed[:, t:] += 1
        assert torch.equal(net(changed)[:, :t], outputs[:, :t])
        assert not torch.allclose(net(changed)[:, t], outputs[:, t])


@pytest.mark.parametrize(("kind", "remembers"), [(Linear, False), (MLP, False), (GRU, True), (Transformer, True)])
def test_recurrent_and_attending_networks_remember(kind: Callable[[int, int], CausalNetwork], remembers: bool) -> None:
    net = kind(5, 3).double()
    inputs = torch.randn(1, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    changed = inputs.clone()
    changed[:, 0] += 1
    assert torch.allclose(net(changed)[:, 2], net(inputs)[:, 2]) != remembers


def test_a_gru_is_torchs_own() -> None:
    ours = GRU(4, 2, hidden=3).double()
    theirs = nn.GRU(4, 3, batch_first=True, dtype=torch.float64)
    theirs.load_state_dict(
        {
            "weight_ih_l0": ours.read.weight,
            "bias_ih_l0": ours.read.bias,
            "weight_hh_l0": ours.recall.weight,
            "bias_hh_l0": ours.recall.bias,
        }
    )
    inputs = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(ours(inputs), ours.out(theirs(inputs)[0]), rtol=0, atol=1e-14)


def test_a_head_count_that_does_not_divide_the_width_is_refused() -> None:
    with pytest.raises(ValueError, match="width must be a multiple of heads, got 10 and 4"):
        Transformer(4, 2, width=10, heads=4)


def test_initial_weights_keep_the_variance() -> None:
    parameters = initial_parameters(nn.Linear(400, 300), RandomStream(0), scale=2.0)
    assert parameters["weight"].std().item() == pytest.approx(2 / 20, rel=0.02)
    assert (parameters["bias"] == 0).all()


@every_network
def test_seeds_that_advance_together_do_what_each_does_alone(kind: Callable[[int, int], CausalNetwork]) -> None:
    prompts = torch.tensor([[0, 3, 5], [1, 2, 2]])
    together = agent(kind, [4, 9])
    rollouts = together.generate(prompts, 6, RandomStream([4, 9], 1))
    scores = pool_log_probs(together, together.encode(prompts, [rollouts]))
    for row, seed in enumerate((4, 9)):
        alone = agent(kind, seed)
        own = alone.generate(prompts[row], 6, RandomStream(seed, 1))
        assert torch.equal(rollouts.responses[row], own.responses)
        own_scores = pool_log_probs(alone, alone.encode(prompts[row], [own]))
        torch.testing.assert_close(scores[row], own_scores, rtol=0, atol=1e-12)


@every_network
def test_whole_training_runs_of_several_seeds_are_those_of_each_seed(kind: Callable[[int, int], CausalNetwork]) -> None:
    config = TrainingConfig(6, 4, 2, 3, objective=ObjectiveSettings(delta=0.5, delta_step=0.0))

    def curve(seeds: Seeds) -> torch.Tensor:
        agents = [agent(kind, seeds, "a"), agent(Linear, seeds, "b")]
        trainer = Trainer(agents, chain_world(seeds, TASK), "hacpo", config, seeds)
        return torch.stack([trainer.step()["accuracy/a"] for _ in range(8)])

    together = curve([4, 9])
    for row, seed in enumerate((4, 9)):
        torch.testing.assert_close(together[:, row], curve(seed), rtol=0, atol=1e-12)


@every_network
def test_a_probability_gradient_is_right(kind: Callable[[int, int], CausalNetwork]) -> None:
    # finite differences of Σ log π along a random direction
    one = agent(kind, 0)
    prompts = torch.tensor([0, 3])
    encoded = one.encode(prompts, [one.generate(prompts, 2, RandomStream(0, 1))])
    pool_log_probs(one, encoded).sum().backward()
    directions = {k: RandomStream(0, 2, i).uniform(*v.shape) for i, (k, v) in enumerate(one.parameters.items())}
    slope = sum(float((v.grad * directions[k]).sum()) for k, v in one.parameters.items() if v.grad is not None)
    values = []
    for h in (1e-5, -2e-5):
        with torch.no_grad():
            for key, value in one.parameters.items():
                value += h * directions[key]
            values.append(float(pool_log_probs(one, encoded).sum()))
    assert (values[0] - values[1]) / 2e-5 == pytest.approx(slope, rel=1e-6)


def first_step(one: NeuralAgent) -> torch.Tensor:
    """How far one update with gradients of 1 moves the parameters."""
    before = torch.cat([value.detach().clone().flatten() for value in one.parameters.values()])
    for value in one.parameters.values():
        value.grad = torch.ones_like(value)
    one.apply_gradients()
    return torch.cat([value.detach().flatten() for value in one.parameters.values()]) - before


def test_a_scaled_learning_rate_is_the_rate_of_later_updates() -> None:
    # Adam's first step is as long as its learning rate, and so is every step while the gradient stays the same
    usual, faster = agent(Linear, [0], rate=0.05), agent(Linear, [0], rate=0.05)
    for one in (usual, faster):
        torch.testing.assert_close(first_step(one), torch.full_like(first_step(agent(Linear, [0])), -0.05))
    faster.scale_learning_rate(3)
    steps = first_step(usual), first_step(faster)
    torch.testing.assert_close(steps[1], 3 * steps[0])
    torch.testing.assert_close(steps[0], torch.full_like(steps[0], -0.05))


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_a_learning_rate_is_not_scaled_by_nothing(factor: float) -> None:
    with pytest.raises(ValueError, match="factor must be > 0, got"):
        agent(Linear, [0]).scale_learning_rate(factor)


def test_one_hot_marks_the_class() -> None:
    assert one_hot(torch.tensor([[2, 0]]), 3).tolist() == [[[0, 0, 1], [1, 0, 0]]]
