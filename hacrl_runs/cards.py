"""Model cards of trained agents, and their way to the Hugging Face hub."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from huggingface_hub import HfApi, ModelCard, ModelCardData
from tqdm.auto import tqdm

from hacrl_lab.errors import LabError, first_line
from hacrl_lab.evaluation import accuracy_interval
from hacrl_lab.language_models.model_fingerprint import model_fingerprint
from hacrl_lab.language_models.sources import source_of
from hacrl_lab.methods import get_method
from hacrl_runs.figures import INITIAL
from hacrl_runs.folder import read_evaluation
from hacrl_runs.resolve import Job
from hacrl_runs.tables import with_bounds

PAPER = "https://arxiv.org/abs/2603.02604"


def write_card(folder: Path, job: Job, method: str, agent: str) -> None:
    """Write a trained agent's model card: what it came from, how it was trained, and how good it is alone.

    Args:
        folder: of the run.
        job: the run.
        method: with which the agent was trained.
        agent: its name.
    """
    arms = [read_evaluation(folder / arm).accuracy[agent] for arm in (INITIAL, method)]
    before, after = (with_bounds(*accuracy_interval(arm, job.evaluation.eval_samples)) for arm in arms)
    source, settings, training = job.sources[agent], job.agent_settings[agent], job.training
    parts = source_of(source)
    public_base = None if Path(parts.base).exists() else parts.base  # nobody else knows this machine's folders
    data = ModelCardData(
        base_model=public_base,
        library_name="peft" if settings.lora_rank else "transformers",
        pipeline_tag="text-generation",
        tags=["hacrl-lab", "reinforcement-learning", method],
    )
    origin = agent if public_base is None or parts.adapter is not None else public_base
    evaluation = read_evaluation(folder / method)
    text = "\n\n".join(
        (
            f"---\n{data.to_yaml()}\n---",
            f"# {agent}, {get_method(method).label}",
            f"`{origin}` (content {model_fingerprint(source)[:12]}) after {evaluation.steps} steps of "
            f"{get_method(method).label} together with others ([HACRL]({PAPER})), trained by hacrl-lab: "
            f"{training.prompts_per_step} prompts × {training.group_size} responses a step, "
            f"learning rate {settings.learning_rate:g}, seed {job.run.seed}."
            + (f" Training ended because {evaluation.diverged}." if evaluation.diverged else ""),
            f"Sampled accuracy at {job.sampling} on {len(arms[0])} problems of the evaluation, 95 % intervals over "
            f"them: {before} before, {after} after.",
            f"Problems: {job.worlds.description}. Answers: {settings.max_new_tokens} tokens at most, found by the rule "
            f"`{job.answer_rule}`.",
        )
    )
    ModelCard(text + "\n").save(folder / method / "agents" / agent / "README.md")


def check_hub() -> None:
    """Make sure before training that agents can be uploaded after it.

    Raises:
        LabError: no connection, or nobody is logged in.
    """
    try:
        HfApi().whoami()
    except Exception as error:  # the client raises errors of its own, of the hub, and of its transport
        raise LabError(f"push_to_hub needs the hub and a login (hf auth login): {first_line(error)}") from error


def push(folder: Path, owner: str, methods: Sequence[str], agents: Sequence[str]) -> None:
    """Upload the trained agents, each to a private repository OWNER/RUN-METHOD-AGENT.

    Raises:
        LabError: the hub does not take one; they all stay in the run's folder.
    """
    for method in methods:
        for agent in agents:
            name = f"{owner}/{folder.name}-{method}-{agent}"
            trained = folder / method / "agents" / agent
            try:
                HfApi().create_repo(name, private=True, exist_ok=True)
                HfApi().upload_folder(repo_id=name, folder_path=trained)
            except Exception as error:
                raise LabError(f"could not upload {str(trained)!r} to {name!r}: {first_line(error)}") from error
            tqdm.write(f"Uploaded {name}.")
