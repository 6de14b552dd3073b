"""Compare a searched front with a network written by hand: `python benchmarks/photographs.py FOLDER DATABASE [SEEDS]`.

FOLDER has photographs of 32x32 pixels by class. The search makes 16 trials of 12 epochs within 8 MFLOPs, and `confirm`
trains its front again with fresh seeds. A basic ResNet of 6.25 MFLOPs is trained in a loop written by hand, on the same
splits with the same epochs, batch and augmentation. Designs are chosen by validation accuracy and compared by test
accuracy. DATABASE is the path of a new file.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import mean

import torch
from recipe import BATCH, accuracies, by_hand
from scipy import stats
from support.basic_resnet import basic_resnet

from hybrid_search import Ledger, Resources, Settings, confirm, load_space, run
from hybrid_search.data import load
from hybrid_search.ledger import reads
from hybrid_search.networks.stored_architecture import stored_architecture
from hybrid_search.training.from_settings import reproducible
from hybrid_search.training.retraining import load_test_split

NAME, TRIALS, MOST_FLOPS = "photos", 16, 8e6
BY_HAND_FLOPS = 6.25e6


def hand_accuracies(settings: Settings, seeds: int) -> list[tuple[float, float]]:
    """Return accuracy in % on the validation and the test split of the network and loop written by hand, per seed."""
    dataset, test = load(settings), load_test_split(settings)
    found = []
    for seed in range(seeds):
        with reproducible(torch.device("cpu"), 1, seed):
            model = basic_resnet(classes=len(dataset.classes), depth=1, channels=dataset.input_size[0])
        for _ in by_hand(model, dataset, settings.epochs, seed):
            pass
        found.append(accuracies(model, dataset, test, settings))
    return found


def shown_difference(ours: Sequence[float], theirs: Sequence[float]) -> str:
    """Return the difference of two means and its 95 % interval (Welch), in points."""
    interval = stats.ttest_ind(ours, theirs, equal_var=False).confidence_interval(0.95)
    return f"{mean(ours) - mean(theirs):+.2f} points ({interval.low:+.2f} to {interval.high:+.2f})"


def main(folder: str, database: Path, seeds: int = 3) -> None:
    """Search, confirm, train by hand; print every confirmed design and the two comparisons."""
    torch.set_num_threads(1)
    resources = Resources(workers=2)
    space = load_space("photos-32")
    run(
        space,
        name=NAME,
        settings=space.settings.with_(data_dir=folder),
        trials=TRIALS,
        max_flops=MOST_FLOPS,
        resources=resources,
        ledger=database,
        progress=True,
    )
    confirmation = confirm(NAME, seeds=seeds, resources=resources, ledger=database, progress=True)
    with Ledger(database, read_only=True) as ledger:
        repeats = ledger.read(reads.repeats, confirmation.record.id)
        trials = {trial.number: trial for trial in ledger.read(reads.trials, confirmation.record.id)}
    rows = []
    for number, found in repeats.items():
        if len(found.fresh) >= seeds:
            fresh = list(found.fresh.values())
            valid, tested = ([100 * values[name] for values in fresh] for name in ("accuracy", "test_accuracy"))
            rows.append((mean(valid), found.own["flops"], number, tested))
    for valid_mean, flops, number, tested in sorted(rows, reverse=True):
        shown = f"validation {valid_mean:.2f} %, test {mean(tested):.2f} %"
        print(f"trial {number}: {flops / 1e6:.2f} MFLOPs, {shown}, {stored_architecture(trials[number].architecture)}")
    settings = confirmation.record.settings
    assert settings.batch_size == BATCH
    hand = [tested for _, tested in hand_accuracies(settings, seeds)]
    print(f"by hand: {BY_HAND_FLOPS / 1e6:.2f} MFLOPs, test {', '.join(f'{value:.2f}' for value in hand)} %")
    best = max(rows)
    print(f"best design, trial {best[2]} - by hand: {shown_difference(best[3], hand)}")
    half = max((row for row in rows if row[1] <= BY_HAND_FLOPS / 2), default=None)
    if half is None:
        print("no confirmed design has half the FLOPs")
    else:
        print(f"best design of half its FLOPs, trial {half[2]} - by hand: {shown_difference(half[3], hand)}")


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(sys.argv[1], Path(sys.argv[2]), *(int(word) for word in sys.argv[3:]))
