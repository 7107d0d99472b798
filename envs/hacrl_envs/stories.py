r"""Short quantity stories with one exact answer, and worked solutions in which a writer may misread some skills.

A story starts with a quantity and changes it two or three times::

    Mia has 12 pears, finds 5, doubles them, gives 3 friends 2 each. How many?
    12+5=17 / 17*2=34 / 3*2=6 / 34-6=28 / \boxed{28}

A long answer says the same in sentences, each with two wordings at many places::

    Let us work through the story in order, one change at a time. At first, Mia has 12 pears.
    Then we read that Mia finds 5. To count the pears that are there now, we write 12+5=17, so Mia has 17 pears. ...

Every change is one *skill*. A skill has the right reading and, for most skills, a systematic *misreading* (doubling
read as adding two), which is what a writer with a weakness produces. Stories are drawn from a generator that is handed
in; nothing here is random by itself.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np

from hacrl_lab.errors import SettingError

Equation = tuple[Fraction, str, Fraction]
"""One line of working: left operand, operator, right operand."""

Reading = Callable[[Fraction, int, int], list[Equation]]
"""The lines of working for a quantity x and the story's numbers a and b; the last line's value is the new quantity."""

Notation = Literal["decimal", "fraction"]
r"""How a half is written: ``8.5`` or ``\frac{17}{2}``. Both are right, and math-verify knows it."""

NAMES = ("Mia", "Noah", "Lina", "Omar", "Ana", "Kofi", "Yuki", "Ravi")
THINGS = ("pears", "coins", "cards", "shells", "stamps", "beads", "books", "nuts")
LARGEST_QUANTITY = 60

OPENING = (
    "[Let us|We now] [work through|go through] the story [in order|step by step], one [change|event] "
    "[at a time|after another]. [We want to know|The question is] how many {thing} {name} [has|holds] "
    "[at the end|when all is done]. [At first|To begin with], {name} has {x} {thing}."
)
CHANGE = (
    "[Then|Next] [we read|we see] that {name} {words}. [To count|To find] the {thing} [that are there|that there are] "
    "[now|after this], [we write|we compute] {working}[, so|, and hence] {name} [has|holds] {x} {thing}."
)
CLOSING = (
    "[Nothing else happens|This is all that happens] in this story, so [the answer|the result] "
    "[to the question|that is asked for] is \\boxed{{{x}}}"
)
_WORDINGS = re.compile(r"\[([^|\]]*)\|([^\]]*)\]")


@dataclass(frozen=True)
class Skill:
    """One way in which a story changes a quantity."""

    phrases: tuple[str, ...]
    right: Reading
    misread: Reading | None = None


SKILLS: Mapping[str, Skill] = {
    "gain": Skill(("finds {a}", "gets {a} more"), lambda x, a, b: [(x, "+", Fraction(a))]),
    "lose": Skill(
        ("loses {a}", "drops {a}"), lambda x, a, b: [(x, "-", Fraction(a))], lambda x, a, b: [(x, "+", Fraction(a))]
    ),
    "double": Skill(
        ("doubles them",), lambda x, a, b: [(x, "*", Fraction(2))], lambda x, a, b: [(x, "+", Fraction(2))]
    ),
    "triple": Skill(
        ("triples them",), lambda x, a, b: [(x, "*", Fraction(3))], lambda x, a, b: [(x, "+", Fraction(3))]
    ),
    "halve": Skill(
        ("keeps half", "sells half"), lambda x, a, b: [(x, "/", Fraction(2))], lambda x, a, b: [(x, "-", Fraction(2))]
    ),
    "boxes": Skill(
        ("buys {a} boxes of {b}",),
        lambda x, a, b: [(Fraction(a), "*", Fraction(b)), (x, "+", Fraction(a * b))],
        lambda x, a, b: [(Fraction(a), "+", Fraction(b)), (x, "+", Fraction(a + b))],
    ),
    "gifts": Skill(
        ("gives {a} friends {b} each",),
        lambda x, a, b: [(Fraction(a), "*", Fraction(b)), (x, "-", Fraction(a * b))],
        lambda x, a, b: [(Fraction(a), "+", Fraction(b)), (x, "-", Fraction(a + b))],
    ),
}


@dataclass(frozen=True)
class Event:
    """One change in a story: the skill that it asks for, its words and its two numbers."""

    skill: str
    words: str
    a: int
    b: int


@dataclass(frozen=True)
class Story:
    """A problem: where the quantity starts and what happens to it."""

    name: str
    thing: str
    start: int
    events: tuple[Event, ...]

    @property
    def question(self) -> str:
        """The text that an agent is asked."""
        happenings = ", ".join(event.words for event in self.events)
        return f"{self.name} has {self.start} {self.thing}, {happenings}. How many?"

    @property
    def answer(self) -> str:
        r"""The exact answer as LaTeX, without ``\boxed{}``."""
        x = Fraction(self.start)
        for event in self.events:
            x = _value(SKILLS[event.skill].right(x, event.a, event.b)[-1])
        return write_number(x, "fraction")


def draw_story(rng: np.random.Generator, least_events: int = 2, most_events: int = 3) -> Story:
    """Draw a story in which every quantity stays between 1 and 60, and whole until its last event.

    Args:
        rng: source of randomness.
        least_events, most_events: number of events, drawn uniformly between the two (both included), ≥ 1.
    """
    if not 1 <= least_events <= most_events:
        raise SettingError(
            f"least_events and most_events must satisfy 1 ≤ least ≤ most, got {least_events}, {most_events}"
        )
    name, thing = rng.choice(NAMES), rng.choice(THINGS)
    start = int(rng.integers(3, 16))
    count = int(rng.integers(least_events, most_events + 1))
    x, events = Fraction(start), []
    while len(events) < count:
        event = _draw_event(rng)
        after = _value(SKILLS[event.skill].right(x, event.a, event.b)[-1])
        is_last = len(events) == count - 1
        if 1 <= after <= LARGEST_QUANTITY and (is_last or after.denominator == 1):
            events.append(event)
            x = after
    return Story(str(name), str(thing), start, tuple(events))


def write_solution(
    story: Story, rng: np.random.Generator, misreads: Mapping[str, float] | None = None, notation: Notation = "decimal"
) -> str:
    """A worked solution by a writer who misreads skill s with probability ``misreads[s]`` at every event.

    Args:
        story: the problem.
        rng: source of randomness for the misreadings.
        misreads: probability per skill name; a skill left out is always read rightly.
        notation: how a half is written.

    Raises:
        SettingError: a skill that is unknown or has no misreading.
    """
    working = _work(story, rng, misreads or {})
    lines = [_write_equation(equation, notation) for equations in working for equation in equations]
    return "\n".join([*lines, f"\\boxed{{{write_number(_value(working[-1][-1]), notation)}}}"])


def write_long_solution(
    story: Story,
    rng: np.random.Generator,
    misreads: Mapping[str, float] | None = None,
    notation: Notation = "decimal",
    first_wording: float = 0.5,
) -> str:
    """The same worked solution in sentences, at every place of which the writer chooses between two wordings.

    What is said does not depend on the wording. Two writers of different habits differ a little at many places, and
    much at the few where they read a skill differently.

    Args:
        story, rng, misreads, notation: as for :func:`write_solution`.
        first_wording: probability of the first of two wordings, at every place.

    Raises:
        SettingError: as :func:`write_solution`.
    """

    def sentence(template: str, **words: object) -> str:
        worded = _WORDINGS.sub(lambda both: both[1] if rng.random() < first_wording else both[2], template)
        return worded.format(name=story.name, thing=story.thing, **words)

    working = _work(story, rng, misreads or {})
    sentences = [sentence(OPENING, x=story.start)]
    for event, equations in zip(story.events, working, strict=True):
        written = ", ".join(_write_equation(equation, notation) for equation in equations)
        x = write_number(_value(equations[-1]), notation)
        sentences.append(sentence(CHANGE, words=event.words, working=written, x=x))
    return "\n".join([*sentences, sentence(CLOSING, x=write_number(_value(working[-1][-1]), notation))])


def write_number(x: Fraction, notation: Notation) -> str:
    r"""A number as the writer writes it: whole numbers alike, others as a decimal or as ``\frac{}{}``."""
    if x.denominator == 1:
        return str(x.numerator)
    if notation == "decimal":
        return str(float(x))
    sign = "-" if x < 0 else ""
    return f"{sign}\\frac{{{abs(x.numerator)}}}{{{x.denominator}}}"


def _work(story: Story, rng: np.random.Generator, misreads: Mapping[str, float]) -> list[list[Equation]]:
    """The equations of each event, as a writer with these misreadings works them out."""
    for skill in misreads:
        if skill not in SKILLS or SKILLS[skill].misread is None:
            raise SettingError(f"misreads names {skill!r}, which is not a skill with a misreading")
    x, working = Fraction(story.start), []
    for event in story.events:
        skill = SKILLS[event.skill]
        wrong = skill.misread is not None and rng.random() < misreads.get(event.skill, 0.0)
        reading = skill.misread if wrong and skill.misread is not None else skill.right
        working.append(reading(x, event.a, event.b))
        x = _value(working[-1][-1])
    return working


def _draw_event(rng: np.random.Generator) -> Event:
    skill = str(rng.choice(list(SKILLS)))
    most = 5 if skill in ("boxes", "gifts") else 10
    a, b = int(rng.integers(2, most)), int(rng.integers(2, most))
    phrase = str(rng.choice(SKILLS[skill].phrases))
    return Event(skill, phrase.format(a=a, b=b), a, b)


def _value(equation: Equation) -> Fraction:
    left, operator, right = equation
    match operator:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _:
            return left / right


def _write_equation(equation: Equation, notation: Notation) -> str:
    left, operator, right = equation
    left_text, right_text, value = (write_number(x, notation) for x in (left, right, _value(equation)))
    return f"{left_text}{operator}{right_text}={value}"
