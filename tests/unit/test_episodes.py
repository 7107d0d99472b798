from functools import partial

import gymnasium
import pytest
import torch
from pools import pool_log_probs
from torch import Tensor

from hacrl_envs.episodes import EnvironmentStarts, EpisodeWorld, reached_the_end, return_above
from hacrl_envs.experts import demonstrate, optimal_policy
from hacrl_lab.agents import episodic
from hacrl_lab.agents.episodic import EpisodicAgent, Vocabulary
from hacrl_lab.agents.networks import GRU, MLP, CausalNetwork
from hacrl_lab.demonstrations import fit_demonstrations
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream, Seeds
from hacrl_lab.worlds import Episodes

SINGLE, PAIRS = Vocabulary(4), Vocabulary(4, pairs=True)


def frozen_lake(slippery: bool = False, max_steps: int = 12) -> EpisodeWorld:
    make = partial(gymnasium.make, "FrozenLake-v1", is_slippery=slippery, disable_env_checker=True)
    return EpisodeWorld(make, return_above(0.5), max_steps)


def walker(
    vocabulary: Vocabulary, seeds: Seeds = 0, kind: type[CausalNetwork] = MLP, name: str = "walker"
) -> EpisodicAgent:
    network = kind(16, vocabulary.size)
    return EpisodicAgent(
        name, network, lambda seen: seen, vocabulary, RandomStream(seeds, 3), partial(torch.optim.Adam, lr=0.02)
    )


def first_starts(world: EpisodeWorld, count: int = 3) -> EnvironmentStarts:
    return world.starts_at(torch.zeros(count, dtype=torch.int64))


# ----- Vocabulary


def test_tokens_stand_for_one_move_or_two() -> None:
    # 0 ... 3 are single moves; 4 + 4a + b is a, b: 4 is 0, 0 and 4 + 4·2 + 3 = 15 is 2, 3
    tokens = torch.tensor([0, 3, 4, 15])
    assert PAIRS.size == 20
    assert SINGLE.size == 4
    assert PAIRS.lengths(tokens).tolist() == [1, 1, 2, 2]
    assert PAIRS.first(tokens).tolist() == [0, 3, 0, 2]
    assert PAIRS.second(tokens)[2:].tolist() == [0, 3]


def test_episodes_are_cut_into_pairs_from_the_left() -> None:
    moves = torch.tensor([[2, 3, 1, 0], [2, 3, 1, 0], [1, 0, 0, 0]])
    mask = torch.arange(4) < torch.tensor([4, 3, 1]).unsqueeze(-1)
    tokens, whole = PAIRS.cut(moves, mask)
    assert tokens.tolist() == [[15, 4 + 4], [15, 1], [1, 0]]
    assert whole.tolist() == [[True, True], [True, True], [True, False]]
    assert SINGLE.cut(moves, mask)[0].tolist() == moves.tolist()


def test_an_odd_number_of_moves_leaves_a_single_one() -> None:
    tokens, mask = PAIRS.cut(torch.tensor([1, 2, 3]), torch.tensor([True, True, True]))
    assert tokens.tolist() == [4 + 4 + 2, 3]
    assert mask.tolist() == [True, True]


# ----- World


def test_a_group_shares_its_start_and_not_what_comes_after() -> None:
    world = EpisodeWorld(partial(gymnasium.make, "Blackjack-v1"), return_above(0.5), 5, starts=50)
    starts = world.starts_at(torch.tensor([3, 7]))
    episodes = starts.play(lambda seen, live: torch.ones(live.shape, dtype=torch.int64), 30, RandomStream(0))
    first = episodes.observations[:, :, 0]
    assert (first == first[:, :1]).all()
    assert not torch.equal(first[0, 0], first[1, 0])
    second = episodes.observations[:, :, 1]
    assert len(second.flatten(0, 1).unique(dim=0)) > 5


def test_an_episode_is_cut_off_when_time_runs_out() -> None:
    # left against the wall for ever
    episodes = first_starts(frozen_lake(max_steps=5)).play(
        lambda seen, live: torch.zeros(live.shape, dtype=torch.int64), 2, RandomStream(0)
    )
    assert episodes.mask.shape == (3, 2, 5)
    assert episodes.mask.all()
    assert not episodes.terminated.any()
    assert (episodes.returns == 0).all()
    assert not reached_the_end(episodes).any()


def test_starts_are_drawn_from_those_given() -> None:
    make = partial(gymnasium.make, "Blackjack-v1")
    numbers = EpisodeWorld(make, reached_the_end, 5, starts=[7, 30]).sample_prompts(200, RandomStream(0)).numbers
    assert numbers.unique().tolist() == [7, 30]
    counted = EpisodeWorld(make, reached_the_end, 5, starts=3).sample_prompts(200, RandomStream(0)).numbers
    assert counted.unique().tolist() == [0, 1, 2]


def test_a_return_at_the_bar_is_not_above_it() -> None:
    ones = torch.ones(1, 1)
    episodes = Episodes(ones, ones, ones, returns=torch.tensor([[0.5, 0.75, 0.25]]), terminated=ones)
    assert return_above(0.5)(episodes).tolist() == [[False, True, False]]


def test_no_move_is_recorded_after_the_end() -> None:
    # down for ever: a hole after a few moves of some episodes, on slippery ice after more of others
    episodes = first_starts(frozen_lake(slippery=True)).play(
        lambda seen, live: torch.ones(live.shape, dtype=torch.int64), 20, RandomStream(0)
    )
    assert not episodes.mask.all()
    assert (episodes.moves[~episodes.mask] == 0).all()
    assert (episodes.moves[episodes.mask] == 1).all()
    assert torch.equal(episodes.mask, torch.arange(episodes.mask.shape[-1]) < episodes.mask.sum(-1, keepdim=True))


def test_an_episode_that_ends_makes_no_more_moves() -> None:
    # (0, 0) down to (2, 0), right to (2, 2), down to (3, 2), right to the goal (3, 3)
    way = [1, 1, 2, 2, 1, 2]
    clock = iter(way + [0] * 10)
    episodes = first_starts(frozen_lake()).play(
        lambda seen, live: torch.full(live.shape, next(clock)), 1, RandomStream(0)
    )
    assert episodes.moves.tolist() == [[way]] * 3
    assert episodes.terminated.all()
    assert (episodes.returns == 1).all()
    assert frozen_lake().verify(first_starts(frozen_lake()), as_batch(episodes)).tolist() == [[1]] * 3


def as_batch(episodes: Episodes) -> RolloutBatch:
    return RolloutBatch("somebody", episodes, episodes.terminated)


def test_continuous_moves_are_refused() -> None:
    with pytest.raises(ValueError, match="the action space must be Discrete, got Box"):
        EpisodeWorld(partial(gymnasium.make, "Pendulum-v1"), reached_the_end, 10)


# ----- Agents


@pytest.mark.parametrize("vocabulary", [SINGLE, PAIRS])
@pytest.mark.parametrize("slippery", [False, True])
def test_own_tokens_spell_the_moves_that_were_made(vocabulary: Vocabulary, slippery: bool) -> None:
    batch = walker(vocabulary).generate(first_starts(frozen_lake(slippery)), 20, RandomStream(1))
    moves, made = batch.responses.moves, batch.responses.mask
    for tokens, mask, steps, done in zip(
        *(part.flatten(0, 1) for part in (*batch.own_tokens, moves, made)), strict=True
    ):
        spelled: list[int] = []
        for token in tokens[mask]:
            spelled.append(int(vocabulary.first(token)))
            if vocabulary.lengths(token) == 2:
                spelled.append(int(vocabulary.second(token)))
        whole = steps[done].tolist()
        assert spelled[: len(whole)] == whole
        assert len(spelled) - len(whole) in (0, 1)  # the end may cut a macro-move short


def test_the_same_episode_has_another_length_in_another_vocabulary() -> None:
    world = frozen_lake()
    batch = walker(SINGLE).generate(first_starts(world), 4, RandomStream(1))
    encoded = walker(PAIRS, name="other").encode(first_starts(world), [batch.shared()])
    assert torch.equal(encoded.mask[0].sum(-1), (batch.lengths + 1) // 2)


def test_a_token_sees_the_state_in_which_it_begins() -> None:
    world = frozen_lake()
    batch = walker(SINGLE).generate(first_starts(world), 4, RandomStream(1))
    encoded = walker(PAIRS, name="other").encode(first_starts(world), [batch.shared()])
    assert encoded.observations is not None
    seen = batch.responses.observations
    for t in range(encoded.mask.shape[-1]):
        here = encoded.mask[0, :, :, t]
        assert torch.equal(encoded.observations[0, :, :, t][here], seen[:, :, 2 * t][here])


@pytest.mark.parametrize("kind", [MLP, GRU])
@pytest.mark.parametrize("vocabulary", [SINGLE, PAIRS])
def test_tokens_are_drawn_from_the_distribution_that_scores_them(
    kind: type[CausalNetwork], vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[Tensor] = []

    def record(logits: Tensor, uniforms: Tensor) -> Tensor:
        used.append(logits)
        return (uniforms.unsqueeze(-1) >= logits.softmax(-1).cumsum(-1)[..., :-1]).sum(-1)

    monkeypatch.setattr(episodic, "sample", record)
    agent, starts = walker(vocabulary, kind=kind), first_starts(frozen_lake())
    batch = agent.generate(starts, 5, RandomStream(1))
    scores = pool_log_probs(agent, agent.encode(starts, [batch]))[0]
    tokens, mask = batch.own_tokens
    begins = (vocabulary.lengths(tokens).cumsum(-1) - vocabulary.lengths(tokens)).clamp_max(len(used) - 1)
    logits = torch.stack(used, dim=-2).take_along_dim(begins.unsqueeze(-1), dim=-2)
    drawn = logits.log_softmax(-1).gather(-1, tokens.unsqueeze(-1)).squeeze(-1)
    torch.testing.assert_close(scores[mask], drawn[mask], rtol=0, atol=1e-12)


def test_seeds_that_advance_together_do_what_each_does_alone() -> None:
    world, seeds = frozen_lake(slippery=True), [4, 9]
    numbers = torch.zeros(2, 3, dtype=torch.int64)
    together = walker(PAIRS, seeds).generate(world.starts_at(numbers), 6, RandomStream(seeds, 1))
    for row, seed in enumerate(seeds):
        alone = walker(PAIRS, seed).generate(world.starts_at(numbers[row]), 6, RandomStream(seed, 1))
        (tokens, mask), (own_tokens, own_mask) = together.own_tokens, alone.own_tokens
        length = own_mask.shape[-1]
        assert torch.equal(mask[row, ..., :length], own_mask)
        assert not mask[row, ..., length:].any()
        assert torch.equal(tokens[row, ..., :length], own_tokens)
        assert torch.equal(together.responses.returns[row], alone.responses.returns)


# ----- Demonstrations


def test_the_optimal_policy_walks_the_shortest_way() -> None:
    world = frozen_lake()
    batch = demonstrate(first_starts(world), optimal_policy(world.env), 2, 0.0, RandomStream(0))
    assert (batch.responses.returns == 1).all()
    assert (batch.responses.mask.sum(-1) == 6).all()
    assert batch.tokens is None


def test_an_environment_without_a_table_has_no_optimal_policy() -> None:
    with pytest.raises(ValueError, match="CartPoleEnv has no table of transitions P"):
        optimal_policy(gymnasium.make("CartPole-v1"))


def test_mistakes_are_made_as_often_as_said() -> None:
    world, policy = frozen_lake(), optimal_policy(frozen_lake().env)
    batch = demonstrate(first_starts(world, 1), policy, 4000, 0.4, RandomStream(0))
    first = batch.responses.moves[0, :, 0]
    right = int(policy(batch.responses.observations[0, :1, 0])[0])
    share = float((first != right).double().mean())  # three of four random moves are others
    assert abs(share - 0.3) < 5.3 * (0.3 * 0.7 / 4000) ** 0.5  # passed wrongly with 1e-7


@pytest.mark.parametrize("vocabulary", [SINGLE, PAIRS])
def test_fitting_demonstrations_gives_a_skill(vocabulary: Vocabulary) -> None:
    world, agent = frozen_lake(), walker(vocabulary)
    starts = first_starts(world, 2)
    demonstrations = demonstrate(starts, optimal_policy(world.env), 4, 0.0, RandomStream(0))
    before = world.verify(starts, agent.generate(starts, 50, RandomStream(2))).mean()
    fit_demonstrations(agent, starts, demonstrations, 100)
    after = world.verify(starts, agent.generate(starts, 50, RandomStream(2))).mean()
    assert float(before) < 0.2
    assert float(after) > 0.9


def test_demonstrations_need_an_agent_of_another_name() -> None:
    world = frozen_lake()
    demonstrations = demonstrate(first_starts(world), optimal_policy(world.env), 1, 0.0, RandomStream(0))
    with pytest.raises(ValueError, match="not be called 'demonstrations'"):
        fit_demonstrations(walker(SINGLE, name="demonstrations"), first_starts(world), demonstrations, 1)
    with pytest.raises(ValueError, match=r"updates must be ≥ 0 .* got -1"):
        fit_demonstrations(walker(SINGLE), first_starts(world), demonstrations, -1)
