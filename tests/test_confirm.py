"""Confirmation of a front: fresh seeds for its members; it resumes, has a budget and does not change the search."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from support.fakes import scored, tiny_space

from hybrid_search import cli
from hybrid_search.analysis.replay.table_from_searches import table_of_searches
from hybrid_search.analysis.status import status_of
from hybrid_search.errors import HybridSearchError, LedgerError, SettingsError, UnknownName
from hybrid_search.ledger import Ledger, reads
from hybrid_search.ledger.check import check_ledger
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import cost
from hybrid_search.records import Report, Resources, Settings
from hybrid_search.runs.confirm import confirm
from hybrid_search.runs.run import run
from hybrid_search.search.confirmation import Confirmation
from hybrid_search.search.opening import open_search
from hybrid_search.search.search import Search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome

SPACE = tiny_space()
NOISE = 0.02


def truth(architecture):
    """Return the true accuracy of a design: it grows with the cost, and depends a little on the digest."""
    flops = cost(architecture, (1, 16, 16), 10).flops
    return 0.5 + 0.1 * math.log(flops / 3e5) + 0.05 * int(architecture.digest[:4], 16) / 65536


def noisy(architecture, settings):
    """Yield the true accuracy plus noise that depends on design and seed only."""
    seed = [int(architecture.digest[:8], 16), settings.seed]
    yield {"accuracy": truth(architecture) + NOISE * np.random.default_rng(seed).standard_normal()}


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


@pytest.fixture
def searched(ledger):
    run(SPACE, trials=12, resources=Resources("local"), ledger=ledger, evaluate=noisy)
    return ledger


def again(ledger, **more):
    return confirm(resources=Resources("local"), ledger=ledger, evaluate=noisy, **more)


def seeds_of(ledger):
    return {
        number: sorted(repeats.fresh)
        for number, repeats in ledger.read(reads.repeats, ledger.search().id).items()
        if repeats.fresh
    }


def test_every_member_of_the_front_gets_its_seeds_and_no_seed_of_the_search(searched):
    confirmation = again(searched, seeds=3, trials=400)
    retrained = seeds_of(searched)
    assert all(len(retrained[number]) >= 3 for number in confirmation.front())
    assert all(seed != 0 for seeds in retrained.values() for seed in seeds)


def test_no_member_of_the_front_has_a_probability_before_the_noise_is_known(searched, capsys):
    confirmation = again(searched, seeds=1, trials=1)
    standing = confirmation.trial_confidences()
    assert len(confirmation.front()) > 1
    assert all(standing[number].probability is None for number in confirmation.front())
    assert cli.run(["front", "--db", str(searched.url), "--format", "json"]) == 0
    assert [row["front_probability"] for row in json.loads(capsys.readouterr().out)] == [None]


def test_a_limit_below_what_the_seeds_take_is_said_with_both_numbers(searched, capsys):
    wanted = 2 * len(Confirmation(searched.search(), searched, seeds=2).required())
    again(searched, seeds=2, trials=3, progress=True)
    text = capsys.readouterr().err
    assert f"2 fresh seeds each would take {wanted} retrainings, the limit is 3" in text
    assert "at least" not in text


def test_new_members_of_the_front_get_their_seeds_after_a_long_confirmation(ledger):
    run(SPACE, trials=4, resources=Resources("local"), ledger=ledger, evaluate=noisy)
    again(ledger, seeds=20, trials=60)
    run(SPACE, trials=12, resources=Resources("local"), ledger=ledger, evaluate=noisy)
    later = Confirmation(ledger.search(), ledger, seeds=2)
    assert later.done > 4 * len(later.before)  # more than the default budget of a new confirmation
    missing = [number for number in later.front() if len(ledger.read(reads.repeats, later.record.id)[number].fresh) < 2]
    assert missing
    assert later.reason_to_stop() is None
    assert later.budget >= later.done + len(missing)
    again(ledger, seeds=2)
    retrained = ledger.read(reads.repeats, later.record.id)
    assert all(len(retrained[number].fresh) >= 2 for number in missing)


def test_a_confirmation_that_the_engine_refuses_opens_no_test_split(ledger, monkeypatch):
    settings = Settings(epochs=1, train_images=40, validation_images=40)
    run(SPACE, trials=2, resources=Resources("local"), ledger=ledger, settings=settings)

    def refuse(search, context):
        raise SettingsError("a trial must fit the cluster.")

    monkeypatch.setattr("hybrid_search.engines.local.drive", refuse)
    with pytest.raises(SettingsError, match="must fit the cluster"):
        confirm(resources=Resources("local"), ledger=ledger)
    assert ledger.read(reads.openings, ledger.search().id) == []


def test_a_confirmation_does_not_change_the_table_of_the_search(searched):
    before = table_of_searches(searched, ["tiny"], curves=True)
    again(searched, seeds=2, trials=6)
    after = table_of_searches(searched, ["tiny"], curves=True)
    for one, other in zip(before.objectives, after.objectives, strict=True):
        assert one.rungs == other.rungs
        assert np.array_equal(one.values, other.values)


def test_a_confirmation_settles_a_noisy_front_and_stops_by_itself(searched):
    confirmation = again(searched, seeds=2, trials=2000)
    assert confirmation.uncertain_trials() == []
    assert confirmation.done < 2000
    assert confirmation.reason_to_stop() == "the front of 'tiny' is settled"
    true_values = {}
    for trial in searched.read(reads.trials, confirmation.record.id):
        true_values[trial.number] = truth(Architecture.from_dict(trial.architecture))
    means = confirmation.values()
    for number in confirmation.front():
        assert means[number]["accuracy"] == pytest.approx(true_values[number], abs=4 * NOISE / math.sqrt(2))
    with pytest.raises(SettingsError, match="nothing to confirm: the front of 'tiny' is settled"):
        again(searched, seeds=2, trials=2000)


def test_a_value_is_the_mean_over_fresh_seeds_everywhere(searched):
    record = searched.search()
    before = {trial.number: trial.measurements["accuracy"] for trial in searched.read(reads.trials, record.id)}
    again(searched, seeds=2, trials=20)
    points = {point.number: point for point in searched.read(reads.points, record.id, ["accuracy"])[0]}
    for trial in searched.read(reads.trials, record.id):
        repeats = searched.read(reads.repeats, record.id)[trial.number]
        fresh = [values["accuracy"] for values in repeats.fresh.values()]
        expected = np.mean(fresh) if fresh else before[trial.number]
        assert trial.measurements["accuracy"] == pytest.approx(expected)
        assert points[trial.number].values["accuracy"] == pytest.approx(expected)
        assert repeats.own["accuracy"] == before[trial.number]


def test_the_budget_counts_what_earlier_confirmations_trained(searched):
    assert again(searched, seeds=2, trials=3).done == 3
    with pytest.raises(
        SettingsError,
        match=r"the budget of '.*' \(3 retrainings\) is used up; increase trials \(--trials\) or hours \(--hours\)",
    ):
        again(searched, seeds=2, trials=3)
    assert again(searched, seeds=2, trials=5).done == 5


def test_the_default_budget_is_twice_the_missing_seeds_of_the_front_and_of_the_known_designs(searched):
    confirmation = again(searched, seeds=2)
    assert {"all convolution", "all attention"} <= set(confirmation.references.values())
    assert confirmation.budget == 4 * len({*confirmation.before, *confirmation.references})
    assert confirmation.done <= confirmation.budget
    assert all(len(seeds_of(searched)[number]) >= 2 for number in confirmation.references)


def test_known_designs_can_be_left_out(searched):
    confirmation = again(
        searched, seeds=2, trials=2 * len(Confirmation(searched.search(), searched).before), references=False
    )
    assert confirmation.references == {}
    assert set(seeds_of(searched)) <= set(confirmation.before)


def test_hours_end_a_confirmation_without_another_budget(searched):
    now = [0.0]
    confirmation = Confirmation(searched.search(), searched, seeds=1, hours=0.5, clock=lambda: now[0])
    assert confirmation.budget is None
    assert confirmation.ask() is not None
    now[0] = 1801.0
    assert confirmation.ask() is None
    assert "(the hours) is used up" in confirmation.reason_to_stop()


def test_an_interrupted_retraining_is_repeated_with_the_same_seed(searched):
    first = Confirmation(searched.search(), searched, seeds=2, trials=40)
    started = [first.ask() for _ in range(3)]
    own = searched.read(reads.repeats, searched.search().id)[started[0].number].own
    first.tell(started[0], Outcome("complete", own))
    second = Confirmation(searched.search(), searched, seeds=2, trials=40)
    assert second.done == 1
    retried = [second.ask() for _ in range(2)]
    assert {(t.number, t.settings.seed) for t in retried} == {(t.number, t.settings.seed) for t in started[1:]}


def test_parallel_workers_get_different_retrainings(searched):
    confirmation = Confirmation(searched.search(), searched, seeds=2, trials=40)
    retrainings = [confirmation.ask() for _ in range(8)]
    assert len({(trial.number, trial.settings.seed) for trial in retrainings if trial}) == len(
        [t for t in retrainings if t]
    )


def test_a_retraining_keeps_the_settings_of_its_trial_and_writes_no_rung(searched):
    confirmation = Confirmation(searched.search(), searched, trials=5)
    trial = confirmation.ask()
    record = searched.read(reads.trial, searched.search().id, trial.number)
    curve = searched.read(reads.curve, record.id)
    assert trial.settings == Settings.from_dict(record.settings).with_(seed=trial.settings.seed)
    assert confirmation.report(trial, Report(1, {"accuracy": 0.5})) == "keep"
    assert confirmation.fail(trial, "lost", "its worker died") == replace(trial, attempt=2)
    assert searched.read(reads.curve, record.id) == curve
    assert searched.read(reads.trial, searched.search().id, trial.number) == record


def test_failures_are_recorded_and_do_not_stop_a_confirmation(searched):
    victim = Confirmation(searched.search(), searched, trials=1).front()[0]
    digest = searched.read(reads.trial, searched.search().id, victim).digest

    def breaks(architecture, settings):
        if architecture.digest == digest:
            raise RuntimeError("the disk is not mounted")
        yield from noisy(architecture, settings)

    breaks.name = searched.search().evaluation
    confirmation = confirm(resources=Resources("local"), ledger=searched, evaluate=breaks, seeds=2, trials=20)
    assert [failure.number for failure in confirmation.failures] == [victim, victim]
    assert "the disk is not mounted" in confirmation.failures[0].text
    assert victim not in seeds_of(searched)
    assert len(seeds_of(searched)) > 1
    assert searched.read(reads.trial, confirmation.record.id, victim).state == "complete"
    recorded = searched.read(reads.failures, confirmation.record.id)
    assert [(one.number, one.kind) for one in recorded] == [(victim, failure.kind) for failure in confirmation.failures]
    assert [one.seed for one in recorded] == [failure.seed for failure in confirmation.failures]
    assert all("the disk is not mounted" in one.text for one in recorded)
    assert status_of(searched, searched.search()).failures == {"bug": 2}
    assert {finding.violations for finding in check_ledger(searched)} == {0}


def test_the_failure_of_a_retried_retraining_is_recorded_and_does_not_affect_the_search(searched):
    record = searched.search()
    confirmation = Confirmation(record, searched, trials=9)
    trial = confirmation.ask()
    confirmation.fail(trial, "lost", "its worker died")
    (failure,) = searched.read(reads.failures, record.id, trial.number)
    assert (failure.kind, failure.text, failure.seed) == ("lost", "its worker died", trial.settings.seed)
    assert failure.attempt == searched.read(reads.trial, record.id, trial.number).attempt + 1
    spec = SearchSpec.from_record(record)
    reopened = Search(spec, replace(record, target=record.target + 1), searched)
    assert reopened.retries._failures[trial.number] == {}


def test_a_number_that_is_not_finite_and_a_missing_objective_are_failures(searched):
    confirmation = Confirmation(searched.search(), searched, trials=9)
    assert confirmation.report(confirmation.ask(), Report(1, {"accuracy": math.nan})) == "stop"
    confirmation.tell(confirmation.ask(), Outcome("complete", {"loss": 1.0}))
    kinds = [(failure.kind, failure.text) for failure in confirmation.failures]
    assert kinds[0] == ("nan", "accuracy is not finite after rung 1")
    assert kinds[1] == ("bug", "the evaluation must measure accuracy; it gave loss")
    assert confirmation.done == 0


def test_a_confirmation_stops_with_an_error_if_all_retrainings_fail(searched):
    def breaks(architecture, settings):
        raise RuntimeError("no data")
        yield

    breaks.name = searched.search().evaluation
    with pytest.raises(HybridSearchError, match="the first 4 trials all failed"):
        confirm(resources=Resources("local"), ledger=searched, evaluate=breaks, seeds=2, trials=60)


def test_a_confirmation_does_not_change_the_proposals_of_a_resumed_search(tmp_path):
    def proposed(name, confirmed):
        with Ledger(f"sqlite:///{tmp_path}/{name}.db") as ledger:
            run(SPACE, trials=5, resources=Resources("local"), ledger=ledger, evaluate=noisy)
            if confirmed:
                again(ledger, seeds=2, trials=12)
            run(SPACE, trials=10, resources=Resources("local"), ledger=ledger, evaluate=noisy)
            return [trial.digest for trial in ledger.read(reads.trials, ledger.search().id)]

    assert proposed("confirmed", True) == proposed("plain", False)


def test_the_front_of_the_search_uses_the_means_after_a_confirmation(searched):
    confirmation = again(searched, seeds=3, trials=60)
    opened = open_search(SearchSpec.create(SPACE, trials=12, evaluation=searched.search().evaluation), searched)
    assert sorted(opened.front()) == sorted(confirmation.front())


def test_a_user_evaluation_opens_no_test_split(searched, caplog):
    again(searched, trials=4)
    assert searched.read(reads.openings, searched.search().id) == []
    assert "used the test split" not in caplog.text


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"seeds": 0}, SettingsError, "seeds must be a whole number from 1 up; got 0"),
        ({"trials": 0}, SettingsError, "trials must be a whole number from 1 up; got 0"),
        ({"hours": 0.0}, SettingsError, "hours must be more than 0; got 0"),
        ({"hours": math.nan}, SettingsError, "hours must be more than 0; got nan"),
        ({"name": "tinny"}, UnknownName, "search must be one of tiny; got 'tinny'. Did you mean 'tiny'"),
        ({"resources": Resources("slurm")}, UnknownName, "engine must be one of local, ray"),
        ({"resources": Resources("local", workers=2)}, SettingsError, "engine local has one worker"),
        ({"evaluate": None}, LedgerError, "scored by test_confirm.noisy. From Python, without a test split"),
        (
            {"evaluate": scored()},
            LedgerError,
            "confirmed by the evaluation that scored it; in search 'tiny', evaluation is test_confirm.noisy",
        ),
    ],
)
def test_a_wrong_request_trains_nothing(searched, wrong, error, message):
    with pytest.raises(error, match=message):
        confirm(**{"resources": Resources("local"), "ledger": searched, "evaluate": noisy, **wrong})
    assert seeds_of(searched) == {}
    assert searched.read(reads.openings, searched.search().id) == []


def test_a_search_without_a_finished_trial_has_nothing_to_confirm(ledger):
    open_search(SearchSpec.create(SPACE, trials=3), ledger).ask()
    with pytest.raises(SettingsError, match="a confirmation needs a completed trial; search 'tiny' has none yet"):
        confirm(resources=Resources("local"), ledger=ledger)


def test_trained_networks_are_scored_on_the_test_split_whose_use_is_written_first(ledger, caplog, monkeypatch):
    from hybrid_search.training import retraining as module

    settings = Settings(image_size=8, train_images=60, validation_images=30, epochs=1)
    module._open_once.cache_clear()
    run("digits", trials=2, resources=Resources("local"), ledger=ledger, settings=settings)
    record = ledger.search()
    assert ledger.read(reads.openings, record.id) == []
    assert "used the test split" not in caplog.text
    openings = []
    evaluate = module.evaluate

    def watched(architecture, settings, **hooks):
        openings.append(len(ledger.read(reads.openings, record.id)))
        yield from evaluate(architecture, settings, **hooks)

    monkeypatch.setattr(module, "evaluate", watched)
    confirmation = confirm(resources=Resources("local"), ledger=ledger, seeds=1, trials=2)
    assert openings == [1, 1]
    (opening,) = ledger.read(reads.openings, record.id)
    assert (opening.images, opening.reason) == (359, "confirming a front over fresh seeds")
    assert caplog.text.count(f"used the test split of digits (359 images, fingerprint {opening.fingerprint})") == 1
    (number, seeds), *_ = seeds_of(ledger).items()
    values = ledger.read(reads.repeats, record.id)[number].fresh[seeds[0]]
    assert 0 <= values["test_accuracy"] <= 1
    assert confirmation.trial_confidences()[number].test is not None
    confirm(resources=Resources("local"), ledger=ledger, seeds=1, trials=3)
    assert len(ledger.read(reads.openings, record.id)) == 2


def test_a_worker_with_other_data_than_the_search_is_refused(ledger):
    search = open_search(SearchSpec.create("digits", trials=1), ledger)
    trial = search.ask()
    search.report(trial, Report(1, {"accuracy": 0.5}, {"fingerprint": "aaaa"}))
    search.tell(trial, Outcome("complete", {"accuracy": 0.5}))
    confirmation = Confirmation(search.record, ledger, seeds=2)
    again = confirmation.ask()
    assert confirmation.report(again, Report(1, {"accuracy": 0.5}, {"fingerprint": "aaaa", "worker": "a:1"})) == "keep"
    with pytest.raises(LedgerError, match="had fingerprint aaaa, trial 0 saw bbbb on b:2"):
        confirmation.report(again, Report(2, {"accuracy": 0.5}, {"fingerprint": "bbbb", "worker": "b:2"}))


def test_data_that_changed_since_the_search_is_refused(ledger):
    settings = Settings(image_size=8, train_images=60, validation_images=30, epochs=1)
    search = open_search(SearchSpec.create("digits", trials=1, settings=settings), ledger)
    trial = search.ask()
    search.report(trial, Report(1, {"accuracy": 0.5}, {"fingerprint": "0123456789abcdef"}))
    search.tell(trial, Outcome("complete", {"accuracy": 0.5}))
    with pytest.raises(LedgerError, match="must see the same data; digits had fingerprint 0123456789abcdef, here"):
        confirm(resources=Resources("local"), ledger=ledger, seeds=1)
    assert ledger.read(reads.openings, ledger.search().id) == []
