"""Names that people and hosts choose: users, topics, speakers."""

from __future__ import annotations

import unicodedata

from mem1_mcp.errors import InvalidRequestError

MAX_NAME = 128
_INVISIBLE = frozenset(("Cc", "Cf", "Cs", "Co", "Zl", "Zp"))
_JOINERS = "\u200c\u200d"  # part of Persian words and of many emoji


def check_name(text: str) -> str:
    """Return a name in its one normal form: equal names are equal strings afterwards.

    Raises:
        InvalidRequestError: the name is empty, too long, ``*``, or holds invisible characters.

    """
    if len(text) > 4 * MAX_NAME:  # before normalising, which takes long on what was made to
        raise InvalidRequestError(f"has {len(text)} characters, {MAX_NAME} at most; choose a shorter name")
    name = unicodedata.normalize("NFC", text).strip()
    if not name:
        raise InvalidRequestError("is empty; give a name, or leave it out")
    if len(name) > MAX_NAME:
        raise InvalidRequestError(f"has {len(name)} characters, {MAX_NAME} at most; choose a shorter name")
    if name == "*":
        raise InvalidRequestError('"*" means all topics and can\'t be a name; choose another')
    for character in name:
        if unicodedata.category(character) in _INVISIBLE and character not in _JOINERS:
            raise InvalidRequestError(f"holds the invisible character U+{ord(character):04X}; leave it out")
    return name
