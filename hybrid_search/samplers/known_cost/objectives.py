"""The objectives of a study: which of them are known before a trial, and checks against what trials return."""

import math
from collections.abc import Callable, Mapping, Sequence

from optuna.study import Study, StudyDirection
from optuna.trial import FrozenTrial

from hybrid_search.errors import SettingsError
from hybrid_search.samplers.define_by_run import Params

Cost = Callable[[Params], float]


def signs_of(study: Study) -> list[float]:
    """Return for each objective the factor that makes less better: -1 if it is maximized, otherwise 1."""
    return [-1.0 if direction == StudyDirection.MAXIMIZE else 1.0 for direction in study.directions]


class KnownObjectives:
    """The objectives whose exact values follow from the parameters.

    Args:
        functions: number of an objective -> function from parameters to its value.

    Raises:
        SettingsError: a number or a function is not valid.
    """

    def __init__(self, functions: Mapping[int, Cost]) -> None:
        self._functions = dict(sorted(functions.items()))
        for i, function in self._functions.items():
            if isinstance(i, bool) or not isinstance(i, int) or i < 0 or not callable(function):
                raise SettingsError(f"known must map numbers of objectives to functions; got {i!r}: {function!r}.")
        self._checked: set[int] = set()

    @property
    def positions(self) -> list[int]:
        """The numbers of the known objectives, ascending."""
        return list(self._functions)

    def values(self, params: Params) -> tuple[float, ...]:
        """Return the value of every known objective.

        Raises:
            SettingsError: a function raises or returns a number that is not finite.
        """
        return tuple(self._value(i, params) for i in self._functions)

    def _value(self, i: int, params: Params) -> float:
        try:
            value = float(self._functions[i](params))
        except Exception as error:
            raise SettingsError(
                f"known[{i}] must return a finite number; it raised {type(error).__name__}: {error}, for "
                f"{dict(params)}."
            ) from error
        if not math.isfinite(value):
            raise SettingsError(f"known[{i}] must return a finite number; got {value}, for {dict(params)}.")
        return value

    def check_study(self, study: Study, reference: Sequence[float] | None) -> None:
        """Raise SettingsError if the known objectives or the reference do not fit the objectives of the study."""
        count = len(study.directions)
        wrong = [i for i in self._functions if i >= count]
        if wrong:
            raise SettingsError(
                f"known must name objectives of the study, which has {count} (numbers 0 to {count - 1}); "
                f"got {wrong[0]}."
            )
        if reference is not None and len(reference) != count:
            raise SettingsError(f"reference must have one value for each of {count} objectives; got {len(reference)}.")

    def check_trial(self, trial: FrozenTrial, values: Sequence[float]) -> None:
        """Raise SettingsError if the values of a completed trial differ from the known ones. Checks a trial once."""
        if trial.number in self._checked:
            return
        for i in self._functions:
            exact = self._value(i, trial.params)
            if not math.isclose(exact, values[i], rel_tol=1e-6, abs_tol=1e-9):
                raise SettingsError(
                    f"known[{i}] returned {exact:g}, but trial {trial.number} reported {values[i]:g}, for "
                    f"{dict(trial.params)}."
                )
        self._checked.add(trial.number)

    def forget_checks(self) -> None:
        """Forget which trials were checked, because another study follows."""
        self._checked = set()
