"""The main job: load the models, train them with each method, evaluate, report."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
import transformers

from envs.arithmetic import ArithmeticWorld
from envs.text import TextWorld, as_prompts, draw_from, read_problems
from hacrl_lab.agents.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.config import load_config, save_config
from hacrl_lab.errors import LabError
from hacrl_lab.evaluation import evaluate
from hacrl_lab.files import replacing
from hacrl_lab.interrupt import Interrupted
from hacrl_lab.rollouts import TextPrompts
from hacrl_lab.seeding import RandomStream
from hacrl_lab.trainer import Trainer, fit, objective_settings
from hacrl_lab.verifiers import MathVerifier
from pair.config import LEARNING_RATES, OWN_MODELS_LEARNING_RATE, LLMPairConfig
from pair.pretrain import build_pair
from pair.report import write_report

EVALUATION_SEED = 987_654_321  # of the problems and samples of every evaluation, apart from all training seeds
EVALUATION = "evaluation.json"
PACKAGES = ("hacrl-lab", "torch", "transformers", "tokenizers", "numpy", "math-verify", "gymnasium")


def run(config: LLMPairConfig) -> None:
    """Everything from the first model to the summary; goes on where an earlier run in the same folder stopped."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for method in config.methods:
        objective_settings(config.training(method))
    config = resolve(config)
    folder = _open_folder(config)
    try:
        sources = sources_of(config)
        with MathVerifier() as verifier:
            world = _world(config, sources, verifier)
            prompts = world.sample_prompts(config.eval_prompts, RandomStream(EVALUATION_SEED))
            for arm, steps in (("initial", 0), *((method, config.steps) for method in config.methods)):
                if _evaluated_steps(folder / arm) != steps:
                    agents = load_agents(config, sources)
                    if steps > 0:
                        _train(folder / arm, config, arm, agents, world)
                    _evaluate(folder / arm, config, steps, agents, world, prompts)
        print(write_report(folder, config, list(sources)))
    except (Interrupted, KeyboardInterrupt):
        print(f"Go on with: python experiments/llm_pair.py --resume {folder}")
        raise


def resolve(config: LLMPairConfig) -> LLMPairConfig:
    """Fill in what depends on other settings or on the machine."""
    if len(config.agents) == 1:
        raise LabError("--agents takes two or more models; one alone has nobody to share with")
    rate = OWN_MODELS_LEARNING_RATE if config.agents else LEARNING_RATES[config.size]
    gpu = "cuda" if torch.cuda.is_available() else "cpu"
    device = gpu if config.device == "auto" else config.device
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise LabError(f"--device {device!r} is not usable here: {str(error).splitlines()[0]}") from error
    return replace(
        config,
        learning_rate=rate if config.learning_rate is None else config.learning_rate,
        device=device,
        output_dir=config.output_dir or str(Path("runs/llm_pair") / time.strftime("%Y%m%d-%H%M%S")),
        resume=None,
    )


def _open_folder(config: LLMPairConfig) -> Path:
    """Make the run's folder, or go on in it, and write down settings and versions."""
    assert config.output_dir is not None
    folder = Path(config.output_dir)
    has_results = folder.is_dir() and any(part.is_dir() for part in folder.iterdir())
    if has_results and not _same_run(folder, config):
        raise LabError(f"{str(folder)!r} holds another run; give another --output-dir, or --resume {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder / "config.json")
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    (folder / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")
    return folder


def _same_run(folder: Path, config: LLMPairConfig) -> bool:
    """Whether the folder's run has these settings; it may be made longer, and may have been moved."""
    earlier = load_config(LLMPairConfig, folder / "config.json")
    return replace(earlier, steps=config.steps, output_dir=config.output_dir) == config


def sources_of(config: LLMPairConfig) -> dict[str, str]:
    """Unique agent name → folder or hub id."""
    if not config.agents:
        return {name: str(path) for name, path in build_pair(config.size, config.device).items()}
    sources: dict[str, str] = {}
    for source in config.agents:
        base = name = Path(source.rstrip("/")).name
        repeats = 1
        while name in sources:
            repeats += 1
            name = f"{base}-{repeats}"
        sources[name] = source
    return sources


def _world(config: LLMPairConfig, sources: Mapping[str, str], verifier: MathVerifier) -> TextWorld:
    """The lab's own stories, or the user's problems, checked before anything is trained on them."""
    if config.problems is None:
        return ArithmeticWorld(verifier)
    problems = read_problems(Path(config.problems))
    verifier.check_answers([problem.answer for problem in problems])
    for agent in load_agents(config, sources):
        agent.check_prompts(as_prompts(problems))
    return TextWorld(draw_from(problems), verifier)


def load_agents(config: LLMPairConfig, sources: Mapping[str, str]) -> list[CausalLMAgent]:
    """Fresh agents from their sources, by name."""
    assert config.learning_rate is not None
    settings = CausalLMSettings(
        config.max_new_tokens,
        config.learning_rate,
        config.max_grad_norm,
        config.prompt_template,
        config.device,
        config.dtype,
    )
    return [CausalLMAgent.from_pretrained(source, name, settings) for name, source in sources.items()]


def _train(folder: Path, config: LLMPairConfig, method: str, agents: Sequence[CausalLMAgent], world: TextWorld) -> None:
    """Train from the start or from the latest checkpoint, and save the agents as transformers checkpoints."""
    trainer = Trainer(agents, world, config.training(method), config.seed)
    fit(trainer, config.steps, folder, config.checkpoint_every)
    for agent in agents:
        agent.save_pretrained(folder / "agents" / agent.name)


def _evaluate(
    folder: Path,
    config: LLMPairConfig,
    steps: int,
    agents: Sequence[CausalLMAgent],
    world: TextWorld,
    prompts: TextPrompts,
) -> None:
    """Write the agents' accuracy on every evaluation prompt to ``evaluation.json``."""
    accuracy = evaluate(agents, world, prompts, config.eval_samples, EVALUATION_SEED + 1)
    record = {
        "steps": steps,
        "topics": prompts.topics,
        "accuracy": {name: list(values) for name, values in accuracy.items()},
    }
    folder.mkdir(exist_ok=True)
    with replacing(folder / EVALUATION) as file:
        file.write(json.dumps(record).encode())


def _evaluated_steps(folder: Path) -> int | None:
    """After how many training steps the folder's evaluation was made; None where there is none."""
    path = folder / EVALUATION
    return json.loads(path.read_text())["steps"] if path.exists() else None
