"""Options that other libraries have, answered with those of this one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from hacrl_lab.errors import SettingError

OTHER_NAMES: Mapping[str, str] = {
    "lr": "--learning-rate",
    "lr-scheduler-type": "--learning-rate-schedule",
    "warmup-ratio": "--warmup-steps",
    "max-steps": "--steps",
    "num-train-epochs": "--epochs",
    "dataset": "--problems",
    "dataset-name": "--problems",
    "dataset-config": "--problems OWNER/NAME:CONFIG@SPLIT",
    "dataset-train-split": "--problems OWNER/NAME:CONFIG@SPLIT",
    "dataset-test-split": "--eval-problems",
    "model": "--agents, two or more models",
    "models": "--agents, two or more models",
    "model-name-or-path": "--agents, two or more models",
    "num-generations": "--group-size",
    "per-device-train-batch-size": "--prompts-per-step and --group-size; --tokens-per-pass bounds memory",
    "train-batch-size": "--prompts-per-step and --group-size; --tokens-per-pass bounds memory",
    "batch-size": "--prompts-per-step and --group-size; --tokens-per-pass bounds memory",
    "gradient-accumulation-steps": "--tokens-per-pass: a pass holds so many tokens, an update any number of passes",
    "num-iterations": "--minibatches",
    "steps-per-generation": "--minibatches",
    "ppo-epochs": "--minibatches",
    "max-completion-length": "--max-new-tokens",
    "max-length": "--max-new-tokens",
    "beta": "--kl-weight",
    "kl-coef": "--kl-weight",
    "epsilon": "--epsilon-low and --epsilon-high",
    "cliprange": "--epsilon-low and --epsilon-high",
    "loss-type": "--method",
    "algorithm": "--method",
    "reward-funcs": "--reward",
    "reward-weights": "--reward FILE.py:FUNCTION*WEIGHT",
    "reward-model-path": "--reward",
    "report-to": "--logger",
    "use-vllm": "--generation vllm",
    "vllm-gpu-memory-utilization": "--cache-gib",
    "gradient-checkpointing": "--checkpointing",
    "bf16": "--dtype bfloat16",
    "fp16": "--dtype bfloat16",
    "torch-dtype": "--dtype",
    "use-peft": "--lora-rank",
    "lora-r": "--lora-rank",
    "lora-target-modules": "--lora-targets",
    "lora-dropout": "--lora-rank: adapters are trained without dropout, so that what is sampled is what is scored",
    "eval-steps": "--validation-every",
    "eval-strategy": "--validation-every",
    "early-stopping-patience": "--early-stopping",
    "save-steps": "--checkpoint-every",
    "save-total-limit": "--keep-checkpoints",
    "resume-from-checkpoint": "--resume",
    "hub-model-id": "--push-to-hub",
    "run-name": "--output-dir",
    "callbacks": "--observers",
}
"""Names of TRL, transformers, verl and OpenRLHF, without dashes -> what to type here."""


def refuse_other_names(words: Sequence[str], names: Iterable[str]) -> None:
    """Answer options of other libraries, and options with a slip, with those that there are.

    Args:
        words: of the command line.
        names: of the settings that there are, in Python.

    Raises:
        SettingError: naming the option to use.

    >>> refuse_other_names(["--lr", "1e-5"], ["learning_rate"])
    Traceback (most recent call last):
    hacrl_lab.errors.SettingError: there is no option '--lr'; here it is --learning-rate
    """
    known = {name.replace("_", "-") for name in names}
    for word in words:
        option = word.split("=")[0].removeprefix("--").replace("_", "-")
        if not word.startswith("--") or option in known or option.removeprefix("no-") in known:
            continue
        if option in OTHER_NAMES:
            raise SettingError(f"there is no option '--{option}'; here it is {OTHER_NAMES[option]}")
        if nearest := get_close_matches(option, known, n=1):
            raise SettingError(f"there is no option '--{option}'; did you mean --{nearest[0]}?")
