"""Training of one network.

Files:
    loop.py               Trainer, one epoch at a time, resumable bit for bit; score
    losses.py             the losses of an epoch, distillation
    class_scores.py       balanced accuracy and macro F1
    mixing.py             mixup and CutMix
    compilation.py        torch.compile
    recipe.py             device, precision, seeds, optimizer, learning rate, averaged weights, from the settings
    muon.py               the optimizer Muon
    batches.py            images on the device: order, augmentation, normalisation
    augmentation.py       random crops, geometry, colours and erasing of a batch, each image with its own numbers
    reading_ahead.py      images that are not in memory, read before their batch
    central_crop.py       the central part of images that are stored larger
    evaluation.py         evaluate, the function that a worker runs for a trial
    retraining.py         retrain, the same with a fresh seed and the test split, for confirmation
    full_training.py      FullTraining, the same for a design that is trained in full
    teachers.py           teachers of a distillation
    networks.py           the module and the cost of a network
    ranks.py              Ranks: the processes that train one network together
    shared_batch_norm.py  batch norm over the images of all ranks
    facts.py              data, settings, code and machine of a result
    weights_file.py       trained weights as the bytes of a safetensors file
    failures.py           the kind of a failure
    latency.py            milliseconds of a forward pass
    checkpoints/          states of unfinished trials

This file imports nothing, because a worker reads checkpoints before it needs torch.
"""
