"""What a run asks: training, validation and test are apart, and each is rewarded as it should be."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from hacrl_envs.held_out import is_for_validation, is_held_out
from hacrl_lab.errors import LabError
from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.language_models.prompting import Prompting
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_lab.worlds import World
from hacrl_runs.own_pair.tokenizers import train_tokenizer
from hacrl_runs.settings import EvaluationSettings, ProblemSettings
from hacrl_runs.worlds import Worlds, make_worlds, read_data

SHARE = 0.4
NO_VALIDATION = EvaluationSettings(eval_prompts=100)
VALIDATION = EvaluationSettings(eval_prompts=100, validation_every=1, validation_share=SHARE)
ANSWERED = CausalLMSettings(9, 0.1, 1.0, Prompting(template="{question}"), "cpu", "float32", tokens_per_pass=0)


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier() as verifier:
        yield verifier


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a model without weights, with a short context."""
    folder = tmp_path_factory.mktemp("models")
    tokenizer = train_tokenizer(["1+1 is a sum"], "digits", 270)
    tokenizer.save_pretrained(folder)
    LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=48).save_pretrained(folder)
    return str(folder)


@pytest.fixture
def sums(tmp_path: Path) -> str:
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(f'{{"question": "{a}+{a}", "answer": "{2 * a}"}}\n' for a in range(10, 70)))
    return str(path)


@pytest.fixture
def rewards(tmp_path: Path) -> str:
    """A file of reward functions."""
    path = tmp_path / "own.py"
    path.write_text(
        "def length(completions, **columns):\n    return [float(len(text)) for text in completions]\n"
        "def three(completions, **columns):\n    return [3.0 for _ in completions]\n"
    )
    return str(path)


def worlds_of(
    problems: ProblemSettings, evaluation: EvaluationSettings, verifier: MathVerifier, sources: Mapping[str, str]
) -> Worlds:
    data = read_data(problems, evaluation)
    settings = dict.fromkeys(sources, ANSWERED)
    return make_worlds(problems, evaluation, "boxed", sources, settings, verifier, data)


def asked(world: World | None, count: int = 300) -> set[str]:
    """The questions of a world, as far as so many draws find them."""
    assert world is not None
    return set(world.sample_prompts(count, RandomStream(0)).questions)


def rewarded(world: World | None, response: str) -> set[float]:
    """What one response to different questions is rewarded with."""
    assert world is not None
    prompts: Any = world.sample_prompts(2, RandomStream(0))
    batch = RolloutBatch("a", [[response]] * 2, torch.ones(2, 1, dtype=torch.bool))
    return set(world.verify(prompts, batch).flatten().tolist())


def test_the_share_for_validation_reaches_the_worlds(sums: str, model: str, verifier: MathVerifier) -> None:
    worlds = worlds_of(ProblemSettings(problems=(sums,)), VALIDATION, verifier, {"a": model})
    training, validation, test = asked(worlds.training), asked(worlds.validation), asked(worlds.test)
    assert len(training | validation | test) == len(training) + len(validation) + len(test) == 60
    assert all(is_held_out(question) for question in test)
    assert all(is_for_validation(question, SHARE) for question in validation)
    assert not any(is_for_validation(question, SHARE) for question in training)
    without = worlds_of(ProblemSettings(problems=(sums,)), NO_VALIDATION, verifier, {"a": model})
    assert without.validation is None
    assert asked(without.training) == training | validation
    assert asked(without.test) == test


def test_each_problem_of_validation_and_test_is_asked_once(sums: str, model: str, verifier: MathVerifier) -> None:
    worlds = worlds_of(ProblemSettings(problems=(sums,)), VALIDATION, verifier, {"a": model})
    for world in (worlds.validation, worlds.test):
        assert world is not None
        questions = world.sample_prompts(300, RandomStream(0)).questions
        assert len(questions) == len(set(questions)) < 60
    assert len(worlds.training.sample_prompts(300, RandomStream(0)).questions) == 300


def test_training_is_rewarded_by_the_sum_and_evaluations_by_the_first_reward(
    sums: str, rewards: str, model: str, verifier: MathVerifier
) -> None:
    problems = ProblemSettings(problems=(sums,), reward=(f"{rewards}:length*2", f"{rewards}:three*0.5"))
    worlds = worlds_of(problems, VALIDATION, verifier, {"a": model})
    assert rewarded(worlds.training, "1234") == {2 * 4 + 0.5 * 3}
    assert rewarded(worlds.validation, "1234") == {4.0}
    assert rewarded(worlds.test, "1234") == {4.0}


def test_answers_are_checked_only_where_they_are_compared(
    tmp_path: Path, rewards: str, model: str, verifier: MathVerifier
) -> None:
    path = tmp_path / "words.jsonl"
    path.write_text("".join(f'{{"question": "say {a}", "answer": "?!"}}\n' for a in range(60)))
    own = ProblemSettings(problems=(str(path),), reward=(f"{rewards}:three",))
    assert rewarded(worlds_of(own, NO_VALIDATION, verifier, {"a": model}).test, "x") == {3.0}
    for reward in ((), ("answer",), (f"{rewards}:three", "answer")):
        compared = ProblemSettings(problems=(str(path),), reward=reward)
        with pytest.raises(LabError, match=r"can read: \?!, and so on"):
            worlds_of(compared, NO_VALIDATION, verifier, {"a": model})


def test_problems_need_no_answers_beside_rewards_of_ones_own(
    tmp_path: Path, rewards: str, model: str, verifier: MathVerifier
) -> None:
    path = tmp_path / "words.jsonl"
    path.write_text("".join(f'{{"question": "say {a}"}}\n' for a in range(60)))
    own = ProblemSettings(problems=(str(path),), reward=(f"{rewards}:three",))
    worlds = worlds_of(own, NO_VALIDATION, verifier, {"a": model})
    assert rewarded(worlds.training, "x") == {3.0}
    assert worlds.own_rewards
    with pytest.raises(LabError, match="has no column named answer"):
        worlds_of(ProblemSettings(problems=(str(path),)), NO_VALIDATION, verifier, {"a": model})


def test_problems_that_leave_an_agent_no_room_are_left_out_and_that_is_said(
    tmp_path: Path, model: str, verifier: MathVerifier
) -> None:
    path = tmp_path / "sums.jsonl"
    questions = [f"{a}+{a}" + "+0" * (30 if a % 2 else 0) for a in range(10, 70)]
    path.write_text("".join(f'{{"question": "{question}", "answer": "1"}}\n' for question in questions))
    worlds = worlds_of(ProblemSettings(problems=(str(path),)), NO_VALIDATION, verifier, {"a": model})
    assert asked(worlds.training) | asked(worlds.test) == {question for question in questions if "+0+0" not in question}
    assert any("30 of 60 questions were left out" in note for note in worlds.notes)
    count = len(asked(worlds.test))
    assert worlds.notes[-1] == f"Evaluations ask {count} of the {count} problems for them."
    assert worlds.description == str(path)


def test_own_stories_are_the_same_world_for_all_parts(verifier: MathVerifier) -> None:
    assert read_data(ProblemSettings(), VALIDATION) is None
    worlds = worlds_of(ProblemSettings(), VALIDATION, verifier, {})
    assert worlds.training is worlds.validation is worlds.test
    assert worlds_of(ProblemSettings(), NO_VALIDATION, verifier, {}).validation is None


@pytest.mark.extras
def test_the_share_for_validation_reaches_the_worlds_of_tasks(verifier: MathVerifier) -> None:
    pytest.importorskip("reasoning_gym")
    worlds = worlds_of(ProblemSettings(tasks=("chain_sum",)), VALIDATION, verifier, {})
    training, validation, test = (asked(world, 60) for world in (worlds.training, worlds.validation, worlds.test))
    assert all(is_held_out(question) for question in test)
    assert all(is_for_validation(question, SHARE) for question in validation)
    assert not any(is_held_out(question) or is_for_validation(question, SHARE) for question in training)
    assert worlds.description == "chain_sum"
    without = worlds_of(ProblemSettings(tasks=("chain_sum",)), NO_VALIDATION, verifier, {})
    assert without.validation is None
    assert any(is_for_validation(question, SHARE) for question in asked(without.training, 60))
