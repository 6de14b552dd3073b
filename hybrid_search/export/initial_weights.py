"""Initial weights of a training: those of an exported network, for other classes or another image size."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hybrid_search._internal.paths import absolute_path
from hybrid_search.errors import SettingsError
from hybrid_search.export.folder import DESCRIPTION, check_files, described_architecture, read_description, read_file
from hybrid_search.export.safetensors_format import WEIGHTS, tensors_of
from hybrid_search.networks.architecture import Architecture

if TYPE_CHECKING:
    from torch import Tensor, nn

HEAD = "head."  # the names of the classifier begin with it
# Last parts of the names of tensors that no change of the image size or of an extent may resize.
LEARNED = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class InitialWeights:
    """The weights of an exported folder.

    Attributes:
        folder: the folder.
        architecture: its network.
        input_size: channels, rows and columns of the images that it was trained on.
        classes: its class names.
        content: the bytes of its weights.
    """

    folder: Path
    architecture: Architecture
    input_size: tuple[int, int, int]
    classes: tuple[str, ...]
    content: bytes

    @classmethod
    def of(cls, folder: str | Path) -> "InitialWeights":
        """Read an exported folder, whose files are checked.

        Args:
            folder: a folder of `export_model` or of the command `export`, with the format `safetensors`.

        Raises:
            UserError: a file is missing or damaged.
        """
        path = absolute_path("init_from (--init-from)", folder)
        check_files(path, (DESCRIPTION, WEIGHTS))
        description = read_description(path)
        channels, rows, cols = description["input_size"]
        architecture = described_architecture(path, description)
        names = tuple(description["classes"])
        return cls(path, architecture, (channels, rows, cols), names, read_file(path / WEIGHTS))

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits over weights and class names."""
        return hashlib.sha256(self.content + repr(self.classes).encode()).hexdigest()[:16]

    def notes(
        self, architecture: Architecture, input_size: tuple[int, int, int], classes: tuple[str, ...]
    ) -> list[str]:
        """Check that a network can begin with these weights. Return what will be new or resized, one line each.

        Args:
            architecture: the network.
            input_size: channels, rows and columns of its images.
            classes: its class names.

        Raises:
            SettingsError: it has other layers, or takes images of another number of channels.
        """
        import torch

        from hybrid_search.networks.model import build_model

        if input_size[0] != self.input_size[0]:
            raise SettingsError(
                f"init_from (--init-from) must be a network for images of {input_size[0]} channels; that in "
                f"{self.folder} takes {self.input_size[0]}."
            )
        with torch.device("meta"):  # without memory
            model = build_model(architecture, input_size[0], len(classes))
        resized = self._resized(model.state_dict(), classes)
        lines = []
        if classes != self.classes:
            lines.append(
                f"a new classifier for {len(classes)} classes; the {len(self.classes)} classes of the folder differ"
            )
        if input_size != self.input_size:
            size, was = ("x".join(map(str, each[1:])) for each in (input_size, self.input_size))
            lines.append(f"trained on images of {size} pixels; the weights are of images of {was}")
        if resized:
            lines.append(f"{len(resized)} position tables are resized by interpolation, such as {resized[0]}")
        return lines

    def load_into(self, model: "nn.Module", classes: tuple[str, ...]) -> None:
        """Copy the weights into a network. Another classifier keeps its random weights; tables are interpolated.

        Args:
            model: the network.
            classes: its class names.
        """
        state = model.state_dict()
        resized = self._resized(state, classes)
        found = tensors_of(self.content, str(self.folder / WEIGHTS))
        new = {
            name: _interpolated(found[name], state[name]) if name in resized else found[name]
            for name in state
            if classes == self.classes or not name.startswith(HEAD)
        }
        model.load_state_dict(new, strict=False)

    def _resized(self, state: "Mapping[str, Tensor]", classes: tuple[str, ...]) -> list[str]:
        """Return the names of the tensors that must be interpolated; raise SettingsError if the networks differ."""
        where = str(self.folder / WEIGHTS)
        found, names = tensors_of(self.content, where), []
        for name in dict.fromkeys([*state, *found]):
            if name.startswith(HEAD) and classes != self.classes:
                continue
            if name not in state or name not in found:
                raise self._other_layers(f"{name} is in {'the design' if name in state else 'the folder'} alone")
            need, have = state[name].shape, found[name].shape
            if need == have:
                continue
            if name.rpartition(".")[2] in LEARNED or len(need) != len(have):
                raise self._other_layers(f"{name} must be {tuple(need)}; the folder has {tuple(have)}")
            names.append(name)
        return names

    def _other_layers(self, difference: str) -> SettingsError:
        return SettingsError(
            f"init_from (--init-from) must be a network with the layers of the design; {self.folder} has others: "
            f"{difference}."
        )


def _interpolated(table: "Tensor", like: "Tensor") -> "Tensor":
    """Return a table with the shape of another one, interpolated linearly along each dimension that differs."""
    import torch.nn.functional as F

    for dimension, size in enumerate(like.shape):
        if table.shape[dimension] != size:
            moved = table.movedim(dimension, -1)
            rows = moved.reshape(1, -1, moved.shape[-1]).float()
            resized = F.interpolate(rows, size=size, mode="linear", align_corners=True)
            table = resized.reshape(*moved.shape[:-1], size).movedim(-1, dimension).to(table.dtype)
    return table.contiguous()
