"""The models of an evaluation: those that are named, and the trained agents of runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.language_models.model_fingerprint import model_fingerprint
from hacrl_lab.methods import get_method
from hacrl_runs.agents import agent_names, model_name, prompting_of
from hacrl_runs.evaluation.settings import EvaluateSettings
from hacrl_runs.figures import INITIAL
from hacrl_runs.folder import VERSIONS, settings_of_run
from hacrl_runs.settings import PromptSettings
from hacrl_runs.shell import option_words, resume_command, shell_line


@dataclass(frozen=True)
class Model:
    """A model, and what it was before a run trained it."""

    name: str
    """For tables."""
    source: str
    """Folder or hub id."""
    base: str
    """Folder or hub id of the model that the run started from; the source where there was no run."""
    method: str = INITIAL
    """What it was trained with, as :mod:`hacrl_lab.methods` calls it."""
    partners: tuple[str, ...] = ()
    """What it was trained with, as folders or hub ids."""
    asked: Mapping[str, Any] | None = None
    """How its run asked, by option; none if there was no run."""

    @property
    def fingerprint(self) -> str:
        """Changes with everything that decides what the model says, see :func:`model_fingerprint`."""
        return model_fingerprint(self.source)


def models_of(sources: Sequence[str]) -> list[Model]:
    """The models that are named, run folders replaced by their trained agents.

    Raises:
        LabError: a run whose settings cannot be read or that has no trained agents yet, or two models of one name.
    """
    models = [model for source in sources for model in _expanded(source)]
    if twice := [name for name, count in Counter(model.name for model in models).items() if count > 1]:
        raise SettingError(f"models must have different names, got {twice[0]!r} twice; rename a folder")
    return models


def settings_for(settings: EvaluateSettings) -> CausalLMSettings:
    """How a model answers; it is not trained, and the settings of training stand at values without effect.

    Args:
        settings: with one device.
    """
    generation = settings.generation
    assert generation.max_new_tokens is not None
    return CausalLMSettings(
        max_new_tokens=generation.max_new_tokens,
        learning_rate=0.0,
        max_grad_norm=1.0,
        prompting=prompting_of(settings.prompt, own_pair=False),
        device=settings.devices.device,
        compute_dtype=settings.devices.dtype,
        tokens_per_pass=0,
        generation=generation.generation,
        rows_at_once=generation.rows_at_once,
        cache_gib=generation.cache_gib,
    )


def asked_differently(prompt: PromptSettings, models: Sequence[Model]) -> list[str]:
    """A sentence for every way of asking that models were trained with and this evaluation does not use.

    Args:
        prompt: how this evaluation asks.
        models: those that are evaluated.
    """
    here = _as_asked(prompt, own_pair=False)
    names: dict[str, list[str]] = {}
    for model in models:
        if model.asked is not None and model.asked != here:
            names.setdefault(shell_line(option_words(model.asked, here)), []).append(model.name)
    return [
        f"In training these were asked with other settings (`{words}`), which can make answers worse here: "
        f"{'; '.join(trained)}."
        for words, trained in names.items()
    ]


def _as_asked(prompt: PromptSettings, own_pair: bool) -> dict[str, Any]:
    """How one agent is asked, by option, with the template that is used."""
    return {**asdict(prompt), "prompt_template": (prompting_of(prompt, own_pair).template,)}


def _expanded(source: str) -> list[Model]:
    folder = Path(source).expanduser()
    trained = sorted(folder.glob("*/agents/*/"))
    if not trained:
        if (folder / VERSIONS).is_file():
            raise LabError(f"the run in {source!r} has trained no agents yet; continue it: {resume_command(folder)}")
        return [Model(model_name(source), source, base=source)]
    run = settings_of_run(folder)
    names = agent_names(run.models)
    bases = dict(zip(names, run.models.agents, strict=False))  # none of the lab's own pair
    asked = {
        name: _as_asked(run.prompt.of_agent(number), own_pair=not run.models.agents)
        for number, name in enumerate(names)
    }
    return [_trained(path, folder.name, bases, asked.get(path.name)) for path in trained]


def _trained(path: Path, run: str, bases: dict[str, str], asked: dict[str, Any] | None) -> Model:
    agent, method = path.name, path.parent.parent.name
    partners: Sequence[str] = [base for name, base in bases.items() if name != agent]
    label = f"{agent}, {get_method(method).label} ({run})"
    return Model(label, str(path), bases.get(agent, agent), method, tuple(partners), asked)
