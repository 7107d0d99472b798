"""The main job: load the models, train them with each method, evaluate, report."""

from __future__ import annotations

import json
import platform
import time
from collections.abc import Mapping
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import torch
import transformers

from envs.arithmetic import ArithmeticWorld
from envs.text import TextWorld, draw_from, read_problems
from hacrl_lab.agents.causal_lm import CausalLMAgent, CausalLMSettings
from hacrl_lab.config import load_config, save_config
from hacrl_lab.errors import LabError
from hacrl_lab.evaluation import evaluate
from hacrl_lab.interrupt import Interrupted
from hacrl_lab.methods import get_method
from hacrl_lab.rollouts import TextPrompts
from hacrl_lab.seeding import RandomStream
from hacrl_lab.trainer import Trainer, fit
from hacrl_lab.verifiers import MathVerifier
from pair.config import LEARNING_RATES, OWN_MODELS_LEARNING_RATE, LLMPairConfig
from pair.pretrain import build_pair
from pair.report import write_report

EVALUATION_SEED = 987_654_321  # of the problems and samples of every evaluation, apart from all training seeds
PACKAGES = ("hacrl-lab", "torch", "transformers", "tokenizers", "numpy", "math-verify", "gymnasium")


def run(config: LLMPairConfig) -> None:
    """Everything from the first model to the summary; goes on where an earlier run in the same folder stopped."""
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    for method in config.methods:
        get_method(method)
        config.training(method)
    config = resolve(config)
    folder = _open_folder(config)
    try:
        sources = sources_of(config)
        with MathVerifier() as verifier:
            world = _world(config, verifier)
            prompts = world.sample_prompts(config.eval_prompts, RandomStream(EVALUATION_SEED))
            _evaluated(folder / "initial", config, sources, world, prompts)
            for method in config.methods:
                _train(folder / method, config, method, sources, world, prompts)
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
    if (folder / "config.json").exists() and not _same_run(folder, config):
        raise LabError(f"{str(folder)!r} holds another run; give another --output-dir, or --resume {folder}")
    folder.mkdir(parents=True, exist_ok=True)
    save_config(config, folder / "config.json")
    versions = {"python": platform.python_version(), **{name: version(name) for name in PACKAGES}}
    (folder / "versions.json").write_text(json.dumps(versions, indent=2) + "\n")
    return folder


def _same_run(folder: Path, config: LLMPairConfig) -> bool:
    return replace(load_config(LLMPairConfig, folder / "config.json"), steps=config.steps) == config


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


def _world(config: LLMPairConfig, verifier: MathVerifier) -> TextWorld:
    if config.problems is None:
        return ArithmeticWorld(verifier)
    problems = read_problems(Path(config.problems))
    verifier.check_answers([problem.answer for problem in problems])
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


def _train(
    folder: Path, config: LLMPairConfig, method: str, sources: Mapping[str, str], world: TextWorld, prompts: TextPrompts
) -> None:
    """Train from the start or from the latest checkpoint, save the agents and evaluate them."""
    agents = load_agents(config, sources)
    trainer = Trainer(agents, world, config.training(method), config.seed)
    fit(trainer, config.steps, folder, config.checkpoint_every)
    for agent in agents:
        agent.save_pretrained(folder / "agents" / agent.name)
    _evaluated(folder, config, sources, world, prompts, agents, config.steps)


def _evaluated(
    folder: Path,
    config: LLMPairConfig,
    sources: Mapping[str, str],
    world: TextWorld,
    prompts: TextPrompts,
    agents: list[CausalLMAgent] | None = None,
    steps: int = 0,
) -> None:
    """Evaluate into ``evaluation.json``, unless that was done at this many steps."""
    path = folder / "evaluation.json"
    if path.exists() and json.loads(path.read_text())["steps"] == steps:
        return
    accuracy = evaluate(
        agents or load_agents(config, sources), world, prompts, config.eval_samples, EVALUATION_SEED + 1
    )
    folder.mkdir(exist_ok=True)
    record = {
        "steps": steps,
        "samples": config.eval_samples,
        "topics": prompts.topics,
        "accuracy": {name: list(values) for name, values in accuracy.items()},
    }
    path.write_text(json.dumps(record) + "\n")
