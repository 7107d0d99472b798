"""Memory of a run of two agents that train adapters beside one base, compared with two bases.

    python tools/shared_base_memory.py

Makes a Llama with random weights and a copy of its folder, which is loaded apart since it is another folder. Then runs
the same command with the folder twice, and with the folder and its copy. Prints the largest resident size of each
process and of one that has only loaded the libraries, as a Markdown table, and whether both runs have the same numbers.
Needs Linux and the extra ``lora``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import tyro
from tqdm.auto import tqdm
from transformers import LlamaConfig, LlamaForCausalLM

from hacrl_runs.own_pair.tokenizers import train_tokenizer
from hacrl_runs.tables import markdown_table

GIB_IN_KIB = 2**20
SMALL_RUN = [
    *("--lora-rank", "8", "--steps", "2", "--prompts-per-step", "2", "--group-size", "2", "--max-new-tokens", "8"),
    *("--eval-prompts", "2", "--eval-samples", "1", "--compare", "none", "--patience", "0", "--device", "cpu"),
    *("--prompt-template", "{question}\n"),
]


@dataclass(frozen=True)
class Options:
    """Measure two agents on one base."""

    layers: int = 36
    """Of the Llama; one has 12.8 million parameters."""


def make_model(folder: Path, layers: int) -> int:
    """Write a Llama with random weights; returns how many parameters it has."""
    tokenizer = train_tokenizer([f"{a}+{b}\n\\boxed{{{a + b}}}" for a in range(20) for b in range(20)], "digits", 300)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=1024,
        intermediate_size=2816,
        num_hidden_layers=layers,
        num_attention_heads=16,
        max_position_embeddings=128,
        bos_token_id=None,
        eos_token_id=cast(int, tokenizer.eos_token_id),
    )
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return model.num_parameters()


def peak(words: Sequence[str]) -> int:
    """The largest resident size of a process of Python, KiB."""
    program = "print('peak', open('/proc/self/status').read().partition('VmHWM:')[2].split()[0])"
    run = f"from hacrl_runs.cli.main import train; assert train({list(words)!r}) == 0" if words else "import peft"
    code = f"import hacrl_runs.train\n{run}\n{program}"
    environment = {**os.environ, "HF_HUB_OFFLINE": "1"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise SystemExit(done.stderr)
    return int(done.stdout.rpartition("peak ")[2])


def run(options: Options) -> str:
    """Measure; returns the table."""
    with tempfile.TemporaryDirectory() as there:
        base, copy, problems = Path(there, "base"), Path(there, "copy", "base"), Path(there, "problems.jsonl")
        parameters = make_model(base, options.layers)
        shutil.copytree(base, copy)
        rows = [{"question": f"{a}+{b}", "answer": str(a + b)} for a in range(5) for b in range(5)]
        problems.write_text("".join(json.dumps(row) + "\n" for row in rows))
        runs = {"two bases": [base, copy], "one base": [base, base]}
        found, metrics = {"no agents": peak([])}, []
        for name, agents in tqdm(runs.items(), desc="Runs", unit="run"):
            out = Path(there, name)
            words = ["--agents", *map(str, agents), "--problems", str(problems), *SMALL_RUN, "--output-dir", str(out)]
            found[name] = peak(words)
            metrics.append((out / "hacpo" / "metrics.jsonl").read_bytes())
    table = markdown_table(
        [f"{parameters:,} parameters", "largest resident size, GiB", "of two bases"],
        [[name, f"{its / GIB_IN_KIB:.2f}", f"{its / found['two bases']:.2f}"] for name, its in found.items()],
    )
    return f"{table}\n\nThe metrics are {'equal' if metrics[0] == metrics[1] else 'different'}, byte for byte."


if __name__ == "__main__":
    print(run(tyro.cli(Options, description=__doc__)))
