import signal
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

from hacrl_lab.answer_rules import boxed_answer
from hacrl_lab.errors import LabError
from hacrl_lab.verifiers import MathVerifier

TIMEOUT = 4.0  # a worker needs half a second to start and to import math-verify
HANGS = r"9^{9^{9^{9}}}"  # sympy would write out the digits


@pytest.fixture(scope="module")
def verifier() -> Iterator[MathVerifier]:
    with MathVerifier(timeout=TIMEOUT) as started:
        yield started


def workers() -> list[psutil.Process]:
    """The verifier's processes, without Python's own resource tracker."""
    alive = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    return [child for child in alive if any("spawn_main" in word for word in child.cmdline())]


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
    for response in ("", "the answer is 7", r"\boxed", r"\boxed{7", r"\boxed{\frac{1}{2}", r"boxed{7}"):
        assert boxed_answer(response) is None


def test_empty_box_holds_an_empty_answer() -> None:
    assert boxed_answer(r"\boxed{}") == ""


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


@pytest.mark.parametrize("answer", ["north", "5 apples", ""])
def test_exact_answer_that_is_not_mathematics_is_refused_by_name(verifier: MathVerifier, answer: str) -> None:
    with pytest.raises(LabError, match=f"the answer '{answer}' is not mathematics that math-verify can read"):
        verifier.check_answers(["8.5", answer, "elsewhere"])


def test_response_that_hangs_is_wrong_and_the_others_are_judged(verifier: MathVerifier) -> None:
    verifier.rewards(boxed("1"), ["1"])  # the worker has started
    started = time.monotonic()
    rewards = verifier.rewards(boxed("41", HANGS, "42"), ["41", "8", "42"])
    seconds = time.monotonic() - started
    assert rewards == [1, 0, 1]
    assert TIMEOUT * 0.9 < seconds < 10 * TIMEOUT  # it did hang, and not for as long as it liked
    # the verdict is remembered: it hangs no second time, and the verifier works on
    started = time.monotonic()
    assert verifier.rewards(boxed(HANGS, "8.0"), ["8", "8"]) == [0, 1]
    assert time.monotonic() - started < TIMEOUT * 0.9


def test_response_that_kills_its_worker_is_wrong_and_the_next_is_judged() -> None:
    with MathVerifier(timeout=60) as verifier:
        assert verifier.rewards(boxed("1"), ["1"]) == [1]
        before = {child.pid for child in workers()}
        rewards: list[float] = []
        thread = threading.Thread(target=lambda: rewards.extend(verifier.rewards(boxed(HANGS), ["8"])))
        thread.start()
        kill_the_busy_one(before)
        thread.join(timeout=30)  # not the 60 s of the time limit
        assert rewards == [0]
        assert verifier.rewards(boxed("2"), ["2"]) == [1]


def kill_the_busy_one(pids: set[int]) -> None:
    """Kill the first of these processes that computes for a third of a second."""
    processes = {pid: (psutil.Process(pid), psutil.Process(pid).cpu_times().user) for pid in pids}
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        for process, before in processes.values():
            if process.cpu_times().user > before + 0.3:
                process.kill()
                return
        time.sleep(0.05)
    raise AssertionError("no worker was busy")


def test_interrupt_from_the_keyboard_leaves_the_workers_alone(verifier: MathVerifier) -> None:
    # Ctrl-C reaches every process of the terminal; it is the training loop's to decide what follows
    verifier.rewards(boxed("50"), ["50"])
    before = workers()
    for worker in before:
        worker.send_signal(signal.SIGINT)
    assert verifier.rewards(boxed("51", "52"), ["51", "53"]) == [1, 0]
    assert workers() == before


def test_closing_ends_the_workers() -> None:
    others = {child.pid for child in workers()}
    with MathVerifier(workers=2) as verifier:
        verifier.rewards(boxed("1", "2"), ["1", "2"])
        assert len({child.pid for child in workers()} - others) == 2
    assert not {child.pid for child in workers()} - others


def test_a_degenerate_response_is_searched_in_one_pass() -> None:
    assert boxed_answer("\\boxed{" * 50_000) is None
    assert boxed_answer("\\boxed{" * 50_000 + "1}") == "1"
