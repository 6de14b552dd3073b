"""The search: no network is trained twice, none is over budget, and none is lost when the search is resumed."""

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
MIDDLE = 600_000  # FLOPs; about half of the twelve designs have less


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def new_search(ledger, trials=6, **more):
    return open_search(SearchSpec.create(SPACE, trials=trials, **more), ledger)


def complete(search, trial, accuracy=0.5):
    return search.tell(trial, Outcome("complete", {"accuracy": accuracy}))


def run_to_the_end(search):
    """Complete trials until the search proposes no more; return their numbers."""
    numbers = []
    while (trial := search.ask()) is not None:
        numbers.append(trial.number)
        complete(search, trial, int(trial.architecture.digest[:4], 16) / 65536)
    return numbers


def digests(ledger, name="tiny"):
    return [trial.digest for trial in ledger.read(reads.trials, ledger.search(name).id)]


def test_a_search_runs_exactly_as_many_trials_as_its_target(ledger):
    assert run_to_the_end(new_search(ledger, trials=6)) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("sampler", ["known-cost", "tpe", "random", "nsga2", "grid"])
def test_no_architecture_is_proposed_twice_and_the_whole_space_is_reached(ledger, sampler):
    search = new_search(ledger, trials=100, sampler=sampler)
    assert len(run_to_the_end(search)) == SPACE.size()
    assert len(set(digests(ledger))) == SPACE.size()
    assert search.ask() is None


def test_parallel_workers_get_different_architectures(ledger):
    search = new_search(ledger, trials=8)
    trials = [search.ask() for _ in range(8)]
    assert len({trial.architecture.digest for trial in trials}) == 8


@pytest.mark.parametrize("sampler", ["known-cost", "tpe"])
def test_a_design_over_budget_uses_no_trial(ledger, sampler):
    search = new_search(ledger, trials=100, max_flops=MIDDLE, sampler=sampler)
    run_to_the_end(search)
    costs = [trial.measurements["flops"] for trial in ledger.read(reads.trials, search.record.id)]
    within = [a for a in SPACE.enumerate() if search.spec.cost(a)["flops"] <= MIDDLE]
    assert 0 < len(within) < SPACE.size()
    assert len(costs) == len(within)
    assert max(costs) <= MIDDLE
    assert search.progress().over_budget == len(
        [p for p in ledger.read(reads.proposals, search.record.id) if p.reason == "gated"]
    )
    assert (search.progress().over_budget > 0) == (sampler == "tpe")  # known-cost stays within


def test_a_tight_budget_in_a_large_space_still_finds_designs(ledger):
    space = load_space("digits")
    least = SearchSpec.create(space, trials=1)
    search = open_search(least, ledger)
    smallest = search.spec.cost(space.extreme(lambda a: search.spec.cost(a)["flops"])[0])["flops"]
    tight = open_search(SearchSpec.create(space, trials=5, max_flops=smallest * 1.4, name="tight"), ledger)
    assert len(run_to_the_end(tight)) == 5


def test_a_resumed_search_proposes_new_designs(ledger):
    first = new_search(ledger, trials=6)
    run_to_the_end(first)
    again = new_search(ledger, trials=6)
    assert run_to_the_end(again) == [6, 7, 8, 9, 10, 11]
    assert len(set(digests(ledger))) == 12
    assert again.progress().counts["complete"] == 12


def test_a_resumed_search_has_the_proposals_of_an_uninterrupted_one(ledger):
    space = load_space("digits")

    def proposals(name, targets):
        for target in targets:
            search = open_search(SearchSpec.create(space, trials=target, name=name), ledger)
            run_to_the_end(search)
        return digests(ledger, name)

    whole = proposals("whole", [16])
    assert proposals("halves", [5, 12, 16]) == whole
    assert len(set(whole)) == 16


def test_a_larger_target_is_the_total_and_not_added(ledger):
    run_to_the_end(new_search(ledger, trials=4))
    assert run_to_the_end(new_search(ledger, trials=7)) == [4, 5, 6]


def test_an_unfinished_trial_is_retried_under_its_number(ledger):
    first = new_search(ledger, trials=4)
    complete(first, first.ask())
    lost = first.ask()
    first.report(lost, Report(1, {"accuracy": 0.2}))
    again = new_search(ledger, trials=4)
    retried = again.ask()
    assert (retried.number, retried.architecture) == (lost.number, lost.architecture)
    complete(again, retried)
    run_to_the_end(again)
    trials = ledger.read(reads.trials, again.record.id)
    assert [(t.number, t.state) for t in trials] == [(n, "complete") for n in range(4)]
    assert [t.attempt for t in trials] == [1, 2, 1, 1]


def test_the_next_attempt_writes_its_last_rung_although_the_failed_attempt_had_reported_it(ledger):
    search = new_search(ledger)
    trial = search.ask()
    search.report(trial, Report(1, {"accuracy": 0.25}))
    attempt = search.fail(trial, "lost", "the worker died")
    search.report(attempt, Report(1, {"accuracy": 0.75}, last=True))
    assert ledger.read(reads.curve, trial.id) == [(1, {"accuracy": 0.75})]


def test_costs_are_recorded_without_measuring_them(ledger):
    search = new_search(ledger, trials=1)
    trial = search.ask()
    complete(search, trial)
    measurements = ledger.read(reads.trial, search.record.id, 0).measurements
    assert measurements == {"accuracy": 0.5, **search.spec.cost(trial.architecture)}


def test_a_trial_with_a_number_that_is_not_finite_fails(ledger):
    search = new_search(ledger, trials=3)
    trial = search.ask()
    assert search.report(trial, Report(1, {"accuracy": 0.1, "loss": float("nan")})) == "stop"
    last = search.ask()
    search.tell(last, Outcome("complete", {"accuracy": float("inf")}))
    kinds = [(t.state, t.failure_kind) for t in ledger.read(reads.trials, search.record.id)]
    assert kinds == [("failed", "nan")] * 2
    assert search.progress().front == 0


def test_an_evaluation_without_an_objective_fails_with_the_names(ledger):
    search = new_search(ledger, trials=1)
    search.tell(search.ask(), Outcome("complete", {"acc": 0.5}))
    assert (
        ledger.read(reads.trial, search.record.id, 0).failure_text
        == "the evaluation must measure accuracy; it gave acc"
    )


def test_a_failed_architecture_is_not_proposed_again(ledger):
    search = new_search(ledger, trials=100, sampler="random")
    while (trial := search.ask()) is not None:
        search.tell(trial, Outcome("failed", {}, "bug", "it broke"))
    assert len(set(digests(ledger))) == len(digests(ledger)) == SPACE.size()


def test_a_result_is_committed_before_the_sampler_gets_it(ledger, monkeypatch):
    search = new_search(ledger, trials=1)
    trial = search.ask()

    def tell(*_, **__):
        assert ledger.read(reads.trial, search.record.id, 0).state == "complete"
        raise KeyboardInterrupt

    monkeypatch.setattr(search.proposer.study, "tell", tell)
    with pytest.raises(KeyboardInterrupt):
        complete(search, trial)
    assert ledger.read(reads.trial, search.record.id, 0).measurements["accuracy"] == 0.5


def test_only_weights_of_the_front_are_saved(ledger):
    search = new_search(ledger, trials=12, objectives=("accuracy",))
    for accuracy in (0.3, 0.2, 0.6):
        trial = search.ask()
        if complete(search, trial, accuracy):
            search.keep_weights(trial, f"weights of {trial.number}".encode())
    assert [trial.number for trial in ledger.read(reads.trials_with_weights, search.record.id)] == [2]
    assert sorted(path.name for path in search.weights.path.iterdir()) == ["2.safetensors"]
    assert search.weights.read(2, ledger.read(reads.trial, search.record.id, 2).weights) == b"weights of 2"
    search.weights.file(2).write_bytes(b"changed")
    assert search.weights.read(2, ledger.read(reads.trial, search.record.id, 2).weights) is None


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"settings": Settings(epochs=3)}, r"search 'tiny', epochs is 8 \(got 3\)"),
        ({"sampler": "random"}, r"sampler is known-cost \(got random\)"),
        ({"max_flops": 1e9}, r"max_flops is None \(got 1000000000.0\)"),
        (
            {"objectives": ("accuracy", "params")},
            r"accuracy, flops \(got accuracy, params\). Use the same .*, or choose another name \(--name\)",
        ),
    ],
)
def test_a_search_resumes_only_with_its_own_spec(ledger, change, message):
    new_search(ledger)
    with pytest.raises(LedgerError, match=message):
        new_search(ledger, **change)


def test_the_error_names_the_difference_if_the_name_belongs_to_another_space(ledger):
    new_search(ledger)
    other = tiny_space(stem={"conv3x3": {"width": 16}})
    with pytest.raises(LedgerError, match=r"space is tiny, which differs in stem"):
        open_search(SearchSpec.create(other, trials=1), ledger)


def test_the_error_names_the_cost_of_the_smallest_design_if_the_budget_is_below_it():
    with pytest.raises(
        SettingsError,
        match=r"max_flops \(--max-flops\) must allow .*; got 1,000\. The smallest design has [\d,]+ flops",
    ):
        SearchSpec.create(SPACE, trials=1, max_flops=1000)
    with pytest.raises(SettingsError, match=r"max_params \(--max-params\) must allow at least one design"):
        SearchSpec.create(SPACE, trials=1, max_params=10)
    with pytest.raises(SettingsError, match=r"max_flops \(--max-flops\) must be more than 0; got -1"):
        SearchSpec.create(SPACE, trials=1, max_flops=-1)


@pytest.mark.parametrize(
    ("wrong", "error", "message"),
    [
        ({"trials": 0}, SettingsError, "trials must be a whole number from 1 up; got 0"),
        ({"sampler": "tpee"}, UnknownName, r"sampler must be one of .*; got 'tpee'. Did you mean 'tpe'"),
        ({"resources": Resources("slurm")}, UnknownName, "engine must be one of local, ray, tune; got 'slurm'"),
        ({"resources": Resources("local", workers=2)}, SettingsError, "engine local has one worker; got workers 2"),
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


def test_results_of_a_user_evaluation_are_not_mixed_with_trained_ones(ledger):
    run(SPACE, trials=1, resources=Resources("local"), ledger=ledger, evaluate=scored())
    with pytest.raises(LedgerError, match=r"evaluation is support.fakes.scored.<locals>.evaluate \(got trained\)"):
        open_search(SearchSpec.create(SPACE, trials=1), ledger)


def test_a_resumed_search_uses_a_moved_data_folder(ledger, tmp_path):
    here, there = tmp_path / "here.npz", tmp_path / "there.npz"
    np.savez(here, x_train=np.zeros((60, 8, 8), np.uint8), y_train=np.arange(60) % 3)
    first = new_search(ledger, trials=2, settings=Settings(data="npz", data_dir=str(here)))
    first.ask()
    here.rename(there)
    again = new_search(ledger, trials=2, settings=Settings(data="npz", data_dir=str(there)))
    assert [again.ask().settings.data_dir for _ in range(2)] == [str(there)] * 2


def test_designs_that_failed_in_one_run_can_be_proposed_in_the_next(ledger):
    search = new_search(ledger, trials=100, sampler="random")
    while (trial := search.ask()) is not None:
        search.tell(trial, Outcome("failed", {}, "bug", "the disk was not mounted"))
    again = new_search(ledger, trials=100, sampler="random")
    assert again.ask() is not None


def test_two_budgets_that_exclude_all_designs_together_are_refused():
    space = load_space("digits")
    size = SearchSpec.create(space, trials=1).input_size
    least = {
        name: getattr(cost(space.extreme(lambda a, n=name: getattr(cost(a, size, 10), n))[0], size, 10), name)
        for name in ("flops", "params")
    }
    SearchSpec.create(space, trials=1, max_flops=least["flops"])
    SearchSpec.create(space, trials=1, max_params=least["params"])
    with pytest.raises(SettingsError, match="must together allow at least one design of digits"):
        SearchSpec.create(space, trials=1, max_flops=least["flops"], max_params=least["params"])


@pytest.mark.parametrize("sampler", ["known-cost", "random", "grid"])
def test_a_search_longer_than_its_sampler_loads_is_complete_and_proposes_no_design_twice(ledger, monkeypatch, sampler):
    whole = open_search(SearchSpec.create(wide_space(), trials=28, sampler=sampler), ledger)
    for _ in range(20):
        trial = whole.ask()
        complete(whole, trial, int(trial.architecture.digest[:4], 16) / 65536)
    unfinished = whole.ask()  # its driver ends here
    monkeypatch.setattr("hybrid_search.search.state.MAX_LOADED", 8)
    again = open_search(SearchSpec.create(wide_space(), trials=28, sampler=sampler), ledger)
    assert sorted(again.front()) == sorted(whole.front())
    assert again.progress() == whole.progress()
    loaded = [trial for trial in again.proposer.study.trials if trial.state.is_finished()]
    assert 7 <= len(loaded) < 16
    resumed = again.ask()
    assert resumed.number == unfinished.number
    complete(again, resumed)
    run_to_the_end(again)
    assert len(set(digests(ledger, "wide"))) == len(digests(ledger, "wide")) == 28


def test_a_search_with_changed_data_is_refused_and_resumes_once_the_data_is_restored(ledger):
    fingerprint = ["aaaa"]

    def evaluate(architecture, settings):
        for rung in (1, 2):
            yield Report(rung, {"accuracy": 0.5}, {"fingerprint": fingerprint[0]}, last=rung == 2)

    evaluate.name = "with a fingerprint"  # its captured value changes
    options = {"resources": Resources("local"), "ledger": ledger, "evaluate": evaluate, "sampler": "random"}
    run(SPACE, trials=2, **options)
    fingerprint[0] = "bbbb"
    law = "must see the same data; digits had fingerprint aaaa, trial 2 saw bbbb on .*. Restore the data"
    with pytest.raises(LedgerError, match=law):
        run(SPACE, trials=2, **options)
    (unfinished,) = [trial for trial in ledger.read(reads.trials, 1) if trial.state != "complete"]
    assert (unfinished.number, unfinished.state, ledger.read(reads.curve, unfinished.id)) == (2, "running", [])
    fingerprint[0] = "aaaa"
    run(SPACE, trials=2, **options)
    assert {trial.state for trial in ledger.read(reads.trials, 1)} == {"complete"}
    assert {trial.facts["fingerprint"] for trial in ledger.read(reads.trials, 1)} == {"aaaa"}


def test_a_changed_data_set_is_refused_before_anything_is_written(ledger, tmp_path):
    rng = np.random.default_rng(0)

    def images(shift):
        np.savez(tmp_path / "npz.npz", x_train=rng.integers(0, 200, (60, 8, 8, 1), np.uint8) + np.uint8(shift),
                 y_train=np.arange(60) % 3)  # fmt: skip
        data.clear_cache()  # as in a new process

    images(0)
    settings = Settings(data="npz", data_dir=str(tmp_path / "npz.npz"), epochs=1, threads=1)
    options = {"resources": Resources("local"), "ledger": ledger, "settings": settings, "sampler": "random"}
    run(SPACE, trials=1, **options)
    was = ledger.read(reads.trials, 1)[0].facts["fingerprint"]
    images(1)
    with pytest.raises(LedgerError, match=f"npz had fingerprint {was}, here it has [0-9a-f]{{16}}. Restore the data"):
        run(SPACE, trials=1, **options)
    assert (ledger.search().target, ledger.lease(1).holder, len(ledger.read(reads.trials, 1))) == (1, None, 1)


def test_an_evaluation_without_an_objective_stops_the_search_after_the_first_trials(ledger):
    def evaluate(architecture, settings):
        yield {"acuracy": 0.5}

    with pytest.raises(
        HybridSearchError,
        match=r"the first 4 trials all failed \(bug\)[\s\S]*the evaluation must measure accuracy, .*it gave acuracy",
    ):
        run(SPACE, trials=12, resources=Resources("local"), ledger=ledger, evaluate=evaluate)
    assert ledger.read(reads.counts, 1) == {"failed": 4}
    assert status_of(ledger, ledger.search()).last_failure.endswith("must measure accuracy; it gave acuracy")


def test_two_workers_with_different_data_cannot_contribute_to_one_search(ledger):
    search = new_search(ledger, trials=4)
    first, second = search.ask(), search.ask()
    search.report(first, Report(1, {"accuracy": 0.5}, {"fingerprint": "aaaa"}))
    with pytest.raises(LedgerError, match=f"fingerprint aaaa, trial {second.number} saw bbbb on its worker. Rest"):
        search.report(second, Report(1, {"accuracy": 0.5}, {"fingerprint": "bbbb"}))
    search.report(first, Report(2, {"accuracy": 0.5}))  # a user evaluation may leave the fingerprint out


def test_an_argument_that_run_does_not_have_is_named_with_the_nearest_one():
    with pytest.raises(SettingsError, match=r"^run\(\) has no argument 'sampeler'\. Did you mean 'sampler'\?$"):
        run("digits", trials=1, sampeler="random")
