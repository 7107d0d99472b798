"""From settings to what a run needs: what is filled in, and what each agent is handed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from hacrl_envs.held_out import is_held_out
from hacrl_lab.errors import SettingError
from hacrl_lab.language_models.causal_lm import CausalLMSettings
from hacrl_lab.learning_rates import LearningRateSchedule
from hacrl_lab.sampling import Sampling
from hacrl_runs.agents import agent_names, sources_of, usable_devices
from hacrl_runs.own_pair.tokenizers import train_tokenizer
from hacrl_runs.resolve import agent_settings, prepared_run, resolved, with_steps
from hacrl_runs.settings import ModelSettings, train_settings

MODELS = ("models/first", "models/second")
BOXED = r"\boxed{}"


@pytest.mark.parametrize(
    ("values", "learning_rate", "max_new_tokens"),
    [
        ({}, 2e-4, 64),
        ({"size": "small"}, 1e-4, 64),
        ({"size": "base"}, 3e-5, 64),
        ({"answers": "long"}, 3e-4, 256),
        ({"agents": MODELS}, 1e-6, 64),
        ({"learning_rate": 0.5, "max_new_tokens": 7}, 0.5, 7),
        ({"agents": MODELS, "learning_rate": 0.5}, 0.5, 64),
    ],
)
def test_what_was_left_out_is_filled_in(values: dict[str, Any], learning_rate: float, max_new_tokens: int) -> None:
    settings = resolved(train_settings(device="cpu", **values))
    filled_in = {"learning_rate": learning_rate, "max_new_tokens": max_new_tokens}
    assert settings == train_settings(device="cpu", **values | filled_in)


def test_a_method_that_the_settings_do_not_allow_is_refused() -> None:
    with pytest.raises(SettingError, match="'nonsense'"):
        resolved(train_settings(compare="nonsense", device="cpu"))


def test_devices_are_one_for_all_or_one_for_each_and_there() -> None:
    here = "cuda" if torch.cuda.is_available() else "cpu"
    assert usable_devices("auto", 3) == [here]
    assert usable_devices("cpu,cpu", 2) == ["cpu", "cpu"]
    assert resolved(train_settings(device="cpu,cpu")).devices.device == "cpu,cpu"
    with pytest.raises(SettingError, match="device must be one for all, or one for each of the 3 models"):
        usable_devices("cpu,cpu", 3)
    for device in ("meta", "cpu,meta", "no such device"):
        with pytest.raises(SettingError, match=f"^device must be usable here, got '{device.split(',')[-1]}': "):
            usable_devices(device, 2)


def of_agents(agents: tuple[str, ...] = MODELS, **values: Any) -> list[CausalLMSettings]:
    settings = train_settings(agents=agents, **{"learning_rate": 0.1, "max_new_tokens": 9} | values)
    names = agent_names(settings.models)
    mine = agent_settings(settings, names)
    assert list(mine) == names
    return list(mine.values())


def test_every_agent_has_its_rate_its_device_and_its_prompt() -> None:
    first, second = of_agents(
        rate_factors=(1.0, 0.25),
        device="cpu,meta",
        prompt_template=("{question} A", "{question} B"),
        system_prompt=("Be short.", ""),
        enable_thinking=True,
    )
    assert (first.learning_rate, second.learning_rate) == (0.1, 0.025)
    assert (first.device, second.device) == ("cpu", "meta")
    assert (first.prompting.template, second.prompting.template) == ("{question} A", "{question} B")
    assert (first.prompting.system, second.prompting.system) == ("Be short.", None)
    assert first.prompting.enable_thinking
    assert second.prompting.enable_thinking


def test_what_is_given_once_is_for_all_agents() -> None:
    mine = of_agents(
        (*MODELS, "models/third"), device="cpu", system_prompt=("Be short.",), prompt_template=("{question}",)
    )
    assert [one.device for one in mine] == ["cpu"] * 3
    assert [one.learning_rate for one in mine] == [0.1] * 3
    assert {(one.prompting.template, one.prompting.system) for one in mine} == {("{question}", "Be short.")}


def test_other_models_are_asked_for_an_answer_and_the_own_pair_is_asked_what_it_has_read() -> None:
    template = of_agents()[0].prompting.template
    assert template.startswith("{question}\n")
    assert BOXED in template
    assert BOXED not in of_agents(answer_rule="last_number")[0].prompting.template
    assert {mine.prompting.template for mine in of_agents(())} == {"{question}\n"}
    assert of_agents((), prompt_template=("{question}?",))[0].prompting.template == "{question}?"


def test_settings_of_training_reach_the_agents() -> None:
    for mine in of_agents(
        learning_rate_schedule="cosine",
        warmup_steps=2,
        steps=9,
        weight_decay=0.3,
        max_grad_norm=0.7,
        lora_rank=4,
        lora_alpha=3,
        lora_targets=("q_proj",),
        rows_at_once=5,
        cache_gib=0.5,
        dtype="bfloat16",
        tokens_per_pass=77,
        checkpointing=True,
        offload=True,
    ):
        assert mine.learning_rate_schedule == LearningRateSchedule("cosine", 2, 9)
        assert (mine.weight_decay, mine.max_grad_norm, mine.max_new_tokens) == (0.3, 0.7, 9)
        assert (mine.lora_rank, mine.lora_alpha, mine.lora_targets) == (4, 3, ("q_proj",))
        assert (mine.rows_at_once, mine.cache_gib, mine.compute_dtype) == (5, 0.5, "bfloat16")
        assert (mine.tokens_per_pass, mine.checkpointing, mine.offload, mine.ranks) == (77, True, True, 1)


@pytest.mark.parametrize(
    ("agents", "names"),
    [
        (("x/a", "y/b/"), ["a", "b"]),
        (("x/a", "y/a", "Z/a"), ["a", "a-2", "a-3"]),
        (("x/a", "y/a", "a-2"), ["a", "a-2", "a-2-2"]),
        (("Qwen/Qwen3-4B", "x/.."), ["Qwen3-4B", None]),
        (("/", "a"), ["model", "a"]),
    ],
)
def test_agents_are_named_after_their_folders_and_each_has_a_name_of_its_own(
    agents: tuple[str, ...], names: list[str | None]
) -> None:
    expected = [Path.cwd().name if name is None else name for name in names]
    models = ModelSettings(agents=agents)
    assert agent_names(models) == expected
    assert sources_of(models, "cpu") == dict(zip(expected, agents, strict=True))


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Folders of two models without weights, whose prompts can be made all the same."""
    folders = [tmp_path_factory.mktemp("models") / name for name in ("first", "second")]
    for folder in folders:
        tokenizer = train_tokenizer(["1+1 is a sum"], "digits", 270)
        tokenizer.save_pretrained(folder)
        LlamaConfig(vocab_size=len(tokenizer), max_position_embeddings=48).save_pretrained(folder)
    return str(folders[0]), str(folders[1])


def test_a_prepared_run_holds_the_parts_and_its_evaluation_asks_test_problems(
    models: tuple[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "sums.jsonl"
    path.write_text("".join(f'{{"question": "{a}+{a}", "answer": "{2 * a}"}}\n' for a in range(40)))
    values: dict[str, Any] = {"agents": models, "problems": (str(path),), "max_new_tokens": 9, "seed": 3}
    values |= {"device": "cpu", "eval_prompts": 4, "top_k": 5, "prompt_template": ("{question}",)}
    with prepared_run(**values) as job, prepared_run(**values | {"seed": 4}) as other:
        assert len(job.eval_prompts.questions) == len(set(job.eval_prompts.questions)) == 4
        assert all(is_held_out(question) for question in job.eval_prompts.questions)
        assert job.eval_prompts == other.eval_prompts  # whatever the run's seed is
        assert job.sources == {"first": models[0], "second": models[1]}
        assert (job.sampling, job.engine, job.answer_rule) == (Sampling(top_k=5), "local", "boxed")
        assert (job.run.seed, job.training.prompts_per_step, job.evaluation.eval_prompts) == (3, 32, 4)
        assert job.record["learning_rate"] == 1e-6
        assert job.shared == job.agent_settings["first"]
        assert job.worlds.validation is None


def test_epochs_become_as_many_steps_as_ask_each_problem_so_often() -> None:
    settings = train_settings(problems=("math",), prompts_per_step=8, epochs=3, warmup_steps=9)
    for problems, steps in ((8, 3), (9, 4), (80, 30)):
        if steps > 9:
            assert with_steps(settings, problems) == train_settings(
                problems=("math",), prompts_per_step=8, steps=steps, warmup_steps=9
            )
        else:
            with pytest.raises(SettingError, match=f"warmup_steps must be below steps = {steps}, got 9"):
                with_steps(settings, problems)
    with pytest.raises(SettingError, match="epochs needs problems without weights"):
        with_steps(settings, None)
    assert with_steps(train_settings(steps=7), None).run.steps == 7
