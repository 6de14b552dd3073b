"""The networks as timm models: `timm.create_model("hybrid_net", architecture="sasa-26-stem")` after this import."""

from collections.abc import Mapping
from typing import Any

from hybrid_search._internal.torchvision_compat import import_torchvision
from hybrid_search.errors import ArchitectureError, is_number, shown
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.model import HybridNet, build_model
from hybrid_search.networks.references import reference

__all__ = ["hybrid_net"]

import_torchvision()

from timm.models import build_model_with_cfg, register_model  # noqa: E402  (after torchvision)

OPTIONS = ("architecture", "in_chans", "num_classes", "global_pool", "drop_rate", "drop_path_rate")

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


def _parsed(architecture: str | Mapping[str, Any] | Architecture) -> Architecture:
    """Return the architecture of a reference, of a description, or itself."""
    if isinstance(architecture, str):
        return reference(architecture)
    return Architecture.from_dict(architecture) if isinstance(architecture, Mapping) else architecture


def _make(
    architecture: str | Mapping[str, Any] | Architecture,
    in_chans: int = 3,
    num_classes: int = 1000,
    global_pool: str = "avg",
    drop_rate: float = 0.0,
    drop_path_rate: float = 0.0,
    **other: Any,
) -> HybridNet:
    if other:
        raise ArchitectureError(f"options of hybrid_net are {', '.join(OPTIONS)}; got {', '.join(other)}.")
    architecture = _parsed(architecture)
    if not is_number(drop_rate) or not 0 <= drop_rate < 1:
        raise ArchitectureError(f"drop_rate must be a number from 0 to below 1; got {shown(drop_rate)}.")
    model = build_model(architecture, in_chans, num_classes, stochastic_depth=drop_path_rate)
    model.drop_rate = drop_rate
    if global_pool != "avg":
        model.reset_classifier(num_classes, global_pool)
    return model


@register_model
def hybrid_net(
    pretrained: bool = False, architecture: str | Mapping[str, Any] | Architecture = "sasa-26-stem", **kwargs: Any
) -> HybridNet:
    """Return a HybridNet for `timm.create_model`.

    Args:
        pretrained: whether to load weights; timm does it for `local-dir:FOLDER` and `hf-hub:OWNER/NAME`.
        architecture: the name of a reference, an `Architecture`, or the result of `Architecture.to_dict`.
        **kwargs: `in_chans`, `num_classes`, `drop_rate`, `drop_path_rate`, `features_only` and `out_indices`, as in
            timm. The maps of `features_only` are those of the stem and of each stage.

    Raises:
        UnknownName: there is no reference of this name.
        ArchitectureError: the architecture or an option is illegal.
    """
    if kwargs.get("features_only"):
        kwargs.setdefault("out_indices", tuple(range(len(_parsed(architecture).stages) + 1)))
    model: HybridNet = build_model_with_cfg(
        _make, "hybrid_net", pretrained, architecture=architecture, feature_cfg={"feature_cls": "getter"}, **kwargs
    )
    return model
