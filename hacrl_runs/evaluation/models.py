"""The models of an evaluation: those that are named, and the trained agents of runs."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from hacrl_lab.errors import LabError
from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.language_models.prompting import Prompting
from hacrl_lab.methods import get_method
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_runs.command_line import load_options
from hacrl_runs.evaluation.settings import Options
from hacrl_runs.figures import INITIAL
from hacrl_runs.models import sources_of
from hacrl_runs.settings import PromptOptions
from hacrl_runs.shell import option_words, shell_line

WEIGHTS = ("*.safetensors", "*.bin", "*.json")


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
    asked: PromptOptions | None = None
    """How its run asked; none if there was no run."""

    @property
    def version(self) -> str:
        """Changes with the files of a folder, so that another model of the same name is another one."""
        files = sorted(path for pattern in WEIGHTS for path in Path(self.source).expanduser().glob(pattern))
        stamps = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in files]
        return hashlib.sha256(repr(stamps).encode()).hexdigest()[:12]


def models_of(options: Options) -> list[Model]:
    """The models that the options name, run folders replaced by their trained agents.

    Raises:
        LabError: a run folder whose settings cannot be read, or two models of one name.
    """
    models = [model for source in options.models for model in _expanded(source)]
    if twice := [name for name, count in Counter(model.name for model in models).items() if count > 1]:
        raise LabError(f"--models has two models of the name {twice[0]!r}; give folders with different names")
    return models


def settings_for(options: Options) -> CausalLMSettings:
    """How a model answers; it is not trained, and the settings of training stand at values without effect."""
    assert options.generation.max_new_tokens is not None
    prompt, generation = options.prompt, options.generation
    return CausalLMSettings(
        max_new_tokens=options.generation.max_new_tokens,
        learning_rate=0.0,
        max_grad_norm=1.0,
        prompting=Prompting(_template(prompt), prompt.system_prompt, prompt.enable_thinking),
        device=options.device,
        compute_dtype=options.dtype,
        tokens_per_pass=0,
        generation=generation.generation,
        rows_at_once=generation.rows_at_once,
        cache_gib=generation.cache_gib,
    )


def asked_otherwise(options: Options, models: Sequence[Model]) -> list[str]:
    """A sentence for every way of asking that models were trained with and this evaluation does not use."""
    here = asdict(replace(options.prompt, prompt_template=_template(options.prompt)))
    names: dict[str, list[str]] = {}
    for model in models:
        if model.asked is not None and asdict(model.asked) != here:
            names.setdefault(shell_line(option_words(asdict(model.asked), here)), []).append(model.name)
    return [
        f"Asked otherwise than in training (`{words}`), which can make answers worse: {'; '.join(trained)}."
        for words, trained in names.items()
    ]


def _template(prompt: PromptOptions) -> str:
    asked = f"{{question}}\n{ANSWER_RULES[prompt.answer_rule].instruction}"
    return asked if prompt.prompt_template is None else prompt.prompt_template


def _expanded(source: str) -> list[Model]:
    folder = Path(source).expanduser()
    trained = sorted(folder.glob("*/agents/*/"))
    if not trained:
        return [Model(Path(source.rstrip("/")).name, source, base=source)]
    run = load_options(folder)
    bases = sources_of(run) if run.agents else {}
    asked = PromptOptions(**{one.name: getattr(run, one.name) for one in fields(PromptOptions)})
    return [_trained(path, folder.name, bases, asked) for path in trained]


def _trained(path: Path, run: str, bases: dict[str, str], asked: PromptOptions) -> Model:
    agent, method = path.name, path.parent.parent.name
    partners: Sequence[str] = [base for name, base in bases.items() if name != agent]
    label = f"{agent}, {get_method(method).label} ({run})"
    return Model(label, str(path), bases.get(agent, agent), method, tuple(partners), asked)
