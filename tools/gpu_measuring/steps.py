"""Steps of GSPO, HACPO and two TRL trainers in turn, and the share of the card's peak that updates reach."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from statistics import median

import torch

from gpu_measuring.options import Options
from gpu_measuring.parts import LATE, note_memory
from gpu_measuring.record import Record
from hacrl_runs.agents import OWN_TEMPLATE
from language_benchmark.clock import PARTS, timed
from language_benchmark.lab import LabSide
from language_benchmark.operations import needed_together
from language_benchmark.options import TRL
from language_benchmark.options import Options as BenchmarkOptions
from language_benchmark.run import Side, lab_sides, rounds_of, trl_sides

UPDATES = 2
"""How often an agent's updates of a step are made for their share of the peak."""


def steps(options: Options, agents: Sequence[str], peak: float, record: Record) -> None:
    """Both; without TRL, only the lab's sides.

    Args:
        options: of the check.
        agents: folders of the two models.
        peak: operations a second.
        record: gets two sections.
    """
    benchmark = BenchmarkOptions(
        agents=tuple(agents),
        prompt_template=OWN_TEMPLATE,
        rounds=options.rounds,
        prompts=options.prompts,
        group_size=options.group_size,
        max_new_tokens=options.max_new_tokens,
        tokens_per_pass=options.tokens_per_pass,
        generation="grouped",
        device=options.device,
        dtype=options.dtype,
    )
    has_trl = importlib.util.find_spec("trl") is not None
    with ExitStack() as stack:
        sides = lab_sides(benchmark, stack)
        _rounds({**sides, **(trl_sides(benchmark, stack) if has_trl else {})}, options.rounds, record)
        if not has_trl:
            record.note("TRL is not installed here, so nothing was compared with it.")
        note_memory(options, record)
        _updates(sides, peak, options.device, record)


def _rounds(sides: Mapping[str, Side], count: int, record: Record) -> None:
    record.section(
        "Steps of two models, in turn", ["round", "side", *(f"{part}, s" for part in PARTS), "step, s", "beside TRL"]
    )
    beside: dict[str, list[float]] = {side: [] for side in sides}
    for number, rounds in enumerate(rounds_of(sides, count)):
        for side, [*_, step] in ((side, its) for side, its in rounds.items() if its):
            if TRL in rounds:
                beside[side].append(step.total / rounds[TRL][-1].total)
            ratio = beside[side][-1] if beside[side] else None
            record.row(number, side, *(step.seconds[part] for part in PARTS), step.total, ratio)
        if record.is_late:
            record.note(LATE)
            break
    for side, ratios in beside.items():
        if ratios and side != TRL:
            record.note(f"{side}: {median(ratios):.2f} of two TRL steps (median of {len(ratios)} rounds).")


def _updates(sides: Mapping[str, Side], peak: float, device: str, record: Record) -> None:
    """Updates as in a step, in which every answer has an advantage."""
    header = ["method", "model", "operations, 10¹²", "seconds", "share of the peak"]
    record.section("Updates in which every answer has an advantage", header)
    for method, side in sides.items():
        assert isinstance(side, LabSide)
        for agent, batch in zip(side.agents, list(side.batches), strict=True):
            signs = torch.rand(batch.advantages.shape, generator=torch.Generator().manual_seed(0)).round() * 2 - 1
            signed = replace(batch, advantages=signs.to(batch.advantages))
            for _ in range(UPDATES):
                if record.is_late:
                    record.note(LATE)
                    return
                result, seconds = timed(lambda agent=agent, signed=signed: agent.update(signed), device)
                needed = needed_together(agent, signed, result)["updates"]
                record.row(method, agent.name, needed / 1e12, seconds, needed / seconds / peak)
