"""Each rule and each objection by itself; ``tests/data/answer_pairs.tsv`` has the table of pairs."""

import pytest

from hacrl_lab.verification.equality import are_equal
from hacrl_lab.verification.exact_answers import is_mathematics
from hacrl_lab.verification.notation import THOUSANDS, rewritten
from hacrl_lab.verification.plain_numbers import equal_in_base
from hacrl_lab.verification.statements import parts_of_list
from hacrl_lab.verification.units import quantity
from hacrl_lab.verification.words import is_balanced


def accepted(gold: str, *answers: str) -> list[bool]:
    return [are_equal(gold, answer) for answer in answers]


def test_a_decimal_is_the_fraction_that_it_is() -> None:
    assert accepted("0.75", r"\frac{3}{4}", "0.7500000000000001") == [True, False]
    assert accepted(r"\frac{1}{3}", "0.333333", "0.3333333333333333") == [False, False]


def test_a_repeating_decimal_is_the_fraction_that_it_is() -> None:
    # 0.1666... = (16 - 1)/90 and 2.142857... = (2142857 - 2)/999999
    assert rewritten(r"0.1\overline{6}") == r"{\frac{15}{90}}"
    assert rewritten(r"2.\overline{142857}") == r"{\frac{2142855}{999999}}"
    assert accepted(r"\frac{1}{3}", r"0.\overline{3}", r"0.\bar3", r"0.333\ldots", r"0.3\ldots") == [True] * 3 + [False]


def test_digits_in_groups_are_one_number() -> None:
    assert [rewritten(one) for one in (r"1\,000", "1 000", "1{,}000", r"-1,\!234")] == ["1000"] * 3 + ["-1234"]
    apart = ("1,000", "1,00", "1, 200", "1,000,00", "(1,000, 2,000)", "(2,100)")
    assert [THOUSANDS.apply(one) for one in apart] == ["1000", "1,00", "1, 200", "1,000,00", "(1000, 2000)", "(2,100)"]
    assert (
        accepted("13131131300", r"13,\! 131,\! 131,\! 300") == accepted(r"\frac{1234}{5}", r"\frac{1,234}{5}") == [True]
    )


def test_a_power_of_ten_stands_alone() -> None:
    assert rewritten("1e16") == r"1\times 10^{16}"
    assert accepted("1500", "1.5e3", "1.5E+3", "1.5e4") == [True, True, False]
    assert rewritten("2e3x") == "2e3x"


def test_a_percentage_is_a_hundredth_and_never_its_number() -> None:
    assert accepted("5", r"5\%", r"500\%") == [False, True]
    assert accepted(r"5\%", "5", "0.05", r"5\%", "0.5") == [True, True, True, False]


def test_a_unit_may_be_left_out_and_must_be_the_same() -> None:
    assert quantity(r"5\text{ square feet}")[:2] == ("5", "ft^2") == quantity(r"5\text{ ft}^2")[:2]
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


def test_numbers_are_exact_whatever_their_size() -> None:
    assert accepted("12345678901234567890", "12345678901234567891") == [False]
    assert accepted(r"\frac{1}{20!}", r"\frac{1}{21!}", r"\frac{1}{20 \cdot 19!}") == [False, True]
    assert accepted(r"\frac{x}{20!}", r"\frac{x}{21!}", r"\frac{x}{20 \cdot 19!}") == [False, True]
    assert accepted("2.88e-19", "2.98e-19", r"2.88\times 10^{-19}", "x = 2.88e-19") == [False, True, True]
    assert accepted(r"\sqrt{2}", r"\sqrt{2}+10^{-40}") == accepted(r"\frac{1}{0}", r"\frac{2}{0}") == [False]


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
    assert accepted("5", "", "\0", r"\frac", "}{") == [False] * 4


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        ("4t", "t4", "4"),  # a last letter is a variable
        ("3x+2t", "2t+3x", "3x+2"),
        ("7", "7.0", "7t"),
        (r"3+4\mathrm{i}", "4i+3", "3+4"),  # upright constants
        (r"\frac{\mathrm{e}}{2}", r"\frac{e}{2}", r"\frac{1}{2}"),
        (r"\log_e 3", r"\ln 3", r"\log_3 e"),
        (r"2\log_{\mathrm{e}}(x)", r"2\ln x", r"2\log_2 x"),
        (r"\log_{3}(27)=3", r"\log_3 (27) = 3", r"\log_{3}(28)=3"),  # equations between numbers
        ("f(2)=5", "f(2) = 5", "f(3)=5"),
        ("i^{7}=-i", "i^7 = -i", "i^{3}=-i"),
        ("-1", "i^2", "i"),
        ("I=5", "5", "I=6"),
        (r"\frac{dy}{dx}=2x", r"\frac{dy}{dx}=x+x", r"\frac{dy}{dx}=3x"),
        (
            r"x=t\begin{pmatrix}1\\2\end{pmatrix}",
            r"x=\begin{pmatrix}1\\2\end{pmatrix}t",
            r"x=t\begin{pmatrix}1\\5\end{pmatrix}",
        ),
        (r"\pi r^2\approx 78.5", "78.5", r"\pi r^2 \approx 70.1"),
        (r"\min at x=1", r"\min at x = 1", r"\min at x=2"),
        (r"d=5, M=(-1, 2)", r"M=(-1,2), d=5", r"d=5, M=(-2, 2)"),
        ("x=10, y=10", "10, 10", "x=10, q=10"),
        ("x^2+1=0", "2x^2+2=0", "x^2+2=0"),
        (r"\gamma+1", r"1+\gamma", r"\gamma+2"),
        (
            r"\begin{cases}x&x>0\\1&x\le 0\end{cases}",
            r"\begin{cases}1&x\le 0\\x&x>0\end{cases}",
            r"\begin{cases}x&x>1\\1&x\le 0\end{cases}",
        ),
        ("5 m", "5 m", "5 h"),
        (r"V=5\text{ cm}^3", r"V=5\text{ cubic cm}", r"V=5\text{ cm}^4"),
        ("3", "3 km/h", "3x/h"),
        ("3", r"3\text{ m/s^2}", r"3\text{ m/s^2 or so}"),
        ("3", "3 sq. ft.", "3 million"),
        (r"\frac{77}{6}\text{ hours}", "12 5/6 hours", "12 5/6 days"),
        (r"\frac{1}{\sqrt{n}}", r"\sqrt{1/n}", r"\sqrt{n}"),
        (r"\sqrt{x^2}", "|x|", "x"),
        ("[-2,1)", r"\{x \mid -2\leq x < 1\}", r"\{x \mid -2\leq x \le 1\}"),
        (r"x\ge 16", r"16\le x", r"q\ge 16"),
        ("2x>6", "x>3", "x<3"),
        ("1:2:3", "2:4:6", "1:3:2"),
        ("70", "$70$.", "$7$0"),
        ("I(0)", "I(0)", "q(0)"),
        (r"\Gamma+1", r"1+\Gamma", r"\Gamma+2"),
        (r"\sqrt{xy}", r"\sqrt{x}\sqrt{y}", r"\sqrt{x}+\sqrt{y}"),
        (
            r"(-\infty,-1)\cup(1,\infty)",
            r"\{x\mid x<-1\text{ or }x>1\}",
            r"\{x\mid x<-1\text{ or }x\ge 1\}",
        ),
        (r"\mathbb{R}\setminus\{2\}", r"x\ne 2", r"x\ne 3"),
        ("xy=1", r"y=\frac{1}{x}", r"y=\frac{2}{x}"),
        ("4+4=8", "8=4+4", "5+3=8"),
        (r"\sum_{n=0}^{\infty} (n+1)x^n", r"\sum_{n=0}^{\infty} (1+n)x^n", r"\sum_{n=1}^{\infty} (n+1)x^n"),
        (r"\cos(n\pi)", "(-1)^n", "1"),
        (
            r"2\begin{pmatrix}1\\2\end{pmatrix}",
            r"\begin{pmatrix}2\\4\end{pmatrix}",
            r"\begin{pmatrix}2\\5\end{pmatrix}",
        ),
        ("4", "4 kg/m^3", "4x/y"),
        ("7 L", "7 l", "7 h"),
        ("$y=x+$ $2$", "y=2+x", "y=x, 2"),
        ("$a=1$ $b=2$", "a=1, b=2", "a=1, b=3"),
        ("(x,y)=(1,0)", "(1, 0)", "(x,z)=(1,0)"),
    ],
)
def test_a_rewriting_is_accepted_and_a_change_is_refused(gold: str, right: str, wrong: str) -> None:
    assert accepted(gold, gold, right, wrong) == [True, True, False]


@pytest.mark.parametrize(
    "gold",
    [
        "-1./3",
        "E_{1},E_{2}",
        r"\hbar \omega(v+1 / 2)-\frac{E_{0}^{2} e^{2}}{2 m \omega^{2}}",
        r"$y=\frac{1}{\mathrm{e}}x$;$y=-\frac{1}{\mathrm{e}}x$",
        r"$x=0, \frac{5 \pm \sqrt{61}}{18}$",
        r"$x \neq \pm 5$",
        r"P(X=0)=\frac{1}{4}",
    ],
)
def test_mathematics_of_exact_answers_is_read(gold: str) -> None:
    assert is_mathematics(gold)
