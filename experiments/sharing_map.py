"""When does sharing help? A map over capability gap, skill overlap and policy distance, each set by hand.

    python experiments/sharing_map.py
    python experiments/sharing_map.py --seeds 16 --steps 10 --output-dir runs/sharing_map

Two tabular agents on the contextual bandit train with GSPO, each alone, and with methods that share, at every point of
a 3 × 3 × 3 grid; all seeds of a point advance together. Writes sharing_map.md with its tables, CSV and figures: what
each agent gains or loses by sharing. Finished points are kept in the work folder.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from pathlib import Path
from string import Template

import numpy as np
from cells import cell
from map_study.agents import NAMES, Place, make_agents, mean_cross_ratios
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from scipy import stats
from script import check_methods, command, main, page_folder
from study.statistics import Comparison, compare, holm
from study.training import StudyConfig, train_with
from study.worlds import BANDIT
from tqdm.auto import tqdm

from hacrl_lab.methods import get_method
from hacrl_lab.trainer import Trainer

PAGE = Path(__file__).parent / "map_study" / "page.md"
REFERENCE = "gspo"
GAPS, OVERLAPS, DISTANCES = (0.0, 0.4, 0.8), (0.0, 0.5, 1.0), (0.0, 0.5, 1.0)
PLACES = [Place(*values) for values in product(GAPS, OVERLAPS, DISTANCES)]
Results = Mapping[tuple[Place, str], Mapping[str, np.ndarray]]
"""(point, method) -> arrays of :func:`train`."""
Gains = Mapping[tuple[Place, str, int], tuple[Comparison, bool]]
"""(point, method, agent) -> the method against GSPO, and whether it differs after Holm's correction."""


@dataclass(frozen=True)
class SharingMapConfig(StudyConfig):
    """Train two agents at every point of a map of gap, overlap and distance."""

    seeds: int = 64
    """Independent bandits, each with agents of its own."""
    methods: tuple[str, ...] = ("hacpo", "naive", "hacpo_sound", "hacpo_alpha0", "hacpo_pessimistic", "hacpo_open")
    """What to compare with GSPO."""
    knowledge: float = 2.0
    """How much larger the stronger agent's logits are along a right answer that it knows."""
    learning_rate: float = 0.05
    """Of Adam."""
    output_dir: str = "docs"
    """Folder for sharing_map.md and the folder sharing_map/."""
    work_dir: str = "runs/sharing_map"
    """Folder for what has been computed."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_methods((REFERENCE, *self.methods), self.training, least=2)
        if unshared := [method for method in self.methods if not get_method(method).shares]:
            raise ValueError(f"methods must be ones that share rollouts, got {', '.join(unshared)}")


def train(place: Place, method: str, config: SharingMapConfig) -> dict[str, np.ndarray]:
    """One point with one method: ``success`` and ``clipped`` of ``train_with``, and ``ratio``, E_Q[s] at the start."""
    seeds = list(range(config.seeds))
    world = BANDIT.world(seeds)
    agents = make_agents(place, world, seeds, config.knowledge, config.learning_rate)
    ratio = mean_cross_ratios(agents, world).numpy()
    trainer = Trainer(agents, world, config.training(method), seeds)
    arrays = train_with(trainer, config.steps, partial(BANDIT.success, world=world, seeds=seeds), "a point of the map")
    return {"success": arrays["success"], "clipped": arrays["clipped"], "ratio": ratio}


def run(config: SharingMapConfig) -> str:
    """Train at every point, write the page; returns its first table."""
    folder = page_folder(config.output_dir, "sharing_map")
    settings = {**config.shared_settings(), "world": BANDIT.sizes()}
    settings |= {"knowledge": config.knowledge, "learning_rate": config.learning_rate}
    points = list(product(PLACES, (REFERENCE, *config.methods)))
    results = {
        (place, method): cell(
            Path(config.work_dir),
            f"{place.gap}-{place.overlap}-{place.distance}-{method}",
            {**settings, **asdict(place), "method": method},
            partial(train, place, method, config),
        )
        for place, method in tqdm(points, desc="points × methods", unit="run")
    }
    found = gains(results, config)
    for method in config.methods:
        plot_map(found, results, method, config, folder / "sharing_map" / f"{method}.png")
    write_csv(results, folder / "sharing_map" / "sharing_map.csv")
    table = gains_table(found, config)
    (folder / "sharing_map.md").write_text(page(table, trends_table(found, results, config), config), encoding="utf-8")
    return table


def gains(results: Results, config: SharingMapConfig) -> Gains:
    """Each agent at each point under each method against GSPO; one correction over all of them."""
    keys = list(product(PLACES, config.methods, range(len(NAMES))))

    def final(place: Place, method: str, k: int) -> np.ndarray:
        return results[place, method]["success"][-1, k]

    found = [compare(final(place, method, k), final(place, REFERENCE, k)) for place, method, k in keys]
    significant = holm([one.p_value for one in found])
    return {key: (one, yes) for key, one, yes in zip(keys, found, significant, strict=True)}


def gains_table(found: Gains, config: SharingMapConfig) -> str:
    """How often each method helps and hurts each agent, and where most."""
    lines = [
        "| method | agent | helps | hurts | mean gain | most | least |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, (k, name) in product(config.methods, enumerate(NAMES)):
        at = {place: found[place, method, k] for place in PLACES}
        helps, hurts = (sum(yes and sign * one.mean > 0 for one, yes in at.values()) for sign in (1, -1))
        best, worst = (choose(PLACES, key=lambda place: at[place][0].mean) for choose in (max, min))
        mean = np.mean([one.mean for one, _ in at.values()])
        extremes = [f"{at[place][0].mean:+.3f} at {_coordinates(place)}" for place in (best, worst)]
        counts = [f"{count} of {len(PLACES)}" for count in (helps, hurts)]
        lines.append(f"| {get_method(method).label} | {name} | {' | '.join([*counts, f'{mean:+.3f}', *extremes])} |")
    return "\n".join(lines)


def _coordinates(place: Place) -> str:
    return f"({place.gap}, {place.overlap}, {place.distance})"


def trends_table(found: Gains, results: Results, config: SharingMapConfig) -> str:
    """Spearman's rank correlation of an agent's gain with each coordinate, over the points of the map."""
    lines = [
        "| method | agent | gap | overlap | distance | E_Q[s] before | share clipped |",
        "|---|---|---|---|---|---|---|",
    ]
    for method, (k, name) in product(config.methods, enumerate(NAMES)):
        gain = [found[place, method, k][0].mean for place in PLACES]
        columns = [[getattr(place, axis) for place in PLACES] for axis in ("gap", "overlap", "distance")]
        columns += [[results[place, method][key][k].mean() for place in PLACES] for key in ("ratio", "clipped")]
        ranks = [f"{float(np.asarray(stats.spearmanr(column, gain))[0]):+.2f}" for column in columns]
        lines.append(f"| {get_method(method).label} | {name} | {' | '.join(ranks)} |")
    return "\n".join(lines)


def plot_map(found: Gains, results: Results, method: str, config: SharingMapConfig, path: Path) -> None:
    """Gain over GSPO: one row an agent, one column a distance, gap against overlap inside."""
    figure = Figure(figsize=(13, 6.6), layout="constrained")
    panels = figure.subplots(len(NAMES), len(DISTANCES), sharex=True, sharey=True)
    limit = max(abs(found[place, one, k][0].mean) for place, one, k in found)
    images: list[AxesImage] = []
    for k, column in product(range(len(NAMES)), range(len(DISTANCES))):
        axes = panels[k][column]
        images.append(_plot_panel(axes, found, method, k, DISTANCES[column], limit))
        here = [results[place, method] for place in PLACES if place.distance == DISTANCES[column]]
        ratio = np.mean([one["ratio"][k].mean() for one in here])
        axes.set_title(f"the {NAMES[k]}, distance {DISTANCES[column]} (E_Q[s] = {ratio:.2f})", fontsize=10)
    for axes in panels[-1]:
        axes.set_xlabel("skill overlap")
    for row in panels:
        row[0].set_ylabel("capability gap")
    figure.colorbar(images[0], ax=panels, label="success after training − GSPO's")
    figure.suptitle(
        f"{get_method(method).label}: gain over training alone [95 % bootstrap interval], {config.seeds} seeds, "
        "* significant together"
    )
    figure.savefig(path, dpi=110)


def _plot_panel(axes: Axes, found: Gains, method: str, k: int, distance: float, limit: float) -> AxesImage:
    values = np.array([[found[Place(g, o, distance), method, k][0].mean for o in OVERLAPS] for g in GAPS])
    image = axes.imshow(values, cmap="RdBu", vmin=-limit, vmax=limit, origin="lower", aspect="auto")
    for (row, column), value in np.ndenumerate(values):
        one, significant = found[Place(GAPS[row], OVERLAPS[column], distance), method, k]
        colour = "white" if abs(value) > 0.6 * limit else "black"
        text = f"{value:+.3f}{' *' if significant else ''}\n[{one.low:+.3f}, {one.high:+.3f}]"
        axes.text(column, row, text, ha="center", va="center", fontsize=7.5, color=colour)
    axes.set_xticks(range(len(OVERLAPS)), [str(value) for value in OVERLAPS])
    axes.set_yticks(range(len(GAPS)), [str(value) for value in GAPS])
    return image


def write_csv(results: Results, path: Path) -> None:
    """One line for each point, method, agent and seed."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["gap", "overlap", "distance", "method", "agent", "seed", "initial", "final", "ratio", "clipped"]
        )
        for (place, method), arrays in results.items():
            for k, name in enumerate(NAMES):
                columns = arrays["success"][0, k], arrays["success"][-1, k], arrays["ratio"][k], arrays["clipped"][k]
                for seed, values in enumerate(zip(*columns, strict=True)):
                    head = [place.gap, place.overlap, place.distance, method, name, seed]
                    writer.writerow([*head, *(f"{value:.6f}" for value in values)])


def page(table: str, trends: str, config: SharingMapConfig) -> str:
    """The page in Markdown."""
    settings = {key: str(value) for key, value in {**asdict(config), **BANDIT.sizes()}.items()}
    pictures = "\n\n".join(f"![{get_method(m).label}](sharing_map/{m}.png)" for m in config.methods)
    text = PAGE.read_text(encoding="utf-8")
    texts = {"table": table, "trends": trends, "pictures": pictures, "command": command("sharing_map", config)}
    return Template(text).substitute(settings, **texts)


if __name__ == "__main__":
    sys.exit(main(SharingMapConfig, run, __doc__))
