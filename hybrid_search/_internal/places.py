"""Format the place of a fault in a structured file: `stages[1].operator.local_attention.heads`."""

from collections.abc import Iterable

Place = tuple[str | int, ...]  # keys and indices from the top of the file

LONGEST_LINE = 390  # characters of a message


def dotted(place: Place) -> str:
    """Return a place as people write it.

    Args:
        place: keys and indices, from 0, from the top of the file.

    Example:
        >>> dotted(("stages", 1, "operator"))
        'stages[1].operator'
    """
    text = ""
    for part in place:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            name = part if part.isprintable() else repr(part)
            text += f"{'.' if text else ''}{name if len(name) <= 60 else name[:57] + '...'}"
    return text


def placed(place: Place, message: str, names: Iterable[str] = ()) -> str:
    """Return a message that begins with the place of its subject.

    Args:
        place: the place that was checked.
        message: the message of the check: "must be ...", or "heads must divide ...".
        names: names that the place can contain, such as the options of an operator.

    Example:
        >>> placed(("stages", 0, "operator", "conv"), "groups must divide the width; got 3.", ("groups",))
        'stages[0].operator.conv.groups must divide the width; got 3.'
    """
    subject = message.split(" ", 1)[0]
    if not place:
        return message
    if subject in names:
        return f"{dotted(place)}.{message}" if subject != place[-1] else f"{dotted(place)}{message[len(subject) :]}"
    if subject in place:  # the message is about an outer part of the place
        return dotted(place[: place.index(subject)]) + ("." if place.index(subject) else "") + message
    if subject in ("must", "needs"):
        return f"{dotted(place)} {message}"
    if subject.startswith("["):
        return f"{dotted(place)}{message}"
    return f"{dotted(place)}: {message}"


def one_line(source: str, line: int | None, message: str) -> str:
    """Return the message of a fault in a file: `mine.yaml, line 7: stages[1].depth must ...`, in one line.

    Args:
        source: name of the file; a long one is shortened to its end.
        line: number of the line from 1; None: not known.
        message: the fault.
    """
    where = f", line {line}: " if line is not None else ": "
    message = " ".join(message.split())
    room = max(20, LONGEST_LINE - len(where) - len(message))
    source = source if len(source) <= room else f"...{source[3 - room :]}"
    text = f"{source}{where}{message}"
    return text if len(text) <= LONGEST_LINE else f"{text[: LONGEST_LINE - 3]}..."
