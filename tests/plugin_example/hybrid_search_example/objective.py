"""Objective `train_loss`: the loss on the training images, which every training measures."""

from hybrid_search.objectives import Objective

TRAIN_LOSS = Objective("train_loss", "minimize", "training loss", "nats", known=False, best=0.0)
