"""The options of the main job; also what a run's ``config.json`` holds."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Literal

from hacrl_lab.config import TrainingConfig, load_config
from hacrl_lab.errors import LabError

LEARNING_RATES = {"tiny": 2e-4, "small": 1e-4, "base": 3e-5}
OWN_MODELS_LEARNING_RATE = 1e-6  # the paper's, for models of billions of parameters


@dataclass(frozen=True)
class LLMPairConfig:
    """Train several different language models together with --method and, from the same start, with --compare."""

    method: str = "hacpo"
    """What to train with: grpo, gspo, gspo_x2, naive, hacpo, hacpo_no_advantage, hacpo_no_omega, hacpo_no_stepwise,
    hacpo_no_clip, hacpo_alpha<number>, hacpo_lagged, hacpo_loo,
    hacpo_calibrated, hacpo_capped, hacpo_sound, hacpo_pessimistic, hacpo_open,
    hacpo_open_below, hacpo_open_above or naive_two_sided."""
    compare: str = "gspo"
    """A second method to set beside it, with the same number of prompts; 'none' leaves it out."""
    agents: tuple[str, ...] = ()
    """Two or more models, each a local transformers folder or a hub id. Empty: the lab's own pair."""
    size: Literal["tiny", "small", "base"] = "tiny"
    """Size of the lab's own pair: about 0.6 + 0.4, 10 + 6 or 100 + 60 million parameters. Built on first use."""
    problems: str | None = None
    """JSON Lines file of problems, {"question": ..., "answer": LaTeX}. Left out: the lab's own quantity stories."""
    prompt_template: str = "{question}\n"
    """The prompt; {question} is replaced. Put into the chat template of a model that has one."""
    steps: int = 20
    """Training steps for each method."""
    prompts_per_step: int = 32
    """Prompts in a step."""
    group_size: int = 8
    """Rollouts of each agent for each prompt."""
    minibatches: int = 2
    """Optimiser updates in a step."""
    learning_rate: float | None = None
    """AdamW's learning rate. Left out: 2e-4, 1e-4 or 3e-5 for the own pair's sizes, 1e-6 for other models."""
    max_grad_norm: float = 1.0
    """Gradients are clipped to this norm."""
    epsilon_low: float = 0.2
    """Own rollouts: importance ratios are clipped below at 1 minus this. (The paper: 3e-4 at full scale.)"""
    epsilon_high: float = 0.2
    """Own rollouts: importance ratios are clipped above at 1 plus this. (The paper: 4e-4 at full scale.)"""
    alpha: float = 1.0
    """Cross rollouts: exponent of the exponential weight."""
    delta: float = 0.2
    """Cross rollouts: importance ratios are clipped to [1 - delta + m * delta_step, 1]."""
    delta_step: float = 0.025
    """Cross rollouts: how much each mini-batch update m tightens that bound."""
    capability_window: int = 5
    """Steps over which capabilities are averaged."""
    max_new_tokens: int = 64
    """Length limit of a response, in each agent's own tokens."""
    microbatch_prompts: int = 0
    """Prompts in one forward and backward pass, to bound memory; 0: the whole mini-batch."""
    old_log_probs: Literal["recomputed", "engine"] = "recomputed"
    """Samplers' log-probabilities: recomputed by the training model, or as the generating engine reports them."""
    eval_prompts: int = 256
    """Problems in the evaluation before and after training; the same for every agent and method."""
    eval_samples: int = 4
    """Responses to each of them."""
    checkpoint_every: int = 5
    """Steps between checkpoints; one is also written on Ctrl-C."""
    seed: int = 0
    """Of problems, sampling and mini-batches."""
    device: str = "auto"
    """Where the models live, as torch names it; auto takes a GPU if there is one."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Parameter type. bfloat16 halves memory, but updates much smaller than a weight are rounded away."""
    output_dir: str | None = None
    """Folder of the run. Left out: a new one under runs/llm_pair/."""
    resume: str | None = None
    """Folder of an earlier run to go on with, under its own settings; only --steps may be given beside it."""

    def __post_init__(self) -> None:
        leasts = {"steps": 1, "checkpoint_every": 1, "eval_prompts": 2, "eval_samples": 1, "seed": 0}
        for name, least in leasts.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be ≥ {least}, got {getattr(self, name)}")

    def training(self, method: str) -> TrainingConfig:
        """The training settings of one of the two methods; checks them all."""
        names = {field.name for field in fields(TrainingConfig)} - {"method"}
        return TrainingConfig(method=method, **{name: getattr(self, name) for name in names})

    @property
    def methods(self) -> tuple[str, ...]:
        """What to train with, in order."""
        return (self.method,) if self.compare in ("none", self.method) else (self.compare, self.method)


def resumed(config: LLMPairConfig) -> LLMPairConfig:
    """The settings of the run that ``--resume`` names.

    Raises:
        LabError: no such run, or settings beside ``--resume`` that it would not heed.
    """
    assert config.resume is not None
    untouched = LLMPairConfig(resume=config.resume, steps=config.steps)
    if config != untouched:
        raise LabError("--resume goes on under the run's own settings; only --steps may be given beside it")
    folder = Path(config.resume)
    if not (folder / "config.json").is_file():
        raise LabError(f"--resume: {config.resume!r} holds no run (no config.json in it)")
    earlier = load_config(LLMPairConfig, folder / "config.json")
    steps = config.steps if config.steps != LLMPairConfig.steps else earlier.steps
    return replace(earlier, steps=steps, output_dir=str(folder))
