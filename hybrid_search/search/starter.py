"""TrialStarter: start enqueued and known designs, then proposals of the sampler, then designs it did not propose."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import simplified_for
from hybrid_search.records import TrialRecord
from hybrid_search.search.index import DEFERRED, DUPLICATE, OVER_BUDGET
from hybrid_search.search.proposer import StudyTrial
from hybrid_search.search.recorder import TrialRecorder
from hybrid_search.search.state import SearchState
from hybrid_search.search.trial import Trial
from hybrid_search.search.unseen_design import unseen_design
from hybrid_search.settings import NOT_IN_DIGEST, Settings
from hybrid_search.spaces.choosers import FixedChoices
from hybrid_search.spaces.recipe_tuning import default_recipe_choices

MAX_REJECTED = 10  # proposals in a row that could not be trained, before the search looks for an unseen design itself


class TrialStarter:
    """The part of a search that turns proposals into trials and writes them to the ledger.

    Proposals over the budget, and proposals of a known architecture, are answered at once and consume no trial.

    Args:
        state: The state of the search.
        recorder: What writes trials and proposals.
    """

    def __init__(self, state: SearchState, recorder: TrialRecorder) -> None:
        self.spec = spec = state.spec
        self.index, self.proposer, self.pruner, self.retries = state.index, state.proposer, state.pruner, state.retries
        self._recorder = recorder
        self._queue: list[Mapping[str, Any]] = [
            {**design.choices, **default_recipe_choices(spec.settings, spec.tuned)}
            for design in spec.known_designs()
            if not self.index.is_known(design.architecture.digest)
        ]
        rejected = self.index.over_budget + self.index.duplicates
        self._rng = random.Random(f"{spec.seed}/{self.index.next_number}/{rejected}")

    def enqueue(self, designs: Sequence[Mapping[str, Any]]) -> int:
        """Put designs before every other proposal; return how many of them are new.

        A design that was proposed before, or that is given twice, is left out. A known design among them is not
        proposed a second time.

        Args:
            designs: The choices of each design, as `enqueued_designs` returns them.
        """
        new: dict[str, Mapping[str, Any]] = {}
        for choices in designs:
            digest = self._digest(choices)
            if not self.index.is_known(digest):
                new.setdefault(digest, choices)
        self._queue = [*new.values(), *(choices for choices in self._queue if self._digest(choices) not in new)]
        return len(new)

    def _digest(self, choices: Mapping[str, Any]) -> str:
        return self.spec.architecture(FixedChoices(choices)).digest

    def new_trial(self) -> Trial | None:
        """Start a trial, written to the ledger as running; return None if no design is left."""
        while self._queue:
            proposal = self.proposer.ask_for(self._queue.pop(0))
            if (trial := self._start(proposal, may_defer=False)) is not None:
                return trial
        for turn in range(1, MAX_REJECTED + 1):
            if (trial := self._start(self.proposer.ask(), required=turn == MAX_REJECTED)) is not None:
                return trial
        return self._unseen()

    def _unseen(self) -> Trial | None:
        """Start a trial of a design that the sampler did not propose; return None if no design is left."""
        choices = unseen_design(self.spec, self._is_open, self._rng)
        return None if choices is None else self._start(self.proposer.ask_for(choices), required=True)

    def _is_open(self, architecture: Architecture) -> bool:
        architecture = simplified_for(architecture, self.spec.input_size)
        return not self.index.is_known(architecture.digest) and self.spec.budget_excess(architecture) <= 0

    def restored(self, record: TrialRecord) -> Trial:
        """Return a trial that an earlier driver left running, as it was; its next attempt has the same settings."""
        proposal = self.proposer.ask_for(record.choices)
        architecture = self.spec.architecture(proposal)
        self.spec.trial_settings(proposal)
        self.proposer.set_budget_excess(proposal, self.spec.budget_excess(architecture))
        self.proposer.start(record.number, proposal)
        here = {name: getattr(self.spec.settings, name) for name in NOT_IN_DIGEST}
        settings = Settings.from_dict(record.settings).with_(**here)
        self.retries.reached(record.number, record.rung)
        return Trial(record.id, record.number, architecture, record.choices, settings, record.attempt)

    def _start(self, proposal: StudyTrial, *, may_defer: bool = True, required: bool = False) -> Trial | None:
        """Start the trial of a proposal, or of a deferred design in its place; return None if none starts.

        Args:
            proposal: The proposal.
            may_defer: Whether the pruner may defer it.
            required: Start the most probable deferred design, even if its probability is low.
        """
        architecture, settings = self._proposed(proposal)
        digest, excess = architecture.digest, self.spec.budget_excess(architecture)
        self.proposer.set_budget_excess(proposal, excess)
        if self.index.is_known(digest):
            self.index.duplicates += 1
            self._recorder.skip(DUPLICATE, digest, proposal.params)
            self.proposer.answer_duplicate(proposal, self.index.values_of_duplicate(digest, proposal.params))
            return None
        if excess > 0:
            self.index.add_over_budget(digest)
            self._recorder.skip(OVER_BUDGET, digest, proposal.params, excess)
            self.proposer.reject(proposal)
            return None
        if may_defer and self.spec.pruner != "none":
            chosen = self._choose(proposal, architecture, required=required)
            if chosen is None:
                return None
            if chosen is not proposal:
                proposal = chosen
                architecture, settings = self._proposed(proposal)
                digest = architecture.digest
                self.proposer.set_budget_excess(proposal, self.spec.budget_excess(architecture))
        self.pruner.deferred.designs.pop(digest, None)
        trial = self._recorder.start(self.index.next_number, architecture, proposal.params, settings)
        self.index.start(digest)
        self.proposer.start(trial.number, proposal)
        return trial

    def _proposed(self, proposal: StudyTrial) -> tuple[Architecture, Settings]:
        """Return the architecture of a proposal, and its settings: with its image size, if the space offers sizes."""
        architecture, settings = self.spec.architecture(proposal), self.spec.trial_settings(proposal)
        if architecture.image_size is not None:
            settings = settings.with_(image_size=architecture.image_size)
        return architecture, settings

    def _choose(self, proposal: StudyTrial, architecture: Architecture, *, required: bool) -> StudyTrial | None:
        """Return this proposal, a deferred design that is more probable, or None if every one stays deferred."""
        digest = architecture.digest
        self.pruner.add_design(digest, self.spec.cost(architecture), proposal.params)
        design = self.pruner.next_design(required=required)
        if design is not None and design.digest == digest:
            return proposal
        self._recorder.skip(DEFERRED, digest, proposal.params)
        self.proposer.reject(proposal)
        return None if design is None else self.proposer.ask_for(design.choices)
