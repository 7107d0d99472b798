import pytest
import torch

from hacrl_lab.advantages import capability_aware_baseline
from hacrl_lab.capability import CapabilityTracker
from hacrl_lab.methods import METHODS, Method, get_method, method_rows, methods_help
from hacrl_lab.objectives import ObjectiveSettings, hacpo_objective
from hacrl_lab.schedules import by_sampler, self_first

SETTINGS = ObjectiveSettings(epsilon_low=0.1, epsilon_high=0.2, alpha=1.5, delta=0.3, delta_step=0.05)


def test_every_method_has_a_label_and_a_line_of_its_own() -> None:
    assert len({method.label for method in METHODS.values()}) == len(METHODS)
    assert len({method.summary for method in METHODS.values()}) == len(METHODS)
    assert all(name == method.name for name, method in METHODS.items())


def test_help_and_rows_list_every_method_and_the_family_of_alpha() -> None:
    lines, rows = methods_help().splitlines(), method_rows()
    assert lines[: len(METHODS)] == [f"{name}: {method.summary}." for name, method in METHODS.items()]
    assert rows[:-1] == [(name, method.label, method.summary) for name, method in METHODS.items()]
    assert (len(lines), len(rows)) == (len(METHODS) + 2, len(METHODS) + 1)
    assert lines[-2].startswith("hacpo_alpha<number>: ")
    assert all(f"({mechanism})" in lines[-1] for mechanism in ("i", "ii", "iii", "iv"))
    assert rows[-1][0] == "hacpo_alpha<number>"


def test_single_agents_learn_from_themselves_and_the_others_from_everyone() -> None:
    for name, method in METHODS.items():
        alone = name in ("grpo", "gspo", "gspo_x2", "shares_nothing", "shares_nothing_released")
        assert method.pool(1, 3) == ([1] if alone else [0, 1, 2])


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_rewards_are_compared_with_the_baseline_that_the_name_says(method: Method) -> None:
    # rewards 1, 0 and 1, 1 with ω[0, 1] = 1/4, learner 0: its own mean 1/2; everyone's plain mean 3/4;
    # Eq. 7: (1 + 0 + 1/4 + 1/4)/4 = 3/8; its member by member without the own one: (0 + 1/4)/2 and (1 + 1/4)/2;
    # calibrated: half of 1/2 and half of 3/8
    rewards, ratios = torch.tensor([[[1.0, 0]], [[1, 1]]]), torch.tensor([[1, 0.25], [4, 1]])
    expected = [0.375]
    if method.name in ("naive", "naive_hard_clip", "hacpo_no_advantage"):
        expected = [0.75]
    elif "loo" in method.name:
        expected = [0.125, 0.625]
    elif method.name == "hacpo_calibrated":
        expected = [0.4375]
    elif not method.shares:
        rewards, ratios, expected = rewards[:1], ratios[:1, :1], [0.5]
    assert method.baseline(rewards, ratios, 0).tolist() == [[expected]]


@pytest.mark.parametrize("method", METHODS.values(), ids=lambda method: method.name)
def test_capability_lags_a_step_behind_where_the_name_says_so(method: Method) -> None:
    # K = 2 and rewards 0, 1/2, 1, 1: the mean of the last two, or of the two before the current one
    tracker = method.tracker(2)
    expected = [1, 0, 0.25, 0.75] if "lagged" in method.name else [0, 0.25, 0.75, 1]
    assert [tracker.update(torch.tensor([reward])).item() for reward in (0.0, 0.5, 1.0, 1.0)] == expected


def test_settings_are_the_runs_but_for_those_that_the_method_fixes() -> None:
    for name, method in METHODS.items():
        if name.endswith("released"):
            continue  # fixes all
        step = 0.0 if name == "hacpo_no_stepwise" else 0.05
        alpha = 0.0 if name == "naive_hard_clip" or name.endswith("alpha0") else 1.5
        assert method.settings(SETTINGS) == ObjectiveSettings(0.1, 0.2, alpha, 0.3, step)


@pytest.mark.parametrize("name", ["hacpo_released", "shares_nothing_released"])
def test_the_released_method_and_its_control_have_the_settings_of_the_authors_code(name: str) -> None:
    released = METHODS[name]
    assert released.settings(SETTINGS) == ObjectiveSettings(3e-4, 4e-4, 1.0, 0.2, 0.025, kl_weight=1e-3)
    assert released.schedule is self_first
    assert released.empty_updates == "step"
    assert all(method.empty_updates == "skip" for method in METHODS.values() if not method.name.endswith("released"))


def test_alpha_methods_are_hacpo_with_another_alpha() -> None:
    for name, alpha in (("hacpo_alpha0", 0.0), ("hacpo_alpha3", 3.0), ("hacpo_alpha0.5", 0.5)):
        method = get_method(name)
        assert method.name == name
        assert method.settings(SETTINGS) == ObjectiveSettings(0.1, 0.2, alpha, 0.3, 0.05)
        assert (method.objective, method.baseline) == (hacpo_objective, capability_aware_baseline)
        assert method.tracker is CapabilityTracker
        assert method.pool(1, 3) == [0, 1, 2]
    assert get_method("hacpo_alpha0.5").label == "HACPO, α = 0.5"


def test_capability_is_read_by_the_methods_whose_advantages_or_weights_depend_on_it() -> None:
    not_read = {"grpo", "gspo", "gspo_x2", "naive", "naive_hard_clip", "shares_nothing", "shares_nothing_released"}
    assert {name for name, method in METHODS.items() if not method.reads_capability} == not_read
    assert get_method("hacpo_alpha2").reads_capability


def test_the_control_keeps_the_own_part_of_each_learner() -> None:
    for learner, expected in enumerate([[(0,), (0,), (), ()], [(), (), (0,), (0,)]]):
        plan = get_method("shares_nothing").plan(by_sampler, torch.arange(4), 2, learner, agents=2)
        assert [planned.samplers for planned in plan] == expected


def test_methods_are_found_by_name() -> None:
    assert all(get_method(name) is method for name, method in METHODS.items())


@pytest.mark.parametrize("name", ["ppo", "HACPO", "hacpo_alpha", "hacpo_alpha-1", "hacpo_alpha2x", ""])
def test_unknown_method_is_refused_with_the_known_ones(name: str) -> None:
    known = ", ".join(METHODS)
    assert known.startswith("gspo, hacpo, ")
    with pytest.raises(ValueError, match=f"^unknown method '{name}'; choose one of {known} or hacpo_alpha<number>$"):
        get_method(name)
