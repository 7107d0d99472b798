from dataclasses import fields
from functools import partial
from typing import Any

import pytest
import torch

from hacrl_lab import methods
from hacrl_lab.advantages import (
    calibrated_baseline,
    capability_aware_baseline,
    group_mean_baseline,
    leave_one_out_capability_baseline,
)
from hacrl_lab.capability import CapabilityTracker, LaggedCapabilityTracker
from hacrl_lab.importance import capped_weight, free_above_ratio, free_below_ratio, pessimistic_ratio
from hacrl_lab.methods import METHODS, Method, get_method
from hacrl_lab.objectives import (
    ObjectiveSettings,
    epsilon_bounds,
    grpo_objective,
    gspo_objective,
    hacpo_objective,
    lower_bound_only,
    no_bounds,
    unit_coefficient,
)

SETTINGS = ObjectiveSettings(epsilon_low=0.1, epsilon_high=0.2, alpha=1.5, delta=0.3, delta_step=0.05)


def test_methods_are_those_of_the_papers_tables_and_the_sound_alternatives() -> None:
    ablations = ["hacpo_no_advantage", "hacpo_no_omega", "hacpo_no_stepwise", "hacpo_no_clip"]
    sound = ["hacpo_lagged", "hacpo_loo", "hacpo_calibrated", "hacpo_capped", "hacpo_sound"]
    controls = ["hacpo_pessimistic", "hacpo_open", "hacpo_open_below", "hacpo_open_above", "naive_two_sided"]
    assert list(METHODS) == ["grpo", "gspo", "gspo_x2", "naive", "hacpo", *ablations, *sound, *controls]


def test_every_method_has_a_label_and_a_line_of_its_own() -> None:
    assert len({method.label for method in METHODS.values()}) == len(METHODS)
    assert all(name in str(methods.__doc__) for name in METHODS)


def test_single_agents_learn_from_themselves_and_the_others_from_everyone() -> None:
    for name, method in METHODS.items():
        alone = name in ("grpo", "gspo", "gspo_x2")
        assert method.pool(1, 3) == ([1] if alone else [0, 1, 2])


def test_each_method_has_its_objective() -> None:
    expected = {"grpo": grpo_objective, "gspo": gspo_objective, "gspo_x2": gspo_objective, "naive": gspo_objective}
    for name, method in METHODS.items():
        plain = getattr(method.objective, "func", method.objective)  # an ablation has one argument of it filled in
        assert plain is expected.get(name, hacpo_objective)


def test_baseline_knows_capability_in_hacpo_only() -> None:
    others = {
        "hacpo_no_advantage": group_mean_baseline,
        "hacpo_loo": leave_one_out_capability_baseline,
        "hacpo_calibrated": calibrated_baseline,
        "hacpo_sound": leave_one_out_capability_baseline,
    }
    for name, method in METHODS.items():
        usual = capability_aware_baseline if name.startswith("hacpo") else group_mean_baseline
        assert method.baseline is others.get(name, usual)


def test_capability_is_lagged_in_two_methods_only() -> None:
    for name, method in METHODS.items():
        lagged = name in ("hacpo_lagged", "hacpo_sound")
        assert method.tracker is (LaggedCapabilityTracker if lagged else CapabilityTracker)


def parts(method: Method) -> dict[str, Any]:
    """Everything that a method does; an objective with arguments filled in as the objective and these arguments."""
    result = {part.name: getattr(method, part.name) for part in fields(method) if part.name not in ("name", "label")}
    if isinstance(objective := result["objective"], partial):
        assert objective.args == ()
        result["objective"] = (objective.func, objective.keywords)
    return result


def opened(cross_clip: object) -> dict[str, Any]:
    """Another clip of cross rollouts and no weight."""
    return {"objective": (hacpo_objective, {"cross_clip": cross_clip}), "overrides": {"alpha": 0.0}}


TWO_SIDED = (hacpo_objective, {"coefficient": unit_coefficient, "cross_bounds": epsilon_bounds})
CAPPED = (hacpo_objective, {"cross_bounds": lower_bound_only, "cross_weight": capped_weight})


@pytest.mark.parametrize(
    ("name", "swapped"),
    [
        ("hacpo", {}),
        ("hacpo_no_advantage", {"baseline": group_mean_baseline}),
        ("hacpo_no_omega", {"objective": (hacpo_objective, {"coefficient": unit_coefficient})}),
        ("hacpo_no_stepwise", {"overrides": {"delta_step": 0.0}}),
        ("hacpo_no_clip", {"objective": (hacpo_objective, {"cross_bounds": no_bounds})}),
        ("hacpo_alpha3", {"overrides": {"alpha": 3.0}}),
        ("hacpo_lagged", {"tracker": LaggedCapabilityTracker}),
        ("hacpo_loo", {"baseline": leave_one_out_capability_baseline}),
        ("hacpo_calibrated", {"baseline": calibrated_baseline}),
        ("hacpo_capped", {"objective": CAPPED}),
        ("hacpo_pessimistic", {"objective": (hacpo_objective, {"cross_clip": pessimistic_ratio})}),
        ("hacpo_open", opened(pessimistic_ratio)),
        ("hacpo_open_below", opened(free_below_ratio)),
        ("hacpo_open_above", opened(free_above_ratio)),
        ("naive_two_sided", {"baseline": group_mean_baseline, "objective": TWO_SIDED, "overrides": {"alpha": 0.0}}),
        (
            "hacpo_sound",
            {
                "baseline": leave_one_out_capability_baseline,
                "objective": CAPPED,
                "tracker": LaggedCapabilityTracker,
            },
        ),
    ],
)
def test_variant_is_hacpo_but_for_the_parts_that_it_swaps(name: str, swapped: dict[str, Any]) -> None:
    hacpo = {
        "baseline": capability_aware_baseline,
        "objective": hacpo_objective,
        "shares": True,
        "rollout_factor": 1,
        "tracker": CapabilityTracker,
        "overrides": {},
    }
    assert parts(get_method(name)) == hacpo | swapped


def test_only_gspo_x2_has_twice_the_rollouts() -> None:
    assert {name for name, method in METHODS.items() if method.rollout_factor == 2} == {"gspo_x2"}
    assert all(method.rollout_factor in (1, 2) for method in METHODS.values())


def test_settings_are_the_runs_but_for_those_that_the_method_fixes() -> None:
    for name, method in METHODS.items():
        step = 0.0 if name == "hacpo_no_stepwise" else 0.05
        alpha = 0.0 if name == "naive_two_sided" or name.startswith("hacpo_open") else 1.5
        assert method.settings(SETTINGS) == ObjectiveSettings(0.1, 0.2, alpha, 0.3, step)


def test_alpha_methods_are_hacpo_with_another_alpha() -> None:
    for name, alpha in (("hacpo_alpha0", 0.0), ("hacpo_alpha3", 3.0), ("hacpo_alpha0.5", 0.5)):
        method = get_method(name)
        assert method.name == name
        assert method.settings(SETTINGS) == ObjectiveSettings(0.1, 0.2, alpha, 0.3, 0.05)
        assert (method.objective, method.baseline) == (hacpo_objective, capability_aware_baseline)
        assert method.tracker is CapabilityTracker
        assert method.pool(1, 3) == [0, 1, 2]
    assert get_method("hacpo_alpha0.5").label == "HACPO, α = 0.5"


def test_methods_are_found_by_name() -> None:
    assert all(get_method(name) is method for name, method in METHODS.items())


@pytest.mark.parametrize("name", ["ppo", "HACPO", "hacpo_alpha", "hacpo_alpha-1", "hacpo_alpha2x", ""])
def test_unknown_method_is_refused_with_the_known_ones(name: str) -> None:
    known = ", ".join(METHODS)
    assert known.startswith("grpo, gspo, ")
    with pytest.raises(ValueError, match=f"^unknown method '{name}'; choose one of {known} or hacpo_alpha<number>$"):
        get_method(name)


def test_ablation_of_the_advantage_uses_the_plain_mean() -> None:
    # rewards 1, 0 and 1, 1 with ω[0, 1] = 1/4: plain 3/4, capability-aware (1 + 0 + 1/4 + 1/4)/4
    rewards, ratios = torch.tensor([[[1.0, 0]], [[1, 1]]]), torch.tensor([[1, 0.25], [4, 1]])
    assert METHODS["hacpo_no_advantage"].baseline(rewards, ratios, 0).tolist() == [[[0.75]]]
    assert METHODS["hacpo"].baseline(rewards, ratios, 0).tolist() == [[[0.375]]]


def test_sound_baselines_are_capability_aware() -> None:
    # the same rewards, member by member (1 + 1/4)/2 and (0 + 1/4)/2; own mean 1/2 and Eq. 7's 3/8, half of each
    rewards, ratios = torch.tensor([[[1.0, 0]], [[1, 1]]]), torch.tensor([[1, 0.25], [4, 1]])
    for name in ("hacpo_loo", "hacpo_sound"):
        assert METHODS[name].baseline(rewards, ratios, 0).tolist() == [[[0.125, 0.625]]]
    assert METHODS["hacpo_calibrated"].baseline(rewards, ratios, 0).tolist() == [[[0.4375]]]


def test_tracker_is_made_from_the_window() -> None:
    # K = 2 and rewards 0, 1/2, 1, 1: the mean of the last two, or of the two before the current one
    for name, expected in (("hacpo", [0, 0.25, 0.75, 1]), ("hacpo_lagged", [1, 0, 0.25, 0.75])):
        tracker = METHODS[name].tracker(2)
        assert [tracker.update(torch.tensor([reward])).item() for reward in (0.0, 0.5, 1.0, 1.0)] == expected
