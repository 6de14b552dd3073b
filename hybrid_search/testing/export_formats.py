"""The contract of an export format as a class of tests."""

import subprocess
import sys
from pathlib import Path
from typing import ClassVar

import pytest
import torch

from hybrid_search.errors import UserError
from hybrid_search.export import EXPORT_FORMATS, ExportFormat, Proof, TrainedNetwork, export_network
from hybrid_search.export.proof import TOLERANCE
from hybrid_search.networks.architecture import Architecture
from hybrid_search.networks.model import build_model

SIZE = (2, 12, 20)  # channels, rows, columns
CLASSES = ("left", "right", "none")
SHARED_FILES = {"architecture.json", "architecture.svg", "README.md", "manifest.json"}


class ExportFormatContract:
    """The tests that every export format must pass. Inherit from it in a test module.

    The package of the format must be installed, so that a new process finds its entry point.

    Attributes:
        name: the name in `EXPORT_FORMATS`.
        files: the files that the format writes.

    Example:
        >>> class TestOnnx(ExportFormatContract):
        ...     name, files = "onnx", ("model.onnx",)
    """

    name: ClassVar[str]
    files: ClassVar[tuple[str, ...]]

    @classmethod
    def network(cls) -> TrainedNetwork:
        """Return a network of convolution and local attention with random weights and batch norm statistics."""
        architecture = Architecture.from_dict(
            {
                "stem": {"kind": "conv3x3", "width": 8},
                "stages": [
                    {"operator": "conv", "depth": 1, "width": 8, "stride": 2},
                    {"operator": "local_attention", "depth": 1, "width": 8, "stride": 2, "extent": 3, "heads": 2},
                ],
            }
        )
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            model = build_model(architecture, SIZE[0], len(CLASSES)).train()
            for _ in range(3):
                model(torch.randn(8, *SIZE) + 0.5)  # moves the statistics away from 0 and 1
        return TrainedNetwork(model.eval(), architecture, SIZE, CLASSES, (0.4, 0.5), (0.2, 0.3))

    @classmethod
    def tolerance(cls) -> float:
        """Return the largest difference of a logit that the format allows."""
        return float(getattr(EXPORT_FORMATS[cls.name], "tolerance", TOLERANCE))

    @staticmethod
    def images(count: int) -> torch.Tensor:
        """Return random images, float32 (count, channels, rows, columns).

        Args:
            count: number of images.
        """
        return torch.randn(count, *SIZE, generator=torch.Generator().manual_seed(count))

    @pytest.fixture(scope="class")
    @classmethod
    def exported(cls, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Proof]:
        """Export the network once; return the folder and the proof."""
        folder = tmp_path_factory.mktemp("export") / "network"
        (proof,) = export_network(cls.network(), folder, cls.images(16), [cls.name])
        return folder, proof

    @pytest.fixture
    def written(self, tmp_path: Path, exported: tuple[Path, Proof]) -> Path:
        """Return a copy of the exported folder, which a test may change."""
        import shutil

        return Path(shutil.copytree(exported[0], tmp_path / "copy"))

    def test_the_entry_has_the_members_of_the_contract(self) -> None:
        """It has name, write, load and usage."""
        entry = EXPORT_FORMATS[self.name]
        assert isinstance(entry, ExportFormat)
        assert entry.name == self.name

    def test_the_folder_has_the_files_of_the_format_and_the_shared_ones(self, exported: tuple[Path, Proof]) -> None:
        """Nothing else is written, and everyone may read the files."""
        paths = list(exported[0].iterdir())
        assert {path.name for path in paths} == {*self.files, *SHARED_FILES}
        assert all(path.stat().st_mode & 0o444 == 0o444 for path in paths)

    def test_a_new_process_computes_the_same_logits(self, exported: tuple[Path, Proof]) -> None:
        """The proof compares 16 images."""
        _, proof = exported
        assert proof.format == self.name
        assert proof.images == 16
        assert proof.holds
        assert proof.max_difference <= self.tolerance()

    @pytest.mark.parametrize("count", [1, 3])
    def test_every_batch_size_works(self, exported: tuple[Path, Proof], count: int) -> None:
        """The batch size of the proof is not special."""
        images = self.images(count)
        with torch.inference_mode():
            expected = self.network().model(images)
            logits = EXPORT_FORMATS[self.name].load(exported[0])(images)
        assert logits.shape == (count, len(CLASSES))
        torch.testing.assert_close(logits, expected, rtol=0, atol=self.tolerance())

    def test_the_code_of_the_readme_runs_in_the_folder(self, exported: tuple[Path, Proof]) -> None:
        """It turns `images` into `logits`."""
        folder, _ = exported
        usage = EXPORT_FORMATS[self.name].usage()
        assert usage in (folder / "README.md").read_text(encoding="utf-8")
        program = f"import torch\nimages = torch.zeros(2, *{SIZE})\n{usage}\nprint(tuple(logits.shape))"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=folder)
        assert done.stdout.splitlines()[-1] == str((2, len(CLASSES)))

    def test_a_damaged_or_missing_file_raises_an_error(self, written: Path) -> None:
        """Wrong weights must never be loaded."""
        for name in self.files:
            path = written / name
            content = path.read_bytes()
            path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
            with pytest.raises(UserError, match="differs from its sha256"):
                EXPORT_FORMATS[self.name].load(written)
            path.unlink()
            with pytest.raises(UserError, match=f"lacks {name}"):
                EXPORT_FORMATS[self.name].load(written)
            path.write_bytes(content)
