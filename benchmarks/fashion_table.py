"""Write the table of finished searches, and a page that describes how it was made and how noisy it is.

    hybrid-search run fashion-table --sampler grid --trials 600 --seed 0 --name fashion-table-0
    hybrid-search run fashion-table --sampler grid --trials 600 --seed 1 --name fashion-table-1
    python benchmarks/fashion_table.py fashion-table-0 fashion-table-1      # results/fashion-table.csv and .md

The table contains the designs that every search completed.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from hybrid_search import Ledger
from hybrid_search.analysis.replay import ResultsTable, table_of_searches, target_of, write_table
from hybrid_search.analysis.replay.noise import SURE, Noise, front_shares, noise_of, pooled_deviation
from hybrid_search.analysis.replay.objective_table import objective_table
from hybrid_search.ledger import reads
from hybrid_search.networks.architecture import Architecture
from hybrid_search.objectives import OBJECTIVES
from hybrid_search.pareto import pareto_front
from hybrid_search.records import SearchRecord, TrialRecord

FACTS = ("data", "fingerprint", "commit", "hybrid-search", "python", "torch", "device", "cpu", "precision", "threads")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", help="searches that differ only in their seed")
    parser.add_argument("--db")
    parser.add_argument("--out", type=Path, default=Path("results/fashion-table.csv"))
    args = parser.parse_args()
    with Ledger(args.db, read_only=True) as ledger:
        table = table_of_searches(ledger, args.names, curves=True)
        searches = [ledger.search(name) for name in args.names]
        kept = set(table.digests)
        trials = [
            [t for t in ledger.read(reads.trials, s.id) if t.digest in kept and t.state == "complete"] for s in searches
        ]
    write_table(table, args.out)
    page = args.out.with_suffix(".md")
    page.write_text(paper(args.out.name, table, searches, trials), encoding="utf-8")
    print(f"{len(table.designs)} designs: {args.out} ({args.out.stat().st_size / 1000:.0f} kB), {page}")


def paper(
    name: str, table: ResultsTable, searches: Sequence[SearchRecord], trials: Sequence[Sequence[TrialRecord]]
) -> str:
    parts = [
        f"# {len(table.designs)} networks, {table.n_seeds} seeds: {name}",
        made(table, searches, trials),
        columns(table),
        front(table, trials[0]),
        *(noise(table, i) for i, result in enumerate(table.objectives) if len(result.seeds) > 1),
    ]
    return "\n\n".join(parts) + "\n"


def made(table: ResultsTable, searches: Sequence[SearchRecord], trials: Sequence[Sequence[TrialRecord]]) -> str:
    commands = [
        f"    hybrid-search run {s.space['name']} --sampler {s.sampler} --trials {s.target} --seed {s.seed} "
        f"--name {s.name}{'' if s.known_designs else ' --no-known-designs'}"
        for s in searches
    ]
    commands.append(f"    python benchmarks/fashion_table.py {' '.join(s.name for s in searches)}")
    recipe = searches[0].settings.to_dict()
    hidden = {"seed", "data_dir", "device", "threads"}
    settings = ", ".join(f"{key} {value}" for key, value in recipe.items() if key not in hidden and value is not None)
    everyone = [trial for row in trials for trial in row]
    facts = []
    for fact in FACTS:
        values = sorted({trial.facts[fact] for trial in everyone if trial.facts.get(fact)})
        if values:
            facts.append(f"{fact} {' and '.join(values)}")
    hours = sum(trial.seconds or 0.0 for trial in everyone) / 3600
    space = searches[0].space
    return (
        f"Space `{space['name']}`: {space.get('about', '')}\n\nHow it was made:\n\n"
        + "\n".join(commands)
        + f"\n\nSettings: {settings}; seeds {', '.join(str(s.settings.seed) for s in searches)}. The splits come from "
        f"split_seed and are the same for every seed. Accuracies are of the validation split; the test split was not "
        f"read. Images {'x'.join(map(str, searches[0].input_size))}, {searches[0].classes} classes.\n\n"
        f"The trials recorded: {'; '.join(facts)}. {len(everyone)} trainings took {hours:.1f} hours in total."
    )


def columns(table: ResultsTable) -> str:
    rungs = next((result.rungs for result in table.objectives if result.rungs), ())
    curve = ""
    if rungs:
        curve = f" `accuracy@S#E` is the accuracy of seed S after E epochs; the last epoch is {rungs[-1]}."
    if table.indicators:
        curve += f" {' and '.join(f'`{sign.name}@S#E`' for sign in table.indicators)} is the training loss."
    return (
        "Each row is a network. Its choices come first (empty: the parameter is inactive). `digest` identifies its "
        f"architecture. `flops` (2 x MACs) and `params` are exact.{curve}"
    )


def front(table: ResultsTable, trials: Sequence[TrialRecord]) -> str:
    rows = table.means
    members = sorted(pareto_front(rows, table.directions), key=lambda i: -rows[i, 0])
    shares = front_shares(table, [pooled_deviation(r.finals) if len(r.seeds) > 1 else 0.0 for r in table.objectives])
    target = target_of(objective_table(table))
    lines = [f"| {' | '.join(r.name for r in table.objectives)} | on the front | design |"]
    lines.append("|" + "---|" * (len(table.objectives) + 2))
    designs = {trial.digest: trial.architecture for trial in trials}
    for i in members:
        texts = [OBJECTIVES[r.name].text(rows[i, k]) for k, r in enumerate(table.objectives)]
        design = str(Architecture.from_dict(designs[table.digests[i]])).replace(" | ", "; ")
        lines.append(f"| {' | '.join(texts)} | {shares[i]:.2f} | {design} |")
    sure = sum(shares[i] >= SURE for i in members)
    others = [i for i in range(len(rows)) if i not in set(members)]
    almost = sum(shares[i] >= 0.5 for i in others)
    reference = ", ".join(
        OBJECTIVES[r.name].text(value) for r, value in zip(table.objectives, target.reference, strict=True)
    )
    return (
        f"## The front of the mean accuracies: {len(members)} networks, {sure} of them certain\n\n"
        + "\n".join(lines)
        + '\n\n"On the front" is the share of random draws of all means, with their noise, that contain the '
        f"network; certain means {SURE:.0%} or more. Of the networks outside this front, {almost} are on the front "
        f"in half of the draws and {sum(shares[i] >= 0.1 for i in others)} in a tenth of them. Hypervolume "
        f"{target.hypervolume:.6g} from the reference point ({reference})."
    )


def noise(table: ResultsTable, at: int) -> str:
    result = table.objectives[at]
    found: Noise = noise_of(result)
    unit = 100 if OBJECTIVES[result.name].unit == "share" else 1
    word = "points" if unit == 100 else OBJECTIVES[result.name].unit
    k = len(result.seeds)
    mean = k * found.reliability / (1 + (k - 1) * found.reliability)  # Spearman (1910), Brown (1910)
    lines = [
        f"* Standard deviation of one seed: **{unit * found.deviation:.2f} {word}** (pooled over {len(result.finals)} "
        f"networks and {k} seeds); of the mean of {k}: {unit * found.deviation / k**0.5:.2f}. Mean of each seed "
        f"minus the mean of all: {', '.join(f'{unit * s:+.2f}' for s in found.shift)}.",
        f"* Standard deviation over networks and seeds: **{unit * found.spread:.2f} {word}**, from "
        f"{unit * result.finals.min():.1f} to {unit * result.finals.max():.1f}.",
        f"* Reliability, 1 - noise^2 / total^2: **{found.reliability:.3f}** for one seed, {mean:.3f} for the mean "
        f"of {k}.",
        f"* Spearman's rank correlation between seeds: **{found.between_seeds:.3f}**.",
    ]
    exact = [r for r in table.objectives if r.known]
    if exact:
        order = np.argsort(exact[0].means, kind="stable")
        thirds = [unit * pooled_deviation(result.finals[part]) for part in np.array_split(order, 3)]
        lines.append(
            f"* Standard deviation of one seed in the lowest, middle and highest third of {exact[0].name}: "
            f"{', '.join(f'{third:.2f}' for third in thirds)}."
        )
    if found.by_rung:
        ranks = ", ".join(f"{rung}: {value:.3f}" for rung, value in found.by_rung)
        lines.append(f"* Rank correlation of one seed after each epoch with the final mean: {ranks}.")
    return f"## Noise and signal: {result.name}\n\n" + "\n".join(lines)


if __name__ == "__main__":
    main()
