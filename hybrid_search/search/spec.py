"""The configuration of a search: what is searched, under which settings, by which sampler and pruner."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict

from hybrid_search._internal.number_text import whole_number
from hybrid_search._internal.paths import data_location
from hybrid_search._internal.recipes import DEFAULT
from hybrid_search._internal.search_names import search_name
from hybrid_search.data import input_size_and_classes
from hybrid_search.errors import SettingsError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.costs import simplified_for, total_cost
from hybrid_search.objectives import Direction, Objective, given_objectives
from hybrid_search.records import TRAINED, SearchRecord
from hybrid_search.search.stored_names import evaluation_difference, shortened, stored_name
from hybrid_search.settings import NOT_IN_DIGEST, Settings
from hybrid_search.spaces.budget import budget_excess, check_budget, read_budget, reference_costs
from hybrid_search.spaces.choosers import Chooser
from hybrid_search.spaces.image_size import settings_of_search
from hybrid_search.spaces.known_designs import KnownDesign, known_designs
from hybrid_search.spaces.plugin_costs import check_space_costs
from hybrid_search.spaces.recipe_tuning import choose_settings, tunable
from hybrid_search.spaces.space import IDENTITY, SearchSpace, load_space
from hybrid_search.spaces.stored_space import stored_space

if TYPE_CHECKING:
    from hybrid_search.pruners import PrunerFactory
    from hybrid_search.samplers import SamplerFactory

FACTORY_NAME = 100  # characters of the ledger's columns for sampler and pruner


class SearchOptions(TypedDict, total=False):
    """Types of the keyword arguments that `run` and the command line pass on to `SearchSpec.create`."""

    objectives: Sequence[str | Objective]
    settings: Settings | None
    sampler: "str | SamplerFactory"
    pruner: "str | PrunerFactory"
    seed: int
    name: str | None
    max_flops: float | str | None
    max_params: float | str | None
    known_designs: bool | None
    tune_recipe: bool


@dataclass(frozen=True)
class SearchSpec:
    """The configuration of one search, checked in full; the space is parsed once.

    Make one with `SearchSpec.create`, or with `SearchSpec.from_record` for a search of the ledger.

    Args:
        space: The search space.
        trials: Total number of trials.
        name: Name of the search in the ledger.
        objectives: The objectives, in order.
        settings: How every network is trained. If the space offers image sizes, a trial has its own one.
        input_size: (channels, rows, columns) of one image; the largest, if the space offers image sizes.
        classes: Number of classes of the data set.
        sampler, pruner, seed, max_flops, max_params, evaluation: As in `create`.
        tuned: Names of the settings that are sampled with the architecture.
        use_known_designs: `known_designs` of `create`.

    Example:
        >>> spec = SearchSpec.create("digits", trials=50)
        >>> search = open_search(spec, Ledger())
    """

    space: SearchSpace
    trials: int
    name: str
    objectives: tuple[Objective, ...]
    settings: Settings
    input_size: tuple[int, int, int]
    classes: int
    sampler: "str | SamplerFactory" = "known-cost"
    pruner: "str | PrunerFactory" = "none"
    seed: int = 0
    max_flops: float | None = None
    max_params: float | None = None
    evaluation: str = TRAINED
    tuned: tuple[str, ...] = ()
    use_known_designs: bool | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "trials", whole_number("trials", self.trials, 1))

    @classmethod
    def create(
        cls,
        space: SearchSpace | str | Path,
        *,
        trials: int,
        objectives: Sequence[str | Objective] = ("accuracy", "flops"),
        settings: Settings | None = None,
        sampler: "str | SamplerFactory" = "known-cost",
        pruner: "str | PrunerFactory" = "none",
        seed: int = 0,
        name: str | None = None,
        max_flops: float | str | None = None,
        max_params: float | str | None = None,
        evaluation: str = TRAINED,
        known_designs: bool | None = None,
        tune_recipe: bool = False,
    ) -> Self:
        """Return a checked configuration. Nothing is written.

        Args:
            space: A search space, the name of a shipped one, or the path of a YAML file.
            trials: Total number of trials.
            objectives: Names of the table of objectives, or `Objective` values.
            settings: How every network is trained; default: the settings of the space.
            sampler: Name of a sampler, or a factory `(seed, facts) -> optuna sampler`.
            pruner: Name of a pruner, or a factory `(aims, seed) -> Pruner`.
            seed: Seed of the proposals.
            name: Name of the search; default: the name of the space.
            max_flops: Budget in FLOPs (2 x MACs) of one image, such as 4e7 or "40M"; None: that of the space; "none":
                no bound.
            max_params: Budget in parameters, in the same forms.
            evaluation: Name of the evaluation, if it is not the package's own training.
            known_designs: Whether the known designs of the space come first; None: as the stored search began, and
                True for a new one.
            tune_recipe: Whether learning rate and weight decay are sampled with the architecture.

        Raises:
            SettingsError: An argument is out of range, or no architecture fits the budget.
            PluginError: A plugin of the space states a cost that its module does not have.
            UserError: Any other argument is wrong: the space, the data set, a name.

        Example:
            >>> spec = SearchSpec.create("digits", trials=50, objectives=("accuracy", "params"))
        """
        from hybrid_search.pruners import PRUNERS, current_name
        from hybrid_search.samplers import SAMPLERS

        trials, seed = whole_number("trials", trials, 1), whole_number("seed", seed, 0, 2**32 - 1)
        chosen = given_objectives(objectives)
        _check_entry("sampler", sampler, SAMPLERS)
        pruner = current_name(pruner) if isinstance(pruner, str) else pruner
        _check_entry("pruner", pruner, PRUNERS)
        if not isinstance(space, SearchSpace | str | Path):
            raise SettingsError(f"space must be a SearchSpace, a name or the path of a YAML file; got {space!r}.")
        if settings is not None and not isinstance(settings, Settings):
            raise SettingsError(f"settings must be a Settings value; got {settings!r}. Use Settings(epochs=8).")
        if name is not None and not (isinstance(name, str) and name):
            search_name(name)
        space = space if isinstance(space, SearchSpace) else load_space(space)
        flops, params = read_budget("flops", max_flops, space), read_budget("params", max_params, space)
        settings = settings_of_search(space.form, settings or space.settings)
        if settings.data_dir is not None:
            settings = settings.with_(data_dir=data_location("data_dir", settings.data_dir))
        input_size, classes = input_size_and_classes(settings)
        spec = cls(
            space=space,
            trials=trials,
            name=space.name if name is None else name,
            objectives=chosen,
            settings=settings,
            input_size=input_size,
            classes=classes,
            sampler=sampler,
            pruner=pruner,
            seed=seed,
            max_flops=flops,
            max_params=params,
            evaluation=evaluation,
            tuned=tunable(settings) if tune_recipe else (),
            use_known_designs=known_designs,
        )
        check_budget(space, spec.record)
        if evaluation == TRAINED:
            check_space_costs(space, input_size)
        return spec

    @classmethod
    def from_record(
        cls,
        record: SearchRecord,
        *,
        sampler: "str | SamplerFactory | None" = None,
        pruner: "str | PrunerFactory | None" = None,
    ) -> Self:
        """Return the configuration of a search of the ledger.

        Args:
            record: The search.
            sampler: The factory, if the search uses a sampler of your own.
            pruner: The factory, if the search uses a pruner of your own.

        Raises:
            UserError: The space or an objective needs a plugin that is not installed.
        """
        from hybrid_search.pruners import current_name

        return cls(
            space=stored_space(record.space, f"search {record.name}"),
            trials=record.target,
            name=record.name,
            objectives=record.objective_list,
            settings=record.settings,
            input_size=record.input_size,
            classes=record.classes,
            sampler=sampler or record.sampler,
            pruner=pruner or current_name(record.pruner),
            seed=record.seed,
            max_flops=record.max_flops,
            max_params=record.max_params,
            evaluation=record.evaluation,
            tuned=record.tuned,
            use_known_designs=record.known_designs,
        )

    @cached_property
    def record(self) -> SearchRecord:
        """The row of the ledger that this configuration would be stored as; its id is 0."""
        return SearchRecord(
            id=0,
            name=self.name,
            space=self.space.to_dict(),
            objectives=tuple(objective.name for objective in self.objectives),
            settings=self.settings,
            sampler=shortened(stored_name("sampler", self.sampler), FACTORY_NAME),
            seed=self.seed,
            target=self.trials,
            max_flops=self.max_flops,
            max_params=self.max_params,
            input_size=self.input_size,
            classes=self.classes,
            evaluation=self.evaluation,
            pruner=shortened(stored_name("pruner", self.pruner), FACTORY_NAME),
            tuned=self.tuned,
            known_designs=self.use_known_designs is not False,
            own_objectives=tuple(objective for objective in self.objectives if not objective.is_built_in),
        )

    @property
    def directions(self) -> list[Direction]:
        """The direction of each objective."""
        return [objective.direction for objective in self.objectives]

    def differences(self, other: "SearchSpec") -> list[str]:
        """Return every difference that keeps another configuration from continuing this search, in words.

        The default recipe may have changed since: what it filled in the other configuration is no difference.

        Args:
            other: The configuration that was given now.
        """
        found = []
        if self.space.digest != other.space.digest:
            mine, others = self.space.to_dict(), other.space.to_dict()
            keys = [key for key in IDENTITY if mine.get(key) != others.get(key)]
            found.append(f"space is {self.space.name}, which differs in {', '.join(keys)}")
        names = ["sampler", "seed", "max_flops", "max_params", "input_size", "classes", "pruner", "tuned"]
        if other.use_known_designs is not None:
            names.append("known_designs")
        pairs = [("objectives", _objective_words(self, other), _objective_words(other, self))]
        pairs += [(name, getattr(self.record, name), getattr(other.record, name)) for name in names]
        mine, others = asdict(self.settings), asdict(other.settings)
        kept = (*NOT_IN_DIGEST, "seed", "recipe", *(name for name, _, _ in self.kept_recipe(other)))
        pairs += [(name, mine[name], others[name]) for name in mine if name not in kept]
        found += [f"{name} is {was} (got {now})" for name, was, now in pairs if was != now]
        evaluation = evaluation_difference(self.evaluation, other.evaluation)
        return found if evaluation is None else [*found, evaluation]

    def kept_recipe(self, other: "SearchSpec") -> list[tuple[str, Any, Any]]:
        """Return the settings that differ only because the default recipe fills them differently now.

        Args:
            other: The configuration that was given now; it continues with the values of this one.

        Returns:
            Name, value of this configuration, value of the other one.
        """
        names = other.settings.from_recipe if other.settings.recipe == DEFAULT else ()
        values = ((name, getattr(self.settings, name), getattr(other.settings, name)) for name in names)
        return [(name, was, now) for name, was, now in values if was != now]

    # -- architectures --

    def architecture(self, chooser: Chooser) -> Architecture:
        """Return the chosen architecture without options that have no effect on the images of this search.

        Two ways of writing one network become one architecture, the one of lowest cost.

        Args:
            chooser: Chooses the parameters of the space, such as an Optuna trial.
        """
        return simplified_for(self.space.choose(chooser), self.input_size)

    def trial_settings(self, chooser: Chooser) -> Settings:
        """Return the settings of one trial: those of the search with the tuned ones as chosen.

        Args:
            chooser: Chooses the tuned settings.
        """
        return choose_settings(chooser, self.settings, self.tuned)

    def cost(self, architecture: Architecture) -> dict[str, float]:
        """Return the cost of an architecture: `flops` (2 x MACs, of one image) and `params`. Both are exact.

        Args:
            architecture: Any architecture.
        """
        flops, params = total_cost(architecture, self.input_size, self.classes)
        return {"flops": float(flops), "params": float(params)}

    @property
    def has_budget(self) -> bool:
        """Whether FLOPs or parameters are bounded."""
        return self.max_flops is not None or self.max_params is not None

    def budget_excess(self, architecture: Architecture) -> float:
        """Return how far an architecture is over the budget, as a share of it; 0 or less is within.

        Args:
            architecture: Any architecture.
        """
        return budget_excess(self.record, architecture)

    def reference_costs(self) -> dict[str, float]:
        """Return the reference values of the hypervolume for the objectives that are known before training."""
        return reference_costs(self.record)

    def known_designs(self) -> list[KnownDesign]:
        """Return the known designs that come first; none if the search leaves them out."""
        return known_designs(self.record, self.space) if self.use_known_designs is not False else []


def _check_entry(what: str, given: object, table: Any) -> None:
    """Raise UserError unless `given` is a name of the table or a function with a name."""
    if isinstance(given, str):
        table[given]
    else:
        stored_name(what, given)


def _objective_words(spec: SearchSpec, other: SearchSpec) -> str:
    """Return the names of the objectives, and all fields of those that another configuration defines differently."""
    others = {objective.name: objective for objective in other.objectives}
    return ", ".join(
        repr(objective) if others.get(objective.name, objective) != objective else objective.name
        for objective in spec.objectives
    )
