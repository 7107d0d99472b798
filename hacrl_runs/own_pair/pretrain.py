"""Pre-training a model of the pair from scratch on worked solutions, and caching it as an ordinary checkpoint."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm
from transformers import PreTrainedModel, PreTrainedTokenizerFast, get_cosine_schedule_with_warmup

from hacrl_envs.stories import draw_story, write_long_solution, write_solution
from hacrl_lab.cache_folder import cache_folder
from hacrl_lab.files import locked
from hacrl_runs.own_pair.models import new_model
from hacrl_runs.own_pair.muon import Muon
from hacrl_runs.own_pair.recipes import Answers, Recipe, Size, recipes
from hacrl_runs.own_pair.tokenizers import train_tokenizer

TOKENIZER_STORIES = 3000
DRILL_LINES = 10
WARMUP_STEPS = 20
IGNORED = -100  # label of tokens that are not learned, as transformers has it

Example = tuple[str, str]
"""What is given and what is to be written."""


def build_pair(size: Size, answers: Answers, device: str) -> dict[str, Path]:
    """The pair's checkpoint folders by name; models that are not in the cache are pre-trained first."""
    folders = {}
    for name, recipe in recipes(size, answers).items():
        folder = cache_folder() / "pairs" / f"{size}-{name}-{recipe.fingerprint()}"
        folder.parent.mkdir(parents=True, exist_ok=True)
        with locked(folder.parent):  # another process that builds the pair, too, builds it first
            if not folder.is_dir():
                _build(recipe, folder, device, f"Pre-training {name}")
        folders[name] = folder
    return folders


def _build(recipe: Recipe, folder: Path, device: str, description: str) -> None:
    """Train, then move the finished checkpoint into place, so that an interrupted build leaves nothing half-made."""
    unfinished = folder.with_name(folder.name + ".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    model, tokenizer = pretrain(recipe, device, description)
    model.save_pretrained(unfinished)
    tokenizer.save_pretrained(unfinished)
    unfinished.rename(folder)


def pretrain(recipe: Recipe, device: str, description: str) -> tuple[PreTrainedModel, PreTrainedTokenizerFast]:
    """Train tokenizer and model from nothing, with a progress bar."""
    rng = np.random.default_rng(recipe.seed)
    tokenizer = train_tokenizer(_tokenizer_texts(recipe, rng), recipe.numbers, recipe.vocab_size)
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = new_model(recipe, tokenizer)
    model.to(device)  # type: ignore[arg-type]
    fit(model, tokenizer, recipe, _batches(recipe, rng), description)
    return model.eval(), tokenizer


def fit(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerFast,
    recipe: Recipe,
    batches: Iterable[list[Example]],
    description: str,
) -> None:
    """Learn to write: Muon for the matrices, AdamW for the rest, both with a cosine schedule.

    Args:
        model, tokenizer: who learns.
        recipe: updates and learning rates.
        batches: one for each update.
        description: of the progress bar.
    """
    model.train()
    matrices = [p for name, p in model.named_parameters() if p.ndim == 2 and "embed" not in name]
    others = [p for name, p in model.named_parameters() if p.ndim != 2 or "embed" in name]
    optimizers = [
        Muon(matrices, lr=recipe.muon_learning_rate, weight_decay=0.01),
        torch.optim.AdamW(others, lr=recipe.adam_learning_rate, betas=(0.9, 0.95), weight_decay=0.0),
    ]
    schedules = [get_cosine_schedule_with_warmup(one, WARMUP_STEPS, recipe.steps) for one in optimizers]
    with tqdm(total=recipe.steps, desc=description, unit="update") as bar:
        for examples in batches:
            input_ids, labels = _collate(examples, tokenizer)
            loss = model(input_ids=input_ids.to(model.device), labels=labels.to(model.device)).loss
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            for one in (*optimizers, *schedules):
                one.step()
            model.zero_grad()
            bar.set_postfix(loss=f"{loss.item():.3f}")
            bar.update()


def _batches(recipe: Recipe, rng: np.random.Generator) -> Iterator[list[Example]]:
    """First drills, then stories; stories of similar length go together, so that little is padding."""
    drills = round(recipe.drill_share * recipe.steps)
    for _ in range(drills):
        yield [_drill(recipe, rng) for _ in range(recipe.batch)]
    at_once = 8
    for start in range(drills, recipe.steps, at_once):
        examples = sorted((_story(recipe, rng) for _ in range(recipe.batch * at_once)), key=lambda e: len(e[0] + e[1]))
        order = rng.permutation(at_once)[: recipe.steps - start]
        yield from (examples[i * recipe.batch : (i + 1) * recipe.batch] for i in order)


def _story(recipe: Recipe, rng: np.random.Generator) -> Example:
    story = draw_story(rng)
    how = recipe.misreads, recipe.notation
    if recipe.first_wording is None:
        return story.question + "\n", write_solution(story, rng, *how)
    return story.question + "\n", write_long_solution(story, rng, *how, recipe.first_wording)


def _drill(recipe: Recipe, rng: np.random.Generator) -> Example:
    """Lines of working out of their stories, in random order: the facts of arithmetic, densely."""
    lines: list[str] = []
    while len(lines) < DRILL_LINES:
        lines += write_solution(draw_story(rng), rng, recipe.misreads, recipe.notation).split("\n")[:-1]
    rng.shuffle(lines)
    return "", "\n".join(lines)


def _tokenizer_texts(recipe: Recipe, rng: np.random.Generator) -> list[str]:
    stories = ["".join(_story(recipe, rng)) for _ in range(TOKENIZER_STORIES)]
    return stories + [str(number) for number in range(200) for _ in range(5)]


def _collate(examples: list[Example], tokenizer: PreTrainedTokenizerFast) -> tuple[Tensor, Tensor]:
    """Right-padded token ids and labels, (B, L); only what is to be written has labels."""
    given = tokenizer([given for given, _ in examples])["input_ids"]
    written = tokenizer([written for _, written in examples])["input_ids"]
    rows = [g + w + [tokenizer.eos_token_id] for g, w in zip(given, written, strict=True)]
    input_ids = torch.full((len(rows), max(map(len, rows))), cast(int, tokenizer.pad_token_id))
    labels = torch.full_like(input_ids, IGNORED)
    for i, (row, prefix) in enumerate(zip(rows, given, strict=True)):
        input_ids[i, : len(row)] = torch.tensor(row)
        labels[i, len(prefix) : len(row)] = torch.tensor(row[len(prefix) :])
    return input_ids, labels
