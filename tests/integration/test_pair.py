"""The lab's own pair, built from nothing: what makes it a pair, and that its agents learn from each other's texts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from hacrl_envs.arithmetic import ArithmeticWorld
from hacrl_lab.evaluation import evaluate
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.seeding import RandomStream
from hacrl_lab.trainer import Trainer
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_runs.own_pair.recipes import PAIRS
from hacrl_runs.resolve import prepared
from hacrl_runs.settings import train_settings

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[CausalLMAgent]]:
    """Pre-trained here and now, or where HACRL_LAB_CACHE is set by whoever needed them first there."""
    cache = os.environ.get("HACRL_LAB_CACHE") or str(tmp_path_factory.mktemp("cache"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HACRL_LAB_CACHE", cache)
        with prepared(train_settings(device="cpu")) as job:
            yield job.load_agents()


@pytest.fixture(scope="module")
def world() -> Iterator[ArithmeticWorld]:
    with MathVerifier() as verifier:
        yield ArithmeticWorld(verifier)


def test_the_two_differ_in_architecture_size_and_vocabulary(agents: list[CausalLMAgent]) -> None:
    first, second = agents
    assert first.model.config.architectures != second.model.config.architectures
    assert first.model.num_parameters() > 1.2 * second.model.num_parameters()
    assert set(first.tokenizer.get_vocab()) != set(second.tokenizer.get_vocab())
    assert len(first.tokenizer.tokenize("123")) == 3
    assert len(second.tokenizer.tokenize("123")) == 1


def test_each_starts_a_third_right_and_knows_what_the_other_does_not(
    agents: list[CausalLMAgent], world: ArithmeticWorld
) -> None:
    prompts = world.sample_prompts(128, RandomStream(1))
    accuracy = evaluate(agents, world, prompts, 4, seeds=2)
    weak = [set(recipe.misreads) for recipe in PAIRS["tiny"].values()]
    for own, agent, foreign in zip(weak, agents, reversed(weak), strict=True):
        values = accuracy[agent.name]
        assert 0.25 < values.mean() < 0.5
        asks_own = np.array([bool(own & set(topics)) for topics in prompts.topics])
        asks_foreign = np.array([bool(foreign & set(topics)) for topics in prompts.topics])
        assert values[asks_foreign & ~asks_own].mean() > values[asks_own & ~asks_foreign].mean() + 0.3


def test_cross_importance_ratios_lie_below_self_ratios(agents: list[CausalLMAgent], world: ArithmeticWorld) -> None:
    metrics = Trainer(agents, world, "hacpo", train_settings().training, 0).step()
    first, second = (agent.name for agent in agents)
    for learner, sampler in ((first, second), (second, first)):
        own = float(metrics[f"importance_ratio/{learner}/{learner}"])
        cross = float(metrics[f"importance_ratio/{learner}/{sampler}"])
        assert own == pytest.approx(1, abs=0.02)
        assert cross < own - 0.05


def test_two_first_builds_at_once_build_it_once(tmp_path: Path) -> None:
    program = (
        "from dataclasses import replace\n"
        "import hacrl_runs.own_pair.pretrain as pretrain\n"
        "from hacrl_runs.own_pair.recipes import PAIRS\n"
        "short = {name: replace(recipe, steps=3) for name, recipe in PAIRS['tiny'].items()}\n"
        "pretrain.recipes = lambda size, answers: short\n"
        "print(*(path.name for path in pretrain.build_pair('tiny', 'short', 'cpu').values()))\n"
    )
    environment = os.environ | {"HACRL_LAB_CACHE": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    builds = [
        subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=-1, stderr=-1, text=True)
        for _ in range(2)
    ]
    outputs, errors = zip(*(build.communicate(timeout=300) for build in builds), strict=True)
    assert [build.returncode for build in builds] == [0, 0], errors
    assert outputs[0] == outputs[1]
    for name in PAIRS["tiny"]:
        assert sum(f"Pre-training {name}" in error for error in errors) == 1
    for name in outputs[0].split():
        assert (tmp_path / "pairs" / name / "model.safetensors").exists()
    assert not list((tmp_path / "pairs").glob("*.unfinished"))
