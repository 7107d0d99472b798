"""What the study of importance ratios takes from the updates, and what it makes of it."""

import numpy as np
import pytest
import torch

from hacrl_lab.config import TrainingConfig
from hacrl_lab.learner import UpdateRecord, UpdateResult
from hacrl_lab.objectives import ObjectiveSettings, ObjectiveValue
from hacrl_studies.common.teams import PAIRS
from hacrl_studies.importance_ratios.analysis import drift, of_kind
from hacrl_studies.importance_ratios.recording import MEASURES, measured, record_chain
from hacrl_studies.importance_ratios.study import LANGUAGE, Options, cells

SETTINGS = ObjectiveSettings(delta=0.2, delta_step=0.1)


def update_record(ratios: list[list[float]]) -> UpdateRecord:
    """Ratios of two samplers' rollouts to one prompt."""
    values = torch.tensor(ratios, dtype=torch.float64)[:, None]
    by_sampler = torch.zeros(2)
    value = ObjectiveValue(torch.tensor(0.0), by_sampler, by_sampler, torch.ones(2, 2), torch.ones(2, 2))
    return UpdateRecord((0, 1), value, values, torch.tensor(0.0))


def test_shares_are_counted_below_the_bound_of_their_mini_batch_and_above_one() -> None:
    # bounds: 0.8 before the first update, 0.9 before the second
    ratios = [[1.0, 1.0, 1.0, 1.0], [0.85, 0.75, 1.5, 1.0]]
    found = measured(UpdateResult([update_record(ratios), update_record(ratios)]), SETTINGS)
    assert found.shape == (2, len(MEASURES), 2)  # mini-batches, measures, samplers
    assert found[0].tolist() == [[1.0, 1.025], [0.0, 0.25], [0.0, 0.25]]
    assert found[1].tolist() == [[1.0, 1.025], [0.0, 0.5], [0.0, 0.25]]


def test_own_ratios_are_one_before_the_first_update() -> None:
    training = TrainingConfig(prompts_per_step=4, group_size=2, minibatches=2)
    found = record_chain(PAIRS[0], "hacpo", training, steps=2, seeds=range(3))
    assert {key: values.shape for key, values in found.items()} == dict.fromkeys(MEASURES, (2, 2, 2, 2, 3))
    own = of_kind(found["ratio"], own=True)  # (steps, mini-batches, seeds)
    assert np.array_equal(own[:, 0], np.ones((2, 3)))
    assert not np.array_equal(own[:, 1], np.ones((2, 3)))


def test_kinds_and_drift_are_means_over_learners_and_steps() -> None:
    ratio = np.arange(16.0).reshape(1, 2, 2, 2, 2)  # steps, learners, samplers, mini-batches, seeds
    assert of_kind(ratio, own=True)[0].tolist() == [[6.0, 7.0], [8.0, 9.0]]  # (0 + 12)/2 ...
    assert of_kind(ratio, own=False)[0].tolist() == [[6.0, 7.0], [8.0, 9.0]]  # (4 + 8)/2 ...
    assert drift({"ratio": ratio}, own=True).tolist() == [[0.0, 0.0], [2.0, 2.0]]
    one_seed = np.concatenate([ratio[..., :1], 3 * ratio[..., :1]])  # units are then the steps
    assert drift({"ratio": one_seed}, own=True).tolist() == [[0.0, 0.0], [2.0, 6.0]]


def test_the_language_pair_is_a_choice() -> None:
    assert LANGUAGE in cells(Options())
    assert LANGUAGE not in cells(Options(language_pair=False))
    with pytest.raises(ValueError, match="method must be one that shares"):
        Options(method="gspo")
