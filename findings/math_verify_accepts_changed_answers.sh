#!/usr/bin/env bash
# math-verify accepts answers in which a digit, an exponent, a term or a unit was changed.
#
# Seen with math-verify 0.9.0, latex2sympy2-extended 1.11.0 and sympy 1.14.0, both answers as boxed LaTeX. Numbers whose
# difference is below 1e-15 are equal, whatever their size. Last letters are dropped as units. Equations whose sides hold
# no unknown are true or false, and then equal to any other that is. \gamma before a sign is a function of what
# follows, so that a sum does not depend on its second term and is not equal to itself in another order. A model that is
# trained with such verdicts is paid for these answers. The exact answer is on the left.
#
# Output seen:
#   \frac{1}{20!}                        \frac{1}{21!}                        True
#   2.88\times 10^{-19}                  2.98\times 10^{-19}                  True
#   3x+2t                                3x+2                                 True
#   2\mathrm{i}                          2                                    True
#   \log_{3}(27)=3                       \log_{3}(28)=3                       True
#   f(2)=5                               f(3)=5                               True
#   I=5                                  I=6                                  True
#   \frac{dy}{dx}=2x                     \frac{dy}{dx}=3x                     True
#   y=t\begin{pmatrix}1\\2\end{pmatrix}  y=t\begin{pmatrix}1\\5\end{pmatrix}  True
#   \pi r^2\approx 78.5                  \pi r^2\approx 70.1                  True
#   x^2+1=0                              x^2+2=0                              True
#   \gamma+1                             \gamma+2                             True
#   \gamma+1                             1+\gamma                             False
#   \frac{1}{\sqrt{n}}                   \sqrt{1/n}                           False
#   2                                    3                                    False
#
# Needs python3 and pip. Exits with 1 if this changes.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)/$(basename "$0")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q 'math-verify[antlr4_13_2]==0.9.0' latex2sympy2-extended==1.11.0 sympy==1.14.0
cat > judge.py << 'END'
import re
import sys

from math_verify import LatexExtractionConfig, parse, verify

CONFIG = [LatexExtractionConfig(boxed_match_priority=0)]


def equal(exact, given):
    return verify(*(parse(rf"\boxed{{{answer}}}", CONFIG) for answer in (exact, given)))


changed = False
for line in sys.stdin:
    exact, given, seen = re.split(r"\s{2,}", line.strip("# \n"))
    verdict = equal(exact, given)
    print(f"{exact:36} {given:36} {verdict}")
    changed |= str(verdict) != seen
sys.exit(changed)
END
sed -n '/^# Output seen:/,/^#$/p' "$here" | grep -E '(True|False)$' | venv/bin/python judge.py
