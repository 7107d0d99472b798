import pytest

from hacrl_lab.errors import LabError, SettingError
from hacrl_lab.learning_rates import CONSTANT, LearningRateSchedule


def factors(schedule: LearningRateSchedule, steps: int) -> list[float]:
    return [schedule.factor(step) for step in range(1, steps + 1)]


def test_the_default_is_one_in_every_step() -> None:
    assert factors(CONSTANT, 4) == [1.0] * 4
    assert CONSTANT.factor(10**9) == 1.0


def test_a_warm_up_rises_in_equal_parts_to_the_full_rate() -> None:
    # W = 3: 1/4, 2/4, 3/4, then 1
    assert factors(LearningRateSchedule(warmup_steps=3), 5) == [0.25, 0.5, 0.75, 1.0, 1.0]


def test_a_linear_rate_falls_in_equal_parts_and_the_last_step_still_learns() -> None:
    # W = 1, T = 5: p = (t − 2)/4, so that 1 − p is 1, 3/4, 1/2, 1/4 after the warm-up's 1/2
    assert factors(LearningRateSchedule("linear", 1, 5), 5) == [0.5, 1.0, 0.75, 0.5, 0.25]
    assert factors(LearningRateSchedule("linear", 0, 2), 2) == [1.0, 0.5]


def test_a_cosine_rate_falls_slowly_then_fast_then_slowly() -> None:
    # W = 0, T = 3: p = 0, 1/3, 2/3 with cosines 1, 1/2, −1/2
    assert factors(LearningRateSchedule("cosine", 0, 3), 3) == pytest.approx([1, 0.75, 0.25], rel=1e-15)
    # W = 2, T = 4: 1/3, 2/3, then p = 0, 1/2 with cosines 1, 0
    assert factors(LearningRateSchedule("cosine", 2, 4), 4) == pytest.approx([1 / 3, 2 / 3, 1, 0.5], rel=1e-15)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"kind": "step"}, "kind must be one of constant, linear, cosine, got 'step'"),
        ({"warmup_steps": -1}, "warmup_steps must be ≥ 0, got -1"),
        ({"kind": "linear"}, "steps must be above warmup_steps = 0 with a linear learning rate, got 0"),
        ({"kind": "cosine", "warmup_steps": 5, "steps": 5}, "steps must be above warmup_steps = 5 with a cosine"),
    ],
)
def test_impossible_schedules_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingError, match=message):
        LearningRateSchedule(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("step", [0, -1, 6])
def test_a_step_that_the_schedule_does_not_have_is_refused(step: int) -> None:
    with pytest.raises(ValueError, match=rf"step must be in \[1, 5\], .* got {step}") as caught:
        LearningRateSchedule("linear", 0, 5).factor(step)
    assert not isinstance(caught.value, LabError)
