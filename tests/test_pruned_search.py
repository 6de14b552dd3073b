"""A search with a pruner: stopped trials are recorded, the sampler gets forecasts, and a resumed search is the same."""

import math

import pytest
from support.fakes import graded, scored, wide_space

from hybrid_search import cli
from hybrid_search.cli.output import Format, say
from hybrid_search.cli.run import print_result
from hybrid_search.errors import LedgerError, UnknownName
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.networks.architecture import Architecture
from hybrid_search.pareto import pareto_front
from hybrid_search.pruners import PRUNERS, FrontProbabilityPruner
from hybrid_search.records import Report, Resources
from hybrid_search.runs.run import run
from hybrid_search.runs.trial_lines import progress_text
from hybrid_search.samplers import PRUNED_VALUES
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec

SPACE = wide_space()
PRUNED = {"pruner": "front-probability", "sampler": "random", "resources": Resources("local"), "evaluate": graded()}


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def use_pruner(monkeypatch, factory):
    monkeypatch.setitem(PRUNERS._loaded, "front-probability", factory)


@pytest.fixture
def half_spared(monkeypatch):
    """Use a pruner whose audit spares half of the designs from a stop."""
    use_pruner(monkeypatch, lambda aims, seed: FrontProbabilityPruner(aims, seed, audit_share=0.5))


def score(trial):
    return (0.5 + 0.45 * int(trial.digest[:4], 16) / 65536) * (1.0 - 0.5**6)


def trials_of(ledger, name="wide"):
    return ledger.read(reads.trials, ledger.search(name).id)


@pytest.fixture(scope="module")
def complete_search(tmp_path_factory):
    """Yield a search of all designs, and its trials."""
    with Ledger(f"sqlite:///{tmp_path_factory.mktemp('whole')}/l.db") as opened:
        search = run(SPACE, trials=28, ledger=opened, **PRUNED)
        yield search, trials_of(opened)


def test_a_stopped_trial_records_its_expected_final_value(complete_search):
    search, trials = complete_search
    stopped = [trial for trial in trials if trial.state == "stopped"]
    assert len(stopped) == search.progress().counts["stopped"] > 2
    for trial in stopped:
        assert float(trial.facts["expected accuracy"]) == pytest.approx(score(trial), abs=0.08)
    assert search.progress().saved_epochs == sum(6 - trial.rung for trial in stopped)


def test_a_deferred_design_begins_when_no_better_one_is_left(complete_search):
    search, trials = complete_search
    proposals = search.ledger.read(reads.proposals, search.record.id)
    deferred = [proposal.digest for proposal in proposals if proposal.reason == "passed over"]
    assert len(set(deferred)) > 3
    assert set(deferred) <= {trial.digest for trial in trials}  # the search tries all of this small space
    assert search.progress().deferred == 0
    assert search.progress().duplicates == sum(proposal.reason == "duplicate" for proposal in proposals)


def test_a_resumed_search_has_the_same_deferred_designs(ledger):
    search = run(SPACE, trials=14, ledger=ledger, **PRUNED)
    again = open_search(search.spec, ledger)
    assert list(again.pruner.deferred.designs.items()) == list(search.pruner.deferred.designs.items()) != []
    assert again.progress().deferred == search.progress().deferred == len(search.pruner.deferred.designs)
    begun = {trial.digest for trial in trials_of(ledger)}
    assert not begun & set(search.pruner.deferred.designs)
    lines = search.audit().lines()
    assert lines[-1].startswith(f"deferred {len(search.pruner.deferred.designs)} designs before their first epoch; ")


class ZeroProbability:
    """A pruner that gives every design the front probability 0."""

    min_probability = 0.5

    def front_probabilities(self, deferred, others):
        return [0.0] * len(deferred)

    def judge(self, trial, rung, others):
        return "keep"


@pytest.fixture
def zero_probability(monkeypatch):
    use_pruner(monkeypatch, lambda aims, seed: ZeroProbability())


def opened(ledger, **more):
    options = {"trials": 20, "pruner": "front-probability", "sampler": "random", "known_designs": False, **more}
    return open_search(SearchSpec.create("digits", **options), ledger)


def test_after_ten_deferred_proposals_one_of_them_begins(ledger, zero_probability, monkeypatch):
    search = opened(ledger)
    monkeypatch.setattr(search._starter, "_unseen", lambda: pytest.fail("the sampler's own proposals are enough"))
    begun = [search.ask().architecture.digest for _ in range(3)]
    proposed = {proposal.digest for proposal in ledger.read(reads.proposals, search.record.id)}
    assert len(set(begun)) == 3
    assert len(proposed | set(begun)) == 30
    assert search.progress().deferred == 27


def test_known_designs_start_even_if_their_probability_is_zero(ledger, zero_probability):
    search = opened(ledger, known_designs=True)
    known = [design.architecture.digest for design in search.spec.known_designs()]
    assert len(known) > 1
    assert [search.ask().architecture.digest for _ in known] == known
    assert search.progress().deferred == 0


def test_a_deferred_design_that_failed_is_not_deferred_in_the_resumed_search(ledger, zero_probability):
    search = opened(ledger)
    trials = [search.ask() for _ in range(4)]
    for trial in trials:
        search.fail(trial, "bug", "it broke")
    deferred = {proposal.digest for proposal in ledger.read(reads.proposals, search.record.id)}
    assert deferred & {trial.architecture.digest for trial in trials}
    assert list(opened(ledger).pruner.deferred.designs) == list(search.pruner.deferred.designs)


def test_a_deferred_design_keeps_its_proposed_recipe(ledger, zero_probability):
    search = opened(ledger, tune_recipe=True)
    for _ in range(3):
        search.ask()
    assert opened(ledger, tune_recipe=True).pruner.deferred.designs == search.pruner.deferred.designs


@pytest.mark.parametrize("pruner", ["none", "front-probability"])
def test_a_sampler_that_reads_the_budget_gets_the_budget_excess_of_every_trial(ledger, zero_probability, pruner):
    options = {
        "sampler": "gp",
        "max_flops": 1.2e6,
        "pruner": pruner,
        "resources": Resources("local"),
        "evaluate": graded(),
    }
    for trials in (10, 11):  # the first eight are random
        search = run("digits", trials=trials, ledger=ledger, **options)
    assert search.progress().counts["complete"] == 11


def test_known_designs_are_never_deferred(ledger, monkeypatch):
    use_pruner(
        monkeypatch, lambda aims, seed: FrontProbabilityPruner(aims, seed, min_probability=1.0, n_startup_trials=4)
    )
    search = open_search(SearchSpec.create(SPACE, trials=9, pruner="front-probability", sampler="random"), ledger)
    known = [design.architecture.digest for design in search.spec.known_designs()]
    begun = [search.ask().architecture.digest for _ in range(len(known))]
    assert begun == known != []


def test_no_network_of_the_front_is_stopped(complete_search):
    search, trials = complete_search
    rows = [[score(t), search.spec.cost(Architecture.from_dict(t.architecture))["flops"]] for t in trials]
    assert {trials[i].state for i in pareto_front(rows, search.spec.directions)} == {"complete"}


def test_a_search_without_a_pruner_stops_nothing(ledger):
    search = run(SPACE, trials=14, ledger=ledger, **{**PRUNED, "pruner": "none"})
    assert search.progress().counts["complete"] == 14
    assert search.audit().saved == 0


@pytest.mark.parametrize("sampler", ["known-cost", "tpe"])
def test_a_resumed_sampler_gets_the_same_forecasts_of_stopped_trials(ledger, sampler):
    options = {**PRUNED, "sampler": sampler}
    search = run(SPACE, trials=24, ledger=ledger, **options)
    again = open_search(search.spec, ledger)
    forecasts = [
        {
            t.params["stage1.width"]: t.user_attrs[PRUNED_VALUES]
            for t in s.proposer.study.get_trials()
            if PRUNED_VALUES in t.user_attrs
        }
        for s in (search, again)
    ]
    assert forecasts[0] == forecasts[1] != {}
    assert again.pruner.trials == search.pruner.trials
    assert {len(signs) for seen in again.pruner.trials.values() for signs in seen.indicators.values()} == {1}
    choices = {trial.number: trial.choices for trial in trials_of(ledger)}
    assert all(seen.choices == choices[number] for number, seen in again.pruner.trials.items())
    assert {len(seen.features) for seen in again.pruner.trials.values()} == {1}  # the parameters
    assert again.audit() == search.audit()


def test_an_interrupted_search_has_the_trials_of_an_uninterrupted_one(ledger):
    def watch(search, context):
        def event(kind, number):
            if kind == "report" and number in (3, 13):
                context.stop.set()

        context.on_event = event

    options = {**PRUNED, "sampler": "known-cost"}
    run(SPACE, trials=20, name="whole", ledger=ledger, **options)
    run(SPACE, trials=20, name="cut", ledger=ledger, watch=watch, **options)
    assert "running" in {trial.state for trial in trials_of(ledger, "cut")}
    run(SPACE, trials=20, name="cut", ledger=ledger, watch=watch, **options)
    run(SPACE, trials=20, name="cut", ledger=ledger, **options)
    tables = [
        [
            (t.number, t.digest, t.state, t.rung, t.audit_rung, t.facts.get("expected accuracy"))
            for t in trials_of(ledger, name)
        ]
        for name in ("whole", "cut")
    ]
    assert tables[0] == tables[1]
    assert "stopped" in {trial.state for trial in trials_of(ledger, "cut")}


def test_the_audit_spares_and_counts_some_designs(ledger, half_spared):
    search = run(SPACE, trials=28, ledger=ledger, **PRUNED)
    spared = [trial for trial in trials_of(ledger) if trial.audit_rung is not None]
    assert len(spared) > 1
    assert {trial.state for trial in spared} == {"complete"}
    assert all(1 <= trial.audit_rung < 6 for trial in spared)
    audit = search.audit()
    assert (audit.spared, audit.spared_on_front) == (len(spared), 0)
    assert open_search(search.spec, ledger).audit() == audit


def test_a_trial_that_starts_again_loses_its_curve_and_audit_rung(ledger, half_spared):
    search = run(SPACE, trials=14, ledger=ledger, **PRUNED)
    again = open_search(search.spec, ledger)
    trial = again.ask()
    again.report(trial, Report(1, {"accuracy": 0.47}))
    again.report(trial, Report(2, {"accuracy": 0.71}))
    ledger.write(writes.set_audit_rung, trial.id, 2)
    trial = again.fail(trial, "lost", "its worker died")
    assert ledger.read(reads.trial, again.record.id, trial.number).audit_rung == 2  # it may resume from a checkpoint
    again.report(trial, Report(1, {"accuracy": 0.46}))
    assert ledger.read(reads.trial, again.record.id, trial.number).audit_rung is None
    assert again.pruner.trials[trial.number].curve == {1: (0.46,)}


def test_a_report_of_the_last_epoch_never_stops_a_trial(ledger):
    def evaluate(architecture, settings):
        for rung in (1, 2):
            yield Report(rung, {"accuracy": 0.5 if rung == 1 else 0.1}, last=rung == 2)

    run(SPACE, trials=14, ledger=ledger, **{**PRUNED, "evaluate": evaluate})
    assert all(trial.state == "complete" or trial.rung == 1 for trial in trials_of(ledger))


def test_a_number_that_is_not_finite_fails_the_trial_and_removes_it_from_the_pruner(ledger):
    search = open_search(SearchSpec.create(SPACE, trials=3, pruner="front-probability"), ledger)
    trial = search.ask()
    search.report(trial, Report(1, {"accuracy": 0.4}))
    assert search.report(trial, Report(2, {"accuracy": math.nan})) == "stop"
    assert search.state(trial) == "failed"
    assert search.audit().spent == 0


def test_a_search_resumes_only_with_its_pruner(ledger):
    run(SPACE, trials=2, ledger=ledger, **PRUNED)
    with pytest.raises(LedgerError, match=r"pruner is front-probability \(got none\)"):
        run(SPACE, trials=2, ledger=ledger, **{**PRUNED, "pruner": "none"})


def test_an_unknown_pruner_writes_nothing(tmp_path, capsys):
    with pytest.raises(UnknownName, match="pruner must be one of none, front-probability; got 'median'"):
        run(
            SPACE,
            trials=2,
            resources=Resources("local"),
            ledger=f"sqlite:///{tmp_path}/x.db",
            evaluate=scored(),
            pruner="median",
        )
    assert cli.run(["run", "digits", "--pruner", "front-probabilty", "--db", f"sqlite:///{tmp_path}/x.db"]) == 2
    error = capsys.readouterr().err
    assert error.startswith("hybrid-search: pruner must be one of none, front-probability; got 'front-probabilty'. ")
    assert error.endswith("Did you mean 'front-probability'?\n")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_prints_stopped_trials_and_the_share_of_wrong_stops(ledger, capsys, half_spared):
    search = run(SPACE, trials=28, ledger=ledger, **PRUNED)
    count, saved = search.progress().counts["stopped"], search.progress().saved_epochs
    assert f"{count} pruned" in progress_text(search)
    assert f"{saved} epochs saved" in progress_text(search)
    print_result(search, Format.json, None, stopped=False, notice=say)
    error = capsys.readouterr().err
    assert f"{count} pruned" in error
    assert f"pruning stopped {count} of 28 trials and saved {saved} of 168 epochs" in error
    assert "rank correlation with the full budget, by epoch: 1: 1.00" in error
    assert "share of wrong stops: 0 of" in error
