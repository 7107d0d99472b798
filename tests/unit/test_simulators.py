from __future__ import annotations

from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.toy_text import FrozenLakeEnv

from hacrl_envs.simulators import Copies, Outcome, Simulator, Table, has_table, simulator

TOY_TEXT: dict[str, dict[str, Any]] = {
    "FrozenLake-v1, firm": {"id": "FrozenLake-v1", "is_slippery": False},
    "FrozenLake-v1, slippery": {"id": "FrozenLake-v1", "is_slippery": True},
    "CliffWalking-v1": {"id": "CliffWalking-v1"},
    "CliffWalking-v1, slippery": {"id": "CliffWalking-v1", "is_slippery": True},
    "Taxi-v4": {"id": "Taxi-v4"},
    "Taxi-v4, rainy": {"id": "Taxi-v4", "is_rainy": True},
}


def make(options: dict[str, Any]) -> gymnasium.Env[Any, Any]:
    return gymnasium.make(**options, disable_env_checker=True)


def play(simulated: Simulator, moves: int, steps: int, episodes: int = 24) -> list[tuple[np.ndarray, Outcome | None]]:
    """Random moves in all running episodes."""
    random = np.random.default_rng(0)
    seen: list[tuple[np.ndarray, Outcome | None]] = [
        (simulated.start([index % 5 for index in range(episodes)], list(range(episodes))), None)
    ]
    live = np.ones(episodes, dtype=bool)
    for _ in range(steps):
        going = np.flatnonzero(live)
        if len(going) == 0:
            break
        outcome = simulated.step(going, random.integers(moves, size=len(going)))
        seen.append((outcome.observations, outcome))
        live[going] = ~(outcome.terminated | outcome.truncated)
    return seen


@pytest.mark.parametrize("name", TOY_TEXT)
def test_a_table_plays_the_very_episodes_of_the_environment(name: str) -> None:
    env = make(TOY_TEXT[name])
    moves = int(env.action_space.n)  # type: ignore[attr-defined]
    table, copies = Table(env), Copies(partial(make, TOY_TEXT[name]))
    for _ in range(2):  # the second time with what was kept of the first
        for (seen, one), (expected, other) in zip(play(table, moves, 40), play(copies, moves, 40), strict=True):
            assert np.array_equal(seen, expected)
            if one is not None and other is not None:
                assert np.array_equal(one.rewards, other.rewards)
                assert np.array_equal(one.terminated, other.terminated)
                assert np.array_equal(one.truncated, other.truncated)


def test_a_table_ends_episodes_when_the_environments_time_runs_out() -> None:
    table = Table(make({"id": "CliffWalking-v1", "max_episode_steps": 3}))
    table.start([0], [0])
    truncated = [bool(table.step(np.array([0]), np.array([0])).truncated[0]) for _ in range(3)]  # up, always
    assert truncated == [False, False, True]


@pytest.mark.parametrize("options", [{"id": "CartPole-v1"}, {"id": "Taxi-v4", "fickle_passenger": True}])
def test_environments_whose_table_does_not_say_it_all_are_played_by_copies(options: dict[str, Any]) -> None:
    assert not has_table(make(options))
    assert isinstance(simulator(partial(make, options)), Copies)
    with pytest.raises(ValueError, match="no table of transitions"):
        Table(make(options))


def test_a_wrapper_that_changes_rewards_is_heeded() -> None:
    def doubled() -> gymnasium.Env[Any, Any]:
        return gymnasium.wrappers.TransformReward(
            make(TOY_TEXT["FrozenLake-v1, firm"]), lambda reward: 2 * float(reward)
        )

    simulated = simulator(doubled)
    assert isinstance(simulated, Copies)
    simulated.start([0], [0])
    ways = [1, 1, 2, 1, 2, 2]  # down, down, right, down, right, right: the goal
    rewards = [float(simulated.step(np.array([0]), np.array([move])).rewards[0]) for move in ways]
    assert rewards == [0, 0, 0, 0, 0, 2]


def test_time_limits_of_ones_own_are_heeded() -> None:
    table = Table(gymnasium.wrappers.TimeLimit(make({"id": "CliffWalking-v1"}).unwrapped, max_episode_steps=2))
    table.start([0], [0])
    assert [bool(table.step(np.array([0]), np.array([0])).truncated[0]) for _ in range(2)] == [False, True]


def test_the_shortest_of_several_time_limits_holds() -> None:
    limited = gymnasium.wrappers.TimeLimit(make({"id": "CliffWalking-v1", "max_episode_steps": 2}), 50)
    table = Table(limited)
    table.start([0], [0])
    assert [bool(table.step(np.array([0]), np.array([0])).truncated[0]) for _ in range(2)] == [False, True]


def test_an_environment_with_a_step_of_its_own_is_played_by_copies() -> None:
    class Tiring(FrozenLakeEnv):
        def step(self, a: Any) -> Any:
            state, reward, *rest = super().step(a)
            return state, reward - 0.5, *rest

    simulated = simulator(Tiring)
    assert isinstance(simulated, Copies)
    simulated.start([0], [0])
    assert simulated.step(np.array([0]), np.array([0])).rewards[0] == -0.5


def test_moves_are_counted_from_the_first_of_the_action_space() -> None:
    class Shifted(gymnasium.ActionWrapper[Any, Any, Any]):
        def __init__(self, env: gymnasium.Env[Any, Any]) -> None:
            super().__init__(env)
            self.action_space = gymnasium.spaces.Discrete(4, start=1)

        def action(self, action: Any) -> Any:
            assert self.action_space.contains(action)
            return action - 1

    plain = partial(make, TOY_TEXT["FrozenLake-v1, firm"])
    shifted, copies = Copies(lambda: Shifted(plain())), Copies(plain)
    for (seen, _), (expected, _) in zip(play(shifted, 4, 20), play(copies, 4, 20), strict=True):
        assert np.array_equal(seen, expected)


def test_toy_text_is_played_from_its_table() -> None:
    assert isinstance(simulator(partial(make, TOY_TEXT["Taxi-v4"])), Table)
