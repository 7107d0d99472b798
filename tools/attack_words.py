"""Random words for the command ``hacrl-lab``: its commands with odd options, and the inputs of ``attack_inputs.py``."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

QUICK = [
    *("--steps", "1", "--prompts-per-step", "2", "--group-size", "2", "--minibatches", "1", "--compare", "none"),
    *("--eval-prompts", "2", "--eval-samples", "1", "--max-new-tokens", "4", "--device", "cpu"),
]
"""A run of seconds."""
QUICK_EVALUATION = [*("--most-problems", "2", "--samples", "1", "--max-new-tokens", "4", "--device", "cpu")]
"""An evaluation of seconds."""
COMMANDS = ("train",) * 7 + ("evaluate", "evaluate", "plan", "describe", "methods")
"""Each as often as it is attacked."""

ASKING = {
    "--answer-rule": ("whole", "last_number", "boxes", ""),
    "--prompt-template": (
        *("Solve it.", "{question}", "{question}{question}", "{}", "{answer}{question}", ""),
        ("{question}", "Solve: {question}"),
        ("{question}", "Solve it."),
        ("{question}",) * 3,
        (),
    ),
    "--system-prompt": ("You are a calculator.", "", ("", "You are a calculator."), ("a", "b", "c"), ()),
    "--enable-thinking": ((), "yes"),
    "--no-enable-thinking": ((),),
    "--max-new-tokens": ("0", "-1", "100000", "x", "None"),
    "--generation": ("tgi", ""),
    "--rows-at-once": ("-1", "1"),
    "--cache-gib": ("-1", "0", "nan", "inf"),
    "--temperature": ("0", "-1", "nan", "inf", "1e-300", "1e300", "0.6", "x"),
    "--top-p": ("0", "-1", "nan", "1.1", "1e-300", "0.9", "x"),
    "--top-k": ("-1", "1", "3", "100000", "99999999999999999999999", "x"),
    "--device": ("meta", "cuda", "cuda:99", "cpu,cpu", "cpu,cpu,cpu", "", "tpu", "cpu,", "cpu:0"),
    "--dtype": ("float16", "float64", "bfloat16"),
    "--seed": ("-1", "7", "x", "99999999999999999999999"),
    "--tasks": (
        *("no_such_task", "chain_sum:no_such_setting=3", "chain_sum:min_terms=-5", "chain_sum*0", "chain_sum*x", "*"),
        ("chain_sum*2", "gcd"),
        ("gcd", "gcd"),
        (),
    ),
    "--question-column": ("question", "nothing", ""),
    "--answer-column": ("answer", "nothing", ""),
    "--nonsense": ("1",),
    "--lr": ("1e-5",),
    "--num-generations": ("8",),
    "--report-to": ("wandb",),
    "--per-device-train-batch-size": ("8",),
}
"""Values of options that training and evaluations have, impossible ones and odd but possible ones; words in a row as a
tuple."""
OPTIONS: Mapping[str, tuple[str | tuple[str, ...], ...]] = {
    **ASKING,
    "--method": ("gspo", "naive", "hacpo_released", "hacpp", "", "hacpo_alpha", "hacpo_alpha1e9", "HACPO"),
    "--compare": ("none", "gspo", "nothing", ""),
    "--preset": ("paperr", "paper", ""),
    "--plan": ((), "yes"),
    "--plan-gpu-gib": ("-1", "80", "nan", "0"),
    "--steps": ("0", "-3", "x", "1.5", "nan", "", "3"),
    "--checkpoint-every": ("0", "-1", "1000000"),
    "--keep-checkpoints": ("0", "-1", "1", "1000000", "x"),
    "--patience": ("-1", "0", "x"),
    "--logger": ("tensorboard", ""),
    "--push-to-hub": ("nobody", "", "a/b"),
    "--size": ("huge", ""),
    "--answers": ("long", "medium"),
    "--lora-rank": ("-1", "x", "4", "100000"),
    "--lora-alpha": ("-1", "0", "8", "x"),
    "--lora-targets": (("q_proj", "v_proj"), "nothing", "", ".*", "["),
    "--eval-prompts": ("0", "1", "-2", "3"),
    "--eval-samples": ("0", "-1", "2"),
    "--eval-problems": ("none.jsonl", "", "math5000"),
    "--validation-every": ("1", "-1", "1000000", "x"),
    "--validation-share": ("0", "1", "nan", "1e-300", "0.5", "0.999999"),
    "--early-stopping": ("1", "-1", "x"),
    "--prompts-per-step": ("0", "-1", "x", "1", "3"),
    "--group-size": ("0", "-1", "1", "3"),
    "--minibatches": ("0", "-1", "2", "9"),
    "--capability-window": ("0", "-1", "1"),
    "--old-log-probs": ("engine", "none"),
    "--schedule": ("self_first", "mixed_2u", "cross_first", "by_sampler", "first"),
    "--epsilon-low": ("-1", "nan", "inf", "2", "0"),
    "--epsilon-high": ("-1", "nan", "inf", "0"),
    "--alpha": ("-1", "nan", "inf", "0", "1e308"),
    "--delta": ("-1", "nan", "inf", "2", "0", "1"),
    "--delta-step": ("-1", "nan", "inf", "1e308"),
    "--kl-weight": ("-1", "nan", "inf", "0.1", "1e308"),
    "--learning-rate": ("-1", "0", "nan", "inf", "1e308", "x", "1e-3"),
    "--learning-rate-schedule": ("linear", "cosine", "constant", "exponential", ""),
    "--warmup-steps": ("-1", "1", "1000000", "x"),
    "--weight-decay": ("-1", "nan", "inf", "0.1", "1e308"),
    "--rate-factors": ("1", "nan", "0", "-1", "inf", ("1", "2"), ("1", "2", "3")),
    "--max-grad-norm": ("-1", "0", "nan", "inf", "1e-300"),
    "--tokens-per-pass": ("-1", "0", "1", "x"),
    "--checkpointing": ((), "yes"),
    "--offload": ((),),
    "--engine": ("thread", ""),
    "--ranks-per-agent": ("0", "-1", "2"),
}
"""The same for training."""
EVALUATION_OPTIONS: Mapping[str, tuple[str | tuple[str, ...], ...]] = {
    **ASKING,
    "--most-problems": ("-1", "0", "1", "x"),
    "--samples": ("0", "-1", "2", "x"),
    "--pass-at": ("0", "1", "9", "x", ("1", "1"), ()),
    "--batch": ("0", "-1", "1", "1000000"),
    "--cache-dir": ("/dev/null", "/proc/hacrl", "", "x" * 300, "a\0b"),
    "--agents": (("a", "b"),),
    "--resume": ("x",),
}
"""The same for evaluations."""
ODD_NAMES = (
    *("gpt2", ".", "", "no/such/folder", "./none", "none.jsonl", "x" * 300, "a\0b", "~nobody/x", "owner/name"),
    *("/dev/null", "\udcff", "a\nb", "-", "/proc/self/mem"),
)
ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, "", "x", "None", "nan", float("nan"), float("inf"), -1, 0, 1, 2, 1e308, 10**30, -(10**400)),
    *([], [None], [[1]], ["a", "b", "c"], ["answer", "answer"], {}, {"a": 1}, {None: None}, b"\xff", "\0", "é\n"),
)
"""Of a setting in a file."""
KINDS = (*("option",) * 4, "agents", "problems", "folder", "run", "resume", *("config", "own") * 2)
"""What can be wrong with a training run, each as often as it is chosen."""
METHOD_WORDS = ("hacpo", "gspo", "", "nothing", "hacpo_alpha1", "hacpo_alpha1e999", "hacpo_alphanan", "--x", "\0", "é")


def random_words(folder: Path, chance: random.Random) -> list[str]:
    """The words of one attack: a command with one to three things wrong, or odd, or merely different.

    Args:
        folder: of the inputs.
        chance: decides.
    """
    command = chance.choice(COMMANDS)
    if command == "methods":
        return [command, *chance.choices(METHOD_WORDS, k=chance.randrange(3))]
    if command == "evaluate":
        return [command, *_evaluation_words(folder, chance)]
    return [command, *_training_words(folder, chance)]


def _training_words(folder: Path, chance: random.Random) -> list[str]:
    words = {
        "--agents": [str(folder / "models" / "a"), str(folder / "models" / "b")],
        "--problems": [str(folder / "problems" / "good.jsonl")],
        "--output-dir": [_new_name(folder, chance)],
    }
    more: list[str] = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        match chance.choice(KINDS):
            case "option":
                more += _option(OPTIONS, chance)
            case "agents":
                words["--agents"][chance.randrange(2)] = _input(folder, "models", chance)
            case "problems":
                words["--problems"] = _mixture(folder, chance)
            case "folder":
                words["--output-dir"] = [_output_folder(folder, chance)]
            case "own":
                more += _own_code(folder, chance)
            case "config":
                words["--config"] = [_config(folder, chance)]
            case "run":
                words["--output-dir"] = [_earlier_run(folder, chance)]
            case "resume":
                words["--resume"] = [_earlier_run(folder, chance)]
    if "--resume" in words and chance.random() < 0.8:
        return ["--resume", *words["--resume"], *more]
    if "--config" in words and chance.random() < 0.5:
        return ["--config", *words["--config"], "--output-dir", *words["--output-dir"], *QUICK, *more]
    return [*_flat(words), *QUICK, *more]


def _evaluation_words(folder: Path, chance: random.Random) -> list[str]:
    words = {
        "--models": [str(folder / "models" / "a")],
        "--problems": [str(folder / "problems" / "good.jsonl")],
        "--output-dir": [_new_name(folder, chance)],
        "--cache-dir": [_new_name(folder, chance)],
    }
    more: list[str] = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        match chance.choice(("option", "option", "models", "runs", "problems", "folder", "own")):
            case "option":
                more += _option(EVALUATION_OPTIONS, chance)
            case "models":
                words["--models"] = [_input(folder, "models", chance) for _ in range(chance.randint(1, 2))]
            case "runs":
                words["--models"] = [_earlier_run(folder, chance)]
            case "problems":
                words["--problems"] = [_input(folder, "problems", chance) for _ in range(chance.randint(1, 2))]
            case "folder":
                words["--output-dir"] = [_output_folder(folder, chance)]
            case "own":
                more += ["--reward", _own_path(folder, "rewards", chance)]
    return [*_flat(words), *QUICK_EVALUATION, *more]


def _flat(words: Mapping[str, list[str]]) -> list[str]:
    return [word for name, values in words.items() for word in (name, *values)]


def _new_name(folder: Path, chance: random.Random) -> str:
    return str(folder / "out" / f"{chance.getrandbits(60):x}")


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def _input(folder: Path, kind: str, chance: random.Random) -> str:
    return chance.choice([str(folder / kind / chance.choice(_names(folder / kind))), *ODD_NAMES])


def _option(options: Mapping[str, tuple[str | tuple[str, ...], ...]], chance: random.Random) -> list[str]:
    name = chance.choice(list(options))
    value = chance.choice(options[name])
    return [name, value] if isinstance(value, str) else [name, *value]


def _mixture(folder: Path, chance: random.Random) -> list[str]:
    """One source of problems, or several with weights."""
    if chance.random() < 0.5:
        return [_input(folder, "problems", chance)]
    good = str(folder / "problems" / "good.jsonl")
    sources = [good, str(folder / "problems" / "good.csv"), _input(folder, "problems", chance)]
    chance.shuffle(sources)
    return [f"{source}{chance.choice(('', '*2', '*0.5', '*0', '*-1', '*nan', '*x', '*'))}" for source in sources[:2]]


def _output_folder(folder: Path, chance: random.Random) -> str:
    empty = Path(_new_name(folder, chance))
    empty.mkdir(parents=True)
    foreign = [str(folder / "folders" / name) for name in (chance.choice(_names(folder / "folders")), "file/below")]
    return chance.choice([*foreign, str(empty), "/proc/hacrl", *ODD_NAMES[2:]])


def _earlier_run(folder: Path, chance: random.Random) -> str:
    """A copy of an earlier run, often damaged."""
    copy = _new_name(folder, chance)
    shutil.copytree(folder / "runs" / chance.choice(_names(folder / "runs")), copy)
    return copy


def _own_path(folder: Path, kind: str, chance: random.Random) -> str:
    """Of a function or class of the user's own."""
    names = (folder / "own" / f"{kind}.txt").read_text().split()
    chosen = chance.choice(
        [*names, "no.such:function", "json:loads", "json:nothing", "os:getcwd", "x", "", "none.py:x"]
    )
    return str(folder / "own" / chosen) if ".py:" in chosen else chosen


def _own_code(folder: Path, chance: random.Random) -> list[str]:
    if chance.random() < 0.5:
        return ["--observers", *(_own_path(folder, "observers", chance) for _ in range(chance.randint(1, 2)))]
    first = chance.choice(("answer", _own_path(folder, "rewards", chance)))
    weight = chance.choice(("", "*2", "*0.1", "*0", "*x", "*1e308"))
    return ["--reward", first, *[f"{_own_path(folder, 'rewards', chance)}{weight}"] * chance.randint(0, 1)]


def _config(folder: Path, chance: random.Random) -> str:
    """A file of settings: an odd one, or that of a good run with one to three other values."""
    if chance.random() < 0.3:
        return _input(folder, "configs", chance)
    values = yaml.safe_load((folder / "runs" / "good" / "config.yaml").read_text())
    for _ in range(chance.randint(1, 3)):
        group = chance.choice([name for name, group in values.items() if isinstance(group, dict)] or ["run"])
        if chance.random() < 0.15 or not isinstance(values.get(group), dict):
            values[group] = chance.choice(ODD_VALUES)
        else:
            values[group][chance.choice([*values[group], "nonsense"])] = chance.choice(ODD_VALUES)
    path = Path(f"{_new_name(folder, chance)}.yaml")
    path.parent.mkdir(exist_ok=True)
    path.write_text(yaml.safe_dump(values, allow_unicode=True))
    return str(path)
