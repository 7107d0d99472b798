"""Writes docs/preset_plans.md: what each of the paper's pairs needs, from ``hacrl-lab plan``, without weights.

    python tools/preset_plans.py

The models' configurations are those that their authors publish, so that nothing is downloaded; prompts are measured by
the tokenizer of the lab's own pair, whose tokens are shorter, so that they come out longer than they are.
"""

from __future__ import annotations

import contextlib
import io
import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

from tqdm import tqdm
from transformers import LlamaConfig, Qwen3Config

from hacrl_lab.errors import LabError
from hacrl_runs.own_pair.pretrain import build_pair
from hacrl_runs.plan import plan
from hacrl_runs.presets import PresetName, preset_settings
from hacrl_runs.settings import train_settings

ROOT = Path(__file__).resolve().parent.parent

GPU_GIB = 80.0
PAGE = ROOT / "docs" / "preset_plans.md"
QWEN3: Mapping[str, Any] = {"head_dim": 128, "num_key_value_heads": 8, "vocab_size": 151_936}
LLAMA: Mapping[str, Any] = {"num_key_value_heads": 8, "vocab_size": 128_256, "tie_word_embeddings": True}
CONFIGS: Mapping[str, Any] = {
    "Qwen/Qwen3-1.7B-Base": Qwen3Config(
        hidden_size=2048,
        intermediate_size=6144,
        num_hidden_layers=28,
        num_attention_heads=16,
        tie_word_embeddings=True,
        max_position_embeddings=32_768,
        **QWEN3,
    ),
    "Qwen/Qwen3-4B-Base": Qwen3Config(
        hidden_size=2560,
        intermediate_size=9728,
        num_hidden_layers=36,
        num_attention_heads=32,
        tie_word_embeddings=True,
        max_position_embeddings=32_768,
        **QWEN3,
    ),
    "Qwen/Qwen3-8B-Base": Qwen3Config(
        hidden_size=4096,
        intermediate_size=12_288,
        num_hidden_layers=36,
        num_attention_heads=32,
        tie_word_embeddings=False,
        max_position_embeddings=32_768,
        **QWEN3,
    ),
    "meta-llama/Llama-3.2-1B-Instruct": LlamaConfig(
        hidden_size=2048,
        intermediate_size=8192,
        num_hidden_layers=16,
        num_attention_heads=32,
        head_dim=64,
        max_position_embeddings=131_072,
        **LLAMA,
    ),
    "meta-llama/Llama-3.2-3B-Instruct": LlamaConfig(
        hidden_size=3072,
        intermediate_size=8192,
        num_hidden_layers=28,
        num_attention_heads=24,
        head_dim=128,
        max_position_embeddings=131_072,
        **LLAMA,
    ),
}
SAME_SHAPE = {"Qwen/Qwen3-4B": "Qwen/Qwen3-4B-Base", "Qwen/Qwen3-4B-Instruct-2507": "Qwen/Qwen3-4B-Base"}
"""Models whose configurations differ in nothing that takes memory."""
TOKENIZER_FILES = ("tokenizer.json", "tokenizer_config.json")
INTRODUCTION = f"""# The memory and time that the presets need

*Written by `python tools/preset_plans.py`.*

`hacrl-lab plan --preset NAME --plan-gpu-gib {GPU_GIB:g}` prints this for the paper's six pairs, on eight GPUs of
{GPU_GIB:g} GiB with all weights, and on one with adapters. We ran none of it on a GPU. Memory is counted on tensors
without values (a run of SmolLM2 on a CPU needed 5 % more than its plan). Hours are estimated only on the GPU itself.
All responses are taken to be 4,096 tokens long. The problems are the lab's own stories in place of MATH, whose prompts
are longer by about a hundred tokens at most.
"""


def folder_of(model: str, tokenizer: Path, work: Path) -> str:
    """A folder with a model's configuration and a stand-in for its tokenizer."""
    folder = work / model.replace("/", "--")
    if not folder.exists():
        CONFIGS[SAME_SHAPE.get(model, model)].save_pretrained(folder)
        for name in TOKENIZER_FILES:
            shutil.copy(tokenizer / name, folder / name)
    return str(folder)


def plan_of(name: PresetName, tokenizer: Path, work: Path) -> str:
    """The section of one preset."""
    settings = preset_settings(name)
    agents = tuple(folder_of(model, tokenizer, work) for model in settings["agents"])
    local = {"agents": agents, "problems": (), "eval_problems": None}
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            plan(train_settings(**(settings | local)), GPU_GIB)
        ending = ""
    except LabError as error:
        ending = f"\n\n**Refused:** {error}."
    text = printed.getvalue()
    for model in settings["agents"]:
        text = text.replace(Path(folder_of(model, tokenizer, work)).name, model)
    return f"## {name}\n\n{text.strip()}{ending}\n"


def main() -> None:
    """Write the page; what is done is kept beside it while it is being written."""
    names = [name for name in get_args(PresetName) if name != "paper"]
    kept = Path(tempfile.gettempdir()) / "hacrl-lab-preset-plans.json"
    sections = json.loads(kept.read_text()) if kept.exists() else {}
    tokenizer = next(iter(build_pair("tiny", "short", "cpu").values()))
    with tempfile.TemporaryDirectory() as work:
        for name in tqdm(names, unit="preset"):
            if name not in sections:
                sections[name] = plan_of(name, tokenizer, Path(work))
                kept.write_text(json.dumps(sections))
    PAGE.write_text("\n".join([INTRODUCTION, *(sections[name] for name in names)]), encoding="utf-8")
    kept.unlink()


if __name__ == "__main__":
    main()
