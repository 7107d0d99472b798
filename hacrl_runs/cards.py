"""Model cards of trained agents, and their way to the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from huggingface_hub import HfApi, ModelCard, ModelCardData
from tqdm.auto import tqdm

from hacrl_lab.errors import LabError
from hacrl_lab.evaluation import mean_interval
from hacrl_lab.methods import get_method
from hacrl_runs.figures import INITIAL
from hacrl_runs.folder import read_evaluation
from hacrl_runs.settings import Options
from hacrl_runs.tables import with_half_width

PAPER = "https://arxiv.org/abs/2603.02604"


def write_card(folder: Path, options: Options, method: str, agent: str, source: str) -> None:
    """Write a trained agent's model card: what it came from, how it was trained, and how good it is alone.

    Args:
        folder: of the run.
        options: of the run.
        method: with which the agent was trained.
        agent: its name.
        source: folder or hub id that it came from.
    """
    before, after = (read_evaluation(folder / arm)["accuracy"][agent] for arm in (INITIAL, method))
    data = ModelCardData(
        base_model=None if Path(source).exists() else source,
        library_name="peft" if options.lora_rank else "transformers",
        pipeline_tag="text-generation",
        tags=["hacrl-lab", "reinforcement-learning", method],
    )
    training = options.training
    origin = agent if Path(source).exists() else source  # nobody else knows this machine's folders
    text = "\n\n".join(
        (
            f"---\n{data.to_yaml()}\n---",
            f"# {agent}, {get_method(method).label}",
            f"`{origin}` after {options.steps} steps of {get_method(method).label} together with others "
            f"([HACRL]({PAPER})), trained by hacrl-lab: {training.prompts_per_step} prompts × {training.group_size} "
            f"responses a step, learning rate {options.learning_rate:g}, seed {options.seed}.",
            f"Sampled accuracy at temperature 1 on {len(after)} problems of the evaluation, 95 % intervals over them: "
            f"{with_half_width(*mean_interval(before))} before, {with_half_width(*mean_interval(after))} after.",
            f"Problems: {_problems(options)}. Answers: {options.max_new_tokens} tokens at most, found by the rule "
            f"`{options.answer_rule}`.",
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
        reason = str(error).strip().split("\n")[0]
        raise LabError(f"--push-to-hub needs the hub and a login (hf auth login): {reason}") from error


def push(folder: Path, options: Options, agents: list[str]) -> None:
    """Upload the trained agents, each to a private repository OWNER/RUN-METHOD-AGENT.

    Raises:
        LabError: the hub does not take one; they all stay in the run's folder.
    """
    for method in options.methods:
        for agent in agents:
            name = f"{options.push_to_hub}/{folder.name}-{method}-{agent}"
            trained = folder / method / "agents" / agent
            try:
                HfApi().create_repo(name, private=True, exist_ok=True)
                HfApi().upload_folder(repo_id=name, folder_path=trained)
            except Exception as error:
                reason = str(error).strip().split("\n")[0]
                raise LabError(f"could not upload {str(trained)!r} to {name!r}: {reason}") from error
            tqdm.write(f"Uploaded {name}.")


def _problems(options: Options) -> str:
    return options.problems or ", ".join(options.tasks) or "the lab's own quantity stories"
