"""The worlds of the studies, with what is needed to train teams in them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hacrl_envs.chain import ChainTask
from hacrl_studies.common.testbed import Testbed
from hacrl_studies.common.testbeds.frozen_lake import FrozenLakeTestbed
from hacrl_studies.common.testbeds.questions import BanditTestbed, ChainTestbed

CHAIN = ChainTestbed(ChainTask(skills=4, symbols=4, shortest=1, longest=3))
BANDIT = BanditTestbed(contexts=16, actions=4, length=3, right_share=0.05)
FROZEN_LAKE = FrozenLakeTestbed(
    ("SFFFFFS", "FHFFFHF", "FFFHFFF", "FFHGFFF", "FFFFHFF", "FHFFFHF", "SFFFFFS"),
    max_steps=14,
    demonstrations=8,
    mistakes=0.1,
    share_of_updates=0.5,
    episodes=8,
)
TESTBEDS: Mapping[str, Testbed[Any, Any]] = {testbed.name: testbed for testbed in (CHAIN, BANDIT, FROZEN_LAKE)}
