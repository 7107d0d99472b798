"""The settings of the paper, by name: batch, clip bounds, KL penalty and schedule, and its six pairs.

Sources: the paper's Appendix A and Table 5 (read as decision 1 has it), and the authors' launch scripts
(November 2026), which alone name the clip bounds of own rollouts, the KL penalty and the order of updates. What neither
says is ours: memory savers, the number of devices, and everything about adapters.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

from hacrl_lab.config import TrainingConfig
from hacrl_lab.objectives import ObjectiveSettings

PresetName = Literal[
    "paper",
    "qwen3-4b-instruct",
    "qwen3-1.7b-4b-base",
    "qwen3-4b-8b-base",
    "llama3.2-1b-3b-instruct",
    "qwen3-1.7b-base-llama3.2-1b",
    "qwen3-4b-base-llama3.2-3b",
    "qwen3-4b-instruct-lora",
    "qwen3-1.7b-4b-base-lora",
    "qwen3-4b-8b-base-lora",
    "llama3.2-1b-3b-instruct-lora",
    "qwen3-1.7b-base-llama3.2-1b-lora",
    "qwen3-4b-base-llama3.2-3b-lora",
]

OBJECTIVE = ObjectiveSettings(
    epsilon_low=3e-4, epsilon_high=4e-4, alpha=1.0, delta=0.2, delta_step=0.025, kl_weight=1e-3
)
TRAINING = TrainingConfig(
    prompts_per_step=128,
    group_size=8,
    minibatches=2,
    capability_window=5,
    schedule="self_first",
    objective=OBJECTIVE,
)
PAPER: Mapping[str, Any] = {
    "training": TRAINING,
    "learning_rate": 1e-6,
    "max_grad_norm": 1.0,
    "max_new_tokens": 4096,
    "steps": 59,  # one epoch: 7,500 problems, 128 a step
}
DATA: Mapping[str, Any] = {
    "problems": ("math",),
    "eval_problems": "math500",
    "eval_prompts": 500,
    "eval_samples": 1,
}
ON_EIGHT_GPUS: Mapping[str, Any] = {
    "engine": "ray",
    "ranks_per_agent": 4,
    "generation": "vllm",
    "cache_gib": 8.0,
    "dtype": "bfloat16",
    "checkpointing": True,
    "tokens_per_pass": 16384,
}
ON_ONE_GPU: Mapping[str, Any] = {
    "lora_rank": 32,
    "learning_rate": 1e-5,  # adapters need about ten times the rate of all weights
    "generation": "vllm",
    "cache_gib": 4.0,
    "dtype": "bfloat16",
    "checkpointing": True,
    "tokens_per_pass": 8192,
}


@dataclass(frozen=True)
class Pair:
    """One of the paper's pairs, with the settings of Table 5."""

    agents: tuple[str, str]
    """Hub ids."""
    alpha: float
    delta: float
    """Width of the bound: Table 5 lists 1 − δ (decision 1)."""
    delta_step: float
    offload: bool = False
    """It fits GPUs of 80 GiB, eight or with adapters one, only if the host's memory helps."""

    @property
    def training(self) -> TrainingConfig:
        """The paper's, with this pair's α and bounds."""
        own = replace(OBJECTIVE, alpha=self.alpha, delta=self.delta, delta_step=self.delta_step)
        return replace(TRAINING, objective=own)


PAIRS: Mapping[str, Pair] = {
    "qwen3-4b-instruct": Pair(("Qwen/Qwen3-4B", "Qwen/Qwen3-4B-Instruct-2507"), 3.0, 0.2, 0.01),
    "qwen3-1.7b-4b-base": Pair(("Qwen/Qwen3-1.7B-Base", "Qwen/Qwen3-4B-Base"), 1.0, 0.2, 0.025),
    "qwen3-4b-8b-base": Pair(("Qwen/Qwen3-4B-Base", "Qwen/Qwen3-8B-Base"), 3.0, 0.2, 0.025, offload=True),
    "llama3.2-1b-3b-instruct": Pair(
        ("meta-llama/Llama-3.2-1B-Instruct", "meta-llama/Llama-3.2-3B-Instruct"), 1.0, 0.1, 0.01
    ),
    "qwen3-1.7b-base-llama3.2-1b": Pair(("Qwen/Qwen3-1.7B-Base", "meta-llama/Llama-3.2-1B-Instruct"), 1.0, 0.2, 0.025),
    "qwen3-4b-base-llama3.2-3b": Pair(("Qwen/Qwen3-4B-Base", "meta-llama/Llama-3.2-3B-Instruct"), 1.0, 0.2, 0.025),
}
LORA = "-lora"
assert set(get_args(PresetName)) == {"paper", *PAIRS, *(name + LORA for name in PAIRS)}


def preset_settings(name: PresetName) -> dict[str, Any]:
    """What a preset sets, by the name of the option.

    >>> preset_settings("qwen3-4b-8b-base")["training"].objective.alpha
    3.0
    >>> preset_settings("qwen3-4b-8b-base-lora")["learning_rate"]
    1e-05
    """
    if name == "paper":
        return dict(PAPER)
    pair = PAIRS[name.removesuffix(LORA)]
    machine = ON_ONE_GPU if name.endswith(LORA) else ON_EIGHT_GPUS
    own = {"agents": pair.agents, "training": pair.training, "offload": pair.offload}
    return {**PAPER, **DATA, **machine, **own}
