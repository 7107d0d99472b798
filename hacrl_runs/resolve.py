"""From settings to what a run needs: the only place that fills in what was left out and hands out the parts.

settings ──resolved──► settings without gaps ──prepared──► Job: sources, agents' settings, worlds, evaluation prompts
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from itertools import cycle
from typing import Any

import transformers

from hacrl_envs.data import Data
from hacrl_lab.config import TrainingConfig, flat
from hacrl_lab.engine import Engine
from hacrl_lab.engines.ray import RemoteAgent
from hacrl_lab.errors import SettingError
from hacrl_lab.language_models.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.language_models.loading import load_agents
from hacrl_lab.language_models.sources import is_pair
from hacrl_lab.learning_rates import LearningRateSchedule
from hacrl_lab.sampling import Sampling
from hacrl_lab.seeding import RandomStream
from hacrl_lab.verification.answer_rules import ANSWER_RULES, AnswerRuleName
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.agents import prompting_of, running_agents, sources_of, usable_devices, with_rank
from hacrl_runs.settings import EvaluationSettings, RunSettings, TrainSettings, changed, train_settings
from hacrl_runs.worlds import EVALUATION_SEED, Worlds, make_worlds, read_data

LEARNING_RATES = {"tiny": 2e-4, "small": 1e-4, "base": 3e-5}
LONG_LEARNING_RATE = 3e-4
OTHER_MODELS_LEARNING_RATE = 1e-6  # the paper's, for models of billions of parameters
MAX_NEW_TOKENS = {"short": 64, "long": 256}


@dataclass(frozen=True)
class Job:
    """The parts of a prepared run."""

    run: RunSettings
    training: TrainingConfig
    evaluation: EvaluationSettings
    sampling: Sampling
    engine: str
    answer_rule: AnswerRuleName
    record: Mapping[str, Any]
    """All settings by name, for services that track runs."""
    sources: Mapping[str, str]
    """Agent name → folder or hub id."""
    agent_settings: Mapping[str, CausalLMSettings]
    """How each agent answers and learns."""
    worlds: Worlds
    eval_prompts: TextPrompts
    """Those of the evaluation before and after training."""

    @property
    def shared(self) -> CausalLMSettings:
        """Those of the first agent; all but learning rate, device, prompt and adapter are the same for all."""
        return next(iter(self.agent_settings.values()))

    def load_agents(self) -> list[CausalLMAgent]:
        """Fresh agents in this process."""
        return load_agents(self.sources, self.agent_settings)

    def running_agents(self) -> AbstractContextManager[tuple[Sequence[CausalLMAgent | RemoteAgent], Engine]]:
        """Fresh agents where the settings want them, and what runs their calls."""
        return running_agents(self.sources, self.agent_settings, self.engine)


def resolved(settings: TrainSettings) -> TrainSettings:
    """The same settings with everything filled in that depends on others or on the machine.

    Raises:
        SettingError: a method or a rank that the settings do not allow, or a device that is not there.
    """
    for method in settings.run.methods:
        settings.training.check(method, agents=settings.models.count)
    if settings.models.lora_rank > 0 and settings.models.agents and all(map(is_pair, settings.models.agents)):
        raise SettingError("lora_rank is that of new adapters, and each of the agents has an adapter already")
    models, optimisation, generation = settings.models, settings.optimisation, settings.generation
    own_rate = LONG_LEARNING_RATE if models.answers == "long" else LEARNING_RATES[models.size]
    rate = OTHER_MODELS_LEARNING_RATE if models.agents else own_rate
    limit = MAX_NEW_TOKENS[models.answers]
    return changed(
        settings,
        {
            "learning_rate": rate if optimisation.learning_rate is None else optimisation.learning_rate,
            "max_new_tokens": limit if generation.max_new_tokens is None else generation.max_new_tokens,
            "device": ",".join(usable_devices(settings.devices.device, models.count)),
        },
    )


@contextmanager
def prepared(settings: TrainSettings, data: Data | None = None) -> Iterator[Job]:
    """The parts of a run; its verifier runs within the block.

    Args:
        settings: of the run, see :func:`resolved`.
        data: as :func:`hacrl_runs.worlds.read_data` gives it; read here if it is left out.

    Raises:
        LabError: models, problems, tasks or a reward function that cannot be used.
    """
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    settings = resolved(settings)
    data = read_data(settings.problems, settings.evaluation) if data is None else data
    sources = sources_of(settings.models, settings.devices.device.split(",")[0])
    prompts = agent_settings(changed(settings, {"learning_rate_schedule": "constant"}), list(sources))
    with MathVerifier(answer_rule=ANSWER_RULES[settings.prompt.answer_rule]) as verifier:
        worlds = make_worlds(
            settings.problems, settings.evaluation, settings.prompt.answer_rule, sources, prompts, verifier, data
        )
        settings = with_steps(settings, worlds.problems)
        yield Job(
            run=settings.run,
            training=settings.training,
            evaluation=settings.evaluation,
            sampling=settings.sampling,
            engine=settings.scaling.engine,
            answer_rule=settings.prompt.answer_rule,
            record=flat(settings),
            sources=sources,
            agent_settings={
                name: with_rank(sources[name], its) for name, its in agent_settings(settings, list(sources)).items()
            },
            worlds=worlds,
            eval_prompts=worlds.test.sample_prompts(settings.evaluation.eval_prompts, RandomStream(EVALUATION_SEED)),
        )


def with_steps(settings: TrainSettings, problems: int | None) -> TrainSettings:
    """The settings with the steps that its epochs take, if it has epochs.

    Args:
        settings: of the run.
        problems: those for training; None if they are not asked in epochs.

    Raises:
        SettingError: epochs of problems that are not asked in epochs, or fewer steps than those of the warm-up.
    """
    if settings.run.epochs == 0:
        return settings
    if problems is None:
        raise SettingError("epochs needs problems without weights: weights decide how often each source is asked")
    steps = math.ceil(settings.run.epochs * problems / settings.training.prompts_per_step)
    return changed(settings, {"steps": steps, "epochs": 0})


def prepared_run(**values: Any) -> AbstractContextManager[Job]:
    """:func:`prepared`, from settings by their names on the command line; for studies, tools and notebooks."""
    return prepared(train_settings(**values))


def agent_settings(settings: TrainSettings, agents: Sequence[str]) -> dict[str, CausalLMSettings]:
    """How each agent of a run answers and learns.

    Args:
        settings: resolved.
        agents: their names.
    """
    optimisation, generation, scaling = settings.optimisation, settings.generation, settings.scaling
    assert optimisation.learning_rate is not None
    assert generation.max_new_tokens is not None
    prompts = [
        prompting_of(settings.prompt.of_agent(number), own_pair=not settings.models.agents)
        for number in range(len(agents))
    ]
    shared = CausalLMSettings(
        max_new_tokens=generation.max_new_tokens,
        learning_rate=optimisation.learning_rate,
        max_grad_norm=optimisation.max_grad_norm,
        prompting=prompts[0],
        device=settings.devices.device,
        compute_dtype=settings.devices.dtype,
        tokens_per_pass=scaling.tokens_per_pass,
        checkpointing=scaling.checkpointing,
        lora_rank=settings.models.lora_rank,
        lora_alpha=settings.models.lora_alpha,
        lora_targets=settings.models.lora_targets,
        generation=generation.generation,
        rows_at_once=generation.rows_at_once,
        cache_gib=generation.cache_gib,
        ranks=scaling.ranks_per_agent,
        offload=scaling.offload,
        weight_decay=optimisation.weight_decay,
        learning_rate_schedule=LearningRateSchedule(
            optimisation.learning_rate_schedule, optimisation.warmup_steps, settings.run.steps
        ),
    )
    rates = [shared.learning_rate * factor for factor in optimisation.rate_factors or (1.0,) * len(agents)]
    devices = cycle(settings.devices.device.split(","))
    return {
        name: dataclasses.replace(shared, learning_rate=rate, device=device, prompting=prompting)
        for name, rate, device, prompting in zip(agents, rates, devices, prompts, strict=False)
    }
