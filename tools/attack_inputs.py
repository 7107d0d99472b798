"""Inputs that a careless or hostile user gives to ``hacrl-lab``: models, problems, folders, settings, own code."""

from __future__ import annotations

import json
import os
import shutil
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path

from attack_words import QUICK

PROBLEMS = "\n".join(json.dumps({"question": f"{a}+{a}", "answer": str(2 * a)}) for a in range(40)) + "\n"


def make_inputs(folder: Path, models: Mapping[str, str], run: Callable[[list[str]], int]) -> None:
    """Everything that attacks start from, below a folder.

    Args:
        folder: to fill.
        models: folders of two good models by name.
        run: ``hacrl-lab`` with some words; makes the earlier runs that are damaged.
    """
    _make_models(folder / "models", [Path(path) for path in models.values()])
    _make_problems(folder / "problems")
    _make_folders(folder / "folders")
    _make_own_code(folder / "own")
    good = folder / "models"
    words = ["train", "--agents", str(good / "a"), str(good / "b")]
    words += ["--problems", str(folder / "problems" / "good.jsonl"), *QUICK]
    assert run([*words, "--output-dir", str(folder / "runs" / "good")]) == 0
    validated = [
        "--validation-every",
        "1",
        "--validation-share",
        "0.3",
        "--output-dir",
        str(folder / "runs" / "validated"),
    ]
    assert run([*words, *validated]) == 0
    interrupted = ["--observers", str(folder / "own" / "observers.py:InStep"), "--steps", "3"]
    assert run([*words, *interrupted, "--output-dir", str(folder / "runs" / "interrupted")]) != 0
    _damage_runs(folder / "runs")
    _make_configs(folder / "configs", (folder / "runs" / "good" / "config.yaml").read_text())


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
        ("config-other", "config.yaml", "run: {steps: 1, seed: 5}"),
        ("versions-broken", "versions.json", "{"),
        ("versions-list", "versions.json", "[]"),
        ("inputs-broken", "inputs.json", "{"),
        ("problems-changed", "inputs.json", '{"inputs": {"the problems": "0"}, "accepted": []}'),
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
        ("no-versions", "versions.json"),
        ("no-samples", "hacpo/samples.jsonl"),
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


OBSERVERS = """
    class Good:
        def begin(self, trainer, folder): pass
        def step(self, trainer, metrics): pass
        def end(self): pass
    class InConstructor(Good):
        def __init__(self): raise ValueError("no")
    class NeedsArguments(Good):
        def __init__(self, path): pass
    class InBegin(Good):
        def begin(self, trainer, folder): self.file = open(folder / "no" / "file")
        def end(self): self.file.close()
    class InStep(Good):
        def step(self, trainer, metrics): return metrics["no such metric"]
    class InEnd(Good):
        def end(self): return 1 / 0
    class StepAndEnd(InStep, InEnd): pass
    class Exits(Good):
        def step(self, trainer, metrics): raise SystemExit(3)
    class Asserts(Good):
        def step(self, trainer, metrics): assert False
    class FaultyMessage(Good):
        def step(self, trainer, metrics): raise Faulty
    class Faulty(Exception):
        def __str__(self): return self.nothing
    class Deep(Good):
        def step(self, trainer, metrics): self.step(trainer, metrics)
    class OfTheSystem(Good):
        def step(self, trainer, metrics): raise OSError(28, "No space left on device")
    class StopsAtOnce(Good):
        def step(self, trainer, metrics):
            from hacrl_lab.observers import StopTraining
            raise StopTraining("enough")
    class WithoutEnd:
        def begin(self, trainer, folder): pass
        def step(self, trainer, metrics): pass
    class OtherSignature(Good):
        def step(self): pass
    class Nothing: pass
    class Changes(Good):
        def step(self, trainer, metrics): metrics.clear()
    instance = Good()
"""
REWARDS = """
    import torch
    def good(completions, **columns): return [1.0 for _ in completions]
    def fails(completions, **columns): raise KeyError("no such column")
    def exits(completions, **columns): raise SystemExit("bye")
    def none(completions, **columns): return None
    def nones(completions, **columns): return [None for _ in completions]
    def short(completions, **columns): return [1.0] * (len(completions) - 1)
    def words(completions, **columns): return ["1" for _ in completions]
    def nan(completions, **columns): return [float("nan") for _ in completions]
    def infinite(completions, **columns): return [1e300 for _ in completions]
    def negative(completions, **columns): return [-1.0 for _ in completions]
    def tensors(completions, **columns): return torch.ones(len(completions))
    def pairs(completions, **columns): return torch.ones(len(completions), 2)
    def generator(completions, **columns): return (1 / 0 for _ in completions)
    def signature(a, b, c): return [1.0]
    def clears(completions, answer, **columns): completions.clear(); answer.clear(); return []
    def deep(**columns): return deep(**columns)
    def faulty(completions, **columns): raise Faulty
    def odd(completions, **columns): return [Faulty() for _ in completions]
    class Faulty(Exception):
        def __str__(self): raise ValueError("no message")
        def __repr__(self): raise ValueError("no message")
        def __float__(self): raise KeyError("no number")
"""


def _make_own_code(folder: Path) -> None:
    """Observers and rewards that fail in every place, and files that cannot be imported."""
    folder.mkdir()
    modules = {"raises": "1 / 0", "exits": "raise SystemExit", "syntax": "def", "empty": "", "nul": "a = '\0'"}
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    (folder / "latin.py").write_bytes(b"a = '\xe9'")
    broken = [f"{name}.py:Good" for name in (*modules, "latin", "missing")]
    for name, text in (("observers", OBSERVERS), ("rewards", REWARDS)):
        (folder / f"{name}.py").write_text(textwrap.dedent(text))
        own = [
            line.split()[1].partition("(")[0].rstrip(":")
            for line in textwrap.dedent(text).splitlines()
            if line.startswith(("class ", "def "))
        ]
        (folder / f"{name}.txt").write_text("\n".join([*(f"{name}.py:{one}" for one in own), f"{name}.py:no", *broken]))


def _make_configs(folder: Path, good: str) -> None:
    """Files of settings that no run has left."""
    folder.mkdir()
    for name, text in (
        ("good", good),
        ("empty", ""),
        ("blank", "\n# nothing\n"),
        ("null", "null"),
        ("word", "steps"),
        ("number", "3"),
        ("list", "- run\n- models\n"),
        ("two-documents", f"{good}\n---\n{good}"),
        ("tabs", "run:\n\tsteps: 1\n"),
        ("python", "run: !!python/object/apply:os.system ['touch executed']\n"),
        ("tag", "run: !nothing {steps: 1}\n"),
        ("anchors", "run: &run {steps: 1}\nmodels: *run\n"),
        ("anchors-good", "run: &run {steps: 1}\ntraining: {objective: &o {}}\n"),
        ("itself", "run: &run {steps: *run}\n"),
        ("itself-wholly", "&all\nrun: *all\n"),
        ("merge", "run: {<<: {steps: 1}}\n"),
        ("merge-list", "run: {<<: [1, 2]}\n"),
        ("duplicate-group", f"{good}\nrun:\n  steps: 1\n"),
        ("duplicate-setting", "run:\n  steps: 1\n  steps: 2\n"),
        ("null-groups", "run:\nmodels:\ntraining:\n"),
        ("null-settings", "run: {steps: null, seed: null, method: null}\n"),
        ("list-key", "? [1, 2]\n: 3\n"),
        ("number-key", "3: 4\nrun: {5: 6}\n"),
        ("null-key", "~: 4\n"),
        ("flat", "steps: 1\nseed: 3\n"),
        ("json", '{"run": {"steps": 1}, "models": {"size": "tiny"}}'),
        ("old-json", '{"steps": 1, "agents": []}'),
        ("date", "run: {seed: 2026-99-99}\n"),
        ("date-good", "run: {seed: 2026-01-01}\n"),
        ("sexagesimal", "run: {steps: 1:30}\n"),
        ("octal", "run: {steps: 0o1, seed: 0x1}\n"),
        ("huge-number", f"run: {{seed: {'9' * 5000}}}\n"),
        ("huge-float", "optimisation: {learning_rate: 1e999}\n"),
        ("words-of-numbers", "run: {steps: '1', seed: '1e3'}\noptimisation: {learning_rate: 1e-3}\n"),
        ("deep", f"run: {'[' * 3000}{']' * 3000}\n"),
        ("deeper", f"run: {'{a: ' * 3000}1{'}' * 3000}\n"),
        ("binary-value", "models: {agents: [!!binary aGVsbG8=]}\n"),
        ("set", "run: !!set {steps, seed}\n"),
        ("output-dir", "run: {output_dir: /tmp}\n"),
        ("start", "start: {config: x}\n"),
        ("control", "run: {method: '\x07'}\n"),
        ("surrogate", 'run: {method: "\\ud800"}\n'),
        ("byte-order-mark", f"\ufeff{good}"),
        ("crlf", good.replace("\n", "\r\n")),
        ("directive", f"%YAML 9.9\n---\n{good}"),
    ):
        (folder / f"{name}.yaml").write_bytes(text.encode())
    (folder / "binary.yaml").write_bytes(bytes(range(256)))
    (folder / "latin.yaml").write_bytes("run: {method: caf\xe9}".encode("latin-1"))
    (folder / "utf-16.yaml").write_bytes(good.encode("utf-16"))
    (folder / "folder.yaml").mkdir()
    (folder / "loop.yaml").symlink_to(folder / "loop.yaml")
