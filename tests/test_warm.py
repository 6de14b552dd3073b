"""Known designs: the paper's networks if the space has them, otherwise the nearest ones; they are the first trials."""

from dataclasses import replace

import pytest
from support.fakes import scored, tiny_space

from hybrid_search.errors import LedgerError
from hybrid_search.ledger import Ledger, reads
from hybrid_search.networks.costs import total_cost
from hybrid_search.networks.references import reference
from hybrid_search.records import Resources, SearchRecord
from hybrid_search.runs.run import run
from hybrid_search.search.opening import open_search
from hybrid_search.search.spec import SearchSpec
from hybrid_search.search.trial import Outcome
from hybrid_search.spaces.known_designs import known_designs, known_names
from hybrid_search.spaces.space import SearchSpace, load_space

OPERATORS = {"conv": {"kernel_size": [3, 5]}, "local_attention": {"extent": [3, 5, 7], "heads": [1, 2]}}


def record(space, **more):
    values = {"objectives": ("accuracy", "flops"), "settings": space.settings, "sampler": "known-cost", "seed": 0}
    values |= {"target": 9, "input_size": (3, 32, 32), "classes": 10, "known_designs": True}
    return SearchRecord(0, space.name, space.to_dict(), **values | more)


def designs_of(space, **more):
    return {each.name: each.architecture for each in known_designs(record(space, **more))}


def own_space(*stages, stem="conv3x3", **more):
    stages = [{"depth": 1, "width": [8, 16, 32], **stage} for stage in stages]
    return SearchSpace.from_dict({"name": "own", "stem": {stem: {"width": [8, 16]}}, "stages": stages, **more})


def operators(architecture):
    return [stage.operator for stage in architecture.stages for _ in range(stage.depth)]


@pytest.mark.parametrize(("space", "depth"), [("sasa-resnet26", 26), ("sasa-resnet50", 50)])
def test_the_spaces_of_the_paper_begin_with_its_own_networks(space, depth):
    designs = designs_of(load_space(space), input_size=(3, 224, 224), classes=1000)
    assert designs["all convolution"] == reference(f"resnet{depth}")
    assert designs["all attention"] == reference(f"sasa-{depth}-stem")
    assert designs["attention throughout"] == reference(f"sasa-{depth}-full")
    if depth == 50:
        for pattern in ("CAAA", "CCAA", "CCCA"):
            assert designs[f"convolution then attention ({pattern})"] == reference(f"hybrid-50-{pattern}")
    assert len(designs) == 6


def test_known_designs_differ_only_in_their_operators():
    designs = designs_of(load_space("digits"), input_size=(1, 16, 16))
    assert list(designs) == [
        "all convolution",
        "all attention",
        "convolution then attention (CAA)",
        "convolution then attention (CCA)",
    ]
    sizes = {tuple((s.depth, s.width, s.stride) for s in design.stages) for design in designs.values()}
    assert sizes == {((1, 8, 1), (1, 16, 2), (2, 32, 2))}  # the middle of the choices
    assert {stage.options for stage in designs["all convolution"].stages} == {(("kernel_size", 3), ("groups", 1))}
    assert [dict(s.options)["extent"] for s in designs["all attention"].stages] == [7, 7, 5]
    assert [dict(s.options)["heads"] for s in designs["all attention"].stages] == [2, 2, 4]


def test_known_designs_are_in_the_space():
    space = own_space({"operator": "conv"}, {"operator": OPERATORS})
    assert [operators(a) for a in designs_of(space).values()] == [["conv", "conv"], ["conv", "local_attention"]]
    assert designs_of(own_space({"operator": {"local_attention": {"heads": 2}}}, stem="conv7x7")).keys() == {
        "all attention"
    }


def test_stages_of_one_group_have_the_same_operator():
    groups = {"early": {"operator": OPERATORS}}  # a group has one operator
    space = own_space({"group": "early"}, {"group": "early"}, {"operator": OPERATORS}, groups=groups)
    conv, attention = ["conv"], ["local_attention"]
    assert [operators(a) for a in designs_of(space).values()] == [3 * conv, 3 * attention, 2 * conv + attention]


def test_blocks_with_their_own_choice_have_the_operator_of_the_stage():
    space = own_space({"operator": OPERATORS, "per": "block"}, {"operator": OPERATORS, "per": "block", "stride": 2})
    assert [operators(a) for a in designs_of(space).values()] == [
        ["conv", "conv"],
        ["local_attention", "local_attention"],
        ["conv", "local_attention"],
    ]


def test_a_space_of_many_stages_is_split_at_three_depths():
    space = own_space(*[{"operator": OPERATORS, "width": 8 * (1 + number)} for number in range(8)])
    patterns = ["".join("CA"[name != "conv"] for name in operators(a)) for a in designs_of(space).values()]
    assert patterns == ["C" * 8, "A" * 8, "CCAAAAAA", "CCCCAAAA", "CCCCCCAA"]


def test_a_known_design_over_budget_is_reduced_or_left_out():
    space, size = load_space("fashion-table"), (1, 14, 14)

    def flops(architecture):
        return total_cost(architecture, size, 10)[0]

    free = designs_of(space, input_size=size)
    least = min(flops(a) for a in space.enumerate() if set(operators(a)) == {"local_attention"})
    for budget in (1_500_000, 300_000, least, least - 1):
        within = designs_of(space, input_size=size, max_flops=budget)
        assert all(flops(a) <= budget for a in within.values())
        assert all(within[name] == a for name, a in free.items() if flops(a) <= budget)
        assert ("all attention" in within) == (budget >= least)
        assert {*operators(within["all convolution"])} == {"conv"}


def test_a_space_with_blocks_begins_with_the_networks_that_people_use():
    operators = {"conv": {}, "depthwise_conv": {"kernel_size": [3, 5, 7]}, "local_attention": {"heads": 2}}
    block = {"basic": {}, "inverted_residual": {"expansion": [2, 4]}}
    stages = [{"depth": [1, 2], "width": [w, 2 * w], "stride": 1 + (w > 8), "operator": operators} for w in (8, 16, 32)]
    content = {"name": "own", "stem": {"conv3x3": {"width": [8, 16], "stride": 2}}, "stages": stages, "block": block}
    space = SearchSpace.from_dict(content)
    free = designs_of(space)
    assert list(free)[:2] == ["resnet-basic-16", "mobilenet-16"]
    assert free["resnet-basic-16"] == reference("resnet-basic-16")
    assert {"all convolution", "all attention"} <= set(free)
    small = designs_of(space, max_flops=3_000_000)
    assert list(small)[:2] == ["resnet-basic-8", "mobilenet-8"]
    attention = SearchSpace.from_dict({**content, "block": {"metaformer": {}}})
    assert next(iter(designs_of(attention))).endswith("convnext-16")


# -- in a search --


@pytest.fixture
def ledger(tmp_path):
    with Ledger(f"sqlite:///{tmp_path}/l.db") as opened:
        yield opened


def play(ledger, trials, sampler="known-cost", **more):
    search = open_search(SearchSpec.create(load_space("fashion-table"), trials=trials, sampler=sampler, **more), ledger)
    while (trial := search.ask()) is not None:
        search.tell(trial, Outcome("complete", {"accuracy": int(trial.architecture.digest[:4], 16) / 65536}))
    return [trial.digest for trial in ledger.read(reads.trials, search.record.id)], search


@pytest.mark.parametrize("sampler", ["known-cost", "tpe", "random"])
def test_a_search_begins_with_known_designs_and_never_repeats_them(ledger, sampler):
    digests, search = play(ledger, 12, sampler)
    known = [each.architecture.digest for each in known_designs(search.record)]
    assert digests[: len(known)] == known
    assert len(set(digests)) == 12
    assert list(known_names(search.record)) == known


def test_a_search_without_known_designs_has_none(ledger):
    digests, search = play(ledger, 6, known_designs=False)
    assert known_names(search.record) == {}
    assert digests[0] not in {d.architecture.digest for d in known_designs(replace(search.record, known_designs=True))}


def test_a_resumed_search_tries_the_remaining_known_designs_and_has_the_same_trials(ledger):
    whole, _ = play(ledger, 11, name="whole")
    for trials in (2, 6, 11):
        halves, _ = play(ledger, trials, name="halves")
    assert halves == whole


def test_the_first_steps_of_the_cost_skip_the_range_of_the_known_designs(ledger):
    _, search = play(ledger, 6)
    flops = [trial.measurements["flops"] for trial in ledger.read(reads.trials, search.record.id)]
    costs = [search.spec.cost(a)["flops"] for a in search.spec.space.enumerate()]
    known = len(known_designs(search.record))
    first, then = flops[:known], flops[known:]
    assert max(costs) in then  # the largest design is tried, but no other cost within the range
    assert not [cost for cost in then if min(first) <= cost <= max(first)]


def test_a_search_begun_without_known_designs_resumes_without_them_unless_requested(ledger):
    more = {"resources": Resources("local"), "ledger": ledger, "evaluate": scored()}
    run(tiny_space(), trials=2, known_designs=False, **more)
    assert not run(tiny_space(), trials=4, **more).record.known_designs
    with pytest.raises(LedgerError, match=r"known_designs is False \(got True\)"):
        run(tiny_space(), trials=6, known_designs=True, **more)
    assert run(tiny_space(), trials=2, name="new", **more).record.known_designs


def test_the_page_shows_the_name_of_a_known_design_and_the_tuned_recipe(ledger):
    pytest.importorskip("dash", reason="the page needs dash: pip install -e '.[page]'")
    from hybrid_search.charts import LIGHT
    from hybrid_search.dashboard.chart_cards import page_charts
    from hybrid_search.dashboard.snapshot import Snapshot
    from hybrid_search.dashboard.trial_panel import trial_panel

    more = {"resources": Resources("local"), "ledger": ledger, "evaluate": scored()}
    search = run(tiny_space(), trials=5, tune_recipe=True, **more)
    snapshot = Snapshot(str(ledger.url))
    shown = [str(trial_panel(snapshot, search.record, [number], LIGHT, page_charts())) for number in (0, 4)]
    snapshot.close()
    assert "all convolution" in shown[0]
    assert "known design" not in shown[1]
    assert all("learning rate" in text and "weight decay" in text for text in shown)
