"""The other side of the benchmark: a TRL trainer for each model, one after the other, with GSPO.

A trainer's ``train()`` runs once, from the first round to the last, as its users run it; a callback lets it continue
for one round at a time. A round is one generation and the updates on it.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from queue import Queue
from threading import Event, Thread
from types import MappingProxyType
from typing import Any

import torch
from transformers import PrinterCallback, TrainerCallback

from hacrl_lab.extras import extra
from hacrl_lab.language_models.causal_lm import CausalLMAgent
from hacrl_lab.rollouts import RolloutBatch
from hacrl_lab.seeding import RandomStream, StepStream
from hacrl_lab.worlds import TextPrompts, World
from hacrl_runs.resolve import Job
from language_benchmark.clock import Clock, Measurement
from language_benchmark.operations import costs_of, needed_alone, prompt_tokens
from language_benchmark.options import Options

Examples = list[dict[str, str]]
"""What a trainer asks: the whole prompt, and the question in it."""


class TRLSide:
    """Fresh trainers; use as a context manager, or call :meth:`close`.

    Args:
        options: of the benchmark.
        job: the models and their world; its own, since verifiers remember what they have decided.
        further: settings of GRPOConfig in addition.

    Raises:
        LabError: TRL is not installed.
    """

    def __init__(self, options: Options, job: Job, further: Mapping[str, Any] = MappingProxyType({})) -> None:
        questions = _questions(options, job.worlds.training)
        self.agents = job.load_agents()
        self._folder = tempfile.TemporaryDirectory()
        arguments = {**trl_arguments(options, job), **further, "output_dir": self._folder.name}
        self._trainers = [_SteppedTrainer(options, job, agent, questions, arguments) for agent in self.agents]

    def step(self) -> Measurement:
        """One step of both models."""
        steps = [trainer.step() for trainer in self._trainers]
        seconds = {part: sum(step.seconds[part] for step in steps) for part in steps[0].seconds}
        operations = [one for step in steps for one in step.operations]
        tokens = sum(step.response_tokens for step in steps) / len(steps)
        return Measurement(seconds, tokens, steps[0].updates, operations)

    def close(self) -> None:
        """End the training."""
        for trainer in self._trainers:
            trainer.close()
        self._folder.cleanup()

    def __enter__(self) -> TRLSide:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _SteppedTrainer:
    """A trainer of an agent's model in a thread of its own; it runs while somebody waits for it in :meth:`step`."""

    def __init__(
        self,
        options: Options,
        job: Job,
        agent: CausalLMAgent,
        questions: list[str],
        arguments: Mapping[str, Any],
    ) -> None:
        trl, datasets = extra("trl", "benchmark"), extra("datasets", "benchmark")
        self._agent, self._group_size = agent, options.sizes.group_size
        self._answers = _Answers([], [], [])
        examples = [{"prompt": agent.codec.prompt(question), "question": question} for question in questions]
        trainer = trl.GRPOTrainer(
            model=agent.model,
            reward_funcs=_reward(job.worlds.training, self._group_size, self._answers),
            args=trl.GRPOConfig(**arguments),
            train_dataset=datasets.Dataset.from_list(examples),
            processing_class=agent.tokenizer,
        )
        trainer.remove_callback(PrinterCallback)
        self._rounds = _Rounds(trainer, Clock(job.shared.device), options.minibatches)
        trainer.add_callback(self._rounds)
        self._thread = Thread(target=self._train, args=(trainer.train,), daemon=True)
        self._thread.start()
        self._rounds.begun.wait()  # another trainer that is made before changes the state that accelerate shares

    def step(self) -> Measurement:
        """Let it continue for one round; an error of its own is raised here."""
        self._answers.clear()
        self._rounds.go_on.put(True)
        done = self._rounds.done.get()
        if isinstance(done, BaseException):
            raise done
        lengths, rewards = (
            torch.tensor(values).view(-1, self._group_size) for values in (self._answers.lengths, self._answers.rewards)
        )
        needed = needed_alone(
            costs_of(self._agent.model),
            prompt_tokens(self._agent, self._answers.questions[:: self._group_size]),
            lengths,
            (rewards != rewards[:, :1]).any(-1, keepdim=True).expand_as(rewards),
            self._rounds.updates,
        )
        return Measurement(done, float(lengths.double().mean()), self._rounds.updates, [needed])

    def close(self) -> None:
        """End the training."""
        self._rounds.go_on.put(False)
        self._thread.join()

    def _train(self, train: Callable[[], object]) -> None:
        try:
            train()
        except BaseException as error:
            self._rounds.done.put(error)
            self._rounds.begun.set()


@dataclass(frozen=True)
class _Answers:
    """Those of one round, in the order in which they are verified."""

    questions: list[str]
    lengths: list[int]
    """In tokens."""
    rewards: list[float]

    def clear(self) -> None:
        """Forget them."""
        for values in (self.questions, self.lengths, self.rewards):
            values.clear()


class _Rounds(TrainerCallback):
    """Waits before the first update and after the last one of every round."""

    def __init__(self, trainer: Any, clock: Clock, updates: int) -> None:
        self.updates = updates
        self.begun = Event()
        self.go_on: Queue[bool] = Queue()
        self.done: Queue[dict[str, float] | BaseException] = Queue()
        self._clock = clock
        clock.watch(trainer, "_generate", "generation")
        clock.watch(trainer, "_calculate_rewards", "verification")
        clock.watch(trainer, "_get_per_token_logps_and_entropies", "scoring")
        clock.watch(trainer, "compute_loss", "updates")
        clock.watch(trainer, "_clip_grad_norm", "updates")
        clock.watch(trainer.accelerator, "backward", "updates")

    def on_train_begin(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """See transformers."""
        self._clock.watch(others["optimizer"], "step", "updates")
        self.begun.set()
        self._wait(control)

    def on_step_end(self, args: Any, state: Any, control: Any, **others: Any) -> None:
        """See transformers; its step is one update."""
        if state.global_step % self.updates == 0:
            self.done.put(self._clock.stop())
            self._wait(control)

    def _wait(self, control: Any) -> None:
        control.should_training_stop |= not self.go_on.get()
        self._clock.start()


def trl_arguments(options: Options, job: Job) -> dict[str, Any]:
    """TRL's names of the same settings: GSPO without a KL penalty, nothing logged or saved, nothing computed twice.

    A generation is for ``steps_per_generation`` passes, of which ``gradient_accumulation_steps`` make an update. With
    ``beta`` 0 there is no reference model.
    """
    settings, objective, passes = job.shared, job.training.objective, options.sizes.trl_passes
    return {
        "per_device_train_batch_size": options.rows_of_an_update // passes,
        "gradient_accumulation_steps": passes,
        "steps_per_generation": passes * options.minibatches,
        "num_iterations": 1,
        "num_generations": options.sizes.group_size,
        "max_steps": (options.rounds + 1) * options.minibatches,
        "max_completion_length": settings.max_new_tokens,
        **{"temperature": 1.0, "top_k": 0, "top_p": 1.0},
        **{"importance_sampling_level": "sequence", "loss_type": "grpo", "beta": 0.0},
        "epsilon": objective.epsilon_low,
        "epsilon_high": objective.epsilon_high,
        **{"learning_rate": settings.learning_rate, "lr_scheduler_type": "constant", "weight_decay": 0.0},
        "max_grad_norm": settings.max_grad_norm,
        **{
            "use_cpu": settings.device == "cpu",
            "bf16": settings.compute_dtype == "bfloat16",
            "gradient_checkpointing": False,
            "dataloader_num_workers": 0,
            "dataloader_pin_memory": settings.device != "cpu",
        },
        **{"save_strategy": "no", "logging_strategy": "no", "report_to": "none", "disable_tqdm": True},
        **{"shuffle_dataset": False, "seed": job.run.seed},
    }


def _questions(options: Options, world: World) -> list[str]:
    """Those of all steps, which are the questions that the lab's trainer draws."""
    return [
        question
        for step in range(options.rounds + 1)
        for question in world.sample_prompts(
            options.sizes.prompts, RandomStream(options.seed, step, StepStream.PROMPTS)
        ).questions
    ]


def _reward(world: World, group_size: int, answers: _Answers) -> Callable[..., list[float]]:
    """The world's verification as a reward function of TRL, which also notes the answers."""

    def reward(completions: list[str], completion_ids: list[list[int]], question: list[str], **_: Any) -> list[float]:
        groups = [completions[start : start + group_size] for start in range(0, len(completions), group_size)]
        finished = torch.ones(len(groups), group_size, dtype=torch.bool)  # which verification does not look at
        prompts = TextPrompts(question[::group_size], [()] * len(groups))
        rewards = world.verify(prompts, RolloutBatch("trl", groups, finished)).flatten().tolist()
        answers.questions.extend(question)
        answers.lengths.extend(map(len, completion_ids))
        answers.rewards.extend(rewards)
        return rewards

    return reward
