"""Verifiable rewards: is a response's answer equal to the exact one?

:mod:`hacrl_lab.verification.equality` decides, in worker processes with limits of time and memory
(:mod:`hacrl_lab.verification.limited_workers`), since no answer may stop a run. Nothing heavy is imported here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tqdm.auto import tqdm

from hacrl_lab.errors import LabError
from hacrl_lab.verification.answer_rules import ANSWER_RULES, AnswerRule
from hacrl_lab.verification.equality import are_equal
from hacrl_lab.verification.exact_answers import is_mathematics, is_plain_number
from hacrl_lab.verification.limited_workers import LimitedWorkers, Lost

LONGEST_ANSWER = 1000
"""Characters; a longer answer is wrong without being read."""
SILENT = 2.0
"""Seconds before a progress bar is shown."""
WORKERS = min(4, os.cpu_count() or 1)
"""Processes, by default."""
_LOGGER = logging.getLogger("hacrl_lab")


class MathVerifier:
    """Rewards 1 for an answer that a teacher would find equal to the exact answer, else 0.

    Every distinct pair of answers is decided once and remembered. A pair that takes longer than the limit counts as
    wrong, which is remembered too. One whose process died twice counts as wrong, and is decided anew the next time.
    Both are counted, and logged in one warning. They run beside the others: k of them cost a call about one limit, not
    k (:class:`~hacrl_lab.verification.limited_workers.LimitedWorkers`).

    Use as a context manager, or call :meth:`close`.

    Args:
        workers: processes, which start with the first call.
        timeout: seconds for one pair.
        answer_rule: what of a response is its answer.
        equal: whether an exact and a given answer are equal; a function of a module, called in the workers.

    Raises:
        SettingError: with fewer than one worker, or a time limit that is not a positive number of seconds.
    """

    def __init__(
        self,
        workers: int = WORKERS,
        timeout: float = 10.0,
        answer_rule: AnswerRule = ANSWER_RULES["boxed"],
        equal: Callable[[str, str], bool] = are_equal,
    ) -> None:
        self._rule = answer_rule
        self._equal = equal
        self._workers = LimitedWorkers(workers, timeout, module="hacrl_lab.verification.equality")
        self._decided: dict[tuple[str, str | None], Any] = {}
        """True, False or Lost, by exact and given answer."""
        self.timeouts = 0
        """Distinct pairs that took longer than the limit, so far."""
        self.undecided = 0
        """Responses whose reward is 0 because there was no verdict, so far: time-outs and workers that died."""

    def rewards(self, responses: Sequence[str], answers: Sequence[str]) -> list[float]:
        """The reward of each response against the exact answer at the same place, 0.0 or 1.0."""
        pairs = [(answer, self._rule.answer(response)) for response, answer in zip(responses, answers, strict=True)]
        now = self._decide(
            {(answer, given) for answer, given in pairs if given is not None and len(given) <= LONGEST_ANSWER}
        )
        verdicts = [self._decided.get(pair, now.get(pair, False)) for pair in pairs]
        self.undecided += sum(isinstance(verdict, Lost) for verdict in verdicts)
        return [float(verdict is True) for verdict in verdicts]

    def check_answers(self, answers: Sequence[str]) -> None:
        r"""Make sure that every exact answer is mathematics. A bare word is not; ``\text{north}`` is.

        Raises:
            LabError: naming the first that is not.
        """
        for answer in self.unreadable(answers)[:1]:
            raise LabError(
                rf"the answer {answer!r} is not mathematics that the verifier can read; write words as \text{{...}}"
            )

    def unreadable(self, answers: Sequence[str]) -> list[str]:
        """Those of the exact answers that are not mathematics, each once, in order; see :meth:`check_answers`.

        What is lost is tried once more, since a busy machine must not decide which problems there are.
        """
        distinct = [answer for answer in dict.fromkeys(answers) if not is_plain_number(answer)]
        verdicts = self._mathematics(distinct)
        verdicts |= self._mathematics([answer for answer, verdict in verdicts.items() if isinstance(verdict, Lost)])
        return [answer for answer in distinct if verdicts[answer] is not True]

    def _mathematics(self, answers: Sequence[str]) -> dict[str, object]:
        """Whether each answer is mathematics, or how the worker that was asked was lost."""
        with tqdm(total=len(answers), desc="Exact answers are read", unit="answer", delay=SILENT) as bar:
            verdicts = self._workers.map(is_mathematics, [(answer,) for answer in answers], bar.update)
        return dict(zip(answers, verdicts, strict=True))

    def close(self) -> None:
        """Stop the worker processes."""
        self._workers.close()

    def __enter__(self) -> MathVerifier:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _decide(self, pairs: set[tuple[str, str]]) -> Mapping[tuple[str, str | None], Any]:
        """Verdicts on those of the pairs that are new. That a process died is not remembered."""
        new = sorted(pairs - self._decided.keys())
        results: dict[tuple[str, str | None], Any] = dict(zip(new, self._workers.map(self._equal, new), strict=True))
        self._decided |= {pair: result for pair, result in results.items() if result is not Lost.DIED}
        for reason in Lost:
            lost = [given for (_, given), result in results.items() if result is reason]
            if lost:
                _LOGGER.warning("%d answers counted as wrong, %s: for example %r", len(lost), reason.value, lost[0])
        self.timeouts += sum(result is Lost.TIMED_OUT for result in results.values())
        return results
