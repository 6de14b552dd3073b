"""The training of a table's designs under a pruner: which begin, and rung by rung, as it was recorded, until it says
stop."""

from collections.abc import Hashable
from dataclasses import replace

from hybrid_search.analysis.replay.objective_table import Landscape, Showing
from hybrid_search.analysis.replay.table import Params
from hybrid_search.pruners import PRUNERS, DeferredDesigns, TrialView


class Training:
    """One run's trainings. `stopped` maps the design of a stopped one to the ends that the pruner expected of it."""

    def __init__(self, landscape: Landscape, showing: Showing, pruner: str, seed: int) -> None:
        self._landscape, self._showing = landscape, showing
        self._pruner = PRUNERS[pruner](showing.aims, seed)
        self._shown = showing.teller(seed)
        self._seen: dict[Hashable, TrialView] = {}
        self._waiting = DeferredDesigns()
        self._passed: dict[Hashable, Params] = {}  # proposed and not begun
        self.stopped: dict[Hashable, tuple[float, ...]] = {}

    def pick(self, params: Params, *, required: bool) -> Params | None:
        """The design that begins now that this one is proposed: it or one that waited, which waits no longer."""
        key = self._landscape.canonical(params)
        self._passed[key] = params
        self._waiting.add(key, self._start(params))
        begins = self._waiting.next_design(self._pruner, list(self._seen.values()), required=required)
        return None if begins is None else self._passed.pop(begins)

    def waiting(self) -> list[Params]:
        """The designs that were proposed and have not begun."""
        return list(self._passed.values())

    def _start(self, params: Params) -> TrialView:
        known = tuple(self._landscape.known[i](params) for i in self._showing.aims.known)
        features = () if self._landscape.features is None else tuple(self._landscape.features(params))
        return TrialView(str(self._landscape.canonical(params)), known, {}, features=features, choices=params)

    def run(self, params: Params) -> int:
        """Train a design to the end, or until it is stopped: epochs spent."""
        key = self._landscape.canonical(params)
        self.stopped.pop(key, None)  # trained again, it may end
        others = [seen for other, seen in self._seen.items() if other != key]
        seen = self._start(params)
        values, signs = self._shown(params)
        last = self._showing.rungs[-1]
        for rung, row, sign in zip(self._showing.rungs, values.tolist(), signs.tolist(), strict=True):
            reached, told = {**seen.curve, rung: tuple(row)}, {**seen.indicators, rung: tuple(sign)}
            seen = replace(seen, curve=reached, indicators=told, final=tuple(row) if rung == last else None)
            verdict = "keep" if rung == last else self._pruner.judge(seen, rung, others)
            if verdict == "stop":
                self._seen[key] = replace(seen, stopped=True)
                self.stopped[key] = self._pruner.expected_values(seen, rung, others)
                return rung
            if verdict == "spare":
                seen = replace(seen, spared=rung)
        self._seen[key] = seen
        return last
