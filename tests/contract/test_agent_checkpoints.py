"""One suite over every kind of agent: what it writes into a checkpoint, and what it refuses to read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from kinds import KINDS, LANGUAGE, PLAIN_ASCENT, TEAMS, G, Kind, LocalAgent
from pools import pool_log_probs
from torch import Tensor

from hacrl_lab.errors import CheckpointError
from hacrl_lab.importance import mean_log_prob

every_kind = pytest.mark.parametrize("kind", KINDS, indirect=True)
SMALL = [name for name in KINDS if name not in LANGUAGE]


def learn(kind: Kind, agent: LocalAgent, times: int = 1) -> None:
    """Optimiser steps on rollouts that are the same for every agent of the kind."""
    prompts = kind.prompts()
    encoded = agent.encode(prompts, [kind.make("bb").generate(prompts, G, kind.stream(4)).shared()])
    for _ in range(times):
        (-mean_log_prob(pool_log_probs(agent, encoded), encoded.mask).sum()).backward()
        agent.apply_gradients()


def scores(kind: Kind, agent: LocalAgent) -> Tensor:
    prompts = kind.prompts()
    encoded = agent.encode(prompts, [kind.make("bb").generate(prompts, G, kind.stream(5)).shared()])
    return torch.where(encoded.mask, pool_log_probs(agent, encoded), 0).detach()


def saved(kind: Kind, folder: Path, name: str = "a") -> list[Path]:
    """The files of an agent that has learnt a little."""
    agent = kind.make(name)
    learn(kind, agent, 2)
    folder.mkdir()
    agent.save(folder)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def assert_refused(kind: Kind, folder: Path, message: str) -> None:
    """One sentence that names the folder; what was before is kept (but for a team's members that could be read)."""
    agent = kind.make("a")
    before = scores(kind, agent)
    with pytest.raises(CheckpointError, match=message) as caught:
        agent.load(folder)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    if kind.name not in TEAMS:
        assert torch.equal(scores(kind, agent), before)


@every_kind
def test_policy_and_optimiser_are_restored(kind: Kind, tmp_path: Path) -> None:
    agent, other = kind.make("a"), kind.make("a")
    learn(kind, agent, 2)
    agent.save(tmp_path)
    other.load(tmp_path)
    assert torch.equal(scores(kind, agent), scores(kind, other))
    learn(kind, agent)
    learn(kind, other)
    assert torch.equal(scores(kind, agent), scores(kind, other))
    fresh = kind.make("a")
    learn(kind, fresh)
    assert not torch.equal(scores(kind, agent), scores(kind, fresh))


@every_kind
def test_a_fresh_agent_is_saved_too(kind: Kind, tmp_path: Path) -> None:
    """Its optimiser has no state yet, and one that has is made fresh again."""
    agent, other = kind.make("a"), kind.make("a")
    agent.save(tmp_path)
    learn(kind, other, 2)
    other.load(tmp_path)
    assert torch.equal(scores(kind, agent), scores(kind, other))
    learn(kind, agent)
    learn(kind, other)
    assert torch.equal(scores(kind, agent), scores(kind, other))


@every_kind
def test_files_are_safetensors_and_json_with_a_name_for_every_tensor(kind: Kind, tmp_path: Path) -> None:
    files = saved(kind, tmp_path / "agent")
    assert files
    assert {path.suffix for path in files} == {".safetensors", ".json"}
    for path in files:
        content = path.read_bytes()
        assert not content.startswith((b"\x80", b"PK"))  # a pickle's first byte, a zip archive's first two
        if path.suffix == ".json":
            json.loads(content)
        else:  # eight bytes of length, then a table of the tensors in JSON
            names = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
            assert any(name.startswith("parameter/") for name in names)
            assert any(name.startswith("exp_avg_sq/") for name in names) == (kind.name not in PLAIN_ASCENT)


@every_kind
def test_a_folder_of_another_kind_of_agent_is_refused(kind: Kind, tmp_path: Path, adders: list[str]) -> None:
    foreign = Kind(KINDS[KINDS.index(kind.name) - 1], adders)
    folder = tmp_path / "agent"
    saved(foreign, folder)
    same_files = (foreign.name in TEAMS) == (kind.name in TEAMS)
    assert_refused(kind, folder, "holds another agent: .* this run has " if same_files else "cannot be read")


@pytest.mark.parametrize("kind", SMALL, indirect=True)
def test_a_folder_of_another_optimiser_is_refused(kind: Kind, tmp_path: Path) -> None:
    agent = kind.make("a", torch.optim.RMSprop)
    learn(kind, agent)
    agent.save(tmp_path)
    assert_refused(kind, tmp_path, "parameters and RMSprop, this run has .* parameters and (Adam|SGD)$")


@pytest.mark.parametrize("kind", LANGUAGE, indirect=True)
def test_a_language_models_folder_of_another_optimiser_is_refused(kind: Kind, tmp_path: Path) -> None:
    saved(kind, tmp_path / "agent")
    (record,) = (tmp_path / "agent").glob("*.json")
    record.write_text(record.read_text().replace("AdamW", "RMSprop"))
    assert_refused(kind, tmp_path / "agent", "parameters and RMSprop, this run has .* parameters and AdamW$")


@every_kind
def test_a_missing_or_truncated_file_is_refused(kind: Kind, tmp_path: Path) -> None:
    files = saved(kind, tmp_path / "agent")
    for number, path in enumerate(files):
        for share in (None, 0.0, 0.5, 0.99):
            folder = tmp_path / f"{number}-{share}"
            shutil.copytree(tmp_path / "agent", folder)
            copy = folder / path.relative_to(tmp_path / "agent")
            content = copy.read_bytes()
            if share is None:
                copy.unlink()
            else:
                copy.write_bytes(content[: int(share * len(content.rstrip()))])
            assert_refused(kind, folder, "cannot be read")


@every_kind
def test_an_empty_folder_is_refused(kind: Kind, tmp_path: Path) -> None:
    assert_refused(kind, tmp_path, "cannot be read")
