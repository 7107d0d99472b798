"""What is evaluated, and how."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any

import tyro

from hacrl_lab.config import flat
from hacrl_lab.errors import SettingError
from hacrl_lab.own_process import TIMEOUT
from hacrl_lab.sampling import Sampling
from hacrl_runs.other_names import refuse_other_names
from hacrl_runs.settings import DeviceSettings, GenerationSettings, Group, PromptSettings
from hacrl_runs.shell import refuse_unreadable

WITHOUT_EFFECT = ("output_dir", "cache_dir")
"""Settings that no result depends on."""


@dataclass(frozen=True)
class EvaluatedSettings:
    """Who is asked what, and where the results go."""

    models: tuple[str, ...] = ()
    """Folders or hub ids of transformers models, folders of adapters, or folders of training runs, which stand for all
    agents that they trained."""
    problems: tuple[str, ...] = ()
    """Sets of problems, each evaluated by itself: math500, math, gsm8k, aime2025, amc23, minerva, olympiad, or a file,
    a folder or a hub id OWNER/NAME:CONFIG@SPLIT."""
    question_column: str | None = None
    """Column of the questions, of sets without a name; what is nested in one, as prompt.0.content; or several, as
    '{Body} {Question}'. Left out: question, problem, prompt or input."""
    answer_column: str | None = None
    """Column of the exact answers, of sets without a name; what is nested in one, as reward_model.ground_truth. Left
    out: answer, solution, gold, target or another usual name. Not needed with --reward."""
    skip_unusable: bool = False
    """Leave out and count entries that are no problems, as always in data sets of a hub. Else one message lists all."""
    held_out: bool = False
    """Of each set ask only the fifth that hacrl-lab train, without --eval-problems, holds out of training."""
    reward: str | None = None
    """A function of your own that rewards responses to the problems: PACKAGE.MODULE:FUNCTION or FILE.py:FUNCTION."""
    reward_timeout: float = TIMEOUT
    """Seconds that a call of your reward function, or its import, may take; what takes longer ends the evaluation."""
    trust_reward_in_process: bool = False
    """Call your reward function in the process of the evaluation, where it can hang, end or change it, for instance to
    debug it. Left out: it runs in a process of its own."""
    tasks: tuple[str, ...] = ()
    """Tasks of Reasoning Gym, each evaluated by itself: NAME:SETTING=VALUE,SETTING=VALUE. Questions are those that
    hacrl-lab train never asks in training."""
    most_problems: int = 0
    """Problems of a set at most, the first ones; questions that are drawn of a task. 0: all, and 256 of a task."""
    samples: int = 4
    """Responses to each problem, beside the greedy one."""
    pass_at: tuple[int, ...] = ()
    """The k of pass@k. Left out: 2, 4, 8 ... up to the number of samples."""
    batch: int = 16
    """Problems that are answered together; what an interrupted evaluation has finished of them is kept."""
    seed: int = 0
    """Seed of the sampling."""
    output_dir: str = "runs/evaluate"
    """Folder for the page, its tables and the records."""
    cache_dir: str = "runs/cells"
    """Folder for what has been computed: the same command continues where it was interrupted."""

    def __post_init__(self) -> None:
        for name, least in (("samples", 1), ("batch", 1), ("most_problems", 0), ("seed", 0)):
            if getattr(self, name) < least:
                raise SettingError(f"{name} must be ≥ {least}, got {getattr(self, name)}")
        if not self.models:
            raise SettingError("models must be at least one")
        if not self.problems and not self.tasks:
            raise SettingError("problems or tasks must be at least one")
        if wrong := [k for k in self.pass_at if not 1 <= k <= self.samples]:
            raise SettingError(f"pass_at must be in [1, {self.samples}], the number of samples, got {wrong[0]}")
        if self.reward and not self.problems:
            raise SettingError("reward needs problems; tasks are rewarded by rules of their own")
        if self.trust_reward_in_process and not self.reward:
            raise SettingError("trust_reward_in_process needs reward")
        if not 0 < self.reward_timeout < math.inf:
            raise SettingError(f"reward_timeout must be a number > 0, got {self.reward_timeout}")


@dataclass(frozen=True)
class EvaluateSettings:
    """All settings of an evaluation, those of prompts, generation, sampling and devices as for training."""

    evaluated: Annotated[EvaluatedSettings, Group]
    prompt: Annotated[PromptSettings, Group] = field(default_factory=PromptSettings)
    generation: Annotated[GenerationSettings, Group] = field(
        default_factory=partial(GenerationSettings, max_new_tokens=1024)
    )
    sampling: Annotated[Sampling, Group] = field(default_factory=Sampling)
    devices: Annotated[DeviceSettings, Group] = field(default_factory=DeviceSettings)

    def __post_init__(self) -> None:
        if self.generation.max_new_tokens is None:
            raise SettingError("max_new_tokens must be a number")
        self.prompt.check_count(1)

    @property
    def ks(self) -> tuple[int, ...]:
        """The k of pass@k."""
        samples = self.evaluated.samples
        return self.evaluated.pass_at or tuple(2**power for power in range(1, samples.bit_length()))

    def values(self) -> dict[str, Any]:
        """Everything that results depend on, by the name of its option."""
        return {name: value for name, value in flat(self).items() if name not in WITHOUT_EFFECT}


DEFAULTS = EvaluateSettings(EvaluatedSettings(models=("",), problems=("",)))
"""The defaults of what has one."""
NAMES = tuple(flat(DEFAULTS))
"""Of all settings, in Python."""


def read_settings(words: Sequence[str], prog: str, description: str | None = None) -> EvaluateSettings:
    """What a command line says.

    Args:
        words: of the command line.
        prog: how the command is written, for ``--help``.
        description: for ``--help``.

    Raises:
        SettingError: an option of another library, with the one to use.
        SystemExit: ``--help``, or words that are no options.
    """
    refuse_unreadable(words)
    refuse_other_names(words, NAMES)
    return tyro.cli(EvaluateSettings, prog=prog, description=description, args=words)
