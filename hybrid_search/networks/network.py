"""Network: the type of everything that a worker trains, an architecture of this package or a model of timm."""

from collections.abc import Mapping
from typing import Any

from hybrid_search.errors import SettingsError
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.stored_architecture import readable_line, stored_architecture
from hybrid_search.networks.timm_network import TimmNetwork
from hybrid_search.settings import Settings

__all__ = ["Network", "network_line", "settings_for", "stored_network"]

Network = Architecture | TimmNetwork


def stored_network(plain: Mapping[str, Any]) -> Network:
    """Return the network of a `to_dict` result.

    Args:
        plain: plain JSON of an architecture or of a model of timm.

    Raises:
        PluginError: an architecture needs a plugin that is not installed here, or cannot be used.
        ArchitectureError: something of an architecture is missing, unknown or illegal.
    """
    return TimmNetwork.from_dict(plain) if "timm" in plain else stored_architecture(plain)


def network_line(plain: Mapping[str, Any]) -> str:
    """Return the one-line text of a stored network.

    Args:
        plain: a `to_dict` result.
    """
    return str(TimmNetwork.from_dict(plain)) if "timm" in plain else readable_line(plain)


def settings_for(network: Network, settings: Settings) -> Settings:
    """Return the settings with the image size of the network, if it has one.

    Args:
        network: the network to train.
        settings: how it is trained; its image size is None, or that of the network.

    Raises:
        SettingsError: the settings have another image size than the network.
    """
    size = None if isinstance(network, TimmNetwork) else network.image_size
    if size is None or settings.image_size == size:
        return settings
    if settings.image_size is not None:
        raise SettingsError(
            f"image_size must be that of the network, {size}; got {settings.image_size}. Leave it out of the settings."
        )
    return settings.with_(image_size=size)
