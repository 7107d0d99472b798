"""Verifiable rewards: is a response's answer mathematically equal to the exact one?

math-verify decides. It can hang on odd input and guards itself with signals that work in main threads only, so it runs
in worker processes of its own, started afresh and killed when an answer takes too long. This module imports nothing
heavy: the workers import it too.
"""

from __future__ import annotations

import logging
import multiprocessing
import re
from collections.abc import Iterable, Sequence
from concurrent.futures import TimeoutError as FutureTimeoutError
from functools import cache
from typing import Any

from pebble import ProcessExpired, ProcessPool

from hacrl_lab.answer_rules import ANSWER_RULES, AnswerRule
from hacrl_lab.errors import LabError

_LATEX_TEXT_OR_COMMAND = re.compile(r"\\text\{[^}]*\}|\\[A-Za-z]+")
_BARE_WORD = re.compile(r"[A-Za-z]{4,}")  # math-verify would read it as a product of letters


class MathVerifier:
    """Rewards 1 for an answer that math-verify finds equal to the exact answer, else 0.

    Every distinct pair of answers is decided once and remembered. Use as a context manager, or call :meth:`close`.

    Args:
        workers: processes.
        timeout: seconds for one pair before its worker is killed and the answer counted as wrong.
        answer_rule: what of a response is its answer.
    """

    def __init__(
        self, workers: int = 1, timeout: float = 10.0, answer_rule: AnswerRule = ANSWER_RULES["boxed"]
    ) -> None:
        self._rule = answer_rule
        self._timeout = timeout
        self._pool = ProcessPool(
            max_workers=workers, context=multiprocessing.get_context("spawn"), initializer=_prepare_worker
        )
        self._decided: dict[tuple[str, str], bool] = {}

    def rewards(self, responses: Sequence[str], answers: Sequence[str]) -> list[float]:
        """The reward of each response against the exact answer at the same place, 0.0 or 1.0."""
        pairs = [(answer, self._rule.answer(response)) for response, answer in zip(responses, answers, strict=True)]
        self._decide({(answer, given) for answer, given in pairs if given is not None})
        return [float(given is not None and self._decided[answer, given]) for answer, given in pairs]

    def check_answers(self, answers: Sequence[str]) -> None:
        r"""Make sure that every exact answer is mathematics. A bare word is not; ``\text{north}`` is.

        Raises:
            LabError: naming the first that is not.
        """
        distinct = list(dict.fromkeys(answers))
        readable = self._pool.map(_is_mathematics, distinct, timeout=self._timeout).result()
        for answer, result in zip(distinct, _results(readable), strict=True):
            if not result:
                raise LabError(
                    rf"the answer {answer!r} is not mathematics that math-verify can read; write words as \text{{...}}"
                )

    def close(self) -> None:
        """Stop the worker processes."""
        self._pool.stop()
        self._pool.join()

    def __enter__(self) -> MathVerifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decide(self, pairs: set[tuple[str, str]]) -> None:
        new = sorted(pairs - self._decided.keys())
        verdicts = self._pool.map(_are_equal, new, timeout=self._timeout).result()
        self._decided.update(zip(new, _results(verdicts), strict=True))


def _results(outcomes: Iterable[bool]) -> Iterable[bool]:
    """One verdict per task; false for a task whose worker was killed or died."""
    iterator = iter(outcomes)
    while True:
        try:
            yield next(iterator)
        except StopIteration:
            return
        except (FutureTimeoutError, ProcessExpired):
            yield False


# What follows runs in the workers. Their time limit is the pool's, so math-verify's own is switched off.


def _prepare_worker() -> None:
    import math_verify  # noqa: F401 - now, so that no answer's time limit pays for it

    logging.getLogger("math_verify").setLevel(logging.CRITICAL)  # it warns of the missing time limit at every call


def _are_equal(pair: tuple[str, str]) -> bool:
    from math_verify import verify

    answer, given = pair
    return bool(verify(_parsed(answer), _parse(given), timeout_seconds=None))


def _is_mathematics(answer: str) -> bool:
    prose = _BARE_WORD.search(_LATEX_TEXT_OR_COMMAND.sub(" ", answer))
    return prose is None and any(not isinstance(reading, str) for reading in _parsed(answer))


@cache
def _parsed(answer: str) -> list[Any]:
    return _parse(answer)


def _parse(answer: str) -> list[Any]:
    from math_verify import LatexExtractionConfig, parse

    config = LatexExtractionConfig(boxed_match_priority=0)
    return parse(f"\\boxed{{{answer}}}", extraction_config=[config], parsing_timeout=0)
