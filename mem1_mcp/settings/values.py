"""What a value of a setting may be, each by itself, and how it is read from text."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator

from mem1_mcp.errors import InvalidRequestError
from mem1_mcp.text.names import check_name

_HOST = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31}")
PASSWORD_IN_URL = re.compile(r"//[^/\s]*@")
# Source: the providers' own manuals on their endpoints with OpenAI's API.
VISION = {
    "openai": None,
    "qwen": "https://dashscope.aliyuncs.com/compatible-mode/v1",
    "doubao": "https://ark.cn-beijing.volces.com/api/v3",
}
_INDEX_NAME = re.compile(r"(?:[a-z0-9][a-z0-9_.-]{0,99})?")
_ORIGIN = re.compile(rf"https?://{_HOST.pattern}")


def default_memory_dir() -> Path:
    """Return where memories are kept when nothing is said.

    On Windows the home folder: packaged desktop programs see another AppData than everybody else,
    and two hosts would keep two memories.
    """
    if sys.platform == "win32":
        return Path.home() / ".mem1-mcp"
    from platformdirs import user_data_path  # not needed where a folder is set

    return user_data_path("mem1-mcp", appauthor=False)


def _expanded(path: Path) -> Path:
    try:
        expanded = path.expanduser()
    except RuntimeError:
        raise ValueError("names a home folder that can't be found") from None
    if not expanded.is_absolute():
        raise ValueError("must be an absolute path: hosts start servers in folders of their own")
    return expanded


def _folders(given: tuple[Path, ...]) -> tuple[Path, ...]:
    return () if given == (Path("none"),) else tuple(_expanded(path) for path in given)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("must be an IANA name such as Asia/Shanghai or Europe/London") from error
    return name


def _name(text: str) -> str:
    try:
        return check_name(text)
    except InvalidRequestError as error:
        raise ValueError(str(error)) from None


def _split(value: object) -> object:
    if isinstance(value, str):
        return tuple(part for part in (each.strip() for each in value.split(",")) if part)
    return value


def _hosts(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_host(each) for each in given)


def _host(text: str) -> str:
    if text.count(":") > 1 and not text.startswith("["):
        text = f"[{text}]"  # IPv6, as it is written in a URL
    if not _HOST.fullmatch(text):
        raise ValueError(
            f"{text!r} must be a name or address with or without a port, such as ai.example.com"
        )
    return text


def _urls(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(_url(each) for each in given)


def _url(text: str) -> str:
    scheme, _, rest = text.rstrip("/").rpartition("://")
    host, _, path = rest.partition("/")
    if (scheme or "http") not in ("http", "https") or not _HOST.fullmatch(host) or path:
        raise ValueError(
            "each must be scheme, name and port, such as https://es.example.com:9200; user and password go "
            "into MEM1_ES_USER and MEM1_ES_PASSWORD"
        )
    port = "" if re.search(r":\d+$", host) else ":9200"
    return f"{scheme or 'http'}://{host}{port}"


def _endpoint(text: str) -> str:
    scheme, _, rest = text.rstrip("/").partition("://")
    host, _, _ = rest.partition("/")
    if scheme not in ("http", "https") or not _HOST.fullmatch(host):
        raise ValueError("must be a URL such as http://127.0.0.1:11434/v1; a key goes into its own setting")
    return text.rstrip("/")


def _file(path: Path) -> Path:
    if not (expanded := _expanded(path)).is_file():
        raise ValueError("is no file")
    return expanded


def _fingerprint(text: str) -> str:
    if not _FINGERPRINT.fullmatch(text):
        raise ValueError("must be a SHA-256 fingerprint: 64 hexadecimal digits, with or without colons")
    return text


def _index_name(text: str) -> str:
    if not _INDEX_NAME.fullmatch(text):
        raise ValueError(
            "may hold small letters, digits, `-`, `_` and `.`, begin with a letter or digit, and have 100 "
            "characters at most"
        )
    return text


def _origins(given: tuple[str, ...]) -> tuple[str, ...]:
    for each in given:
        if not _ORIGIN.fullmatch(each.rstrip("/")):
            raise ValueError(f"{each!r} must be scheme and name, such as https://chat.example.com")
    return given


Folder = Annotated[Path, AfterValidator(_expanded)]
File = Annotated[Path, AfterValidator(_file)]
Name = Annotated[str, AfterValidator(_name)]
Zone = Annotated[str, AfterValidator(_known_zone)]
Endpoint = Annotated[str, AfterValidator(_endpoint)]
Fingerprint = Annotated[str, AfterValidator(_fingerprint)]
IndexName = Annotated[str, AfterValidator(_index_name)]
Folders = Annotated[tuple[Path, ...], BeforeValidator(_split), AfterValidator(_folders)]
_Several = Annotated[tuple[str, ...], BeforeValidator(_split)]
Urls = Annotated[_Several, AfterValidator(_urls)]
Hosts = Annotated[_Several, AfterValidator(_hosts)]
Origins = Annotated[_Several, AfterValidator(_origins)]
