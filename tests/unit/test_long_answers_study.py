"""The study of long answers: what it computes by hand-worked numbers, and that its parts ask for what they read."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from hacrl_envs.long_answers import LongAnswerTask
from hacrl_lab.config import TrainingConfig
from hacrl_studies.common.writers import Beginning
from hacrl_studies.long_answers import by_pair, law, paper, schedules, width
from hacrl_studies.long_answers.options import Options
from hacrl_studies.long_answers.runs import MEASURED_EVERY, Run, train
from hacrl_studies.long_answers.study import cells, tuned_runs

OPTIONS = Options(seeds=4)


def test_a_crossing_is_interpolated_in_log_length() -> None:
    assert law.crossing([2, 8, 32], [0.0, 0.25, 0.75], 0.5) == pytest.approx(16)  # half of the way from ln 8 to ln 32
    assert law.crossing([2, 8], [0.5, 0.0], 0.5) == 2
    assert law.crossing([2, 8], [0.0, 0.4], 0.5) == np.inf


def test_the_law_and_the_measurement_agree_where_most_passes_and_where_nothing_does() -> None:
    """On 8 seeds: shares of 4,096 sampled right answers against the law's, at the ends of the grid."""
    seeds = range(4_000_000, 4_000_008)
    close = Beginning(style_distance=0.2)
    for length, at_least, at_most in ((3, 0.0, 0.15), (256, 0.9, 1.0)):
        measured, predicted = (np.mean(f(close, length, seeds)) for f in (law.measured, law.predicted))
        assert at_least <= measured <= at_most
        # of a few hundred right answers or more each share has a std below 0.02; the normal approximation adds its own
        assert measured == pytest.approx(predicted, abs=0.1)


def test_the_skill_deficit_is_how_much_likelier_the_sampler_finds_the_right_answer() -> None:
    seeds = [0, 1]
    for world, learner, sampler, questions in law.directions(Beginning(), 8, seeds):
        deficit, weight = law.skill_deficits(world, learner, sampler, questions)
        right = world.right_tokens(questions)
        chance = [
            agent.success(questions[0, :1], right[:, :1], stream=None)  # type: ignore[arg-type] - no style cost
            for agent in (learner, sampler)
        ]
        same = questions[:, :1] == questions[0, 0]
        ratio = (chance[1] / chance[0]).log()
        assert float(ratio[0]) == pytest.approx(float(deficit[0, 0]), abs=1e-12)
        assert float(weight[0, 0]) == pytest.approx(float(chance[1][0]), abs=1e-12)
        assert bool(same[0])
        assert float(deficit.mean()) > 0.5  # the sampler was taught these skills, the learner was not


def test_questions_are_of_the_skills_that_only_the_sampler_was_taught() -> None:
    task = LongAnswerTask()
    skills = [task.parts(questions)[0].unique().tolist() for *_, questions in law.directions(Beginning(), 8, [0, 1])]
    assert skills == [[2, 3], [0, 1]]


def test_verdicts_need_our_interval_on_one_side_of_zero() -> None:
    theirs, sure = np.array([0.02, 0.01]), np.array([0.01, 0.02, 0.03, 0.02])
    assert paper.verdict(theirs, sure) == "reproduced"
    assert paper.verdict(theirs, -sure) == "**opposite**"
    assert paper.verdict(-theirs, -sure) == "reproduced"
    assert paper.verdict(theirs, np.array([-0.02, 0.02, -0.01, 0.01])) == "not resolved"


def test_every_part_reads_what_the_study_computes() -> None:
    keys = set(cells(OPTIONS))
    assert set(tuned_runs(OPTIONS)) <= keys
    for of, ablation in paper.columns(OPTIONS).values():
        assert {of(method) for method in paper.METHODS.values()} <= keys
        if ablation is not None:
            assert {ablation(method) for _, _, *both in paper.ABLATED for method in both} <= keys


def test_cells_differ_where_their_results_do() -> None:
    found = cells(OPTIONS)
    assert len({cell.record for cell in found.values()}) == len(found)


def test_schedules_are_counted_as_updates() -> None:
    runs = schedules.table_runs(OPTIONS)
    updates = {key[1:]: run.training.updates(run.method, 2) for key, run in runs.items()}
    controls = {schedule for method, schedule in updates if method == schedules.CONTROL}
    assert controls == {"mixed_2u", "self_first", "cross_first", schedules.EMPTY_STEPS}
    assert {updates[schedules.CONTROL, schedule] for schedule in controls} == {4}
    assert updates["gspo", "mixed"] == updates["hacpo", "mixed"] == 2
    assert updates["gspo_x2", "mixed"] == updates["hacpo", "mixed_2u"] == updates["hacpo_released", "self_first"] == 4


def test_the_law_chooses_wider_bounds_for_shorter_answers() -> None:
    widths = [width.law_width(OPTIONS, case) for case in width.CASES]
    assert widths[0] > widths[1] > OPTIONS.training.objective.delta


def test_a_training_measures_success_every_few_steps_and_records_cross_rollouts() -> None:
    run = Run("hacpo", LongAnswerTask(length=4))
    arrays = train(run, 7, range(2))
    assert arrays["steps"].tolist() == [0, MEASURED_EVERY, 7]
    assert arrays["success"].shape == (3, 2, 2)
    assert arrays["ratio"].shape == arrays["kept_positive"].shape == (7, 2, 2)
    alone = train(replace(run, method="gspo", training=TrainingConfig()), 1, range(2))
    assert np.isnan(alone["ratio"]).all()
    assert np.array_equal(alone["success"][0], arrays["success"][0])


def test_the_budget_is_that_of_a_steps_last_update() -> None:
    assert by_pair.budget(OPTIONS) == pytest.approx(-np.log(0.825))
