"""Each rule and each objection by itself; ``tests/data/answer_pairs.tsv`` has the table of pairs."""

import pytest

from hacrl_lab.verification.equality import are_equal, is_balanced
from hacrl_lab.verification.notation import rewritten
from hacrl_lab.verification.plain_numbers import equal_in_base, parts_of_list, plain_numbers
from hacrl_lab.verification.units import quantity


def accepted(gold: str, *answers: str) -> list[bool]:
    return [are_equal(gold, answer) for answer in answers]


def test_a_decimal_is_the_fraction_that_it_is() -> None:
    assert rewritten("0.75") == r"{\frac{75}{100}}"
    assert rewritten(".5") == r"{\frac{5}{10}}"
    assert accepted(r"\frac{1}{3}", "0.333333", "0.3333333333333333") == [False, False]


def test_a_repeating_decimal_is_the_fraction_that_it_is() -> None:
    # 0.1666... = (16 - 1)/90 and 2.142857... = (2142857 - 2)/999999
    assert rewritten(r"0.1\overline{6}") == r"{\frac{15}{90}}"
    assert rewritten(r"2.\overline{142857}") == r"{\frac{2142855}{999999}}"
    assert accepted(r"\frac{1}{3}", r"0.\overline{3}", r"0.\bar3", r"0.333\ldots", r"0.3\ldots") == [True] * 3 + [False]


def test_digits_in_groups_are_one_number() -> None:
    assert [rewritten(one) for one in (r"1\,000", "1 000", "1{,}000", "1,000", r"-1,\!234")] == ["1000"] * 4 + ["-1234"]
    assert [rewritten(one) for one in ("1,00", "1, 200", "1,000,00")] == ["1,00", "1, 200", "1,000,00"]


def test_a_power_of_ten_stands_alone() -> None:
    assert rewritten("1e16") == r"1\times 10^{16}"
    assert accepted("1500", "1.5e3", "1.5E+3", "1.5e4") == [True, True, False]
    assert rewritten("2e3x") == "2e3x"


def test_a_percentage_is_a_hundredth_and_never_its_number() -> None:
    assert accepted("5", r"5\%", r"500\%") == [False, True]
    assert accepted(r"5\%", "5", "0.05", r"5\%", "0.5") == [True, True, True, False]


def test_a_unit_may_be_left_out_and_must_be_the_same() -> None:
    assert quantity(r"5\text{ square feet}") == ("5", "ft^2") == quantity(r"5\text{ ft}^2")
    assert accepted(r"5\text{ cm}", "5", r"5\text{ centimeters}", r"5\text{ m}", r"5\text{ cm}^2") == [
        True,
        True,
        False,
        False,
    ]
    assert accepted("5", r"5\text{ cm}", r"5\text{ million}", r"5\text{ (or maybe 6)}") == [True, False, False]


def test_digits_and_base_must_agree() -> None:
    assert equal_in_base("1011_2", "1011_{2}")
    assert equal_in_base("1011_2", "1011")
    assert not equal_in_base("1011_2", "1011_3")
    assert not equal_in_base("11", "11_2")
    assert equal_in_base("11", "11_{10}")


def test_all_sides_of_an_equation_but_names_must_be_equal() -> None:
    assert accepted("2", "x=2", "f(3)=2", r"\text{Area}=2", "1+1=2", "2=x") == [True] * 5
    assert accepted("2", "1=2", "x+1=2", r"2\approx3", "x=1=2", "2=1") == [False] * 5
    assert accepted("2, 3", "x=2, x=3", "1=2, 1=3") == [True, False]


def test_lists_have_no_order_and_tuples_have_one() -> None:
    assert accepted("2, 3", "3, 2", r"\{3, 2\}") == [True, True]
    assert accepted("(2, 3)", "(3, 2)", r"\{2, 3\}") == [False, False]
    assert accepted(r"\{2, 3\}", r"\{3, 2, 2\}", "(2, 3)", "[2, 3]") == [True, False, False]
    assert accepted("(x, y)", r"\{x, y\}") == [False]


def test_an_answer_is_not_said_twice() -> None:
    assert accepted("x", "x, x") == accepted("5", "5, 5") == [False]


def test_parts_of_a_list_are_outside_all_brackets() -> None:
    assert parts_of_list(r"(1, 2), [3, 4); \frac{1,5}{2}") == ["(1, 2)", "[3, 4)", r"\frac{1,5}{2}"]


def test_plain_numbers_are_exact() -> None:
    number, other = plain_numbers("12345678901234567890"), plain_numbers("12345678901234567891")
    assert number is not None
    assert number != other
    assert plain_numbers(r"\frac{1}{0}") is plain_numbers(r"\frac{5}") is plain_numbers("x") is None


@pytest.mark.parametrize("command", [r"\phantom{5}", r"\cancel{5}", r"\int_0^5 1\,dx", r"\sum_{k=1}^5 1", r"\det(5)"])
def test_commands_that_no_answer_needs_are_refused(command: str) -> None:
    assert accepted("5", command) == [False]


def test_dots_are_not_left_out() -> None:
    assert accepted(r"1,2,\ldots,10", "1,2,10", r"1,2,\dots,10") == [False, True]
    assert accepted("1,2,10", r"1,2,\ldots,10") == [False]


def test_words_are_compared_as_words() -> None:
    assert accepted(r"\text{north}", "North", r"\mathrm{north}", r"\text{thorn}", "thorn") == [True, True, False, False]


@pytest.mark.parametrize(("text", "balanced"), [(r"\frac{1}{2}", True), (r"\{1", True), ("}{", False), ("{", False)])
def test_braces_have_partners(text: str, balanced: bool) -> None:
    assert is_balanced(text) == balanced


def test_inequalities_are_intervals() -> None:
    assert accepted("[0, 1]", r"0\le x\le 1", "0<x<1", r"0\leqslant x\leqslant1") == [True, False, True]


def test_a_wrong_answer_that_breaks_the_parser_is_only_wrong() -> None:
    assert accepted("5", "", "\0", r"\frac", "9" * 5000, "}{") == [False] * 5
