"""StoredSearchRun: the options and steps that `confirm` and `baseline` share. Both train for a stored search."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from hybrid_search._internal.event_log import failures_shown, level_of, log_file, print_notice
from hybrid_search._internal.paths import data_location
from hybrid_search.engines import Engine, engine_of
from hybrid_search.engines.driver import RunContext
from hybrid_search.engines.worker import Evaluate, check_evaluation
from hybrid_search.ledger import Ledger
from hybrid_search.ledger.urls import path_beside
from hybrid_search.records import Resources, SearchRecord
from hybrid_search.runs.checkpoint_root import NO_CHECKPOINTS, checkpoint_root
from hybrid_search.runs.leadership import leading
from hybrid_search.runs.progress import Terminal, shown_progress
from hybrid_search.runs.stored_evaluation import context_of
from hybrid_search.training.checkpoints import CheckpointStore

T = TypeVar("T")


@dataclass(frozen=True)
class StoredSearchRun:
    """The options of a run, checked by `of`, and the steps of the run.

    Attributes:
        engine: The engine.
        resources: The engine, the number of workers, and what each training takes.
        evaluate: The evaluation of the search, if it was the user's own.
        data_dir: The folder of the data set, if it has moved.
        checkpoints: As in `run`.
        notice: Called with lines that the user should read; None: print them on stderr.
        progress: As in `run`.
        log_level: As in `run`.
    """

    engine: Engine
    resources: Resources
    evaluate: Evaluate | None
    data_dir: str | None
    checkpoints: str | Path | CheckpointStore | None
    notice: Callable[[str], None] | None
    progress: bool | Terminal
    log_level: str

    @classmethod
    def of(
        cls,
        *,
        resources: Resources | None,
        evaluate: Evaluate | None,
        data_dir: str | Path | None,
        checkpoints: str | Path | CheckpointStore | None,
        notice: Callable[[str], None] | None,
        progress: bool | Terminal,
        log_level: str,
    ) -> "StoredSearchRun":
        """Check the options.

        Raises:
            SettingsError: One of them is wrong.
        """
        resources = Resources.of(resources)
        level_of(log_level)
        engine = engine_of(resources.engine)
        if evaluate is not None:
            check_evaluation(evaluate)
        here = None if data_dir is None else data_location("data_dir (--data-dir)", data_dir)
        return cls(engine, resources, evaluate, here, checkpoints, notice, progress, log_level)

    def record(self, ledger: Ledger, name: str | None) -> SearchRecord:
        """Return the search of a name, with the present folder of its data set.

        Args:
            ledger: The ledger.
            name: Name of the search; None: the newest.
        """
        record = ledger.search(name)
        if self.data_dir is None:
            return record
        return replace(record, settings=record.settings.with_(data_dir=self.data_dir))

    def opened(self, ledger: Ledger | str | Path | None, read: Callable[[Ledger], T]) -> tuple[Ledger, T]:
        """Return the ledger, and what `read` returns. It is read before it is opened for writing.

        Args:
            ledger: A ledger, the URL of its database, or the path of an SQLite file.
            read: Reads and checks what the run needs. If it raises an error, nothing is written.
        """
        if isinstance(ledger, Ledger):
            return ledger, read(ledger)
        with Ledger(ledger, read_only=True) as reader:
            found = read(reader)
        return Ledger(ledger, notice=self.notice or print_notice), found

    @contextmanager
    def leading(
        self, record: SearchRecord, ledger: Ledger, evaluate: Evaluate, *, confirms: bool = False
    ) -> Iterator["LeadingRun"]:
        """Hold what a run needs while the block runs: the engine, the log file, and the lease of the search.

        Args:
            record: The search.
            ledger: Its ledger.
            evaluate: What the workers run.
            confirms: Whether this run confirms the front.
        """
        context = context_of(record, ledger, evaluate, self.resources, self.notice or print_notice)
        root = checkpoint_root(self.checkpoints, ledger, self.resources.engine, self.resources.address)
        shown = shown_progress(self.progress, context, self.notice)
        with (
            self.engine.ready(context),
            failures_shown(self.notice is None and shown is None),
            log_file(path_beside(ledger.url, ".log"), context.notice, self.log_level),
            leading(ledger, record, context, confirms=confirms),
        ):
            yield LeadingRun(self, context, root, shown)


@dataclass(frozen=True)
class LeadingRun:
    """A run that holds the lease of its search.

    Attributes:
        options: The options of the run.
        context: Its context.
        root: Where checkpoints are written; None: nowhere.
        shown: The terminal that shows progress; None: none.
    """

    options: StoredSearchRun
    context: RunContext
    root: Any
    shown: Terminal | None

    def begin(self, trials: Any, watch: Callable[[Any, RunContext], None] | None) -> None:
        """Call `watch`, and say it if there is no place for checkpoints.

        Args:
            trials: What the engine will drive.
            watch: Called with it and the context; None: nothing.
        """
        if watch:
            watch(trials, self.context)
        if self.root is None and self.options.checkpoints is None:
            self.context.notice(NO_CHECKPOINTS)

    def drive(self, trials: Any) -> None:
        """Drive trials with the engine, and show their progress.

        Args:
            trials: What the engine drives.
        """
        follow: AbstractContextManager[Any] = nullcontext()
        if self.shown:
            follow = self.shown.follow(trials, self.context)
        with follow:
            self.options.engine.drive(trials, self.context)
