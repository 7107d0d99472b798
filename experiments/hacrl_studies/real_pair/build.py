"""Agents that know something of Reasoning Gym's tasks: a real pre-trained model after a few demonstrations of them.

A model that was never asked in our form solves next to nothing, and two copies of it differ in nothing. A short
fine-tuning on answers, more of the one task for the first agent and more of the other for the second, gives both a
start at which some answers are right, and something that each can learn from the other. An agent of another family is
the lab's own Qwen3, which has seen nothing but such demonstrations.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import torch
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from hacrl_envs.reasoning import ReasoningWorld, parse_task
from hacrl_lab.cache_folder import cache_folder
from hacrl_lab.demonstrations import DEMONSTRATIONS, fit_demonstrations
from hacrl_lab.errors import LabError
from hacrl_lab.language_models.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.language_models.prompting import Prompting
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.own_pair.models import new_model
from hacrl_runs.own_pair.pretrain import Example, fit
from hacrl_runs.own_pair.recipes import PAIRS
from hacrl_runs.own_pair.tokenizers import train_tokenizer

TEMPLATE = "{question}\nAnswer: "
"""Bare, without a chat template, whose system message would be longer than the questions."""


START = PAIRS["tiny"]["qwen3-digits"]
"""The untrained model of :attr:`FineTuning.start`."""
TOKENIZER_QUESTIONS = 1000


@dataclass(frozen=True)
class FineTuning:
    """What one agent is taught."""

    tasks: tuple[str, ...]
    """Of Reasoning Gym, see :func:`hacrl_envs.reasoning.parse_task`."""
    updates: int = 40
    """Optimiser steps."""
    examples: int = 16
    """Questions with their answers in each."""
    learning_rate: float = 2e-5
    """AdamW's, of the pre-trained model; a Qwen3 has those of its recipe."""
    seed: int = 0
    """Of the questions."""
    start: Literal["model", "qwen3"] = "model"
    """What it is before: the pre-trained model, or an untrained Qwen3 with a tokenizer for these tasks."""


@dataclass(frozen=True)
class Pair:
    """Two agents by name."""

    model: str
    """Folder of the pre-trained model; ``python tools/smollm2.py FOLDER`` makes one."""
    agents: Mapping[str, FineTuning]

    def fingerprints(self) -> dict[str, str]:
        """What each agent is made from, by name: what is taught, and to which weights.

        Raises:
            LabError: there is no such model.
        """
        return {name: fingerprint(teaching, self.model) for name, teaching in self.agents.items()}


def build(pair: Pair) -> dict[str, Path]:
    """The agents' checkpoint folders by name, each called like its agent; what is not in the cache is made first.

    Raises:
        LabError: there is no such model.
    """
    folders = {}
    for name, made_from in pair.fingerprints().items():
        folder = cache_folder() / "real" / made_from / name
        if not folder.is_dir():
            _make(pair, name, folder)
        folders[name] = folder
    return folders


def _make(pair: Pair, name: str, folder: Path) -> None:
    """In a folder of its own until it is finished; of two processes that make the same one, one is kept."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=folder.parent))
    try:
        fine_tuned(pair.model, name, pair.agents[name]).save_pretrained(unfinished)
        if not folder.is_dir():
            unfinished.rename(folder)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def fingerprint(teaching: FineTuning, model: str) -> str:
    """Names what was taught, and to what: the pre-trained weights, or the recipe of the untrained model.

    Raises:
        LabError: there is no such model.
    """
    taught = START.fingerprint() if teaching.start == "qwen3" else _of_weights(model)
    record = json.dumps([asdict(teaching), TEMPLATE, taught], sort_keys=True)
    return hashlib.sha256(record.encode()).hexdigest()[:10]


@cache
def _of_weights(model: str) -> str:
    weights = Path(model) / "model.safetensors"
    if not weights.is_file():
        raise LabError(f"{model!r} holds no model; python tools/smollm2.py FOLDER makes one")
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fine_tuned(model: str, name: str, teaching: FineTuning) -> CausalLMAgent:
    """An agent after memorising its answers, with a progress bar; without a chat template."""
    world = ReasoningWorld([parse_task(text) for text in teaching.tasks], ANSWER_RULES["whole"])
    settings = CausalLMSettings(
        max_new_tokens=32,
        learning_rate=teaching.learning_rate,
        max_grad_norm=1.0,
        prompting=Prompting(TEMPLATE),
        device="cpu",
        compute_dtype="float32",
        tokens_per_pass=0,
    )
    if teaching.start == "qwen3":
        return CausalLMAgent(name, *_pretrained(name, teaching, world), settings)
    agent = load_agent(model, name, settings)
    agent.tokenizer.chat_template = None
    questions = _questions(teaching, world)
    for prompts in tqdm(questions, total=teaching.updates, desc=f"Fine-tuning {name}", unit="update"):
        answers = [[answer] for answer in world.answers(prompts)]
        finished = torch.ones(teaching.examples, 1, dtype=torch.bool)
        fit_demonstrations(agent, prompts, RolloutBatch(DEMONSTRATIONS, answers, finished), updates=1)
    return agent


def _questions(teaching: FineTuning, world: ReasoningWorld) -> Iterator[TextPrompts]:
    """Those of every update."""
    for step in range(teaching.updates):
        yield world.sample_prompts(teaching.examples, RandomStream(teaching.seed, step))


def _pretrained(
    name: str, teaching: FineTuning, world: ReasoningWorld
) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """A Qwen3 that has seen only the answers, and its tokenizer; see :func:`hacrl_runs.own_pair.pretrain.fit`."""
    some = _examples(world, world.sample_prompts(TOKENIZER_QUESTIONS, RandomStream(teaching.seed)))
    tokenizer = train_tokenizer(["".join(example) for example in some], START.numbers, START.vocab_size)
    with torch.random.fork_rng():
        torch.manual_seed(teaching.seed)
        model = new_model(START, tokenizer)
    batches = (_examples(world, prompts) for prompts in _questions(teaching, world))
    fit(model, tokenizer, replace(START, steps=teaching.updates), batches, f"Pre-training {name}")
    return model, tokenizer


def _examples(world: ReasoningWorld, prompts: TextPrompts) -> list[Example]:
    asked = [TEMPLATE.replace("{question}", question) for question in prompts.questions]
    return list(zip(asked, world.answers(prompts), strict=True))
