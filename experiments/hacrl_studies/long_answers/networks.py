"""The same with networks that read what they have written: perceptron, recurrent network, transformer."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial

import numpy as np
import torch
from torch import Tensor
from tqdm.auto import tqdm

from hacrl_envs.long_answers import LongAnswerFeatures, LongAnswerTask, LongAnswerWorld, long_answer_world
from hacrl_lab.agents.actions import plain_ascent
from hacrl_lab.agents.networks import GRU, MLP, CausalNetwork, Transformer
from hacrl_lab.agents.neural import NeuralAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.demonstrations import DEMONSTRATIONS, fit_demonstrations
from hacrl_lab.methods import get_method
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.trainer import Trainer
from hacrl_runs.cache import Cell
from hacrl_runs.tables import markdown_table
from hacrl_studies.common.comparison import Comparison, compare
from hacrl_studies.common.study import Results
from hacrl_studies.common.training import final_success
from hacrl_studies.common.tuning import tuned_cell
from hacrl_studies.common.writers import Beginning, draw_writers
from hacrl_studies.long_answers.options import Options
from hacrl_studies.long_answers.runs import cross_metrics

NETWORKS: Mapping[str, Callable[[int, int], CausalNetwork]] = {
    "MLP": partial(MLP, hidden=32),
    "GRU": partial(GRU, hidden=24),
    "transformer": partial(Transformer, width=24),
}
LENGTHS = (3, 16)
METHODS = ("gspo", "hacpo")
SEEDS = 8
"""At most so many: sampling a token reads all tokens before it."""
LEARNING_RATE = 0.01
ROUNDS, QUESTIONS, ANSWERS, UPDATES = 15, 32, 4, 8
"""Before training, an agent imitates a linear agent: in each round so many questions, answers and updates."""
HELD_OUT = 100


@dataclass(frozen=True)
class NetworkRun:
    """The key of a cell."""

    network: str
    length: int
    method: str

    @property
    def task(self) -> LongAnswerTask:
        """The world's sizes."""
        return LongAnswerTask(length=self.length, skills=2, attributes=12)


def runs() -> list[NetworkRun]:
    """Every network at every length with every method."""
    return [NetworkRun(network, length, method) for network in NETWORKS for length in LENGTHS for method in METHODS]


def cells(options: Options) -> dict[NetworkRun, Cell]:
    """Trainings, each method with the best learning rate."""
    seeds = min(options.seeds, SEEDS)
    sizes = [ROUNDS, QUESTIONS, ANSWERS, UPDATES, HELD_OUT]
    settings = {"steps": options.steps, "learning_rate": LEARNING_RATE, "sizes": sizes}
    return {
        run: tuned_cell(
            f"long-{run.network}-{run.length}-{run.method}",
            partial(train, run, options.training, options.steps),
            final_success,
            seeds,
            replace(options.sweep, tuning_share=0.5),
            {**settings, **asdict(run), "training": asdict(options.training), "beginning": asdict(Beginning())},
        )
        for run in runs()
    }


def train(
    run: NetworkRun, training: TrainingConfig, steps: int, seeds: Sequence[int], rate: float = 1.0
) -> dict[str, np.ndarray]:
    """Imitate linear agents, then train.

    Returns:
        ``success`` before and after, (2, agents, S), and ``ratio``, ``kept_positive`` and ``kept_negative`` as
        :func:`hacrl_studies.long_answers.runs.train` has them.
    """
    world = long_answer_world(list(seeds), run.task)
    agents = imitators(run, world, seeds)
    for agent in agents:
        agent.scale_learning_rate(rate)
    trainer = Trainer(agents, world, run.method, training, list(seeds))
    before = [success(agent, world, seeds) for agent in agents]
    recorded = []
    for _ in tqdm(range(steps), desc=f"{run.network}, {run.length} tokens, {trainer.method.label}", leave=None):
        recorded.append(cross_metrics(trainer.step(), trainer.names))
    after = [success(agent, world, seeds) for agent in agents]
    series = {name: np.array([metrics[name] for metrics in recorded]) for name in recorded[0]}
    return {"success": np.array([before, after]), **series}


def imitators(run: NetworkRun, world: LongAnswerWorld, seeds: Sequence[int]) -> list[NeuralAgent]:
    """Networks that have learned to answer as the study's linear agents do."""
    features = LongAnswerFeatures(run.task, jointly=True)
    agents = []
    for k, writer in enumerate(draw_writers(Beginning(), world, list(seeds), plain_ascent)):
        agent = NeuralAgent(
            writer.name,
            NETWORKS[run.network](features.size, run.task.symbols),
            features,
            run.task.space,
            RandomStream(list(seeds), Stream.TEAM_WEIGHTS, k),
            partial(torch.optim.Adam, lr=LEARNING_RATE),
        )
        for part in range(ROUNDS):
            streams = [RandomStream(list(seeds), Stream.NETWORK_DEMONSTRATIONS, k, part, what) for what in range(2)]
            questions = world.sample_prompts(QUESTIONS, streams[0])
            shown = writer.generate(questions, ANSWERS, streams[1])
            fit_demonstrations(agent, questions, replace(shown, sampler=DEMONSTRATIONS), UPDATES)
        agents.append(agent)
    return agents


@torch.no_grad()
def success(agent: NeuralAgent, world: LongAnswerWorld, seeds: Sequence[int]) -> np.ndarray:
    """The probability of right decisive tokens after style tokens that the agent sampled, mean over questions: (S,)."""
    questions = world.task.held_out(HELD_OUT).expand(len(seeds), -1)
    batch = agent.generate(questions, 1, RandomStream(list(seeds), Stream.EVALUATION))
    style = batch.responses[..., : world.task.style_tokens]
    answers = torch.cat([style, world.right_tokens(questions).unsqueeze(-2)], dim=-1)  # (S, P, 1, T)
    return _decisive_log_probs(agent, world.task, questions, answers).exp().mean(-1).numpy()


def _decisive_log_probs(agent: NeuralAgent, task: LongAnswerTask, questions: Tensor, answers: Tensor) -> Tensor:
    """(S, P) log-probabilities of the last tokens of answers (S, P, 1, T)."""
    mask = torch.ones_like(answers, dtype=torch.bool)
    encoded = agent.encode(questions, [RolloutBatch(agent.name, answers, mask[..., 0], answers, mask)])
    return agent.token_log_probs(encoded, encoded.rows())[..., task.style_tokens :].sum(-1)


def differences(results: Results) -> dict[tuple[str, int, str], Comparison]:
    """(network, length, method) -> its success against GSPO's."""
    final = {(run.network, run.length, run.method): final_success(results[run]) for run in runs()}
    return compare({key: (values, final[*key[:2], "gspo"]) for key, values in final.items() if key[2] != "gspo"})


def table(options: Options, results: Results) -> str:
    """A line for each network and length."""
    compared = differences(results)
    lines = []
    for network in NETWORKS:
        for length in LENGTHS:
            alone, shared = (results[NetworkRun(network, length, method)] for method in ("gspo", "hacpo"))
            before, after = alone["success"].mean((1, 2))
            kept = f"{shared['kept_positive'].mean():.0%} / {shared['kept_negative'].mean():.0%}"
            gains = [compared[network, length, method] for method in METHODS if method != "gspo"]
            ratio = f"{shared['ratio'].mean():.3f}"
            lines.append([network, length, f"{before:.3f}", f"{after:.3f}", *gains, ratio, kept])
    header = ["network", "tokens", "before", "GSPO", *(f"{get_method(m).label} − GSPO" for m in METHODS if m != "gspo")]
    return markdown_table([*header, "mean cross s", "right / wrong mass that passes"], lines)
