"""What a run would take, before its weights are loaded: memory of every device, rollouts, tokens, hours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from hacrl_lab.language_models.costs import AgentSeconds, Work, agent_memory, agent_seconds
from hacrl_lab.language_models.loading import load_codec
from hacrl_lab.language_models.prompting import TextCodec
from hacrl_lab.language_models.vllm_sampler import EngineSettings
from hacrl_lab.methods import get_method
from hacrl_lab.seeding import RandomStream, StepStream
from hacrl_lab.verification.answer_rules import ANSWER_RULES
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_lab.worlds import TextPrompts
from hacrl_runs.devices import agent_parts, devices_of, memory_table, refuse_what_does_not_fit
from hacrl_runs.models import settings_of, sources_of
from hacrl_runs.settings import Options
from hacrl_runs.tables import markdown_table
from hacrl_runs.train import EVALUATION_SEED, prepare
from hacrl_runs.worlds import make_worlds, read_data

WORK = ["agent", "part of the run", "rollouts", "tokens at most"]


def plan(options: Options) -> None:
    """Print memory, then rollouts, tokens and hours. Responses are taken to be as long as they may be.

    Args:
        options: as for a run. The lab's own pair is built if it is not there yet, as a run would.

    Raises:
        LabError: what a run would raise before training, or the run cannot fit into a device's memory.
    """
    options = prepare(options)
    sources = sources_of(options)
    settings = settings_of(options, sources)
    work = _work(options, sources)
    memory = {name: agent_memory(sources[name], settings[name], one) for name, one in work.items()}
    penalised = any(_penalised(options, method) for method in options.methods)
    parts = {name: agent_parts(options, one, penalised) for name, one in memory.items()}
    devices = devices_of(options, parts, {name: one.device for name, one in settings.items()})
    print("\n\n".join(memory_table(device, memory) for device in devices), end="\n\n", flush=True)
    for device in devices:
        refuse_what_does_not_fit(device)
    if options.plan_gpu_gib > 0:
        print(_untimed_table(options, list(work)))
        return
    seconds = {name: agent_seconds(sources[name], settings[name], one) for name, one in work.items()}
    print(_work_table(options, seconds))


def _prompts(options: Options, sources: Mapping[str, str]) -> tuple[TextPrompts, TextPrompts]:
    """The prompts of the run's first step and of its evaluation."""
    with MathVerifier(answer_rule=ANSWER_RULES[options.answer_rule]) as verifier:
        worlds = make_worlds(options, sources, verifier, read_data(options))
        return (
            worlds.training.sample_prompts(
                options.training.prompts_per_step, RandomStream(options.seed, 0, StepStream.PROMPTS)
            ),
            worlds.test.sample_prompts(options.eval_prompts, RandomStream(EVALUATION_SEED)),
        )


def _work(options: Options, sources: Mapping[str, str]) -> dict[str, Work]:
    """By agent, its largest pieces of work: the longest prompts that there are, in the largest update."""
    asked, tested = _prompts(options, sources)
    methods = [get_method(method) for method in options.methods]
    updates = [update for method in methods for update in options.training.plan(method, len(sources))]
    prompts = max(len(update.prompts) for update in updates)
    group_size = options.training.group_size * max(method.rollout_factor for method in methods)
    side_by_side = tuple(sorted({min(answers, _rows(options)) for answers in _answers(options).values()}))
    found = {}
    for name, settings in settings_of(options, sources).items():
        codec = load_codec(sources[name], name, settings)
        longest = _longest_first(codec, asked.questions)[:prompts]
        [first, *_] = _longest_first(codec, [longest[0], *tested.questions])
        found[name] = Work(TextPrompts(longest, [()] * prompts), group_size, first, side_by_side)
    return found


def _longest_first(codec: TextCodec, questions: Sequence[str]) -> list[str]:
    lengths = codec.prompts(questions)[1].sum(-1)
    return [questions[int(place)] for place in lengths.argsort(descending=True, stable=True)]


def _answers(options: Options) -> dict[str, int]:
    """How many answers an agent gives in a step of each method, and in an evaluation."""
    training = options.training
    asked = training.prompts_per_step * training.group_size
    steps = {method: asked * get_method(method).rollout_factor for method in options.methods}
    return {**steps, "evaluation": options.eval_prompts * options.eval_samples}


def _rows(options: Options) -> int:
    """Answers that are sampled side by side at most."""
    unbounded = EngineSettings.rows if options.generation == "vllm" else max(_answers(options).values())
    return options.rows_at_once or unbounded


def _penalised(options: Options, method: str) -> bool:
    return get_method(method).settings(options.training.objective).kl_weight > 0


def _work_table(options: Options, seconds: Mapping[str, AgentSeconds]) -> str:
    arms = [*options.methods, "evaluation"]
    spent = {(name, arm): _seconds(options, arm, one, len(seconds)) for name, one in seconds.items() for arm in arms}
    rows = [
        [name, arm, *(f"{count:,}" for count in _amounts(options, arm)), _duration(its)]
        for (name, arm), its in spent.items()
    ]
    alone = [sum(spent[name, arm] for arm in arms) for name in seconds]
    total = max(alone) if options.engine == "ray" else sum(alone)
    notes = [f"{_duration(total)} at most, without verification, checkpoints and loading."]
    if options.generation == "vllm":
        notes.append("Sampling is counted at the speed of transformers; vLLM was not timed and is faster.")
    return f"{markdown_table([*WORK, 'time at most'], rows)}\n\n{' '.join(notes)}"


def _untimed_table(options: Options, agents: Sequence[str]) -> str:
    arms = [*options.methods, "evaluation"]
    rows = [[name, arm, *(f"{count:,}" for count in _amounts(options, arm))] for name in agents for arm in arms]
    return markdown_table(WORK, rows)


def _amounts(options: Options, arm: str) -> tuple[int, int]:
    """Rollouts of one agent and their tokens at most, for one method, or for all evaluations."""
    assert options.max_new_tokens is not None
    times = 1 + len(options.methods) if arm == "evaluation" else options.steps
    rollouts = times * _answers(options)[arm]
    return rollouts, rollouts * options.max_new_tokens


def _seconds(options: Options, arm: str, seconds: AgentSeconds, agents: int) -> float:
    """Of one agent, for what :func:`_amounts` counts."""
    answers = _answers(options)[arm]
    rows = min(answers, _rows(options))
    answering = seconds.answers[rows] * answers / rows
    if arm == "evaluation":
        return (1 + len(options.methods)) * answering
    return options.steps * (answering + _learning(options, arm, answers, seconds, agents))


def _learning(options: Options, method: str, answers: int, seconds: AgentSeconds, agents: int) -> float:
    """Seconds of scoring and of updates in a step in which every rollout has a gradient."""
    chosen = get_method(method)
    scored = answers * (2 if _penalised(options, method) else 1)
    learned = answers * len(chosen.pool(0, agents))
    updates = len(options.training.plan(chosen, agents))
    return scored * seconds.scored_row + learned * seconds.learned_row + updates * seconds.optimizer_step


def _duration(seconds: float) -> str:
    """In the unit that reads best."""
    if seconds < 600:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
