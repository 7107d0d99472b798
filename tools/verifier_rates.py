"""How often does the verifier accept a changed answer, and how often does it refuse a rewritten one?

    python tools/verifier_rates.py FOLDER

reads the exact answers of all ``.jsonl`` files of the folder. Every one that is mathematics is changed (a digit, a
sign, an exponent, a letter, an entry of a list) and rewritten (layout, order, form of numbers), as far as it has such
places, and the verifier compares the result with the exact answer. No change should be accepted and no rewriting
refused. Prints a Markdown table and, with ``--examples``, the pairs behind it. A change can leave a value as it is, as
in 0x and 0y, so a few accepted changes are right.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm.auto import tqdm

from hacrl_lab.verification.answer_rules import ANSWER_RULES, boxed_answer, hashed_answer
from hacrl_lab.verification.exact_answers import is_mathematics
from hacrl_lab.verification.verifier import MathVerifier
from hacrl_lab.verification.words import is_balanced
from hacrl_runs.tables import markdown_table

COLUMNS = ("final_answer", "answer", "Answer")
BATCH = 500
_TEXT = r"\\(?:text\w*|mathrm|mbox|operatorname|begin|end)\s*\{[^{}]*\}(?:\{[lcr| ]*\})?"
_LEFT_ALONE = re.compile(rf"{_TEXT}|\\[A-Za-z]+|\\.")
"""Words, commands and layout: changes are made outside them."""


def exact_answers(path: Path) -> list[str]:
    """The distinct exact answers of a file of problems, in order."""
    found: dict[str, None] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        answers = next((row[column] for column in COLUMNS if row.get(column) is not None), None)
        for answer in answers if isinstance(answers, list) else [answers]:
            text = boxed_answer(str(row.get("solution", ""))) if answer is None else str(answer)
            text = hashed_answer(text) or text if text else None
            if text and text.strip():
                found[text.strip()] = None
    return list(found)


def _matches(text: str, pattern: str) -> list[re.Match[str]]:
    """Where a pattern is found outside words and commands."""
    kept = _LEFT_ALONE.sub(lambda match: "\0" * len(match[0]), text)
    return list(re.finditer(pattern, kept))


def _replaced(text: str, match: re.Match[str], new: str) -> str:
    return text[: match.start()] + new + text[match.end() :]


Edit = Callable[[str, random.Random], str | None]


def other_digit(text: str, rng: random.Random) -> str | None:
    """One digit is another digit."""
    places = _matches(text, r"\d")
    if not places:
        return None
    place = rng.choice(places)
    return _replaced(text, place, str((int(place[0]) + rng.randint(1, 8)) % 10))


def other_sign(text: str, rng: random.Random) -> str | None:
    """One plus is a minus or the other way round, or a number without a sign has one."""
    places = _matches(text, r"(?<![eE^{])[-+](?=[^$]*\w)")
    if places:
        place = rng.choice(places)
        return _replaced(text, place, "+" if place[0] == "-" else "-")
    return re.sub(r"\d", r"-\g<0>", text, count=1) if re.fullmatch(r"\$?[1-9][\d.]*\$?", text) else None


def other_exponent(text: str, rng: random.Random) -> str | None:
    """One exponent is greater by one."""
    places = _matches(text, r"(?<=\^)\d|(?<=\^\{)\d+(?=\})")
    place = rng.choice(places) if places else None
    return (
        _replaced(text, place, str(int(place[0]) + 1))
        if (place and len(place[0]) > 1) or (place and place[0] != "9")
        else None
    )


def other_letter(text: str, rng: random.Random) -> str | None:
    """The last letter that stands alone is another one."""
    places = _matches(text, r"(?<![A-Za-z])[a-zA-Z](?![A-Za-z])")
    return _replaced(text, places[-1], "q" if places[-1][0] != "q" else "p") if places else None


def dropped_letter(text: str, rng: random.Random) -> str | None:
    """A letter at the end is missing, as in 4 for 4t."""
    found = re.fullmatch(r"(\$?.*[\d})] ?)[a-z](\$?)", text)
    return found[1] + found[2] if found else None


def other_entry(text: str, rng: random.Random) -> str | None:
    """A number between the commas of a list is greater by one."""
    places = _matches(text, r"(?<=[,(\[]) ?\d+(?= ?[,)\]])")
    if not places or re.search(r"\d,\d\d\d(?!\d)", text):
        return None
    place = rng.choice(places)
    return _replaced(text, place, str(int(place[0]) + 1))


def dropped_entry(text: str, rng: random.Random) -> str | None:
    """A list or tuple without its last entry."""
    found = re.fullmatch(r"(\$?[(\[]?[^()\[\]]+), *[^(),\[\]]*[^(),\[\]\s$]([)\]]?\$?)", text)
    return found[1] + found[2] if found and not re.search(r"\d,\d\d\d(?!\d)|\{,\}", text) else None


def in_dollars(text: str, rng: random.Random) -> str | None:
    """In mathematics mode, with a full stop behind it."""
    return None if "$" in text else rng.choice((rf"${text}$", rf"${text}$.", rf"$${text}$$", rf"\({text}\)"))


def other_layout(text: str, rng: random.Random) -> str | None:
    """Other commands of the same meaning."""
    new = text
    for pattern, replacement in (
        (r"\\frac(?![a-z])", r"\\dfrac"),
        (r"\\left(?=[(\[])|\\right(?=[)\]])", ""),
        (r"\\leq(?![a-z])", r"\\le"),
        (r"\\geq(?![a-z])", r"\\geqslant"),
        (r"\\times(?![a-z])", r"\\cdot"),
        (r"\\mathrm(?![a-z])", r"\\text"),
        (r"\\ln(?![a-z]) *", r"\\ln "),
    ):
        new = re.sub(pattern, replacement, new)
    return new if new != text else None


def more_spaces(text: str, rng: random.Random) -> str | None:
    """Spaces around signs and after commas."""
    new = (
        re.sub(r"(?<=[\w}) ])([-+=])(?=[\w\\( ])", r" \1 ", text) if not re.search(r"\\text|mathrm|\de", text) else text
    )
    new = re.sub(r"(?<=[)}a-z]),(?=\S)", ", ", new)
    return new if new != text else None


def fewer_spaces(text: str, rng: random.Random) -> str | None:
    """Without the spaces that mathematics does not need."""
    new = re.sub(r"(?<=[-+=({}^_]) +(?=[\w\\])|(?<=[\w}]) +(?=[-+=)}^_])", "", text)
    return new if new != text and not re.search(r"\\text|mathrm|~", text) else None


def decimal_zero(text: str, rng: random.Random) -> str | None:
    """A whole number with a decimal zero, a decimal number with one more zero."""
    if re.fullmatch(r"\$?-?\d+\$?", text):
        return re.sub(r"\d+", r"\g<0>.0", text)
    return re.sub(r"\.\d+", r"\g<0>0", text) if re.fullmatch(r"\$?-?\d+\.\d+\$?", text) else None


def multiplied_fraction(text: str, rng: random.Random) -> str | None:
    """Numerator and denominator times the same number."""
    factor = rng.randint(2, 9)
    new = re.sub(
        r"\\frac\{(\d+)\}\{(\d+)\}",
        lambda match: rf"\frac{{{int(match[1]) * factor}}}{{{int(match[2]) * factor}}}",
        text,
        count=1,
    )
    return new if new != text else None


def swapped_sum(text: str, rng: random.Random) -> str | None:
    """The terms of a sum in the other order."""
    found = re.fullmatch(r"(\$?)([^-+=,;()\[\]$<>|&]+)\+([^-+=,;()\[\]$<>|&]+)(\$?)", text)
    if not found or re.search(r"\\(?:text|mathrm|le|ge|ne|approx|in|pm|sin|cos|tan|ln|log|begin|sum|int)|\de\+", text):
        return None
    return f"{found[1]}{found[3]} + {found[2]}{found[4]}" if is_balanced(found[2]) else None


def named(text: str, rng: random.Random) -> str | None:
    """As an equation for a letter."""
    found = re.fullmatch(r"\$?([-+\d.\\frac{}sqtpi/^]*\d[-+\d.\\frac{}sqtpi/^]*)\$?", text)
    return f"w = {found[1]}" if found else None


def swapped_sides(text: str, rng: random.Random) -> str | None:
    """An equation with its sides swapped."""
    found = re.fullmatch(r"(\$?)([^=,;<>$&]+)=([^=,;<>$&]+)(\$?)", text)
    if not found or re.search(r"\\(?:text|mathrm|le|ge|ne|approx|in|quad|leq|geq)(?![a-z])", text):
        return None
    return f"{found[1]}{found[3]}={found[2]}{found[4]}" if is_balanced(found[2]) else None


CHANGES: tuple[Edit, ...] = (
    other_digit,
    other_sign,
    other_exponent,
    other_letter,
    dropped_letter,
    other_entry,
    dropped_entry,
)
REWRITINGS: tuple[Edit, ...] = (
    in_dollars,
    other_layout,
    more_spaces,
    fewer_spaces,
    decimal_zero,
    multiplied_fraction,
    swapped_sum,
    named,
    swapped_sides,
)


@dataclass(frozen=True)
class Pair:
    """An exact answer and what one edit made of it."""

    edit: Edit
    gold: str
    given: str


def pairs(golds: list[str], edits: tuple[Edit, ...], seed: int) -> Iterator[Pair]:
    """Every edit of every exact answer that has a place for it."""
    for gold in golds:
        for edit in edits:
            given = edit(gold, random.Random(f"{seed}/{gold}"))
            if given is not None and given.strip() != gold:
                yield Pair(edit, gold, given)


def accepted(edited: list[Pair], verifier: MathVerifier) -> list[bool]:
    """The verdict on each pair."""
    verdicts: list[bool] = []
    for start in tqdm(range(0, len(edited), BATCH)):
        batch = edited[start : start + BATCH]
        rewards = verifier.rewards([pair.given for pair in batch], [pair.gold for pair in batch])
        verdicts += [reward == 1 for reward in rewards]
    return verdicts


@dataclass(frozen=True)
class Options:
    """Measure the verifier on real exact answers."""

    folder: tyro.conf.Positional[Path]
    """With .jsonl files of problems."""
    examples: Path | None = None
    """A file for the pairs with a wrong verdict."""
    limit: float = 10.0
    """Seconds for one pair."""
    workers: int = 2
    """Worker processes."""
    seed: int = 0
    """Of the edits."""


def run(options: Options) -> str:
    """Measure; returns the tables."""
    found = dict.fromkeys(gold for path in sorted(options.folder.glob("*.jsonl")) for gold in exact_answers(path))
    golds = [gold for gold in found if is_mathematics(gold)]
    table: list[tuple[str, str, str]] = []
    wrong: list[str] = []
    with MathVerifier(options.workers, options.limit, ANSWER_RULES["whole"]) as verifier:
        itself = [Pair(more_spaces, gold, gold + " ") for gold in golds]
        groups = (("refused", "as it is", itself), ("accepted", "changes", list(pairs(golds, CHANGES, options.seed))))
        for verb, name, edited in (*groups, ("refused", "rewritings", list(pairs(golds, REWRITINGS, options.seed)))):
            verdicts = zip(edited, accepted(edited, verifier), strict=True)
            bad = [pair for pair, yes in verdicts if yes == (verb == "accepted")]
            edits, failures = Counter(pair.edit for pair in edited), Counter(pair.edit for pair in bad)
            table.append((f"**{name}**, {verb}", f"{len(bad)} of {len(edited):,}", f"{len(bad) / len(edited):.2%}"))
            if len(edits) > 1:
                table += [
                    (edit.__name__.replace("_", " "), f"{failures[edit]} of {count:,}", f"{failures[edit] / count:.2%}")
                    for edit, count in edits.items()
                ]
            wrong += [f"{verb}\t{pair.edit.__name__}\t{pair.gold}\t{pair.given}" for pair in bad]
        table.append(("over the time limit", str(verifier.timeouts), ""))
    if options.examples:
        options.examples.write_text("\n".join(wrong) + "\n", encoding="utf-8")
    return markdown_table([f"{len(golds):,} of {len(found):,} exact answers are mathematics", "", ""], table)


if __name__ == "__main__":
    print(run(tyro.cli(Options, description=__doc__)))
