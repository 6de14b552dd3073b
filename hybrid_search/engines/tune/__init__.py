"""Engine `tune`: the same search, its trials run by Ray Tune.

`--engine tune` (or `Resources(engine="tune")`) accepts the same settings as engine `ray` and gives the same results.
Use it if you have Tune's storage or callbacks. Otherwise engine `ray` is faster: it needs less time per trial.

To use callbacks (Weights & Biases, MLflow, TensorBoard) and your own storage, put the search into your own Tuner:

    from ray import tune
    from hybrid_search import Ledger, load_space
    from hybrid_search.engines.driver import RunContext
    from hybrid_search.runs.run import lead_search
    from hybrid_search.search.spec import SearchSpec
    from hybrid_search.engines.tune import TuneScheduler, TuneSearcher, trainable
    from hybrid_search.training.evaluation import evaluate

    context = RunContext(evaluate)
    with lead_search(SearchSpec.create(load_space("digits"), trials=50), Ledger(), context) as search:
        searcher = TuneSearcher(search, context)
        tuner = tune.Tuner(
            tune.with_resources(trainable(evaluate, searcher), {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=TuneScheduler(searcher),  # stops the trials that the search stops
                num_samples=-1,  # the search decides how many
                max_concurrent_trials=8,  # without it, Tune prepares one trial at a time
                reuse_actors=True,  # without it, every trial starts a process
            ),
            run_config=tune.RunConfig(storage_path="/shared/tune", callbacks=[...]),
        )
        tuner.fit()
        searcher.close()  # raises the error that ended the search, if there is one
    print(search.front())

Each result that Tune's callbacks get has the measurements of one rung by their names, and `rung`. The config of each
Tune trial has `trial` (its number in the ledger), `attempt`, `architecture` and `settings`. If a worker is lost, its
Tune trial ends with an error, and the search retries the trial as another Tune trial. Leave
`FailureConfig(max_failures)` at 0.

All results are in the ledger. Tune's files contain nothing of the search, because the address of the ledger may contain
a password. To resume, run the same program again; `Tuner.restore` is not supported.

Files:
    searcher.py   TuneSearcher: the search as Tune's Searcher
    scheduler.py  TuneScheduler: stops the trials that the search stops
    tuner.py      the Tuner of the engine itself, and `trainable`
"""

from hybrid_search.engines.driver import RunContext, TrialSource
from hybrid_search.engines.ray.session import ready

__all__ = ["TuneScheduler", "TuneSearcher", "drive", "ready", "trainable"]

# Imported on first use, because they import Ray: name -> module.
_LAZY = {"TuneSearcher": "searcher", "TuneScheduler": "scheduler", "trainable": "tuner"}


def drive(search: TrialSource, context: RunContext) -> None:
    """Run trials under a Tuner until the search has none left, or until `context.stop` is set."""
    from hybrid_search.engines.ray.session import ray_session

    with ray_session(context):
        from hybrid_search.engines.tune.tuner import fit

        fit(search, context)


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
