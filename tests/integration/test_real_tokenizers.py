"""Agents with the real tokenizers of five model families, from their texts to two training steps and a resumed run.

Opt-in: needs the folder that ``python tools/real_tokenizers.py FOLDER`` writes, in the environment variable
HACRL_LAB_REAL_TOKENIZERS. The models are tiny and random, and say anything that their vocabulary allows.
"""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from test_llm_pair import call

from hacrl_lab.errors import ModelLoadError
from hacrl_lab.language_models.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.language_models.loading import load_agent
from hacrl_lab.language_models.prompting import Prompting
from hacrl_lab.metrics import read_metrics
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.describe import ratios_of

FOLDER = os.environ.get("HACRL_LAB_REAL_TOKENIZERS")

pytestmark = [
    pytest.mark.real_model,
    pytest.mark.skipif(FOLDER is None, reason="HACRL_LAB_REAL_TOKENIZERS is not set"),
]

PAIRS = [("qwen3", "llama3_1"), ("gemma3", "gpt2"), ("llama2", "qwen3")]
ENDS = {
    "qwen3": "<|im_end|>",
    "llama3_1": "<|eot_id|>",
    "gemma3": "<end_of_turn>",
    "gpt2": "<|endoftext|>",
    "llama2": "</s>",
}
"""What ends an answer of each family."""
SETTINGS = CausalLMSettings(24, 1e-3, 1.0, Prompting(), "cpu", "float32", tokens_per_pass=0)
PROMPTS = TextPrompts(["How much is 17 + 25?", "Solve $x^2 = 4$ for x > 0.\nShow your work."], [()] * 2)
WORKED = [
    "First, 17 + 25 = 42.\n\nSo the answer is \\boxed{42}.",
    " x = 2, since $2^2 = 4$ \\(x > 0\\)",
    "<think>\nLet's see: ½ of 1,234,567.89 → ?\n</think>\n你好 мир नमस्ते\t\\frac{1}{2}",
    "e\u0301 is two characters, and \u2126 is no omega",
]
"""Texts as models write them, and some that tokenizers like to change."""
REWARD = "def reward(completions, **columns):\n    return [float(len(text) % 2) for text in completions]\n"


def agent_of(family: str) -> CausalLMAgent:
    assert FOLDER is not None
    return load_agent(str(Path(FOLDER) / family), family, SETTINGS)


def read_back(learner: CausalLMAgent, prompt: str, tokens: list[int]) -> str:
    """What the learner's tokens say after its prompt, decoded as one text by its own tokenizer."""
    assert learner.codec.end_token == tokens[-1]
    before = learner.codec.prompts([prompt])[0][0].tolist()
    whole, alone = (str(learner.tokenizer.decode(ids)) for ids in (before + tokens[:-1], before))
    assert whole.startswith(alone)
    return whole[len(alone) :]


@pytest.mark.parametrize("family", ENDS)
def test_a_shared_answer_is_the_same_text_and_ends_the_learners_turn(family: str) -> None:
    learner = agent_of(family)
    foreign = RolloutBatch("b", [WORKED, WORKED], torch.ones(2, len(WORKED), dtype=torch.bool))
    encoded = learner.encode(PROMPTS, [foreign])
    for prompt, tokens, mask in zip(PROMPTS.questions, encoded.tokens[0], encoded.mask[0], strict=True):
        for text, row, keep in zip(WORKED, tokens, mask, strict=True):
            said = row[keep].tolist()
            assert learner.tokenizer.decode(said[-1:]) == ENDS[family]
            assert read_back(learner, prompt, said) == text


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_texts_are_equal_on_both_sides_and_ratios_are_means_over_each_sides_tokens(pair: tuple[str, str]) -> None:
    agents = [agent_of(family) for family in pair]
    batches = [agent.generate(PROMPTS, 8, RandomStream(0, k)) for k, agent in enumerate(agents)]
    ratios = ratios_of(agents, PROMPTS, batches)
    for learner, sampler in ((0, 1), (1, 0)):
        batch, other = batches[sampler], agents[learner]
        tokens, mask = other.codec.texts(batch.shared())
        assert other.codec.decode(tokens, mask) == batch.responses
        own, foreign = int(batch.lengths.sum()), int(mask.sum())
        ratio = float(ratios[learner, sampler].mean())
        assert 0 < ratio < 100
        assert own != foreign
        print(f"{pair[learner]} on {pair[sampler]}: {foreign} tokens for {own}, mean ratio {ratio:.3f}")
    torch.testing.assert_close(ratios.diagonal(), torch.ones_like(ratios.diagonal()))


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
def test_two_steps_are_the_same_with_and_without_a_resume(
    pair: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    assert FOLDER is not None
    (tmp_path / "own.py").write_text(REWARD)
    problems = [{"question": f"How much is {a} + {b}?", "answer": str(a + b)} for a in range(4) for b in range(4)]
    (tmp_path / "sums.jsonl").write_text("".join(json.dumps(problem) + "\n" for problem in problems))
    arguments = [
        *("--agents", *(str(Path(FOLDER) / family) for family in pair), "--problems", str(tmp_path / "sums.jsonl")),
        *("--reward", f"{tmp_path / 'own.py'}:reward", "--compare", "none", "--learning-rate", "1e-3"),
        *("--prompts-per-step", "2", "--group-size", "4", "--max-new-tokens", "16", "--device", "cpu"),
        *("--eval-prompts", "2", "--eval-samples", "2", "--checkpoint-every", "1"),
    ]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert call(monkeypatch, capsys, *arguments, "--steps", "2", "--output-dir", str(whole)) == (0, "")
    assert call(monkeypatch, capsys, *arguments, "--steps", "1", "--output-dir", str(parts)) == (0, "")
    assert call(monkeypatch, capsys, "--resume", str(parts), "--steps", "2") == (0, "")
    curves = read_metrics(whole / "hacpo")
    assert curves == read_metrics(parts / "hacpo")
    assert all(max(curves[f"gradient_norm/{family}"]) > 0 for family in pair)
    for one, other in (pair, pair[::-1]):
        assert all(0.01 < ratio < 100 for ratio in curves[f"importance_ratio/{one}/{other}"])
    samples = [(run / "hacpo" / "samples.jsonl").read_text() for run in (whole, parts)]
    assert samples[0] == samples[1]


def test_a_tokenizer_that_transformers_reads_as_another_familys_is_refused(tmp_path: Path) -> None:
    """Llama 3's file, read through the class of Llama 2, loses all spaces."""
    assert FOLDER is not None
    folder = Path(shutil.copytree(Path(FOLDER) / "llama3_1", tmp_path / "model"))
    settings: dict[str, Any] = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(settings | {"tokenizer_class": "LlamaTokenizer"}))
    with pytest.raises(ModelLoadError, match="loses or changes characters"):
        load_agent(str(folder), "a", SETTINGS)
