"""The image size as a choice of a space: every design then has its own size of images.

The cost of such a design is that of its size, and its trial is trained and validated on images of that size. The
settings of the search have the largest size. It is the size of baselines, and of the use of the test split in the log.
"""

import math
from typing import TYPE_CHECKING

from hybrid_search.errors import ArchitectureError, SettingsError
from hybrid_search.networks.stems import Stem, make_stem
from hybrid_search.settings import Settings
from hybrid_search.spaces.values import WrongValue, combinations

if TYPE_CHECKING:
    from hybrid_search.spaces.schema import SpaceForm

MOST_STEMS = 100_000  # combinations of a size with the options of a stem; each of them is checked


def check_image_sizes(space: "SpaceForm") -> None:
    """Raise WrongValue for the first image size that a stem cannot take, or that the strides reduce to less than 1.

    Args:
        space: a space; its stems are legal.
    """
    if space.image_size is None:
        return
    if space.settings.get("image_size") is not None:
        raise WrongValue(
            f"image_size must be a key of the space or of its settings, not of both; got {_listed(space.image_size)} "
            f"in the space and {space.settings['image_size']} in the settings. Remove one of them.",
            ("image_size",),
        )
    stems = [(name, options) for name, variants in space.stem.items() for options in variants]
    count = sum(math.prod(map(len, options.values())) for _, options in stems) * len(space.image_size)
    if count > MOST_STEMS:
        raise WrongValue(
            f"must have at most {MOST_STEMS:,} combinations with the options of the stems; got {count:,}.",
            ("image_size",),
        )
    strides = [stage.stride for stage in space.stages]
    stages = " x ".join(map(str, strides))
    for stem in (make_stem(name, given) for name, options in stems for given in combinations(options)):
        for index, size in enumerate(space.image_size):
            place = ("image_size", index) if len(space.image_size) > 1 else ("image_size",)
            if fault := _fault(stem, size):
                raise WrongValue(f"must be a size that stem {stem.kind} can take; got {size}. {fault}", place)
            if (least := stem.stride * math.prod(strides)) > size:
                raise WrongValue(
                    f"must be at least {least}, the stride {stem.stride} of stem {stem} x the strides {stages} of the "
                    f"stages; got {size}.",
                    place,
                )


def _fault(stem: Stem, size: int) -> str:
    """Return why a stem cannot take images of this size, grey or in colour; empty if it can."""
    fault = ""
    for channels in (3, 1):
        try:
            stem.cost(channels, size, size)
        except ArchitectureError as error:
            fault = str(error)
        else:
            return ""
    return fault


def settings_of_search(space: "SpaceForm", settings: Settings) -> Settings:
    """Return the settings of a search: with the largest image size, if the space offers sizes.

    Args:
        space: the space.
        settings: settings that the user gave, or those of the space.

    Raises:
        SettingsError: the settings have an image size too.
    """
    if space.image_size is None:
        return settings
    if settings.image_size is not None:
        raise SettingsError(
            f"image_size must not be a setting if the space offers image sizes; got {settings.image_size}, and space "
            f"{space.name} offers {_listed(space.image_size)}. Leave it out of the settings (--set)."
        )
    return settings.with_(image_size=max(space.image_size))


def _listed(sizes: tuple[int, ...]) -> str:
    return ", ".join(map(str, sizes))
