import re
from fractions import Fraction

import numpy as np
import pytest

from hacrl_envs.stories import (
    SKILLS,
    Event,
    Notation,
    Story,
    draw_story,
    write_long_solution,
    write_number,
    write_solution,
)
from hacrl_lab.errors import SettingError
from hacrl_lab.verification.verifier import MathVerifier


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def story_of(start: int, *events: tuple[str, int, int]) -> Story:
    return Story("Mia", "pears", start, tuple(Event(skill, skill, a, b) for skill, a, b in events))


MIA = Story(
    "Mia",
    "pears",
    12,
    (
        Event("gain", "finds 5", 5, 0),
        Event("double", "doubles them", 0, 0),
        Event("gifts", "gives 3 friends 2 each", 3, 2),
    ),
)


def test_question_tells_the_events_in_order() -> None:
    assert MIA.question == "Mia has 12 pears, finds 5, doubles them, gives 3 friends 2 each. How many?"


def test_solution_works_through_the_events() -> None:
    # 12 + 5, twice that, less 3·2
    assert write_solution(MIA, rng()) == "12+5=17\n17*2=34\n3*2=6\n34-6=28\n\\boxed{28}"
    assert MIA.answer == "28"


def test_misread_step_is_carried_on() -> None:
    # doubling read as adding two; the rest is worked rightly
    assert write_solution(MIA, rng(), {"double": 1.0}) == "12+5=17\n17+2=19\n3*2=6\n19-6=13\n\\boxed{13}"


@pytest.mark.parametrize(
    ("skill", "right", "misread"),
    [
        ("gain", "8+3=11", None),
        ("lose", "8-3=5", "8+3=11"),
        ("double", "8*2=16", "8+2=10"),
        ("triple", "8*3=24", "8+3=11"),
        ("halve", "8/2=4", "8-2=6"),
        ("boxes", "3*4=12\n8+12=20", "3+4=7\n8+7=15"),
        ("gifts", "3*4=12\n8-12=-4", "3+4=7\n8-7=1"),
    ],
)
def test_skill_has_its_reading_and_misreading(skill: str, right: str, misread: str | None) -> None:
    story = story_of(8, (skill, 3, 4))
    number = right.split("=")[-1]
    assert write_solution(story, rng()) == f"{right}\n\\boxed{{{number}}}"
    assert story.answer == number
    assert (SKILLS[skill].misread is None) == (misread is None)
    if misread is not None:
        wrong = misread.split("=")[-1]
        assert write_solution(story, rng(), {skill: 1.0}) == f"{misread}\n\\boxed{{{wrong}}}"


def test_halves_are_written_in_the_writers_notation_and_answered_as_fractions() -> None:
    story = story_of(17, ("halve", 0, 0))
    assert write_solution(story, rng(), notation="decimal") == "17/2=8.5\n\\boxed{8.5}"
    assert write_solution(story, rng(), notation="fraction") == "17/2=\\frac{17}{2}\n\\boxed{\\frac{17}{2}}"
    assert story.answer == "\\frac{17}{2}"


def test_numbers_are_written_plainly() -> None:
    assert [write_number(Fraction(n), "decimal") for n in (0, 12, -3)] == ["0", "12", "-3"]
    assert [write_number(Fraction(n), "fraction") for n in (0, 12, -3)] == ["0", "12", "-3"]
    assert write_number(Fraction(-17, 2), "decimal") == "-8.5"
    assert write_number(Fraction(-17, 2), "fraction") == "-\\frac{17}{2}"
    assert write_number(Fraction(1, 8), "decimal") == "0.125"


def test_quantities_stay_between_1_and_60_and_whole_until_the_last() -> None:
    generator, halves, counts = rng(), 0, set()
    for _ in range(3000):
        story = draw_story(generator, least_events=2, most_events=4)
        quantities = quantities_of(story)
        assert all(1 <= x <= 60 for x in quantities)
        assert all(x.denominator == 1 for x in quantities[:-1])
        halves += quantities[-1].denominator == 2
        counts.add(len(story.events))
    assert halves > 0
    assert counts == {2, 3, 4}


def quantities_of(story: Story) -> list[Fraction]:
    """The quantity at the start and after each event, from the answers of the story's beginnings."""
    beginnings = [Story(story.name, story.thing, story.start, story.events[:t]) for t in range(len(story.events) + 1)]
    return [as_fraction(beginning.answer) for beginning in beginnings]


def as_fraction(latex: str) -> Fraction:
    """A number in either notation."""
    return Fraction(re.sub(r"\\frac\{(\d+)\}\{(\d+)\}", r"\1/\2", latex))


def test_equations_of_a_right_solution_are_true_and_end_in_the_answer() -> None:
    generator = rng(1)
    for _ in range(500):
        story = draw_story(generator)
        *lines, last = write_solution(story, generator).splitlines()
        for line in lines:
            left, right = line.split("=")
            a, operator, b = re.fullmatch(r"([\d.]+)([-+*/])([\d.]+)", left).groups()  # type: ignore[union-attr]
            x, y = Fraction(a), Fraction(b)
            assert {"+": x + y, "-": x - y, "*": x * y, "/": x / y}[operator] == Fraction(right)
        assert Fraction(last.removeprefix("\\boxed{").removesuffix("}")) == as_fraction(story.answer)


def test_words_of_an_event_say_its_numbers() -> None:
    generator = rng(2)
    for _ in range(300):
        for event in draw_story(generator).events:
            said = [int(number) for number in re.findall(r"\d+", event.words)]
            expected = {"boxes": [event.a, event.b], "gifts": [event.a, event.b]}
            one = [event.a] if event.skill in ("gain", "lose") else []
            assert said == expected.get(event.skill, one)


def test_stories_ask_for_every_skill() -> None:
    generator = rng(3)
    assert {event.skill for _ in range(300) for event in draw_story(generator).events} == set(SKILLS)


def test_same_generator_tells_the_same_story() -> None:
    assert draw_story(rng(5)) == draw_story(rng(5))
    assert draw_story(rng(5)) != draw_story(rng(6))


def test_misreadings_come_as_often_as_they_should() -> None:
    # 2000 writers with probability 0.3: 600 ± 20.5; six standard deviations are passed with less than 1e-6
    generator, story = rng(4), story_of(8, ("double", 0, 0))
    wrong = sum(write_solution(story, generator, {"double": 0.3}).endswith("{10}") for _ in range(2000))
    assert abs(wrong - 600) < 6 * 20.5


def test_a_writer_misreads_only_the_skills_named() -> None:
    story = story_of(8, ("double", 0, 0), ("lose", 3, 0))
    assert write_solution(story, rng(), {"lose": 1.0, "double": 0.0}) == "8*2=16\n16+3=19\n\\boxed{19}"


@pytest.mark.parametrize("skill", ["gain", "juggle"])
def test_skill_that_cannot_be_misread_is_refused(skill: str) -> None:
    with pytest.raises(SettingError, match=f"misreads names '{skill}', which is not a skill with a misreading"):
        write_solution(MIA, rng(), {skill: 0.5})


@pytest.mark.parametrize(("least", "most"), [(0, 2), (3, 2)])
def test_impossible_number_of_events_is_refused(least: int, most: int) -> None:
    with pytest.raises(SettingError, match=rf"must satisfy 1 ≤ least ≤ most, got {least}, {most}"):
        draw_story(rng(), least, most)


def test_a_long_solution_says_every_step_in_a_sentence() -> None:
    first = write_long_solution(MIA, rng(), first_wording=1.0)
    assert first == (
        "Let us work through the story in order, one change at a time. We want to know how many pears Mia has at the "
        "end. At first, Mia has 12 pears.\n"
        "Then we read that Mia finds 5. To count the pears that are there now, we write 12+5=17, so Mia has 17 pears.\n"
        "Then we read that Mia doubles them. To count the pears that are there now, we write 17*2=34, so Mia has 34 "
        "pears.\n"
        "Then we read that Mia gives 3 friends 2 each. To count the pears that are there now, we write 3*2=6, 34-6=28, "
        "so Mia has 28 pears.\n"
        "Nothing else happens in this story, so the answer to the question is \\boxed{28}"
    )
    second = write_long_solution(MIA, rng(), first_wording=0.0)
    assert second.startswith("We now go through the story step by step, one event after another. The question is how")
    assert second.endswith("This is all that happens in this story, so the result that is asked for is \\boxed{28}")
    assert equations_of(second) == equations_of(first)


def test_a_long_solution_works_as_the_short_one_does() -> None:
    # the readings are drawn before the wordings, so that the same generator reads alike for both
    misreads = {"double": 0.5, "lose": 0.5, "boxes": 0.5}
    for seed in range(200):
        story = draw_story(rng(seed))
        short = write_solution(story, rng(seed), misreads)
        long = write_long_solution(story, rng(seed), misreads)
        *lines, last = short.splitlines()
        assert equations_of(long) == lines
        assert long.endswith(last)


def test_each_wording_is_chosen_as_often_as_asked() -> None:
    # 400 stories of at least 20 places with probability 0.7; six standard deviations are passed with less than 1e-6
    firsts = seconds = 0
    generator = rng(6)
    for _ in range(400):
        text = write_long_solution(draw_story(generator), generator, first_wording=0.7)
        firsts += len(re.findall(r"Then|we read|that are there|we write|, so \w+ (?:has|holds)", text))
        seconds += len(re.findall(r"Next|we see|that there are|we compute|, and hence", text))
    count = firsts + seconds
    assert abs(firsts - 0.7 * count) < 6 * (0.21 * count) ** 0.5


def test_long_solutions_refuse_what_short_ones_refuse() -> None:
    with pytest.raises(SettingError, match="'gain', which is not a skill with a misreading"):
        write_long_solution(MIA, rng(), {"gain": 0.5})


def test_every_long_right_solution_is_right_under_math_verify() -> None:
    generator = rng(7)
    stories = [draw_story(generator) for _ in range(60)]
    halves = [story for story in stories if "frac" in story.answer]
    assert halves
    notations: list[Notation] = ["decimal", "fraction"]
    answers = [story.answer for story in stories]
    with MathVerifier() as verifier:
        for notation in notations:
            texts = [write_long_solution(story, generator, notation=notation) for story in stories]
            assert verifier.rewards(texts, answers) == [1.0] * len(stories)
        misread = {skill: 1.0 for skill, one in SKILLS.items() if one.misread is not None}
        one_weak = [story_of(8, ("double", 0, 0), ("gain", 3, 0)), story_of(9, ("lose", 2, 0), ("gain", 4, 0))]
        texts = [write_long_solution(story, generator, misread) for story in one_weak]
        assert verifier.rewards(texts, [story.answer for story in one_weak]) == [0.0, 0.0]


def equations_of(text: str) -> list[str]:
    return re.findall(r"[\d.]+[-+*/][\d.]+=-?[\d.]*\d", text)
