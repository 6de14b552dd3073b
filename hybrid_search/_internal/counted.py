"""Format a count with its noun in the singular or plural: `1 trial`, `1,200 trials`."""


def counted(count: int, noun: str) -> str:
    """Return a count with its noun: `1 fresh seed`, `3 fresh seeds`, `1,200 trials`.

    Args:
        count: A number from 0 up.
        noun: The noun in the singular; its plural ends in s.

    Example:
        >>> counted(1, "epoch"), counted(5, "epoch")
        ('1 epoch', '5 epochs')
    """
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
