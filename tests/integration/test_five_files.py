"""What a reader must open to follow HACPO's update, as it is executed."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import hacrl_lab
from hacrl_envs.bandit import bandit_world
from hacrl_lab.agents.tabular import TabularAgent
from hacrl_lab.config import TrainingConfig
from hacrl_lab.seeding import RandomStream, Stream
from hacrl_lab.trainer import Trainer

LIBRARY = Path(hacrl_lab.__file__).parent
FIVE = {"methods.py", "advantages.py", "update.py", "objectives.py", "importance.py"}
INDEXING = {"rollouts.py", "schedules.py"}
"""How rollouts are addressed and what a plan is: data, in names that say what they do."""
WATCH = {"divergence.py"}
"""Refuses an update after others have ruined the policy; has no part in the numbers of one that is made."""


def test_hacpos_update_runs_through_five_files_beside_the_policy_and_the_indexing() -> None:
    world = bandit_world(0, contexts=4, actions=3, length=2)
    start = [RandomStream(0, Stream.EXAMPLES, k).uniform(4, world.space.prefixes, 3) for k in range(2)]
    agents = [TabularAgent(name, logits, world.space) for name, logits in zip("ab", start, strict=True)]
    trainer = Trainer(agents, world, "hacpo", TrainingConfig(prompts_per_step=4), 0)
    opened: set[str] = set()

    def note(frame: FrameType, event: str, argument: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if path.is_relative_to(LIBRARY):
            opened.add(path.relative_to(LIBRARY).as_posix())

    original = trainer._learner_batch

    def traced(*arguments: Any) -> Any:
        sys.setprofile(note)
        try:
            batch = original(*arguments)
            agents[batch.learner].update(batch)
            return batch
        finally:
            sys.setprofile(None)

    trainer._learner_batch = traced  # type: ignore[method-assign]
    trainer.step()
    mine = {"trainer.py"}  # where the learner's batch is put together
    policy = {name for name in opened if name.startswith("agents/")} | {"responses.py"}
    assert opened - policy - INDEXING - WATCH - mine == FIVE
