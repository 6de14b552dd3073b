"""Compare the trainer with a loop written by hand: `python benchmarks/recipe.py FOLDER [EPOCHS] [SEEDS]`.

FOLDER has images of 32x32 pixels by class, for example photographs. Both sides train the same network, a ResNet of
basic blocks (6.25 MFLOPs), on the same split with the same initial weights, epochs, batch and augmentation. Their
epochs alternate, so that a busy machine slows both.
"""

import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import mean, median, stdev

import torch
import torch.nn.functional as F
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))
from support.basic_resnet import basic_resnet

from hybrid_search.data import Dataset, Split, load
from hybrid_search.records import Settings
from hybrid_search.training.from_settings import reproducible
from hybrid_search.training.loop import Trainer, score
from hybrid_search.training.retraining import load_test_split

BATCH = 64
LEARNING_RATE = 0.005
STUDENT = {2: 12.71, 3: 4.30, 4: 3.18, 5: 2.78, 6: 2.57, 8: 2.36, 10: 2.26}  # 97.5 % quantiles by number of seeds


def by_hand(model: nn.Module, dataset: Dataset, epochs: int, seed: int) -> Iterator[float]:
    """Train as a user would in twenty lines; yield the seconds of each epoch."""
    torch.manual_seed(seed)
    x = (torch.from_numpy(dataset.train.images).float() / 255 - _column(dataset.mean)) / _column(dataset.std)
    y = torch.from_numpy(dataset.train.labels)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    steps = math.ceil(len(x) / BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, epochs * steps, pct_start=0.2)
    for _ in range(epochs):
        start = time.perf_counter()
        model.train()
        for index in torch.randperm(len(x)).split(BATCH):
            images = torch.stack([_crop_and_flip(image) for image in x[index]])
            loss = F.cross_entropy(model(images), y[index], label_smoothing=0.1)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        yield time.perf_counter() - start


def _column(values: tuple[float, ...]) -> Tensor:
    return torch.tensor(values).view(1, -1, 1, 1)


def _crop_and_flip(image: Tensor) -> Tensor:
    row, col = torch.randint(0, 9, (2,)).tolist()
    cropped = F.pad(image, (4, 4, 4, 4))[:, row : row + image.shape[1], col : col + image.shape[2]]
    return cropped.flip(2) if torch.rand(()) < 0.5 else cropped


def accuracies(model: nn.Module, dataset: Dataset, test: Split, settings: Settings) -> tuple[float, float]:
    """Return accuracy in % on the validation and the test split."""
    validation, tested = (score(model, split, dataset, settings) for split in (dataset.validation, test))
    return 100 * validation.accuracy, 100 * tested.accuracy


def main(folder: str, epochs: int = 12, seeds: int = 3) -> None:
    """Train both sides for every seed and print accuracies, their difference, and the ratio of speeds."""
    torch.set_num_threads(1)
    settings = Settings(
        data="imagefolder", data_dir=folder, epochs=epochs, batch_size=BATCH, augment="shift+flip", device="cpu"
    )
    dataset, test = load(settings), load_test_split(settings)
    channels, classes = dataset.input_size[0], len(dataset.classes)
    differences, ratios = [], []
    for seed in range(seeds):
        with reproducible(torch.device("cpu"), 1, seed):
            hand, ours = (basic_resnet(classes=classes, depth=1, channels=channels) for _ in range(2))
        ours.load_state_dict(hand.state_dict())
        trainer = Trainer(ours, dataset, settings.with_(seed=seed))
        times = [(seconds, trainer.advance().seconds) for seconds in by_hand(hand, dataset, epochs, seed)]
        ratios += [by_user / by_trainer for by_user, by_trainer in times]
        found = accuracies(hand, dataset, test, settings), accuracies(trainer.scored, dataset, test, settings)
        differences.append([trainers - users for users, trainers in zip(*found, strict=True)])
        shown = "; ".join(f"{valid:.2f} / {tested:.2f}" for valid, tested in found)
        print(f"seed {seed}: validation / test by hand, then trainer: {shown}", flush=True)
    for split, values in zip(("validation", "test"), zip(*differences, strict=True), strict=True):
        margin = STUDENT.get(seeds, 2.0) * stdev(values) / seeds**0.5 if seeds > 1 else math.nan
        print(f"{split}: trainer - hand {mean(values):+.2f} points, 95 % interval +-{margin:.2f}, {seeds} seeds")
    print(f"images/s, trainer / hand: {median(ratios):.2f} (median of {len(ratios)} pairs of epochs)")


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    main(sys.argv[1], *(int(word) for word in sys.argv[2:]))
