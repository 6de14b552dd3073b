"""The search: nothing trained twice, nothing over budget, nothing lost when it is opened again."""

import numpy as np
import pytest
from support.fakes import scored, tiny_space, wide_space

from hybrid_search import data
from hybrid_search.analysis.status import status_of
from hybrid_search.errors import HybridSearchError, LedgerError, SettingsError, UnknownName
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.costs import cost
from hybrid_search.records import Report, Resources, Settings
from hybrid_search.runs.run import run
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome
from hybrid_search.spaces.space import load_space

SPACE = tiny_space()
MIDDLE = 600_000  # FLOPs that about half of the twelve designs stay under


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def search(ledger, trials=6, **more):
    return open_search(SearchSpec.create(SPACE, trials=trials, **more), ledger)


def complete(found, trial, accuracy=0.5):
    return found.tell(trial, Outcome("complete", {"accuracy": accuracy}))


def drain(found):
    numbers = []
    while (trial := found.ask()) is not None:
        numbers.append(trial.number)
        complete(found, trial, int(trial.architecture.digest[:4], 16) / 65536)
    return numbers


def digests(ledger, name="tiny"):
    return [trial.digest for trial in ledger.read(reads.trials, ledger.search(name).id)]


def test_it_asks_exactly_as_many_trials_as_its_target(ledger):
    assert drain(search(ledger, trials=6)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("sampler", ["known-cost", "tpe", "random", "nsga2", "grid"])
def test_no_architecture_is_asked_twice_and_the_whole_space_is_reached(ledger, sampler):
    found = search(ledger, trials=100, sampler=sampler)
    assert len(drain(found)) == SPACE.size()
    assert len(set(digests(ledger))) == SPACE.size()
    assert found.ask() is None


def test_workers_beside_each_other_get_different_architectures(ledger):
    found = search(ledger, trials=8)
    trials = [found.ask() for _ in range(8)]
    assert len({trial.architecture.digest for trial in trials}) == 8


@pytest.mark.parametrize("sampler", ["known-cost", "tpe"])
def test_a_budget_is_a_gate_that_consumes_no_trial(ledger, sampler):
    found = search(ledger, trials=100, max_flops=MIDDLE, sampler=sampler)
    drain(found)
    costs = [trial.measurements["flops"] for trial in ledger.read(reads.trials, found.record.id)]
    within = [a for a in SPACE.enumerate() if found.spec.cost(a)["flops"] <= MIDDLE]
    assert 0 < len(within) < SPACE.size()
    assert len(costs) == len(within)
    assert max(costs) <= MIDDLE
    assert found.progress().over_budget == len(
        [p for p in ledger.read(reads.proposals, found.record.id) if p.reason == "gated"]
    )
    assert (found.progress().over_budget > 0) == (sampler == "tpe")  # known-cost stays within


def test_a_tight_budget_in_a_large_space_still_finds_designs(ledger):
    space = load_space("digits")
    least = SearchSpec.create(space, trials=1)
    found = open_search(least, ledger)
    smallest = found.spec.cost(space.extreme(lambda a: found.spec.cost(a)["flops"])[0])["flops"]
    tight = open_search(SearchSpec.create(space, trials=5, max_flops=smallest * 1.4, name="tight"), ledger)
    assert len(drain(tight)) == 5


def test_opening_it_again_goes_on_and_asks_new_questions(ledger):
    first = search(ledger, trials=6)
    drain(first)
    again = search(ledger, trials=6)
    assert drain(again) == [6, 7, 8, 9, 10, 11]
    assert len(set(digests(ledger))) == 12
    assert again.progress().counts["complete"] == 12


def test_opened_again_it_asks_what_it_would_have_asked(ledger):
    space = load_space("digits")

    def asked(name, targets):
        for target in targets:
            found = open_search(SearchSpec.create(space, trials=target, name=name), ledger)
            drain(found)
        return digests(ledger, name)

    whole = asked("whole", [16])
    assert asked("halves", [5, 12, 16]) == whole
    assert len(set(whole)) == 16


def test_a_larger_target_is_the_total_and_not_added(ledger):
    drain(search(ledger, trials=4))
    assert drain(search(ledger, trials=7)) == [4, 5, 6]


def test_a_trial_left_running_is_asked_again_under_its_number(ledger):
    first = search(ledger, trials=4)
    complete(first, first.ask())
    lost = first.ask()
    first.report(lost, Report(1, {"accuracy": 0.2}))
    again = search(ledger, trials=4)
    retaken = again.ask()
    assert (retaken.number, retaken.architecture) == (lost.number, lost.architecture)
    complete(again, retaken)
    drain(again)
    trials = ledger.read(reads.trials, again.record.id)
    assert [(t.number, t.state) for t in trials] == [(n, "complete") for n in range(4)]
    assert [t.attempt for t in trials] == [1, 2, 1, 1]


def test_what_is_known_before_training_needs_no_measuring(ledger):
    found = search(ledger, trials=1)
    trial = found.ask()
    complete(found, trial)
    kept = ledger.read(reads.trial, found.record.id, 0).measurements
    assert kept == {"accuracy": 0.5, **found.spec.cost(trial.architecture)}


def test_a_number_that_is_not_finite_ends_the_trial_as_failed(ledger):
    found = search(ledger, trials=3)
    trial = found.ask()
    assert found.report(trial, Report(1, {"accuracy": 0.1, "loss": float("nan")})) == "stop"
    last = found.ask()
    found.tell(last, Outcome("complete", {"accuracy": float("inf")}))
    kinds = [(t.state, t.failure_kind) for t in ledger.read(reads.trials, found.record.id)]
    assert kinds == [("failed", "nan")] * 2
    assert found.progress().front == 0


def test_an_evaluation_that_measures_something_else_is_named(ledger):
    found = search(ledger, trials=1)
    found.tell(found.ask(), Outcome("complete", {"acc": 0.5}))
    assert (
        ledger.read(reads.trial, found.record.id, 0).failure_text == "the evaluation must measure accuracy; it gave acc"
    )


def test_a_failed_architecture_is_not_asked_again(ledger):
    found = search(ledger, trials=100, sampler="random")
    while (trial := found.ask()) is not None:
        found.tell(trial, Outcome("failed", {}, "bug", "it broke"))
    assert len(set(digests(ledger))) == len(digests(ledger)) == SPACE.size()


def test_the_ledger_is_written_before_the_sampler_is_told(ledger, monkeypatch):
    found = search(ledger, trials=1)
    trial = found.ask()

    def told(*_, **__):
        assert ledger.read(reads.trial, found.record.id, 0).state == "complete"
        raise KeyboardInterrupt

    monkeypatch.setattr(found.proposer.study, "tell", told)
    with pytest.raises(KeyboardInterrupt):
        complete(found, trial)
    assert ledger.read(reads.trial, found.record.id, 0).measurements["accuracy"] == 0.5


def test_weights_are_kept_for_the_front_alone(ledger):
    found = search(ledger, trials=12, objectives=("accuracy",))
    for accuracy in (0.3, 0.2, 0.6):
        trial = found.ask()
        if complete(found, trial, accuracy):
            found.keep_weights(trial, f"weights of {trial.number}".encode())
    assert [kept.number for kept in ledger.read(reads.trials_with_weights, found.record.id)] == [2]
    assert sorted(path.name for path in found.weights.path.iterdir()) == ["2.safetensors"]
    assert found.weights.read(2, ledger.read(reads.trial, found.record.id, 2).weights) == b"weights of 2"
    found.weights.file(2).write_bytes(b"changed")
    assert found.weights.read(2, ledger.read(reads.trial, found.record.id, 2).weights) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": Settings(epochs=3)}, r"search 'tiny', epochs is 8 \(got 3\)"),
        ({"sampler": "random"}, r"sampler is known-cost \(got random\)"),
        ({"max_flops": 1e9}, r"max_flops is None \(got 1000000000.0\)"),
        (
            {"objectives": ("accuracy", "params")},
            r"accuracy, flops \(got accuracy, params\). Use the same .*, or choose another --name",
        ),
    ],
)
def test_a_search_goes_on_only_with_its_own_question(ledger, change, message):
    search(ledger)
    with pytest.raises(LedgerError, match=message):
        search(ledger, **change)


def test_a_name_taken_by_another_space_says_how_they_differ(ledger):
    search(ledger)
    other = tiny_space(stem={"conv3x3": {"width": 16}})
    with pytest.raises(LedgerError, match=r"space is tiny, which differs in stem"):
        open_search(SearchSpec.create(other, trials=1), ledger)


def test_a_budget_below_the_smallest_design_names_its_cost():
    with pytest.raises(SettingsError, match=r"--max-flops must leave .*smallest has [\d,]+ flops; got 1,000"):
        SearchSpec.create(SPACE, trials=1, max_flops=1000)
    with pytest.raises(SettingsError, match=r"--max-params must leave at least one design"):
        SearchSpec.create(SPACE, trials=1, max_params=10)
    with pytest.raises(SettingsError, match="max-flops must be more than 0; got -1"):
        SearchSpec.create(SPACE, trials=1, max_flops=-1)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"trials": 0}, SettingsError, "trials must be a whole number from 1 up; got 0"),
        ({"sampler": "tpee"}, UnknownName, r"sampler must be one of .*; got 'tpee'. Did you mean 'tpe'"),
        ({"resources": Resources("slurm")}, UnknownName, "engine must be one of local, ray, tune; got 'slurm'"),
        ({"resources": Resources("local", workers=2)}, SettingsError, "engine local has one worker; got --workers 2"),
        ({"settings": Settings(data="mnist")}, Exception, "data must be one of .*fashion-mnist"),
    ],
)
def test_a_wrong_request_writes_nothing(tmp_path, wrong, error, message):
    with pytest.raises(error, match=message):
        run(
            SPACE,
            **{
                "trials": 2,
                "resources": Resources("local"),
                "ledger": f"sqlite:///{tmp_path}/x.db",
                "evaluate": scored(),
                **wrong,
            },
        )
    assert list(tmp_path.iterdir()) == []


def test_numbers_of_an_evaluation_of_ones_own_never_join_trained_ones(ledger):
    run(SPACE, trials=1, resources=Resources("local"), ledger=ledger, evaluate=scored())
    with pytest.raises(LedgerError, match=r"evaluation is support.fakes.scored.<locals>.evaluate \(got trained\)"):
        open_search(SearchSpec.create(SPACE, trials=1), ledger)


def test_a_moved_data_folder_is_followed_when_a_search_goes_on(ledger, tmp_path):
    here, there = tmp_path / "here.npz", tmp_path / "there.npz"
    np.savez(here, x_train=np.zeros((60, 8, 8), np.uint8), y_train=np.arange(60) % 3)
    first = search(ledger, trials=2, settings=Settings(data="npz", data_dir=str(here)))
    first.ask()
    here.rename(there)
    again = search(ledger, trials=2, settings=Settings(data="npz", data_dir=str(there)))
    assert [again.ask().settings.data_dir for _ in range(2)] == [str(there)] * 2


def test_what_failed_in_one_run_may_be_asked_in_the_next(ledger):
    found = search(ledger, trials=100, sampler="random")
    while (trial := found.ask()) is not None:
        found.tell(trial, Outcome("failed", {}, "bug", "the disk was away"))
    again = search(ledger, trials=100, sampler="random")
    assert again.ask() is not None


def test_two_budgets_that_only_exclude_together_are_refused():
    space = load_space("digits")
    size = SearchSpec.create(space, trials=1).input_size
    least = {
        name: getattr(cost(space.extreme(lambda a, n=name: getattr(cost(a, size, 10), n))[0], size, 10), name)
        for name in ("flops", "params")
    }
    SearchSpec.create(space, trials=1, max_flops=least["flops"])
    SearchSpec.create(space, trials=1, max_params=least["params"])
    with pytest.raises(SettingsError, match="at least one design of digits together"):
        SearchSpec.create(space, trials=1, max_flops=least["flops"], max_params=least["params"])


@pytest.mark.parametrize("sampler", ["known-cost", "random", "grid"])
def test_a_search_too_long_for_its_sampler_is_still_whole_and_asks_nothing_twice(ledger, monkeypatch, sampler):
    whole = open_search(SearchSpec.create(wide_space(), trials=28, sampler=sampler), ledger)
    for _ in range(20):
        trial = whole.ask()
        complete(whole, trial, int(trial.architecture.digest[:4], 16) / 65536)
    left = whole.ask()  # its driver ends here
    monkeypatch.setattr("hybrid_search.search.history.MAX_LOADED", 8)
    again = open_search(SearchSpec.create(wide_space(), trials=28, sampler=sampler), ledger)
    assert sorted(again.front()) == sorted(whole.front())
    assert again.progress() == whole.progress()
    held = [trial for trial in again.proposer.study.trials if trial.state.is_finished()]
    assert 7 <= len(held) < 16
    resumed = again.ask()
    assert resumed.number == left.number
    complete(again, resumed)
    drain(again)
    assert len(set(digests(ledger, "wide"))) == len(digests(ledger, "wide")) == 28


def test_a_search_whose_data_has_changed_is_refused_and_goes_on_when_it_is_back(ledger):
    seen = ["aaaa"]

    def evaluate(architecture, settings):
        for rung in (1, 2):
            yield Report(rung, {"accuracy": 0.5}, {"fingerprint": seen[0]}, last=rung == 2)

    asked = {"resources": Resources("local"), "ledger": ledger, "evaluate": evaluate, "sampler": "random"}
    run(SPACE, trials=2, **asked)
    seen[0] = "bbbb"
    law = "must see the same data; digits had fingerprint aaaa, trial 2 saw bbbb on .*. Restore the data"
    with pytest.raises(LedgerError, match=law):
        run(SPACE, trials=2, **asked)
    (cut,) = [trial for trial in ledger.read(reads.trials, 1) if trial.state != "complete"]
    assert (cut.number, cut.state, ledger.read(reads.curve, cut.id)) == (2, "running", [])
    seen[0] = "aaaa"
    run(SPACE, trials=2, **asked)
    assert {trial.state for trial in ledger.read(reads.trials, 1)} == {"complete"}
    assert {trial.facts["fingerprint"] for trial in ledger.read(reads.trials, 1)} == {"aaaa"}


def test_a_data_set_that_changed_is_found_before_anything_is_written(ledger, tmp_path):
    dice = np.random.default_rng(0)

    def images(shift):
        np.savez(tmp_path / "npz.npz", x_train=dice.integers(0, 200, (60, 8, 8, 1), np.uint8) + np.uint8(shift),
                 y_train=np.arange(60) % 3)  # fmt: skip
        data.clear_cache()  # as in a process of its own

    images(0)
    settings = Settings(data="npz", data_dir=str(tmp_path / "npz.npz"), epochs=1, threads=1)
    asked = {"resources": Resources("local"), "ledger": ledger, "settings": settings, "sampler": "random"}
    run(SPACE, trials=1, **asked)
    was = ledger.read(reads.trials, 1)[0].facts["fingerprint"]
    images(1)
    with pytest.raises(LedgerError, match=f"npz had fingerprint {was}, here it has [0-9a-f]{{16}}. Restore the data"):
        run(SPACE, trials=1, **asked)
    assert (ledger.search().target, ledger.lease(1).holder, len(ledger.read(reads.trials, 1))) == (1, None, 1)


def test_an_evaluation_that_measures_something_else_stops_the_search_instead_of_using_it_up(ledger):
    def evaluate(architecture, settings):
        yield {"acuracy": 0.5}

    with pytest.raises(HybridSearchError, match=r"the first 4 trials all failed \(bug\)[\s\S]*it measured acuracy"):
        run(SPACE, trials=12, resources=Resources("local"), ledger=ledger, evaluate=evaluate)
    assert ledger.read(reads.counts, 1) == {"failed": 4}
    assert status_of(ledger, ledger.search()).last_failure.endswith("must measure accuracy; it gave acuracy")


def test_two_workers_that_see_other_data_do_not_fill_one_search(ledger):
    found = search(ledger, trials=4)
    first, second = found.ask(), found.ask()
    found.report(first, Report(1, {"accuracy": 0.5}, {"fingerprint": "aaaa"}))
    with pytest.raises(LedgerError, match=f"fingerprint aaaa, trial {second.number} saw bbbb on its worker. Rest"):
        found.report(second, Report(1, {"accuracy": 0.5}, {"fingerprint": "bbbb"}))
    found.report(first, Report(2, {"accuracy": 0.5}))  # an evaluation of the user's own need not say
