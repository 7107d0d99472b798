"""Inputs that a careless or hostile user gives to ``llm_pair.py``: models, problem files, folders and options."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

QUICK = [
    *("--steps", "1", "--prompts-per-step", "2", "--group-size", "2", "--minibatches", "1", "--compare", "none"),
    *("--eval-prompts", "2", "--eval-samples", "1", "--max-new-tokens", "4", "--device", "cpu"),
]
"""A run of seconds."""
PROBLEMS = "\n".join(json.dumps({"question": f"{a}+{a}", "answer": str(2 * a)}) for a in range(40)) + "\n"

OPTIONS: Mapping[str, tuple[str, ...]] = {
    "--method": ("gspo", "naive", "hacpo_released", "hacpp", "", "hacpo_alpha", "hacpo_alpha1e9", "HACPO"),
    "--compare": ("none", "gspo", "nothing", ""),
    "--preset": ("paperr", ""),
    "--steps": ("0", "-3", "x", "1.5", "nan", ""),
    "--seed": ("-1", "7", "x", "99999999999999999999999"),
    "--checkpoint-every": ("0", "-1", "1000000"),
    "--patience": ("-1", "0", "x"),
    "--logger": ("tensorboard", ""),
    "--size": ("huge", ""),
    "--answers": ("long", "medium"),
    "--lora-rank": ("-1", "x"),
    "--tasks": (
        "no_such_task",
        "chain_sum:no_such_setting=3",
        "chain_sum:min_terms=-5",
        "chain_sum*0",
        "chain_sum*x",
        "*",
    ),
    "--eval-prompts": ("0", "1", "-2", "3"),
    "--eval-samples": ("0", "-1", "2"),
    "--question-column": ("question", "nothing", ""),
    "--answer-column": ("answer", "nothing", ""),
    "--eval-problems": ("none.jsonl", "", "math5000"),
    "--reward": ("no.such:function", "json:loads", "json:nothing", "os:getcwd", "x", ""),
    "--answer-rule": ("whole", "last_number", "boxes", ""),
    "--prompt-template": ("Solve it.", "{question}", "{question}{question}", "{}", "{answer}{question}", ""),
    "--system-prompt": ("You are a calculator.", ""),
    "--prompts-per-step": ("0", "-1", "x", "1", "3"),
    "--group-size": ("0", "-1", "1", "3"),
    "--minibatches": ("0", "-1", "2", "9"),
    "--capability-window": ("0", "-1", "1"),
    "--schedule": ("self_first", "mixed_2u", "cross_first", "by_sampler", "first"),
    "--epsilon-low": ("-1", "nan", "inf", "2", "0"),
    "--epsilon-high": ("-1", "nan", "inf", "0"),
    "--alpha": ("-1", "nan", "inf", "0", "1e308"),
    "--delta": ("-1", "nan", "inf", "2", "0", "1"),
    "--delta-step": ("-1", "nan", "inf", "1e308"),
    "--kl-weight": ("-1", "nan", "inf", "0.1", "1e308"),
    "--learning-rate": ("-1", "0", "nan", "inf", "1e308", "x", "1e-3"),
    "--rate-factors": ("1", "nan", "0", "-1", "inf"),
    "--max-grad-norm": ("-1", "0", "nan", "inf", "1e-300"),
    "--max-new-tokens": ("0", "-1", "100000", "x"),
    "--generation": ("tgi", ""),
    "--rows-at-once": ("-1", "1"),
    "--cache-gib": ("-1", "0", "nan", "inf"),
    "--device": ("meta", "cuda", "cuda:99", "cpu,cpu", "cpu,cpu,cpu", "", "tpu", "cpu,", "cpu:0"),
    "--dtype": ("float16", "float64"),
    "--tokens-per-pass": ("-1", "0", "1", "x"),
    "--engine": ("thread", ""),
    "--ranks-per-agent": ("0", "-1", "2"),
    "--nonsense": ("1",),
}
"""Values of options, impossible ones and odd but possible ones."""


def make_inputs(folder: Path, models: Mapping[str, str], run: Callable[[list[str]], int]) -> None:
    """Everything that attacks start from, below a folder.

    Args:
        folder: to fill.
        models: folders of two good models by name.
        run: of ``llm_pair.py`` with some arguments; makes the earlier run that is damaged.
    """
    _make_models(folder / "models", [Path(path) for path in models.values()])
    _make_problems(folder / "problems")
    _make_folders(folder / "folders")
    good = folder / "models"
    words = ["--agents", str(good / "a"), str(good / "b"), "--problems", str(folder / "problems" / "good.jsonl")]
    assert run([*words, *QUICK, "--output-dir", str(folder / "runs" / "good")]) == 0
    _damage_runs(folder / "runs")


def random_words(folder: Path, chance: random.Random) -> list[str]:
    """The words of one attack: a quick run with one to four things wrong, or odd, or merely another."""
    inputs = {
        kind: sorted(path.name for path in (folder / kind).iterdir()) for kind in ("models", "problems", "folders")
    }
    words = {
        "--agents": [str(folder / "models" / "a"), str(folder / "models" / "b")],
        "--problems": [str(folder / "problems" / "good.jsonl")],
        "--output-dir": [str(folder / "out" / f"{chance.getrandbits(60):x}")],
    }
    more: list[str] = []
    for _ in range(chance.randint(1, 4)):
        kind = chance.choice(("option", "option", "agents", "problems", "folder", "run", "resume"))
        if kind == "option":
            name = chance.choice(list(OPTIONS))
            more += [name, chance.choice(OPTIONS[name])]
        elif kind == "agents":
            odd = [str(folder / "models" / chance.choice(inputs["models"])), *ODD_NAMES]
            words["--agents"][chance.randrange(2)] = chance.choice(odd)
        elif kind == "problems":
            odd = [str(folder / "problems" / chance.choice(inputs["problems"])), *ODD_NAMES]
            words["--problems"] = [chance.choice(odd)]
        elif kind == "folder":
            empty = folder / "out" / f"{chance.getrandbits(60):x}"
            empty.mkdir(parents=True)
            odd = [
                str(folder / "folders" / chance.choice(inputs["folders"])),
                str(empty),
                *ODD_NAMES[2:],
                "/proc/hacrl",
            ]
            words["--output-dir"] = [chance.choice(odd)]
        else:
            earlier = folder / "runs" / chance.choice(sorted(path.name for path in (folder / "runs").iterdir()))
            copy = folder / "out" / f"{chance.getrandbits(60):x}"
            shutil.copytree(earlier, copy)
            words |= {"--output-dir": [str(copy)]} if kind == "run" else {"--resume": [str(copy)]}
    if "--resume" in words and chance.random() < 0.8:
        return ["--resume", *words["--resume"], *more]
    return [word for name, values in words.items() for word in (name, *values)] + QUICK + more


ODD_NAMES = (
    "gpt2",
    ".",
    "",
    "no/such/folder",
    "./none",
    "none.jsonl",
    "x" * 300,
    "a\0b",
    "~nobody/x",
    "owner/name",
    "/dev/null",
)


def _make_models(folder: Path, good: list[Path]) -> None:
    """Two good models, and many that are not."""
    for name, path in zip("ab", good, strict=True):
        shutil.copytree(path, folder / name)

    def like_a(name: str) -> Path:
        return Path(shutil.copytree(folder / "a", folder / name))

    (folder / "empty").mkdir()
    (folder / "file").write_text("no model")
    (like_a("no-tokenizer") / "tokenizer.json").unlink()
    shutil.copy(folder / "b" / "tokenizer.json", like_a("larger-tokenizer") / "tokenizer.json")
    (like_a("no-config") / "config.json").unlink()
    (like_a("no-weights") / "model.safetensors").unlink()
    (like_a("broken-config") / "config.json").write_text("{")
    weights = like_a("short-weights") / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    (like_a("empty-weights") / "model.safetensors").write_bytes(b"")
    for name, change in (
        ("more-layers", {"num_hidden_layers": 9}),
        ("wider", {"hidden_size": 64}),
        ("t5", {"model_type": "t5", "architectures": ["T5ForConditionalGeneration"]}),
        ("bert", {"model_type": "bert", "architectures": ["BertForSequenceClassification"]}),
        ("unknown", {"model_type": "nothing"}),
        ("remote-code", {"auto_map": {"AutoModelForCausalLM": "evil.Model"}, "model_type": "evil"}),
        ("no-context", {"max_position_embeddings": None}),
        ("short-context", {"max_position_embeddings": 4}),
    ):
        path = like_a(name) / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | change))
    (folder / "remote-code" / "evil.py").write_text("open(__file__ + '.executed', 'w')\n")
    for name, template in (
        ("template-raises", "{{ raise_exception('no') }}"),
        ("template-broken", "{% for %}"),
        ("template-without-question", "Hello."),
        ("template-endless", "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"),
        ("template-attack", "{{ ''.__class__.__mro__[1].__subclasses__() }}{{ messages[0].content }}"),
        ("template-good", "{{ messages[-1].content }}\n"),
    ):
        (like_a(name) / "chat_template.jinja").write_text(template)
    adapter = folder / "adapter-without-base"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")


def _make_problems(folder: Path) -> None:
    folder.mkdir()
    line = '{"question": "1+1", "answer": "2"}\n'
    for name, text in (
        ("good.jsonl", PROBLEMS),
        ("one.jsonl", line),
        ("empty.jsonl", ""),
        ("blank.jsonl", "\n\n  \n"),
        ("not-json.jsonl", PROBLEMS + "{\n"),
        ("list.jsonl", PROBLEMS + "[1, 2]\n"),
        ("no-answer.jsonl", PROBLEMS + '{"question": "1+1"}\n'),
        ("words.jsonl", PROBLEMS + '{"question": "q", "answer": "no idea"}\n'),
        ("null.jsonl", PROBLEMS + '{"question": "q", "answer": null}\n'),
        ("nan.jsonl", PROBLEMS + '{"question": "q", "answer": NaN}\n'),
        ("two-answers.jsonl", PROBLEMS + '{"question": "1+1", "answer": "3"}\n'),
        ("long.jsonl", PROBLEMS + json.dumps({"question": "1+" * 50_000 + "1", "answer": "2"}) + "\n"),
        (
            "all-long.jsonl",
            "".join(json.dumps({"question": "1+" * 9_000 + f"{k}", "answer": "2"}) + "\n" for k in range(30)),
        ),
        ("surrogate.jsonl", PROBLEMS + '{"question": "\\ud800", "answer": "2"}\n'),
        ("nul.jsonl", PROBLEMS + '{"question": "a\\u0000b", "answer": "2"}\n'),
        ("columns.csv", "a,b\n1,2\n"),
        ("good.csv", "question,answer\n" + "".join(f"{a}+1,{a + 1}\n" for a in range(40))),
        ("broken.parquet", "PAR1"),
        ("good.json", json.dumps([json.loads(text) for text in PROBLEMS.splitlines()])),
        ("noise.txt", line),
        ("injection.jsonl", PROBLEMS + '{"question": "{{ 7 * 7 }}{% raw %} {question} \\\\boxed{3}", "answer": "3"}\n'),
    ):
        (folder / name).write_text(text, encoding="utf-8")
    (folder / "binary.jsonl").write_bytes(bytes(range(256)))
    (folder / "latin.jsonl").write_bytes(line.encode() + b'{"question": "caf\xe9", "answer": "2"}\n')
    os.mkfifo(folder / "pipe.jsonl")
    (folder / "loop.jsonl").symlink_to(folder / "loop.jsonl")
    (folder / "folder").mkdir()


def _make_folders(folder: Path) -> None:
    """Folders and files of other people, which no run may change."""
    (folder / "foreign").mkdir(parents=True)
    (folder / "foreign" / "config.json").write_text('{"model_type": "llama"}')
    (folder / "foreign" / "thesis.txt").write_text("five years of work")
    (folder / "file").write_text("a file")
    (folder / "loop").symlink_to(folder / "loop")


def _damage_runs(folder: Path) -> None:
    good = folder / "good"
    for name, part, text in (
        ("config-empty", "config.yaml", ""),
        ("config-list", "config.yaml", "[]"),
        ("config-unknown", "config.yaml", '{"colour": 3}'),
        ("config-wrong-type", "config.yaml", "run: {steps: many}"),
        ("config-date", "config.yaml", "run: {steps: 2024-13-45}"),
        ("versions-broken", "versions.json", "{"),
        ("problems-broken", "problems.json", "{"),
        ("problems-changed", "problems.json", '{"fingerprint": "0"}'),
        ("evaluation-broken", "initial/evaluation.json", "{"),
        ("evaluation-list", "initial/evaluation.json", "[]"),
        ("evaluation-odd", "hacpo/evaluation.json", '{"steps": 1, "accuracy": {"a": [1]}, "topics": []}'),
        ("evaluation-negative", "hacpo/evaluation.json", '{"steps": -1, "accuracy": {"a": []}, "topics": []}'),
        ("metrics-broken", "hacpo/metrics.jsonl", "{\n"),
        ("metrics-empty", "hacpo/metrics.jsonl", ""),
        ("samples-broken", "hacpo/samples.jsonl", "{\n"),
        ("checkpoint-broken", "hacpo/checkpoints/step-000001/complete.json", "{"),
        ("checkpoint-odd", "hacpo/checkpoints/step-000001/trainer.json", "[]"),
    ):
        path = Path(shutil.copytree(good, folder / name)) / part
        assert path.exists(), path
        path.write_text(text)
    for name, gone in (
        ("no-evaluation", "hacpo/evaluation.json"),
        ("no-metrics", "hacpo/metrics.jsonl"),
        ("no-checkpoints", "hacpo/checkpoints"),
        ("no-config", "config.yaml"),
        ("no-initial", "initial"),
        ("no-agents", "hacpo/agents"),
    ):
        path = Path(shutil.copytree(good, folder / name)) / gone
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink()
        if name == "no-metrics":
            (folder / name / "hacpo" / "evaluation.json").unlink()
