"""Text that a page can show: control characters and marks that change the direction of the text are written out."""

import unicodedata

UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
KEPT = "\u200d\u200c"  # joiners, which some scripts and emoji need


def visible(text: str) -> str:
    r"""Return a text in which every character can be seen: others are written as escapes, such as `\u202e`.

    Args:
        text: any text.

    Example:
        >>> visible("a\u202eb\n")
        'a\\u202eb\\n'
    """
    if text.isprintable():
        return text
    return "".join(_shown(letter) for letter in text)


def _shown(letter: str) -> str:
    if letter in KEPT or unicodedata.category(letter) not in UNSEEN:
        return letter
    return letter.encode("unicode_escape").decode()
