import pytest
import torch

from hacrl_lab import methods
from hacrl_lab.advantages import capability_aware_baseline, group_mean_baseline
from hacrl_lab.methods import METHODS, get_method
from hacrl_lab.objectives import ObjectiveSettings, grpo_objective, gspo_objective, hacpo_objective

SETTINGS = ObjectiveSettings(epsilon_low=0.1, epsilon_high=0.2, alpha=1.5, delta=0.3, delta_step=0.05)


def test_methods_are_those_of_the_papers_tables() -> None:
    ablations = ["hacpo_no_advantage", "hacpo_no_omega", "hacpo_no_stepwise", "hacpo_no_clip"]
    assert list(METHODS) == ["grpo", "gspo", "gspo_x2", "naive", "hacpo", *ablations]


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
    for name, method in METHODS.items():
        aware = name.startswith("hacpo") and name != "hacpo_no_advantage"
        assert method.baseline is (capability_aware_baseline if aware else group_mean_baseline)


def test_only_gspo_x2_has_twice_the_rollouts() -> None:
    assert {name for name, method in METHODS.items() if method.rollout_factor == 2} == {"gspo_x2"}
    assert all(method.rollout_factor in (1, 2) for method in METHODS.values())


def test_settings_are_the_runs_but_for_those_that_the_method_fixes() -> None:
    for name, method in METHODS.items():
        step = 0.0 if name == "hacpo_no_stepwise" else 0.05
        assert method.settings(SETTINGS) == ObjectiveSettings(0.1, 0.2, 1.5, 0.3, step)


def test_alpha_methods_are_hacpo_with_another_alpha() -> None:
    for name, alpha in (("hacpo_alpha0", 0.0), ("hacpo_alpha3", 3.0), ("hacpo_alpha0.5", 0.5)):
        method = get_method(name)
        assert method.name == name
        assert method.settings(SETTINGS) == ObjectiveSettings(0.1, 0.2, alpha, 0.3, 0.05)
        assert (method.objective, method.baseline) == (hacpo_objective, capability_aware_baseline)
        assert method.pool(1, 3) == [0, 1, 2]
    assert get_method("hacpo_alpha0.5").label == "HACPO, α = 0.5"


def test_methods_are_found_by_name() -> None:
    assert all(get_method(name) is method for name, method in METHODS.items())


@pytest.mark.parametrize("name", ["ppo", "HACPO", "hacpo_alpha", "hacpo_alpha-1", "hacpo_alpha2x", ""])
def test_unknown_method_is_refused_with_the_known_ones(name: str) -> None:
    message = rf"unknown method '{name}'; choose one of grpo, gspo, .*hacpo_no_clip or hacpo_alpha<number>"
    with pytest.raises(ValueError, match=message):
        get_method(name)


def test_ablation_of_the_advantage_uses_the_plain_mean() -> None:
    # rewards 1, 0 and 1, 1 with ω[0, 1] = 1/4: plain 3/4, capability-aware (1 + 0 + 1/4 + 1/4)/4
    rewards, ratios = torch.tensor([[[1.0, 0]], [[1, 1]]]), torch.tensor([[1, 0.25], [4, 1]])
    assert METHODS["hacpo_no_advantage"].baseline(rewards, ratios, 0).tolist() == [[[0.75]]]
    assert METHODS["hacpo"].baseline(rewards, ratios, 0).tolist() == [[[0.375]]]
