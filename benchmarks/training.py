"""Measure the time of a training epoch: `python benchmarks/training.py [digits fashion-mnist ...]`.

Three designs are trained for each data set: all convolution, a hybrid, all attention. The table shows seconds of an
epoch, the share of selecting, normalising and augmenting images, and the validation accuracy at the end.
"""

import sys
from statistics import median

from hybrid_search import build_model, load_space
from hybrid_search.data import load
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.training.from_settings import reproducible, seed_for
from hybrid_search.training.loop import Trainer

EPOCHS = 2
ATTEND = {f"stage{i}.operator": "local_attention" for i in (1, 2, 3)}
DESIGNS = {
    "convolution": {},
    "hybrid": {"stage3.operator": "local_attention", "stage3.local_attention.extent": 5},
    "attention": {**ATTEND, **{f"stage{i}.local_attention.extent": 5 for i in (1, 2, 3)}},
}


def main(names: list[str]) -> None:
    print(f"{'data':14} {'design':12} {'augment':11} {'s/epoch':>10} {'data share':>10} {'accuracy':>9}")
    for name in names:
        space = load_space(name)
        for augment in ("none", "shift+flip"):
            settings = space.settings.with_(epochs=EPOCHS, augment=augment)
            dataset = load(settings)
            for design, choices in DESIGNS.items():
                architecture = space.choose(FixedChoices(choices))
                with reproducible("cpu", 1, seed_for("weights", 0)):
                    model = build_model(architecture, dataset.input_size[0], len(dataset.classes))
                epochs = list(Trainer(model, dataset, settings).run())
                seconds, share = median(e.seconds for e in epochs), median(e.data_share for e in epochs)
                accuracy = epochs[-1].accuracy
                print(f"{name:14} {design:12} {augment:11} {seconds:10.2f} {share:10.1%} {accuracy:9.4f}", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:] or ["digits", "fashion-mnist"])
