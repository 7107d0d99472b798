#!/usr/bin/env bash
# Reasoning Gym: another seed is no other data set, and the same seed is not always the same one.
#
# Seen with reasoning-gym 0.1.25 and Python 3.11, 8 questions of each task with its default settings:
# - Entry k of a data set is drawn with the seed s + k. So the data set with seed 1 is that with seed 0 without its first
#   entry, in nearly every task: who trains on seed 0 and evaluates on seed 1 evaluates on the training questions.
# - The questions of some tasks follow the order of a set of strings. They change with PYTHONHASHSEED, which Python draws
#   anew for each process unless it is set. (With more questions more tasks change.) Those of list_functions follow the
#   random module of the whole process.
# - The package says that its version is an older one.
#
# Output seen:
#   reasoning_gym.__version__ 0.1.19
#   102 of 105 tasks: the questions of seed 1 are those of seed 0, from the second on
#   3 tasks change with PYTHONHASHSEED: isomorphic_strings, polynomial_multiplication, ransom_note
#   1 tasks change from process to process all the same: list_functions
#
# Needs python3 and pip. Exits with 1 if this changes.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
python3 -m venv venv
venv/bin/pip install -q reasoning-gym==0.1.25
cat > draw.py << 'END'
import contextlib
import hashlib
import json
import sys

import reasoning_gym
from reasoning_gym.factory import DATASETS

COUNT = 8
names = sorted(name for name in DATASETS if name != "composite")


def questions(name, seed):
    with contextlib.redirect_stdout(sys.stderr):  # some tasks print
        data = reasoning_gym.create_dataset(name, seed=seed, size=COUNT)
        return [data[k]["question"] for k in range(COUNT)]


first = {name: questions(name, 0) for name in names}
if len(sys.argv) == 1:
    shifted = [name for name in names if questions(name, 1)[:-1] == first[name][1:]]
    print(json.dumps([reasoning_gym.__version__, len(names), len(shifted)]))
else:
    digests = {name: hashlib.sha256("".join(first[name]).encode()).hexdigest() for name in names}
    print(json.dumps(digests))
END
PYTHONHASHSEED=0 venv/bin/python draw.py > seeds.json
for hash_seed in 1 2; do PYTHONHASHSEED=$hash_seed venv/bin/python draw.py digests > "$hash_seed.json"; done
PYTHONHASHSEED=1 venv/bin/python draw.py digests > again.json
cat > told.py << 'END'
import json
import sys
from pathlib import Path

version, tasks, shifted = json.loads(Path("seeds.json").read_text())
one, two, again = (json.loads(Path(f"{name}.json").read_text()) for name in ("1", "2", "again"))
by_hash = sorted(name for name in one if one[name] != two[name] and one[name] == again[name])
unseeded = sorted(name for name in one if one[name] != again[name])
print(f"reasoning_gym.__version__ {version}")
print(f"{shifted} of {tasks} tasks: the questions of seed 1 are those of seed 0, from the second on")
print(f"{len(by_hash)} tasks change with PYTHONHASHSEED: {', '.join(by_hash)}")
print(f"{len(unseeded)} tasks change from process to process all the same: {', '.join(unseeded)}")
sys.exit((version, shifted, len(by_hash)) != ("0.1.19", 102, 3))
END
venv/bin/python told.py
