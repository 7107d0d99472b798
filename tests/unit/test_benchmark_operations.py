"""The floor of the benchmark: operations that a step needs, counted by hand and by torch, and what the report says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import LlamaConfig, LlamaForCausalLM

from hacrl_runs.resolve import prepared_run
from hacrl_runs.tables import write_csv
from language_benchmark.clock import PARTS, WATCHED, Measurement
from language_benchmark.lab import LabSide
from language_benchmark.operations import COUNTED, Costs, costs_of, linear_layers, needed_alone, prompt_tokens
from language_benchmark.options import TRL, Options, trl_settings
from language_benchmark.overview import write_overview
from language_benchmark.rates import rates_of
from language_benchmark.report import Measured, finding, missed_table, ratios_csv, rounds_csv

LAYERS, HEADS, SIZE, HIDDEN = 2, 4, 8, 24


@pytest.fixture(scope="module")
def model() -> LlamaForCausalLM:
    config = LlamaConfig(
        vocab_size=50,
        hidden_size=HIDDEN,
        intermediate_size=40,
        num_hidden_layers=LAYERS,
        num_attention_heads=HEADS,
        num_key_value_heads=2,
        head_dim=SIZE,
    )
    model = LlamaForCausalLM(config).eval()
    model.set_attn_implementation("eager")
    return model


@pytest.mark.parametrize(("prompt", "answer"), [(1, 1), (5, 1), (5, 4)])
def test_a_forward_pass_has_the_operations_that_torch_counts(model: LlamaForCausalLM, prompt: int, answer: int) -> None:
    read = prompt + answer - 1
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(input_ids=torch.ones(1, read, dtype=torch.int64), logits_to_keep=answer)
    # torch computes, and counts, every token with every other one; needed are those before it: 4 operations for
    # each number of each head
    after = read * read - read * (read + 1) // 2
    counted = counter.get_total_flops() - 4 * LAYERS * HEADS * SIZE * after
    assert costs_of(model).forward(torch.tensor([prompt]), torch.tensor([[answer]])) == counted


def test_a_prompt_is_read_once_for_all_of_its_answers_and_not_at_all_without_any() -> None:
    costs = Costs(body=10.0, head=1.0, pair=0.1)
    # 3 + 1 + 0 tokens through the layers, 2 + 1 through the output layer; pairs: the prompt's 1 + 2 + 3, the second
    # answer's token with the prompt and itself 4
    assert costs.forward(torch.tensor([3]), torch.tensor([[2, 1]])) == pytest.approx(40 + 3 + 1.0)
    with_another = costs.forward(torch.tensor([3, 7]), torch.tensor([[2, 1], [0, 0]]))
    assert with_another == pytest.approx(44)


def test_of_a_model_alone_only_answers_with_an_advantage_are_learned_from() -> None:
    costs = Costs(body=10.0, head=0.0, pair=0.0)
    prompts, lengths = torch.tensor([4, 4]), torch.tensor([[2, 2], [3, 3]])
    active = torch.tensor([[True, True], [False, False]])
    needed = needed_alone(costs, prompts, lengths, active, updates=2)
    # tokens: 4 + 1 + 1 and 4 + 2 + 2
    assert needed == {"generation": 140.0, "scoring": 70.0, "updates": 3 * 60.0}


@pytest.mark.parametrize("method", ["gspo", "hacpo"])
def test_a_side_of_the_lab_counts_what_its_trainer_did(method: str, adders: list[str], sums: str) -> None:
    values = {"prompts_per_step": 4, "group_size": 4, "minibatches": 1, "max_new_tokens": 12, "device": "cpu"}
    with prepared_run(agents=tuple(adders[:2]), problems=(sums,), prompt_template=("{question}\n",), **values) as job:
        side = LabSide(method, job)
        measured = side.step()
        pool = side.trainer.last_pool
        assert pool is not None
        for k, (agent, counted) in enumerate(zip(side.agents, measured.operations, strict=True)):
            costs, prompts = costs_of(agent.model), prompt_tokens(agent, pool.prompts.questions)
            rewards = pool.rewards[k]
            active = (rewards != rewards[:, :1]).any(-1, keepdim=True).expand_as(rewards)
            alone = needed_alone(costs, prompts, pool.batches[k].lengths, active, updates=1)
            assert counted["generation"] == pytest.approx(alone["generation"])
            assert counted["scoring"] == alone["scoring"] == 0  # the only update scores them
            if method == "gspo":  # the first update is inside all bounds
                assert counted["updates"] == pytest.approx(alone["updates"])
            else:
                assert counted["updates"] > alone["updates"]


def test_rates_are_those_of_all_linear_layers(model: LlamaForCausalLM) -> None:
    assert len(linear_layers(model)) == 7 * LAYERS + 1
    rates = rates_of(model, answers=4, tokens=64, dtype=torch.float32)
    assert set(rates) == set(COUNTED)
    assert rates["scoring"] == rates["updates"] > rates["generation"] > 0


def of_every_part(value: float) -> dict[str, float]:
    return dict.fromkeys(COUNTED, value)


def step(seconds: float, operations: float) -> Measurement:
    its_seconds = {**dict.fromkeys(WATCHED, seconds), "other": 0.0}
    return Measurement(its_seconds, 20.0, 2, [of_every_part(operations)] * 2)


@pytest.fixture
def measured() -> Measured:
    rounds = {
        "gspo": [step(2.0, 1e9), step(4.0, 1e9), step(3.0, 1e9)],
        TRL: [step(4.0, 2e9), step(8.0, 2e9), step(5.0, 2e9)],
    }
    rates = [[of_every_part(2e9), of_every_part(4e9)], *[[of_every_part(1e9), of_every_part(1e9)]] * 2]
    return Measured(rounds, rates)


def test_floors_are_operations_over_rates(measured: Measured) -> None:
    # two models: 1 / 2 + 1 / 4 seconds a part; TRL's median step has 4 parts of 5 seconds
    assert measured.floor("gspo", "updates") == pytest.approx(0.75)
    assert measured.whole_floor("gspo") == pytest.approx(2.25)
    header, rows = ratios_csv(measured)
    gspo = dict(zip(header, next(iter(rows)), strict=True))
    assert gspo == {
        "side": "gspo",
        "median": "12.000000",
        "ratio": "0.600000",
        "least": "0.500000",
        "largest": "0.600000",
        "floor": "2.250000",
        "floor_ratio": "0.112500",
    }
    assert "takes 0.60 (0.50 to 0.60)" in finding(measured)
    assert "would take 0.11" in finding(measured)


def test_the_floor_and_what_is_missed_add_up_to_the_step(measured: Measured) -> None:
    rows = [line.split(" | ")[1:] for line in missed_table(measured).split("\n")[2:]]
    shares = [float(row[0]) for row in rows]
    assert len(shares) == 1 + len(PARTS)
    assert sum(shares) == pytest.approx(0.6, abs=0.03)


def test_the_rounds_hold_the_operations_of_both_models(measured: Measured) -> None:
    header, rows = rounds_csv(measured.rounds)
    first = dict(zip(header, next(iter(rows)), strict=True))
    assert first["updates_gflop"] == "2.000"


def test_the_overview_has_the_places_that_were_measured(measured: Measured, tmp_path: Path) -> None:
    (tmp_path / "long").mkdir()
    write_csv(tmp_path / "long" / "ratios.csv", ratios_csv(measured))
    write_overview(tmp_path)
    page = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| [long](long/README.md) | GSPO | 12.00 | 0.60 | 0.50 to 0.60 | 0.11 |" in page
    assert "short/README.md" not in page


def test_options_take_from_the_place_what_is_left_out() -> None:
    assert Options(workload="long").sizes.max_new_tokens == 256
    assert Options(workload="long", max_new_tokens=9).sizes.max_new_tokens == 9
    assert Options(workload="long").sizes.prompts == Options(workload="long", prompts=16).sizes.prompts
    assert Options(workload="long").folder == Path("runs/benchmark_llm/long")
    with pytest.raises(ValueError, match="NAME=VALUE"):
        trl_settings("bf16")
