"""One suite over every kind of agent: what the training loop relies on."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import partial
from typing import Any

import gymnasium
import pytest
import torch

from envs.chain import ChainFeatures, ChainTask, QuestionFeatures
from envs.episodes import EnvironmentStarts, EpisodeWorld, reached_the_end
from hacrl_lab.agents.base import Agent
from hacrl_lab.agents.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.agents.episodic import EpisodicAgent, Vocabulary
from hacrl_lab.agents.networks import GRU, MLP, CausalNetwork, Linear, Transformer
from hacrl_lab.agents.neural import NeuralAgent
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.agents.turns import TurnTakingTeam
from hacrl_lab.importance import mean_log_prob
from hacrl_lab.responses import ResponseSpace
from hacrl_lab.rollouts import RolloutBatch, TextPrompts
from hacrl_lab.seeding import RandomStream

P, G = 4, 3
NETWORKS: dict[str, Callable[[int, int], CausalNetwork]] = {
    "linear": Linear,
    "mlp": MLP,
    "gru": GRU,
    "transformer": Transformer,
}
TABULAR = ("tabular", "tabular-seeds", "tabular-stops")
EPISODIC = ("moves", "macro-moves", "macro-moves-gru")
SMALL = (*TABULAR, "team", "team-seeds", *NETWORKS, *(f"{name}-seeds" for name in NETWORKS))
KINDS = (*SMALL, *EPISODIC, "qwen3", "llama", "gpt2")
SETTINGS = CausalLMSettings(12, 1e-4, 1.0, "{question}\n", "cpu", "float32")


@pytest.fixture
def make(request: pytest.FixtureRequest, adders: list[str]) -> Callable[[str], Agent]:
    """A fresh agent of the kind under test, by name."""

    def language_model(name: str) -> Agent:
        folder = adders[("qwen3", "llama", "gpt2").index(request.param)]
        return CausalLMAgent.from_pretrained(folder, name, SETTINGS)

    def table(name: str) -> Agent:
        seeds = range(2) if request.param == "tabular-seeds" else 0
        space = ResponseSpace(2, 3, stops=True) if request.param == "tabular-stops" else ResponseSpace(3, 2)
        return TabularAgent(name, RandomStream(seeds, len(name)).uniform(5, space.prefixes, 3), space)

    def network(name: str) -> NeuralAgent:
        kind, _, batched = request.param.replace("team", "mlp").partition("-")
        task = ChainTask(skills=2, symbols=3, longest=2)
        features = QuestionFeatures(task) if kind == "mlp" else ChainFeatures(task)
        net = NETWORKS[kind](features.size, task.space.actions)
        stream = RandomStream(range(2) if batched else 0, len(name))
        return NeuralAgent(name, net, features, task.space, stream, partial(torch.optim.Adam, lr=1e-3))

    def team(name: str) -> Agent:
        return TurnTakingTeam(name, [network(f"{name}, {part}") for part in ("first", "the other")])

    def player(name: str) -> Agent:
        vocabulary = Vocabulary(4, pairs=request.param != "moves")
        net = GRU(16, vocabulary.size) if request.param.endswith("gru") else MLP(16, vocabulary.size)
        optimizer = partial(torch.optim.Adam, lr=1e-3)
        return EpisodicAgent(name, net, lambda seen: seen, vocabulary, RandomStream(len(name)), optimizer)

    if request.param in TABULAR:
        return table
    if request.param in EPISODIC:
        return player
    if request.param.startswith("team"):
        return team
    return network if request.param in SMALL else language_model


@pytest.fixture
def prompts(request: pytest.FixtureRequest) -> Any:
    kind = request.node.callspec.params["make"]
    if kind in EPISODIC:
        lake = EpisodeWorld(partial(gymnasium.make, "FrozenLake-v1", disable_env_checker=True), reached_the_end, 9)
        return EnvironmentStarts(lake, torch.tensor([4, 0, 2, 2]))
    if kind in SMALL:
        contexts = torch.tensor([4, 0, 2, 2])
        return contexts.expand(2, P) if kind.endswith("-seeds") else contexts
    return TextPrompts(["8+8", "10+12", "9+11", "12+12"], ["16", "22", "20", "24"], [()] * P)


def stream(prompts: Any, key: int = 0) -> RandomStream:
    batched = isinstance(prompts, torch.Tensor) and prompts.ndim == 2
    return RandomStream(range(2) if batched else 0, key)


every_kind = pytest.mark.parametrize("make", KINDS, indirect=True)


@every_kind
def test_rollouts_have_the_promised_shapes(make: Callable[[str], Agent], prompts: Any) -> None:
    batch = make("a").generate(prompts, G, stream(prompts))
    leading = batch.finished.shape[:-2]
    assert batch.finished.shape == (*leading, P, G)
    assert batch.tokens.shape == batch.mask.shape
    assert batch.tokens.shape[:-1] == batch.finished.shape
    assert bool((batch.lengths >= 1).all())


@every_kind
def test_the_same_stream_gives_the_same_rollouts_and_another_gives_others(
    make: Callable[[str], Agent], prompts: Any
) -> None:
    agent = make("a")
    global_state = torch.random.get_rng_state()
    first, again, other = (agent.generate(prompts, G, stream(prompts, key)) for key in (0, 0, 1))
    assert torch.equal(first.tokens, again.tokens)
    assert first.tokens.shape != other.tokens.shape or not torch.equal(first.tokens, other.tokens)
    assert torch.equal(global_state, torch.random.get_rng_state())  # the library never touches the global stream


@every_kind
def test_own_rollouts_keep_their_sampled_tokens(make: Callable[[str], Agent], prompts: Any) -> None:
    agent = make("a")
    batch = agent.generate(prompts, G, stream(prompts))
    encoded = agent.encode(prompts, [("a", batch)])
    assert torch.equal(encoded.mask[..., 0, :, :, :], batch.mask)
    kept = encoded.tokens[..., 0, :, :, :]
    assert torch.equal(kept[batch.mask], batch.tokens[batch.mask])


@every_kind
def test_scores_do_not_depend_on_which_prompts_are_scored_together(make: Callable[[str], Agent], prompts: Any) -> None:
    agent = make("a")
    encoded = agent.encode(prompts, [("a", agent.generate(prompts, G, stream(prompts)))])
    leading = encoded.tokens.shape[:-4]
    whole = agent.token_log_probs(encoded)
    for index in range(P):
        part = encoded.select(torch.tensor([index]).expand(*leading, 1))
        alone = agent.token_log_probs(part)
        expected = whole[..., index : index + 1, :, :]
        torch.testing.assert_close(alone[part.mask], expected[part.mask], rtol=0, atol=1e-5)


@every_kind
def test_scores_are_log_probabilities_with_gradients(make: Callable[[str], Agent], prompts: Any) -> None:
    agent = make("a")
    encoded = agent.encode(prompts, [("a", agent.generate(prompts, G, stream(prompts)))])
    scores = agent.token_log_probs(encoded)
    assert bool((scores[encoded.mask] <= 0).all())
    assert scores.requires_grad


@every_kind
def test_raising_the_score_of_a_rollout_raises_its_probability(make: Callable[[str], Agent], prompts: Any) -> None:
    agent = make("a")
    encoded = agent.encode(prompts, [("a", agent.generate(prompts, G, stream(prompts)))])
    before = mean_log_prob(agent.token_log_probs(encoded), encoded.mask)
    (-before.sum()).backward()
    norm = agent.apply_gradients()
    assert norm.shape == encoded.tokens.shape[:-4]
    assert bool((norm > 0).all())
    after = mean_log_prob(agent.token_log_probs(encoded), encoded.mask)
    assert float(after.detach().mean()) > float(before.detach().mean())


@every_kind
def test_gradients_are_used_up_by_a_step(make: Callable[[str], Agent], prompts: Any) -> None:
    agent = make("a")
    encoded = agent.encode(prompts, [("a", agent.generate(prompts, G, stream(prompts)))])
    agent.token_log_probs(encoded).sum().backward()
    assert bool((agent.apply_gradients() > 0).all())
    (0 * agent.token_log_probs(encoded).sum()).backward()
    assert bool((agent.apply_gradients() == 0).all())


@every_kind
def test_state_restores_policy_and_optimiser(make: Callable[[str], Agent], prompts: Any) -> None:
    agent, other = make("a"), make("a")
    encoded = agent.encode(prompts, [("a", agent.generate(prompts, G, stream(prompts)))])

    def update(one: Agent) -> None:
        (-mean_log_prob(one.token_log_probs(encoded), encoded.mask).sum()).backward()
        one.apply_gradients()

    update(agent)
    other.load_state_dict(deepcopy(agent.state_dict()))
    update(agent)
    update(other)
    ours, theirs = agent.token_log_probs(encoded), other.token_log_probs(encoded)
    assert torch.equal(ours[encoded.mask], theirs[encoded.mask])


@pytest.mark.parametrize("make", ["qwen3", "llama", "gpt2"], indirect=True)
def test_a_finished_text_ends_with_the_learners_own_stop_token(make: Callable[[str], Agent], prompts: Any) -> None:
    learner = make("a")
    assert isinstance(learner, CausalLMAgent)
    texts = [["\\boxed{16}"] * G] * P
    finished = torch.tensor([[True, False, True]] * P)
    foreign = RolloutBatch(texts, finished, torch.zeros(P, G, 1), torch.ones(P, G, 1, dtype=torch.bool))
    encoded = learner.encode(prompts, [("b", foreign)])
    lengths = encoded.mask[0].sum(-1)
    assert torch.equal(lengths[:, 0] - lengths[:, 1], torch.ones(P, dtype=torch.int64))
    last = encoded.tokens[0].gather(-1, (lengths - 1).unsqueeze(-1)).squeeze(-1)
    for token, done in zip(last.flatten().tolist(), finished.flatten().tolist(), strict=True):
        assert (token == learner.tokenizer.eos_token_id) == done
    whole = learner.tokenizer.decode(encoded.tokens[0, 0, 1][encoded.mask[0, 0, 1]])
    assert whole == "\\boxed{16}"


@pytest.mark.parametrize("make", ["qwen3", "llama", "gpt2"], indirect=True)
def test_the_engine_reports_the_probabilities_that_the_model_recomputes(
    make: Callable[[str], Agent], prompts: Any
) -> None:
    agent = make("a")
    batch = agent.generate(prompts, G, stream(prompts))
    recomputed = agent.token_log_probs(agent.encode(prompts, [("a", batch)]))[0].detach()
    assert batch.engine_log_probs is not None
    torch.testing.assert_close(batch.engine_log_probs[batch.mask], recomputed[batch.mask], rtol=0, atol=1e-4)


@pytest.mark.parametrize("make", ["qwen3", "llama", "gpt2"], indirect=True)
def test_scores_equal_a_plain_forward_pass_over_prompt_and_response(make: Callable[[str], Agent], prompts: Any) -> None:
    agent = make("a")
    assert isinstance(agent, CausalLMAgent)
    batch = agent.generate(prompts, G, stream(prompts))
    scores = agent.token_log_probs(agent.encode(prompts, [("a", batch)]))[0]
    for p, question in enumerate(prompts.questions):
        for i in range(G):
            prompt = agent.tokenizer(question + "\n")["input_ids"]
            response = batch.tokens[p, i][batch.mask[p, i]].tolist()
            logits = agent.model(input_ids=torch.tensor([prompt + response])).logits[0, len(prompt) - 1 : -1]
            expected = logits.log_softmax(-1)[torch.arange(len(response)), response]
            torch.testing.assert_close(scores[p, i][batch.mask[p, i]], expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("make", ["qwen3", "llama"], indirect=True)
def test_a_models_own_sampling_defaults_are_not_used(make: Callable[[str], Agent], prompts: Any) -> None:
    plain, tempted = make("a"), make("a")
    assert isinstance(tempted, CausalLMAgent)
    assert tempted.model.generation_config is not None
    tempted.model.generation_config.update(do_sample=True, temperature=0.1, top_k=1, repetition_penalty=5.0)
    ours, theirs = (one.generate(prompts, G, stream(prompts)) for one in (plain, tempted))
    assert torch.equal(ours.tokens, theirs.tokens)


@pytest.mark.parametrize("make", ["llama"], indirect=True)
def test_a_tokenizer_without_pad_token_works(make: Callable[[str], Agent], prompts: Any, adders: list[str]) -> None:
    agent = make("a")
    assert isinstance(agent, CausalLMAgent)
    agent.tokenizer.pad_token = None
    bare = CausalLMAgent("a", agent.model, agent.tokenizer, replace(SETTINGS, max_new_tokens=8))
    batch = bare.generate(prompts, G, stream(prompts))
    recomputed = bare.token_log_probs(bare.encode(prompts, [("a", batch)]))[0].detach()
    assert batch.engine_log_probs is not None
    torch.testing.assert_close(batch.engine_log_probs[batch.mask], recomputed[batch.mask], rtol=0, atol=1e-4)
