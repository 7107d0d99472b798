"""The worlds of the studies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from envs.chain import ChainTask
from study.answers import BanditStudy, ChainStudy
from study.base import StudyWorld
from study.lake import LakeStudy

CHAIN = ChainStudy(ChainTask(skills=4, symbols=4, shortest=1, longest=3))
BANDIT = BanditStudy(contexts=16, actions=4, length=3, right_share=0.05)
LAKE = LakeStudy(
    ("SFFFFFS", "FHFFFHF", "FFFHFFF", "FFHGFFF", "FFFFHFF", "FHFFFHF", "SFFFFFS"),
    max_steps=14,
    lessons=8,
    mistakes=0.1,
    share_of_updates=0.5,
    episodes=8,
)
WORLDS: Mapping[str, StudyWorld[Any, Any]] = {study.name: study for study in (CHAIN, BANDIT, LAKE)}
