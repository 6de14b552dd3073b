"""The training of a table's designs under a pruner: rung by rung, as it was recorded, until the pruner says stop."""

from collections.abc import Hashable
from dataclasses import replace

from hybrid_search.pruning import PRUNERS, Seen
from hybrid_search.replay.landscape import Landscape, Showing
from hybrid_search.replay.table import Params


class Training:
    """One run's trainings. `stopped` maps the design of a stopped one to the ends that the pruner expected of it."""

    def __init__(self, landscape: Landscape, showing: Showing, pruner: str, seed: int) -> None:
        self._landscape, self._showing = landscape, showing
        self._pruner = PRUNERS[pruner](showing.aims, seed)
        self._shown = showing.teller(seed)
        self._seen: dict[Hashable, Seen] = {}
        self.stopped: dict[Hashable, tuple[float, ...]] = {}

    def run(self, params: Params) -> int:
        """Train a design to the end, or until it is stopped: epochs spent."""
        key = self._landscape.canonical(params)
        self.stopped.pop(key, None)  # trained again, it may end
        others = [seen for other, seen in self._seen.items() if other != key]
        known = tuple(self._landscape.known[i](params) for i in self._showing.aims.known)
        features = () if self._landscape.features is None else tuple(self._landscape.features(params))
        seen = Seen(str(key), known, {}, features=features, answers=params)
        values, signs = self._shown(params)
        last = self._showing.rungs[-1]
        for rung, row, sign in zip(self._showing.rungs, values.tolist(), signs.tolist(), strict=True):
            reached, told = {**seen.reached, rung: tuple(row)}, {**seen.signs, rung: tuple(sign)}
            seen = replace(seen, reached=reached, signs=told, final=tuple(row) if rung == last else None)
            verdict = "keep" if rung == last else self._pruner.judge(seen, rung, others)
            if verdict == "stop":
                self._seen[key] = replace(seen, stopped=True)
                self.stopped[key] = self._pruner.expected(seen, rung, others)
                return rung
            if verdict == "spare":
                seen = replace(seen, spared=rung)
        self._seen[key] = seen
        return last
