"""The settings of a run: groups, what excludes what, and copies with some of them changed."""

from __future__ import annotations

import math
from typing import Any

import pytest

from hacrl_lab.config import flat
from hacrl_lab.errors import SettingError
from hacrl_runs.presets import PAIRS, preset_settings
from hacrl_runs.settings import PromptSettings, TrainSettings, changed, train_settings


def test_no_two_groups_have_a_setting_of_the_same_name() -> None:
    def names(settings: Any) -> list[str]:
        parts = [(name, getattr(settings, name)) for name in settings.__dataclass_fields__]
        return [
            inner
            for name, value in parts
            for inner in (names(value) if hasattr(value, "__dataclass_fields__") else [name])
        ]

    assert sorted(names(TrainSettings())) == sorted(flat(TrainSettings()))


def test_a_setting_of_every_group_can_be_changed_by_its_name() -> None:
    values = {
        "steps": 3,
        "size": "small",
        "tasks": ("gcd",),
        "answer_rule": "whole",
        "delta": 0.1,
        "max_grad_norm": 2.0,
        "rows_at_once": 5,
        "eval_samples": 2,
        "temperature": 0.5,
        "dtype": "bfloat16",
        "tokens_per_pass": 7,
    }
    mine, defaults = flat(train_settings(**values)), flat(TrainSettings())
    assert {name: value for name, value in mine.items() if value != defaults[name]} == values


def test_a_group_can_be_changed_as_a_whole() -> None:
    training = preset_settings("qwen3-4b-8b-base")["training"]
    assert train_settings(training=training, steps=3).training == training


def test_a_name_that_is_no_setting_is_an_error_of_the_program() -> None:
    with pytest.raises(TypeError, match="TrainSettings has no settings stepps"):
        train_settings(stepps=3)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"steps": 0}, "steps must be ≥ 1, got 0"),
        ({"keep_checkpoints": 0}, "keep_checkpoints must be ≥ 1"),
        ({"eval_prompts": 1}, "eval_prompts must be ≥ 2"),
        ({"max_new_tokens": 0}, "max_new_tokens must be ≥ 1"),
        ({"learning_rate": 0.0}, "learning_rate must be a number > 0"),
        ({"max_grad_norm": math.nan}, "max_grad_norm must be a number > 0, got nan"),
        ({"weight_decay": -1.0}, "weight_decay must be a number ≥ 0"),
        ({"temperature": 0.0}, "temperature must be a number > 0"),
        ({"top_p": 0.0}, r"top_p must be in \(0, 1\]"),
        ({"validation_share": 1.0}, r"validation_share must be in \(0, 1\)"),
        ({"early_stopping": 2}, "early_stopping needs validation_every"),
        ({"epochs": -1}, "epochs must be ≥ 0, got -1"),
        ({"epochs": 2}, "epochs needs problems: others never end"),
        ({"skip_unusable": True}, "skip_unusable needs problems"),
        ({"warmup_steps": 20}, "warmup_steps must be below steps = 20"),
        ({"agents": ("a",)}, "agents must be two or more models"),
        ({"agents": ("a", "b"), "answers": "long"}, "answers must be 'short'"),
        ({"lora_alpha": 8}, "lora_alpha and lora_targets need lora_rank"),
        ({"lora_targets": ("q_proj",)}, "lora_alpha and lora_targets need lora_rank"),
        ({"lora_rank": 2, "lora_alpha": 0}, "lora_alpha must be ≥ 1"),
        ({"reward": ("a.py:b",)}, "reward needs problems"),
        ({"problems": ("a.jsonl",), "tasks": ("gcd",)}, "tasks and problems exclude each other"),
        ({"partial_credit": True}, "partial_credit needs tasks"),
        ({"prompt_template": ("Solve it.",)}, r"prompt_template must hold \{question\}, got 'Solve it.'"),
        ({"system_prompt": ("a", "b", "c")}, "system_prompt must be one for all, or one for each of the 2 models"),
        ({"rate_factors": (1.0,)}, "rate_factors must be one for each agent"),
        ({"offload": True}, "offload needs checkpointing"),
        ({"ranks_per_agent": 2, "checkpointing": True}, "ranks_per_agent above 1 needs engine = ray"),
        ({"engine": "ray", "device": "cuda:0,cuda:1"}, "device must be 'cuda', without numbers"),
    ],
)
def test_impossible_settings_are_refused_by_their_names(values: dict[str, Any], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        train_settings(**values)


def test_the_least_values_are_allowed() -> None:
    values = {"steps": 1, "checkpoint_every": 1, "keep_checkpoints": 1, "patience": 0, "seed": 0, "eval_prompts": 2}
    values |= {"eval_samples": 1, "validation_every": 1, "early_stopping": 1, "warmup_steps": 0, "max_new_tokens": 1}
    values |= {"lora_rank": 1, "lora_alpha": 1, "rows_at_once": 0, "tokens_per_pass": 0, "ranks_per_agent": 1}
    mine = flat(train_settings(**values))
    assert {name: mine[name] for name in values} == values


def test_every_agent_may_be_asked_in_its_own_way() -> None:
    prompt = PromptSettings(prompt_template=("{question} A", "{question} B"), system_prompt=("Be short.",))
    first, second = prompt.of_agent(0), prompt.of_agent(1)
    assert (first.prompt_template, second.prompt_template) == (("{question} A",), ("{question} B",))
    assert first.system_prompt == second.system_prompt == ("Be short.",)
    assert PromptSettings().of_agent(1) == PromptSettings()


def test_methods_are_trained_in_order_and_each_once() -> None:
    assert train_settings(method="hacpo", compare="gspo").run.methods == ("gspo", "hacpo")
    assert train_settings(method="gspo", compare="gspo").run.methods == ("gspo",)
    assert train_settings(compare="none").run.methods == ("hacpo",)


def test_presets_have_the_numbers_of_table_5() -> None:
    # pair: alpha, the lower bound as the table prints it, the step
    table_5 = {
        "qwen3-4b-instruct": (3, 0.8, 0.01),
        "qwen3-1.7b-4b-base": (1, 0.8, 0.025),
        "qwen3-4b-8b-base": (3, 0.8, 0.025),
        "llama3.2-1b-3b-instruct": (1, 0.9, 0.01),
        "qwen3-1.7b-base-llama3.2-1b": (1, 0.8, 0.025),
        "qwen3-4b-base-llama3.2-3b": (1, 0.8, 0.025),
    }
    assert set(table_5) == set(PAIRS)
    for name, (alpha, bound, step) in table_5.items():
        for preset in (name, f"{name}-lora"):
            training = preset_settings(preset)["training"]  # type: ignore[arg-type]
            objective = training.objective
            assert (objective.alpha, 1 - objective.delta, objective.delta_step) == (alpha, pytest.approx(bound), step)
            assert training.updates("hacpo", agents=2) == 4  # two own, two of the other's
            assert training.prompts_per_step * training.group_size == 1024


def test_every_preset_makes_settings() -> None:
    for name in ("paper", *PAIRS, *(f"{name}-lora" for name in PAIRS)):
        settings = train_settings(**preset_settings(name))  # type: ignore[arg-type]
        assert (settings.models.lora_rank > 0) == name.endswith("-lora")
        settings.training.check("hacpo", agents=2)


def test_a_copy_leaves_the_settings_as_they_were() -> None:
    settings = TrainSettings()
    assert changed(settings, {"steps": 3}).run.steps == 3
    assert settings == TrainSettings()
