import importlib
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from difficult_calls import compare_or_fail, true_or_exit
from hacrl_lab.errors import LabError
from hacrl_lab.verification.answer_rules import boxed_answer
from hacrl_lab.verification.fork_server import MEMORY_LIMIT
from hacrl_lab.verification.verifier import LONGEST_ANSWER, MathVerifier

TIMEOUT = 2.0


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier() as started:
        yield started


def boxed(*answers: str) -> list[str]:
    return [rf"The answer is \boxed{{{answer}}}." for answer in answers]


def test_last_complete_box_is_the_answer() -> None:
    assert boxed_answer(r"\boxed{1} and then \boxed{2}.") == "2"
    assert boxed_answer(r"\boxed{1} and then \boxed{2") == "1"


def test_braces_within_a_box_belong_to_the_answer() -> None:
    assert boxed_answer(r"so \boxed{\frac{1}{2}} } {") == r"\frac{1}{2}"
    assert boxed_answer(r"\boxed{\sqrt{\frac{1}{x^{2}}}+1}") == r"\sqrt{\frac{1}{x^{2}}}+1"


def test_box_within_a_box_is_the_later_one() -> None:
    assert boxed_answer(r"\boxed{\boxed{7}}") == "7"


def test_response_without_a_complete_box_has_no_answer() -> None:
    for response in (
        "",
        "the answer is 7",
        r"\boxed",
        r"\boxed answer",
        r"\boxed{7",
        r"\boxed{\frac{1}{2}",
        r"boxed{7}",
    ):
        assert boxed_answer(response) is None


def test_an_empty_box_holds_an_empty_answer_and_does_not_hide_another() -> None:
    assert boxed_answer(r"\boxed{}") == ""
    assert boxed_answer(r"\boxed{12}. I put it in \boxed{ }.") == "12"


def test_a_number_or_a_letter_needs_no_braces() -> None:
    responses = (
        r"$\boxed 2$.",
        r"$x=\boxed9$.",
        r"\boxed {9}",
        r"\boxed -3.5.",
        r"\boxed x",
        r"\boxed\pi$",
        r"\boxed{1} \boxed 2",
    )
    assert [boxed_answer(one) for one in responses] == ["2", "9", "9", "-3.5", "x", r"\pi", "2"]


def test_escaped_braces_need_no_partner() -> None:
    cases = r"f(x)=\left\{\begin{array}{ll}x & x>0\\ 1 & x\le0\end{array}\right."
    assert boxed_answer(rf"so \boxed{{{cases}}}") == cases
    assert boxed_answer(r"first \boxed{5}, then \boxed{\left\{ (1,2) \right.}") == r"\left\{ (1,2) \right."


def test_equal_numbers_are_equal_in_any_notation(verifier: MathVerifier) -> None:
    answers = [r"\frac{17}{2}", "8.5", "8.5", "8.5"]
    assert verifier.rewards(boxed("8.5", r"\frac{17}{2}", "8.50", r"\frac{34}{4}"), answers) == [1, 1, 1, 1]


def test_other_numbers_are_not_equal(verifier: MathVerifier) -> None:
    assert verifier.rewards(boxed("8", "-8.5", "17", "85", ""), [r"\frac{17}{2}"] * 5) == [0, 0, 0, 0, 0]


def test_answer_outside_a_box_does_not_count(verifier: MathVerifier) -> None:
    assert verifier.rewards(["5", r"\boxed{5", r"\boxed{5} \boxed{6}", r"\boxed{6} \boxed{5}"], ["5"] * 4) == [
        0,
        0,
        0,
        1,
    ]


def test_every_response_is_compared_with_the_answer_at_its_place(verifier: MathVerifier) -> None:
    assert verifier.rewards(boxed("1", "2", "1", "2"), ["1", "2", "2", "1"]) == [1, 1, 0, 0]


def test_rewards_are_floats_and_none_for_no_responses(verifier: MathVerifier) -> None:
    assert [type(reward) for reward in verifier.rewards(boxed("1", "2"), ["1", "1"])] == [float, float]
    assert verifier.rewards([], []) == []


def test_responses_without_answers_are_refused(verifier: MathVerifier) -> None:
    with pytest.raises(ValueError, match="zip"):
        verifier.rewards(boxed("1", "2"), ["1"])


def test_numbers_expressions_and_marked_words_are_exact_answers(verifier: MathVerifier) -> None:
    verifier.check_answers(["8.5", r"\frac{17}{2}", "x+1", r"\text{north}", r"2\sqrt{3}", "(1, 2)"])
    assert verifier.rewards(boxed(r"\text{north}", r"\text{south}"), [r"\text{north}"] * 2) == [1, 0]


NO_MATHEMATICS = r"""north
5 apples
yes
No
nan
inf
none
true
n/a
5} \boxed{6
{5
\frac{1}
\text{}
infinity
I think it is 5
5 and then some
?
="""


@pytest.mark.parametrize("answer", ["", " ", *NO_MATHEMATICS.split("\n")])
def test_exact_answer_that_is_not_mathematics_is_refused_by_name(verifier: MathVerifier, answer: str) -> None:
    message = f"the answer {answer!r} is not mathematics that the verifier can read"
    with pytest.raises(LabError, match=re.escape(message)):
        verifier.check_answers(["8.5", answer, "elsewhere"])


def test_the_forms_of_answers_to_competition_problems_are_mathematics(verifier: MathVerifier) -> None:
    verifier.check_answers(FORMS.split("\n"))


FORMS = r"""\frac{3}{4}
\frac43
x^2+3x
(-\infty, 2]\cup[3,\infty)
\begin{pmatrix}1\\2\end{pmatrix}
\begin{pmatrix} -1/3 & 2/3 \\ 2/3 & 11/3 \end{pmatrix}
\text{(A)}
\textbf{(B)}
\$3.50
\$32,\!348
12\%
3\pi
45^\circ
2,3,5
A,B,D
ABCD
\text{June 20}
\text{Monday}, \text{Friday}
11:30
3:5
A
n
x+1
\sqrt[3]{5}
0.\overline{3}
.35625
-\!2
10_{2}
2516_8
1\text{A}_{16}
\{1,2\}
\emptyset
\infty
10\text{ cm}^2
2\sqrt{3}\text{ units}
\left( 3, \frac{\pi}{2} \right)
y = 2x + 3
\frac{x^2}{16} + \frac{y^2}{9} = 1
x \in [-2,7]
x \neq 3
0 < x \le 3
1 \pm \sqrt{19}
6 - 5i
\angle ABC
\log_2 3
5!
\binom{5}{2}
1e16
1e-5
0.00001"""


def test_numbers_are_compared_as_they_are_written(verifier: MathVerifier) -> None:
    golds = ["1e16", "1e16", "1e-5", "0.00001", "0.00001", "12345678901234567890"]
    given = ["10000000000000000", "10000000000000001", "0.00001", "1e-5", "0.00002", "12345678901234567891"]
    assert verifier.rewards(boxed(*given), golds) == [1, 0, 1, 1, 0, 0]


def test_answers_that_hang_are_wrong_counted_logged_and_remembered(caplog: pytest.LogCaptureFixture) -> None:
    with MathVerifier(workers=2, timeout=TIMEOUT, equal=compare_or_fail) as verifier:
        verifier.rewards(boxed("1"), ["1"])  # the workers have started
        hanging = [f"sleep {number}" for number in range(4, 10)]
        started = time.monotonic()
        assert verifier.rewards(boxed("41", *hanging, "42"), ["41"] + ["8"] * 6 + ["42"]) == [1, *[0] * 6, 1]
        assert TIMEOUT <= time.monotonic() - started < 2.5 * TIMEOUT  # one after the other, by two workers: 3 limits
        assert verifier.timeouts == 6
        [warning] = [record.getMessage() for record in caplog.records if record.name == "hacrl_lab"]
        assert warning.startswith("6 answers counted as wrong, timed out: for example 'sleep 4'")
        started = time.monotonic()
        assert verifier.rewards(boxed(*hanging, "8.0"), ["8"] * 7) == [*[0] * 6, 1]
        assert time.monotonic() - started < TIMEOUT
        assert verifier.timeouts == 6


def test_answers_without_a_verdict_are_counted_apart_from_wrong_ones() -> None:
    with MathVerifier(workers=2, timeout=TIMEOUT, equal=compare_or_fail) as verifier:
        assert verifier.rewards(boxed("1", "2", "9" * (LONGEST_ANSWER + 1)), ["1"] * 3) == [1, 0, 0]
        assert verifier.undecided == 0
        assert verifier.rewards(boxed("loop", "exit", "allocate", "2", "exit"), ["1"] * 5) == [0] * 5
        assert verifier.undecided == 4
        verifier.rewards(boxed("loop"), ["1"])  # remembered
        assert verifier.undecided == 5


def test_that_a_process_died_is_not_remembered(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    trap.touch()
    with MathVerifier(workers=2, timeout=TIMEOUT, equal=true_or_exit) as verifier:
        assert verifier.rewards(boxed("1"), [str(trap)]) == [0]
        assert verifier.undecided == 1
        trap.unlink()
        assert verifier.rewards(boxed("1"), [str(trap)]) == [1]
        assert verifier.undecided == 1


def test_a_very_long_answer_is_wrong_without_being_read(verifier: MathVerifier) -> None:
    digits = "1" * LONGEST_ANSWER
    assert verifier.rewards(boxed(digits, digits + "1"), [digits, digits + "1"]) == [1, 0]


def test_code_in_an_answer_is_not_run(verifier: MathVerifier, tmp_path: Path) -> None:
    code = f"__import__('os').mkdir('{tmp_path}/made')"
    answers = [code, rf"\text{{{code}}}", rf"x_{{{code}}}", rf"\operatorname{{{code}}}", rf"1{code}"]
    assert verifier.rewards(boxed(*answers), ["5"] * len(answers)) == [0] * len(answers)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("workers", "timeout"), [(0, 1.0), (1, 0.0), (1, float("nan"))])
def test_impossible_settings_are_refused(workers: int, timeout: float) -> None:
    with pytest.raises(ValueError, match=r"must be"):
        MathVerifier(workers, timeout)


def test_verdicts_do_not_depend_on_the_company_an_answer_keeps(verifier: MathVerifier) -> None:
    golds, given = ["2"] * 5 + ["3"], ["2", "x=2", "1=2", "3", "2.0", "2"]
    alone = [verifier.rewards(boxed(one), [gold])[0] for gold, one in zip(golds, given, strict=True)]
    with MathVerifier(workers=2) as other:
        assert other.rewards(boxed(*given), golds) == alone == [1, 1, 0, 0, 1, 0]


@pytest.fixture
def attack(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "tools")
    return importlib.import_module("attack_verifier")


@pytest.mark.slow
def test_calls_that_use_up_their_limits_neither_hang_nor_fill_the_memory(attack: Any) -> None:
    difficult = list(attack.difficult_answers(300, seed=1))
    with MathVerifier(workers=2, timeout=0.5, equal=compare_or_fail) as verifier, attack.sampled_memory() as memory:
        for start in range(0, len(difficult), 50):
            _, seconds = attack.judged(verifier, difficult[start : start + 50])
            assert seconds < 25
    assert max(memory.workers) < MEMORY_LIMIT
    assert memory.parent[-1] - memory.parent[0] < 50 * 2**20


@pytest.mark.slow
def test_ordinary_answers_take_at_most_four_milliseconds_of_processor_time(attack: Any) -> None:
    ordinary = list(attack.ordinary_answers(1000, seed=1))
    with MathVerifier(workers=2) as verifier:
        rewards, _ = attack.judged(verifier, ordinary)
    assert sum(rewards) == 500  # every other pair is equal
    assert attack.processor_seconds(ordinary) < 4  # 1.6 to 2.0 measured


def test_a_degenerate_response_is_searched_in_one_pass() -> None:
    assert boxed_answer("\\boxed{" * 50_000) is None
    assert boxed_answer("\\boxed{" * 50_000 + "1}") == "1"
