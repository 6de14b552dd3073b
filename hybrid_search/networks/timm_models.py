"""The networks as timm models: `timm.create_model("hybrid_net", architecture="sasa-26-stem")` after this import."""

from collections.abc import Mapping
from typing import Any

from hybrid_search._internal.torchvision_compat import import_torchvision
from hybrid_search.errors import ArchitectureError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.model import HybridNet, build_model
from hybrid_search.networks.references import reference

__all__ = ["hybrid_net"]

import_torchvision()

from timm.models import build_model_with_cfg, register_model  # noqa: E402  (after torchvision)

OPTIONS = ("architecture", "in_chans", "num_classes", "global_pool")

default_cfgs = {
    "hybrid_net": {
        "url": "",
        "num_classes": 1000,
        "input_size": (3, 224, 224),
        "pool_size": None,
        "interpolation": "bicubic",
        "mean": (0.485, 0.456, 0.406),
        "std": (0.229, 0.224, 0.225),
        "first_conv": None,  # weights are not adapted to another number of channels
        "classifier": "head",
    }
}


def _make(
    architecture: str | Mapping[str, Any] | Architecture,
    in_chans: int = 3,
    num_classes: int = 1000,
    global_pool: str = "avg",
    **other: Any,
) -> HybridNet:
    if other:
        raise ArchitectureError(f"options of hybrid_net are {', '.join(OPTIONS)}; got {', '.join(other)}.")
    if isinstance(architecture, str):
        architecture = reference(architecture)
    elif isinstance(architecture, Mapping):
        architecture = Architecture.from_dict(architecture)
    model = build_model(architecture, in_chans, num_classes)
    if global_pool != "avg":
        model.reset_classifier(num_classes, global_pool)
    return model


@register_model
def hybrid_net(
    pretrained: bool = False, architecture: str | Mapping[str, Any] | Architecture = "sasa-26-stem", **kwargs: Any
) -> HybridNet:
    """Return a HybridNet for `timm.create_model`.

    Args:
        pretrained: must be False; there are no published weights.
        architecture: the name of a reference, an `Architecture`, or the result of `Architecture.to_dict`.
        **kwargs: `in_chans` and `num_classes`, as in timm.

    Raises:
        UnknownName: there is no reference of this name.
        ArchitectureError: the architecture or an option is illegal.
    """
    if kwargs.pop("features_only", False):
        raise ArchitectureError("hybrid_net has no features_only; forward_features gives the last stage's map.")
    model: HybridNet = build_model_with_cfg(_make, "hybrid_net", pretrained, architecture=architecture, **kwargs)
    return model
