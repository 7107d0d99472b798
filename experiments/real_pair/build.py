"""Two agents out of one real pre-trained model: fine-tuned on demonstrations of different tasks.

A model that was never asked in our form solves next to nothing, and two copies of it differ in nothing. A short
fine-tuning on answers of Reasoning Gym's tasks, more of the one for the first agent and more of the other for the
second, gives both a start at which some answers are right, and something that each can learn from the other.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from tqdm.auto import tqdm

from hacrl_envs.reasoning import ReasoningWorld, parse_task
from hacrl_lab.agents.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.agents.loading import load_agent
from hacrl_lab.agents.prompting import Prompting
from hacrl_lab.answer_rules import ANSWER_RULES
from hacrl_lab.demonstrations import DEMONSTRATIONS, fit_demonstrations
from hacrl_lab.errors import LabError
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from language_pair.pretrain import cache_folder

TEMPLATE = "{question}\nAnswer: "
"""Bare, without a chat template, whose system message would be longer than the questions."""


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
    """AdamW's."""
    seed: int = 0
    """Of the questions."""


@dataclass(frozen=True)
class Pair:
    """Two agents by name."""

    model: str
    """Folder of the pre-trained model; ``python tools/smollm2.py FOLDER`` makes one."""
    agents: Mapping[str, FineTuning]


def build(pair: Pair) -> dict[str, Path]:
    """The agents' checkpoint folders by name; those that are not in the cache are fine-tuned first.

    Raises:
        LabError: there is no such model.
    """
    weights = Path(pair.model) / "model.safetensors"
    if not weights.is_file():
        raise LabError(f"{pair.model!r} holds no model; python tools/smollm2.py FOLDER makes one")
    folders = {}
    for name, teaching in pair.agents.items():
        folder = cache_folder() / "real" / f"{name}-{fingerprint(teaching, weights)}"
        if not folder.is_dir():
            unfinished = folder.with_name(folder.name + ".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            fine_tuned(pair.model, name, teaching).save_pretrained(unfinished)
            unfinished.rename(folder)
        folders[name] = folder
    return folders


def fingerprint(teaching: FineTuning, weights: Path) -> str:
    """Names what was taught, and to which weights."""
    with weights.open("rb") as file:
        of_weights = hashlib.file_digest(file, "sha256").hexdigest()
    record = json.dumps([asdict(teaching), TEMPLATE, of_weights], sort_keys=True)
    return hashlib.sha256(record.encode()).hexdigest()[:10]


def fine_tuned(model: str, name: str, teaching: FineTuning) -> CausalLMAgent:
    """The model after learning its answers by heart, with a progress bar."""
    settings = CausalLMSettings(
        max_new_tokens=32,
        learning_rate=teaching.learning_rate,
        max_grad_norm=1.0,
        prompting=Prompting(TEMPLATE),
        device="cpu",
        compute_dtype="float32",
        tokens_per_pass=0,
    )
    agent = load_agent(model, name, settings)
    agent.tokenizer.chat_template = None
    world = ReasoningWorld([parse_task(text) for text in teaching.tasks], ANSWER_RULES["whole"])
    for step in tqdm(range(teaching.updates), desc=f"Fine-tuning {name}", unit="update"):
        prompts = world.sample_prompts(teaching.examples, RandomStream(teaching.seed, step))
        answers = [[answer] for answer in world.answers(prompts)]
        finished = torch.ones(teaching.examples, 1, dtype=torch.bool)
        fit_demonstrations(agent, prompts, RolloutBatch(DEMONSTRATIONS, answers, finished), updates=1)
    return agent
