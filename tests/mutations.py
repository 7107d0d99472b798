"""Would the tests notice? Breaks the core in one place at a time and runs the tests that should fail.

    python tests/mutations.py                 all mutations; exit status 0 if every one is noticed
    python tests/mutations.py --only omega    those whose name contains "omega"

Every mutation is applied to a copy of the project in a temporary folder; the working tree is not touched. The tests
named beside a mutation run first; if they pass, all theorem and unit tests do. First of all the copy is checked
unmutated.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import tyro
from tqdm import tqdm

PROJECT = Path(__file__).resolve().parent.parent
COPIED = ("hacrl_lab", "envs", "experiments", "tests", "pyproject.toml")
EVERYTHING = ("theorems", "unit")


@dataclass(frozen=True)
class Mutation:
    """One way to get the core wrong."""

    name: str
    file: str
    """Under ``hacrl_lab/``."""
    old: str
    """Stands there exactly once."""
    new: str
    noticed_by: str
    """Test file under ``tests/`` that should fail."""


D41, C42 = "theorems/test_theorem_4_1.py", "theorems/test_corollary_4_2.py"
D5, D6, D10 = (f"theorems/test_{name}.py" for name in ("proposition_d5", "proposition_d6", "lemma_d10"))
D2, SETTLES = "theorems/test_remark_d2.py", "theorems/test_capability_concentration.py"
SOUND, TOKENS, LOOP = (f"theorems/test_{name}.py" for name in ("sound_alternatives", "retokenisation", "the_loop"))
D11, EQ45 = "theorems/test_theorem_d11.py", "theorems/test_equation_45.py"

CAPABILITY, ADVANTAGES, IMPORTANCE, OBJECTIVES = (
    f"{name}.py" for name in ("capability", "advantages", "importance", "objectives")
)

MUTATIONS = (
    # capability
    Mutation(
        "omega upside down",
        CAPABILITY,
        "floored.unsqueeze(-1) / floored.unsqueeze(-2)",
        "floored.unsqueeze(-2) / floored.unsqueeze(-1)",
        D2,
    ),
    Mutation(
        "omega's two agents swapped", CAPABILITY, "ratios[..., of, relative_to]", "ratios[..., relative_to, of]", D2
    ),
    Mutation("omega not clamped", CAPABILITY, ".clamp(*RATIO_BOUNDS)", ".clamp(0, 1e9)", D2),
    Mutation(
        "current batch out of the window",
        CAPABILITY,
        "        return torch.stack(tuple(self._recent)).mean(0)\n",
        "        return torch.stack(tuple(self._recent)[:-1] or tuple(self._recent)).mean(0)\n",
        D2,
    ),
    Mutation(
        "current batch in the lagged window",
        CAPABILITY,
        "        super().update(mean_rewards)\n        return before",
        "        return super().update(mean_rewards)",
        D2,
    ),
    Mutation("window one step too long", CAPABILITY, "deque(maxlen=window)", "deque(maxlen=window + 1)", SETTLES),
    Mutation(
        "capability a sum instead of a mean",
        CAPABILITY,
        "        return torch.stack(tuple(self._recent)).mean(0)\n",
        "        return torch.stack(tuple(self._recent)).sum(0)\n",
        SETTLES,
    ),
    # advantages
    Mutation("advantage negated", ADVANTAGES, "(rewards - baseline) / (", "(baseline - rewards) / (", LOOP),
    Mutation("population std for sample std", ADVANTAGES, "correction=1", "correction=0", C42),
    Mutation("std left out", ADVANTAGES, "/ (spread + STD_FLOOR)", "/ torch.ones_like(spread)", C42),
    Mutation(
        "omega's indices swapped in the baseline",
        ADVANTAGES,
        "capability_ratios[..., learner, :, None, None] * rewards",
        "capability_ratios[..., :, learner, None, None] * rewards",
        D41,
    ),
    Mutation(
        "baseline a sum over samplers",
        ADVANTAGES,
        "* rewards).mean(-3, keepdim=True)",
        "* rewards).sum(-3, keepdim=True)",
        D41,
    ),
    Mutation(
        "own reward excluded from Eq. 7",
        ADVANTAGES,
        "    return _capability_aware_columns(rewards, capability_ratios, learner).mean(-1, keepdim=True)",
        "    columns = _capability_aware_columns(rewards, capability_ratios, learner)\n"
        "    return _leave_one_out(columns) if columns.shape[-1] > 1 else columns",
        C42,
    ),
    Mutation(
        "own reward included in leave-one-out",
        ADVANTAGES,
        "(columns.sum(-1, keepdim=True) - columns) / (group - 1)",
        "(columns.sum(-1, keepdim=True) + 0 * columns) / group",
        SOUND,
    ),
    Mutation("leave-one-out over all", ADVANTAGES, "- columns) / (group - 1)", "- columns) / group", SOUND),
    Mutation(
        "calibration the wrong way round",
        ADVANTAGES,
        "own_weight * rewards[..., [learner], :, :] + (1 - own_weight) * shared",
        "(1 - own_weight) * rewards[..., [learner], :, :] + own_weight * shared",
        SOUND,
    ),
    Mutation("no guard for equal rewards (D5)", ADVANTAGES, "torch.where(low == high, low, ", "(", D41),
    Mutation(
        "no guard for baselines above one (D4)",
        ADVANTAGES,
        "_binary(rewards) & (mean > 1)",
        "_binary(rewards) & (mean > 1e9)",
        "unit/test_advantages.py",
    ),
    # importance
    Mutation("log-probability not normalised by length", IMPORTANCE, " / mask.sum(-1).clamp_min(1)", " / 1.0", D5),
    Mutation(
        "ratio of sampler to learner",
        IMPORTANCE,
        "torch.exp(learner_mean_log_prob - sampler_mean_log_prob)",
        "torch.exp(sampler_mean_log_prob - learner_mean_log_prob)",
        D10,
    ),
    Mutation("alpha one too large", IMPORTANCE, "ratio.detach().pow(alpha)", "ratio.detach().pow(alpha + 1)", EQ45),
    Mutation("stop-gradient dropped", IMPORTANCE, "ratio.detach().pow(alpha)", "ratio.pow(alpha)", D6),
    Mutation(
        "delta for one minus delta",
        IMPORTANCE,
        "1.0 - delta + minibatch_index * delta_step",
        "delta + minibatch_index * delta_step",
        D6,
    ),
    Mutation("m one too large", IMPORTANCE, "minibatch_index * delta_step)", "(minibatch_index + 1) * delta_step)", D6),
    Mutation("bound loosens with m", IMPORTANCE, "delta + minibatch_index *", "delta - minibatch_index *", D6),
    Mutation("clip without upper side", IMPORTANCE, "ratio.clamp(low, high)", "ratio.clamp(low)", D6),
    Mutation("clip without lower side", IMPORTANCE, "ratio.clamp(low, high)", "ratio.clamp(max=high)", D6),
    Mutation("optimistic maximum", IMPORTANCE, "torch.minimum(ratio * adv", "torch.maximum(ratio * adv", D5),
    Mutation(
        "cap from below",
        IMPORTANCE,
        "exponential_weight(ratio.clamp_max(1)",
        "exponential_weight(ratio.clamp_min(1)",
        SOUND,
    ),
    Mutation(
        "cap's alpha one too small", IMPORTANCE, "clamp_max(1), alpha)", "clamp_max(1), max(0.0, alpha - 1))", SOUND
    ),
    Mutation("cap's stop-gradient dropped", IMPORTANCE, "ratio.detach().clamp_min(1)", "ratio.clamp_min(1)", SOUND),
    # objectives
    Mutation(
        "omega's indices swapped in the update",
        OBJECTIVES,
        "inputs.capability_ratios[..., :, inputs.learner]",
        "inputs.capability_ratios[..., inputs.learner, :]",
        D6,
    ),
    Mutation(
        "self clip's sides swapped",
        OBJECTIVES,
        "return 1 - settings.epsilon_low, 1 + settings.epsilon_high",
        "return 1 - settings.epsilon_high, 1 + settings.epsilon_low",
        D5,
    ),
    Mutation(
        "cross rollouts not clipped above",
        OBJECTIVES,
        "settings.delta_step, inputs.minibatch_index), 1.0",
        'settings.delta_step, inputs.minibatch_index), float("inf")',
        D6,
    ),
    Mutation("cross part subtracted", OBJECTIVES, "j_homo + j_hete, _by", "j_homo - j_hete, _by", D6),
    Mutation("samplers averaged", OBJECTIVES, ".mean(-1).sum(-2).mean(-1)", ".mean(-1).mean(-2).mean(-1)", D6),
    Mutation("prompts summed", OBJECTIVES, ".mean(-1).sum(-2).mean(-1)", ".mean(-1).sum(-2).sum(-1)", D5),
    Mutation("group summed", OBJECTIVES, ".mean(-1).sum(-2).mean(-1)", ".sum(-1).sum(-2).mean(-1)", D5),
    Mutation(
        "own rollouts are the first agent's",
        OBJECTIVES,
        "n, k = inputs.advantages.shape[-3], inputs.learner",
        "n, k = inputs.advantages.shape[-3], 0",
        D6,
    ),
    Mutation("no coefficient", OBJECTIVES, "weight = coefficient(inputs)", "weight = 1 + 0 * coefficient(inputs)", D6),
    Mutation(
        "pessimistic cross clip is two-sided",
        IMPORTANCE,
        "torch.where(pessimistic_clipped(ratio, advantages, low, high), clip_ratio(ratio, low, high), ratio)",
        "clip_ratio(ratio, low, high)",
        "unit/test_objectives.py",
    ),
    Mutation(
        "rollouts without advantage count as clipped",
        OBJECTIVES,
        "(counted != cross_ratio) & (cross_advantages != 0)",
        "counted != cross_ratio",
        "unit/test_objectives.py",
    ),
    Mutation(
        "free below is free for every advantage",
        IMPORTANCE,
        "torch.where(advantages > 0, ratio.clamp_max(high), clip_ratio(ratio, low, high))",
        "ratio.clamp_max(high)",
        "unit/test_objectives.py",
    ),
    Mutation(
        "free above is free for every advantage",
        IMPORTANCE,
        "torch.where(advantages < 0, ratio.clamp_min(low), clip_ratio(ratio, low, high))",
        "ratio.clamp_min(low)",
        "unit/test_objectives.py",
    ),
    # responses and the loop
    Mutation(
        "stop action not part of the response",
        "responses.py",
        "stop.cumsum(-1) - stop.long() == 0",
        "stop.cumsum(-1) == 0",
        "unit/test_responses.py",
    ),
    Mutation("loop: m starts at one", "trainer.py", "minibatch_index=m,", "minibatch_index=m + 1,", LOOP),
    Mutation("loop: descends", "trainer.py", "loss = -(result.value", "loss = (result.value", LOOP),
    Mutation(
        "loop: advantages of another learner",
        "trainer.py",
        "self.method.baseline(rewards, ratios, learner)",
        "self.method.baseline(rewards.flip(-2), ratios, learner)",
        LOOP,
    ),
)


@dataclass(frozen=True)
class Arguments:
    """Break the core in one place at a time and see whether a test fails."""

    only: str = ""
    """Mutations whose name contains this; by default all."""
    jobs: int = 2
    """Mutations tried at the same time."""


def run_tests(folder: Path, tests: tuple[str, ...]) -> str:
    """Run test files of a copy; returns the first failing test, or nothing if all passed."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", "-o", "addopts=", "--tb=no"]
    paths = [str(folder / "tests" / test) for test in tests]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run([*command, *paths], cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return ""
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode not in (1, 2) or not failed:
        raise RuntimeError(f"pytest ended with status {done.returncode}:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return failed[0].split(" - ")[0].split("/", 1)[-1]


def copy_project(folder: Path) -> None:
    """A copy in which pytest finds the copy's packages: the current folder comes before installed ones."""
    for name in COPIED:
        source = PROJECT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "runs"))
        else:
            shutil.copy(source, folder / name)


def try_out(mutation: Mutation) -> str:
    """The first test that notices a mutation, or nothing."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy_project(folder)
        path = folder / "hacrl_lab" / mutation.file
        text = path.read_text(encoding="utf-8")
        if text.count(mutation.old) != 1:
            raise RuntimeError(
                f"{mutation.name}: {mutation.old!r} stands {text.count(mutation.old)} times in {path.name}"
            )
        path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        return run_tests(folder, (mutation.noticed_by,)) or run_tests(folder, EVERYTHING)


def main() -> int:
    """Run from the command line; returns the exit status."""
    arguments = tyro.cli(Arguments, description=__doc__)
    mutations = [mutation for mutation in MUTATIONS if arguments.only in mutation.name]
    with tempfile.TemporaryDirectory() as name:
        copy_project(Path(name))
        if failed := run_tests(Path(name), tuple(sorted({mutation.noticed_by for mutation in mutations}))):
            print(f"error: {failed} fails without any mutation", file=sys.stderr)
            return 2
    with ThreadPoolExecutor(arguments.jobs) as pool:
        results = list(tqdm(pool.map(try_out, mutations), total=len(mutations), desc="mutations", unit="mutation"))
    for mutation, test in zip(mutations, results, strict=True):
        print(f"{'noticed  ' if test else 'SURVIVED '} {mutation.name}: {test or mutation.file}")
    survivors = results.count("")
    print(f"{len(results) - survivors} of {len(results)} mutations noticed")
    return 1 if survivors else 0


if __name__ == "__main__":
    raise SystemExit(main())
