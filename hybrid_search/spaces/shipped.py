"""The space files that come with the package. Finding them imports nothing."""

from pathlib import Path

PACKAGE = Path(__file__).parent.parent


def shipped_spaces() -> dict[str, Path]:
    """Return the space files that come with the package: name -> path."""
    packed = PACKAGE / "_search_spaces"  # in a wheel; a checkout has the folder at its top
    folder = packed if packed.is_dir() else PACKAGE.parent / "search_spaces"
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}
