"""One full training on several devices, with Ray Train.

Files:
    devices.py         the devices that there are, and what a worker takes of its node
    group_training.py  GroupTraining: the workers of Ray Train, and their reports as those of one training

Each device has a worker process with a rank of torch.distributed. The workers run the loop of a search; `ranks` in
`hybrid_search.training` says what they exchange. If a worker or its node dies, Ray Train ends all workers and starts as
many as there is room for. They continue from the last checkpoint with batches of the same size.
"""
