"""Engine `tune`: the same search, its trials run by Ray Tune.

`--engine tune` (or `run(..., engine="tune")`) takes the plan that engine `ray` takes, and gives the same results. It is
there for those whose cluster, storage and callbacks are Tune's; who has none of these is served faster by engine `ray`.
With callbacks (Weights & Biases, MLflow, TensorBoard) and a storage of your own, put the search into your own Tuner:

    from ray import tune
    from hybrid_search import Ledger, load_space
    from hybrid_search.engines.driver import Plan
    from hybrid_search.runs.run import lead_search
    from hybrid_search.search.spec import SearchSpec
    from hybrid_search.engines.tune import TuneScheduler, TuneSearcher, trainable
    from hybrid_search.training.evaluation import evaluate

    plan = Plan(evaluate)
    spec = SearchSpec.create(load_space("digits"), trials=50)
    with lead_search(spec, Ledger(), plan) as search:  # one driver at a time
        searcher = TuneSearcher(search, plan)
        tuner = tune.Tuner(
            tune.with_resources(trainable(evaluate, searcher), {"cpu": 1}),
            tune_config=tune.TuneConfig(
                search_alg=searcher,
                scheduler=TuneScheduler(searcher),  # stops what the search says to stop
                num_samples=-1,  # the search knows how many
                max_concurrent_trials=8,  # without it Tune prepares one trial at a time
                reuse_actors=True,  # without it every trial starts a process
            ),
            run_config=tune.RunConfig(storage_path="/shared/tune", callbacks=[...]),
        )
        tuner.fit()
        searcher.close()  # raises what ended the search, if anything did
    print(search.front())

Each result that Tune's callbacks see has the measurements of one rung by their names, and `rung`; each Tune trial's
config has `trial` (its number in the ledger), `attempt`, `architecture` and `settings`. A worker that is lost ends its
Tune trial as an error, and the search begins the trial again as another Tune trial: leave `FailureConfig(max_failures)`
at 0. The ledger is the one truth: nothing of the search is kept in Tune's files (its address may hold a password), and
to go on, run the same program again; `Tuner.restore` is not needed and not served.
"""

from hybrid_search.engines.driver import Driven, Plan
from hybrid_search.engines.ray.session import ready

__all__ = ["TuneScheduler", "TuneSearcher", "drive", "ready", "trainable"]

# What is imported only when it is asked for, because it brings Ray along, and where it lives.
_LAZY = {"TuneSearcher": "searcher", "TuneScheduler": "searcher", "trainable": "worker"}


def drive(search: Driven, plan: Plan) -> None:
    """Run the search to its end under a Tuner of its own, or until the plan says stop."""
    from hybrid_search.engines.ray.session import connected

    with connected(plan):
        from hybrid_search.engines.tune.tuner import fit

        fit(search, plan)


def __getattr__(name: str) -> object:
    from importlib import import_module

    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LAZY[name]}"), name)
