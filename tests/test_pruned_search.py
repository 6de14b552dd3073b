"""A search with a pruner: stopped trials are kept, teach the sampler, and a resumed search judges as before."""

import math

import pytest
from support.fakes import graded, scored, wide_space

from hybrid_search import cli
from hybrid_search.cli.output import Format, say
from hybrid_search.cli.run import print_result, progress_text
from hybrid_search.errors import LedgerError, UnknownName
from hybrid_search.ledger import Ledger, reads, writes
from hybrid_search.networks.architecture import Architecture
from hybrid_search.pareto import pareto_front
from hybrid_search.pruners import PRUNERS, FrontProbabilityPruner
from hybrid_search.records import Report, Resources
from hybrid_search.runs.run import run
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
def generous(monkeypatch):
    """Half of those to be stopped are let go on."""
    use_pruner(monkeypatch, lambda aims, seed: FrontProbabilityPruner(aims, seed, audit_share=0.5))


def score(trial):
    return (0.5 + 0.45 * int(trial.digest[:4], 16) / 65536) * (1.0 - 0.5**6)


def of(ledger, name="wide"):
    return ledger.read(reads.trials, ledger.search(name).id)


@pytest.fixture(scope="module")
def ended(tmp_path_factory):
    """A search of all designs, and its trials."""
    with Ledger(f"sqlite:///{tmp_path_factory.mktemp('whole')}/l.db") as opened:
        search = run(SPACE, trials=28, ledger=opened, **PRUNED)
        yield search, of(opened)


def test_a_stopped_trial_says_what_it_was_expected_to_end_with(ended):
    search, trials = ended
    stopped = [trial for trial in trials if trial.state == "stopped"]
    assert len(stopped) == search.progress().counts["stopped"] > 2
    for trial in stopped:
        assert float(trial.facts["expected accuracy"]) == pytest.approx(score(trial), abs=0.08)
    assert search.progress().saved_epochs == sum(6 - trial.rung for trial in stopped)


def test_a_design_passed_over_waits_and_begins_when_nothing_better_is_left(ended):
    search, trials = ended
    proposals = search.ledger.read(reads.proposals, search.record.id)
    passed = [proposal.digest for proposal in proposals if proposal.reason == "passed over"]
    assert len(set(passed)) > 3
    assert set(passed) <= {trial.digest for trial in trials}  # in the end, all of this small space
    assert search.progress().deferred == 0
    assert search.progress().duplicates == sum(proposal.reason == "duplicate" for proposal in proposals)


def test_designs_that_wait_are_the_same_when_the_search_is_opened_again(ledger):
    search = run(SPACE, trials=14, ledger=ledger, **PRUNED)
    again = open_search(search.spec, ledger)
    assert list(again.pruner.deferred.designs.items()) == list(search.pruner.deferred.designs.items()) != []
    assert again.progress().deferred == search.progress().deferred == len(search.pruner.deferred.designs)
    begun = {trial.digest for trial in of(ledger)}
    assert not begun & set(search.pruner.deferred.designs)
    lines = search.audit().lines()
    assert lines[-1].startswith(f"deferred {len(search.pruner.deferred.designs)} designs before their first epoch; ")


class Hopeless:
    """A pruner that has no hope for anything."""

    min_probability = 0.5

    def front_probabilities(self, waiting, others):
        return [0.0] * len(waiting)

    def judge(self, trial, rung, others):
        return "keep"


@pytest.fixture
def hopeless(monkeypatch):
    use_pruner(monkeypatch, lambda aims, seed: Hopeless())


def opened(ledger, **more):
    asked = {"trials": 20, "pruner": "front-probability", "sampler": "random", "known_designs": False, **more}
    return open_search(SearchSpec.create("digits", **asked), ledger)


def test_after_ten_proposals_without_hope_one_of_them_begins(ledger, hopeless, monkeypatch):
    search = opened(ledger)
    monkeypatch.setattr(search._starter, "_unseen", lambda: pytest.fail("the sampler's own proposals are enough"))
    begun = [search.ask().architecture.digest for _ in range(3)]
    proposed = {proposal.digest for proposal in ledger.read(reads.proposals, search.record.id)}
    assert len(set(begun)) == 3
    assert len(proposed | set(begun)) == 30
    assert search.progress().deferred == 27


def test_a_design_that_waited_and_failed_waits_no_longer_when_the_search_is_opened_again(ledger, hopeless):
    search = opened(ledger)
    trials = [search.ask() for _ in range(4)]
    for trial in trials:
        search.fail(trial, "bug", "it broke")
    waited = {proposal.digest for proposal in ledger.read(reads.proposals, search.record.id)}
    assert waited & {trial.architecture.digest for trial in trials}
    assert list(opened(ledger).pruner.deferred.designs) == list(search.pruner.deferred.designs)


def test_a_waiting_design_keeps_the_recipe_it_was_proposed_with(ledger, hopeless):
    search = opened(ledger, tune_recipe=True)
    for _ in range(3):
        search.ask()
    assert opened(ledger, tune_recipe=True).pruner.deferred.designs == search.pruner.deferred.designs


@pytest.mark.parametrize("pruner", ["none", "front-probability"])
def test_a_sampler_that_reads_the_budget_is_told_of_every_trial_how_far_within_it_is(ledger, hopeless, pruner):
    asked = {
        "sampler": "gp",
        "max_flops": 1.2e6,
        "pruner": pruner,
        "resources": Resources("local"),
        "evaluate": graded(),
    }
    for trials in (13, 15):
        search = run("digits", trials=trials, ledger=ledger, **asked)
    assert search.progress().counts["complete"] == 15


def test_known_designs_are_tried_whatever_hope_there_is_for_them(ledger, monkeypatch):
    use_pruner(
        monkeypatch, lambda aims, seed: FrontProbabilityPruner(aims, seed, min_probability=1.0, n_startup_trials=4)
    )
    search = open_search(SearchSpec.create(SPACE, trials=9, pruner="front-probability", sampler="random"), ledger)
    warm = [design.architecture.digest for design in search._starter.known_designs]
    begun = [search.ask().architecture.digest for _ in range(len(warm))]
    assert begun == warm != []


def test_no_network_of_the_front_is_stopped(ended):
    search, trials = ended
    rows = [[score(t), search.spec.cost(Architecture.from_dict(t.architecture))["flops"]] for t in trials]
    assert {trials[i].state for i in pareto_front(rows, search.spec.directions)} == {"complete"}


def test_a_search_without_a_pruner_stops_nothing(ledger):
    search = run(SPACE, trials=14, ledger=ledger, **{**PRUNED, "pruner": "none"})
    assert search.progress().counts["complete"] == 14
    assert search.audit().saved == 0


@pytest.mark.parametrize("sampler", ["known-cost", "tpe"])
def test_what_a_stopped_trial_teaches_is_the_same_when_the_search_is_opened_again(ledger, sampler):
    asked = {**PRUNED, "sampler": sampler}
    search = run(SPACE, trials=24, ledger=ledger, **asked)
    again = open_search(search.spec, ledger)
    taught = [
        {
            t.params["stage1.width"]: t.user_attrs[PRUNED_VALUES]
            for t in s.proposer.study.get_trials()
            if PRUNED_VALUES in t.user_attrs
        }
        for s in (search, again)
    ]
    assert taught[0] == taught[1] != {}
    assert again.pruner.trials == search.pruner.trials
    assert {len(signs) for seen in again.pruner.trials.values() for signs in seen.indicators.values()} == {1}
    choices = {trial.number: trial.choices for trial in of(ledger)}
    assert all(seen.choices == choices[number] for number, seen in again.pruner.trials.items())
    assert {len(seen.features) for seen in again.pruner.trials.values()} == {1}  # the parameters
    assert again.audit() == search.audit()


def test_a_search_that_was_cut_goes_on_as_if_it_had_not_been(ledger):
    def watch(search, context):
        def event(kind, number):
            if kind == "report" and number in (3, 13):
                context.stop.set()

        context.on_event = event

    asked = {**PRUNED, "sampler": "known-cost"}
    run(SPACE, trials=20, name="whole", ledger=ledger, **asked)
    run(SPACE, trials=20, name="cut", ledger=ledger, watch=watch, **asked)
    assert "running" in {trial.state for trial in of(ledger, "cut")}
    run(SPACE, trials=20, name="cut", ledger=ledger, watch=watch, **asked)
    run(SPACE, trials=20, name="cut", ledger=ledger, **asked)
    found = [
        [
            (t.number, t.digest, t.state, t.rung, t.audit_rung, t.facts.get("expected accuracy"))
            for t in of(ledger, name)
        ]
        for name in ("whole", "cut")
    ]
    assert found[0] == found[1]
    assert "stopped" in {trial.state for trial in of(ledger, "cut")}


def test_some_that_would_be_stopped_go_on_and_are_counted(ledger, generous):
    search = run(SPACE, trials=28, ledger=ledger, **PRUNED)
    spared = [trial for trial in of(ledger) if trial.audit_rung is not None]
    assert len(spared) > 1
    assert {trial.state for trial in spared} == {"complete"}
    assert all(1 <= trial.audit_rung < 6 for trial in spared)
    found = search.audit()
    assert (found.spared, found.spared_on_front) == (len(spared), 0)
    assert open_search(search.spec, ledger).audit() == found


def test_a_trial_started_again_forgets_what_it_had_shown(ledger, generous):
    search = run(SPACE, trials=14, ledger=ledger, **PRUNED)
    again = open_search(search.spec, ledger)
    trial = again.ask()
    again.report(trial, Report(1, {"accuracy": 0.47}))
    again.report(trial, Report(2, {"accuracy": 0.71}))
    ledger.write(writes.set_audit_rung, trial.id, 2)
    trial = again.fail(trial, "lost", "its worker died")
    assert ledger.read(reads.trial, again.record.id, trial.number).audit_rung == 2  # it may go on from a checkpoint
    again.report(trial, Report(1, {"accuracy": 0.46}))
    assert ledger.read(reads.trial, again.record.id, trial.number).audit_rung is None
    assert again.pruner.trials[trial.number].curve == {1: (0.46,)}


def test_a_report_of_the_last_epoch_stops_nobody(ledger):
    def evaluate(architecture, settings):
        for rung in (1, 2):
            yield Report(rung, {"accuracy": 0.5 if rung == 1 else 0.1}, last=rung == 2)

    run(SPACE, trials=14, ledger=ledger, **{**PRUNED, "evaluate": evaluate})
    assert all(trial.state == "complete" or trial.rung == 1 for trial in of(ledger))


def test_a_number_that_is_not_finite_fails_the_trial_and_is_forgotten_by_the_pruner(ledger):
    search = open_search(SearchSpec.create(SPACE, trials=3, pruner="front-probability"), ledger)
    trial = search.ask()
    search.report(trial, Report(1, {"accuracy": 0.4}))
    assert search.report(trial, Report(2, {"accuracy": math.nan})) == "stop"
    assert search.state(trial) == "failed"
    assert search.audit().spent == 0


def test_a_search_goes_on_with_its_pruner_only(ledger):
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
    said = capsys.readouterr().err
    assert said.startswith("hybrid-search: pruner must be one of none, front-probability; got 'front-probabilty'. ")
    assert said.endswith("Did you mean 'front-probability'?\n")
    assert list(tmp_path.iterdir()) == []


def test_the_command_line_says_what_was_stopped_and_what_it_may_have_cost(ledger, capsys, generous):
    search = run(SPACE, trials=28, ledger=ledger, **PRUNED)
    count, saved = search.progress().counts["stopped"], search.progress().saved_epochs
    assert f"{count} pruned" in progress_text(search)
    assert f"{saved} epochs saved" in progress_text(search)
    print_result(search, Format.json, None, stopped=False, notice=say)
    said = capsys.readouterr().err
    assert f"{count} pruned" in said
    assert f"pruning stopped {count} of 28 trials and saved {saved} of 168 epochs" in said
    assert "rank correlation with the full budget, by epoch: 1: 1.00" in said
    assert "share of wrong stops: 0 of" in said
