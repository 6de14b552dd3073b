"""`baseline`: train standard networks like the trials of a search, in one call."""

from collections.abc import Callable, Sequence
from pathlib import Path

from hybrid_search._internal.process_state import clean_process_state
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.worker import Evaluate
from hybrid_search.errors import SettingsError, is_number
from hybrid_search.ledger import Ledger
from hybrid_search.networks.timm_network import TimmNetwork
from hybrid_search.records import Resources, SearchRecord
from hybrid_search.runs.checkpoint_root import baseline_checkpoints
from hybrid_search.runs.progress import Terminal
from hybrid_search.runs.stored_evaluation import check_same_evaluation
from hybrid_search.runs.stored_search_run import StoredSearchRun
from hybrid_search.search.baseline_run import BaselineRun, NamedNetwork, find_baseline, stored_baselines
from hybrid_search.training.checkpoints import CheckpointStore


@clean_process_state()
def baseline(
    name: str | None = None,
    models: Sequence[str] = (),
    *,
    seeds: int = 1,
    width: float | None = None,
    hours: float | None = None,
    resources: Resources | None = None,
    ledger: Ledger | str | Path | None = None,
    evaluate: Evaluate | None = None,
    data_dir: str | Path | None = None,
    checkpoints: str | Path | CheckpointStore | None = None,
    watch: Callable[[BaselineRun, RunContext], None] | None = None,
    notice: Callable[[str], None] | None = None,
    progress: bool | Terminal = False,
    log_level: str = "info",
) -> BaselineRun:
    """Train standard networks, such as ResNet, under the settings of a search, and keep them beside its front.

    A baseline is no trial: the sampler does not see it, and it is not on the front of the search. The same call trains
    only what is missing.

    Args:
        name: Name of the search; default: the newest.
        models: References of this package (resnet-basic-16) and models of timm (resnet18); default: the baselines that
            the search has already.
        seeds: Number of trainings of each, earlier ones included. The first one has the seed of the search.
        width: Factor of the widths of models of timm.
        hours: No training starts after so many hours.
        resources: The engine, the number of workers, and what each training takes.
        ledger: A ledger, the URL of its database, or the path of an SQLite file.
        evaluate: The evaluation of the search, if it was your own. It takes references of this package only.
        data_dir: Folder of the data set, if it has moved.
        checkpoints: As in `run`.
        watch: Called with the baselines and their `RunContext` before the first training.
        notice: Called with lines that the user should read; default: print them on stderr.
        progress: As in `run`.
        log_level: As in `run`.

    Returns:
        The baselines, with their results in the ledger.

    Raises:
        UserError: An argument is wrong, or a network cannot take the images of the search. Nothing was written.

    Example:
        >>> done = baseline("digits", ["resnet-basic-16", "mobilenetv3_small_050"])
        >>> [training.measurements["accuracy"] for training in done.results]
    """
    options = StoredSearchRun.of(
        resources=resources, evaluate=evaluate, data_dir=data_dir, checkpoints=checkpoints, notice=notice,
        progress=progress, log_level=log_level,
    )  # fmt: skip
    if hours is not None and not (is_number(hours) and hours > 0):
        raise SettingsError(f"hours must be more than 0; got {hours!r}.")
    if isinstance(models, str):
        raise SettingsError(f"models must be a list of names; got {models!r}. Write [{models!r}].")

    def opened(held: Ledger) -> tuple[SearchRecord, list[NamedNetwork]]:
        record = options.record(held, name)
        check_same_evaluation(record, evaluate, "baseline(name, models, ")
        found = [find_baseline(model, record, width) for model in models] or stored_baselines(held, record)
        if not found:
            raise SettingsError(
                f"baseline must name a network; search {record.name!r} has no baseline yet. Name one or more: "
                "resnet-basic-16, mobilenet-16, convnext-16, resnet18, ..."
            )
        of_timm = [each.name for each in found if isinstance(each.network, TimmNetwork)]
        if evaluate is not None and of_timm:
            raise SettingsError(
                f"an own evaluation takes architectures of this package; got {of_timm[0]}, a model of timm. Choose "
                "resnet-basic-16, mobilenet-16 or convnext-16."
            )
        return record, found

    held, (record, found) = options.opened(ledger, opened)
    run = BaselineRun(record, held, found, seeds=seeds, hours=hours)
    if not run.remaining:
        return run
    train: Evaluate
    if evaluate is None:
        from hybrid_search.training.evaluation import evaluate as train
    else:
        train = evaluate
    with options.leading(record, held, train) as leading, baseline_checkpoints(leading.root, record) as checkpointed:
        leading.context.checkpoints = checkpointed
        run = BaselineRun(record, held, found, seeds=seeds, hours=hours)  # another process may have trained some
        leading.begin(run, watch)
        leading.drive(run)
    return run
