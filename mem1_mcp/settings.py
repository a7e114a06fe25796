"""Every setting, read once from the environment into one frozen value.

Nothing else looks at the environment. The names are ``MEM1_`` and the field's name in capitals;
`docs/settings.md` lists them, and a test keeps that list and this file together.
"""

from __future__ import annotations

import difflib
import os
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from mem1_mcp.errors import InvalidRequestError, SettingsError
from mem1_mcp.text.names import check_name
from mem1_mcp.types import Rhythm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

PREFIX = "MEM1_"
# For other programs around this one: the tests' switches.
_NOT_OURS = ("MEM1_TEST_",)


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


_HOST = re.compile(r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::\d{1,5})?")
_FINGERPRINT = re.compile(r"[0-9A-Fa-f]{2}(?::?[0-9A-Fa-f]{2}){31}")
_PASSWORD_IN_URL = re.compile(r"//[^/\s]*@")
_INDEX_NAME = re.compile(r"(?:[a-z0-9][a-z0-9_.-]{0,99})?")
_ORIGIN = re.compile(rf"https?://{_HOST.pattern}")
_Several = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class Settings(BaseSettings):
    """What a person can set, with its default and its effect."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True)

    memory_dir: Annotated[Path, AfterValidator(_expanded)] = Field(
        default_factory=default_memory_dir,
        description="Folder that holds all memories, one file a user, and the tokens. Absolute; `~` is "
        "your home.",
    )
    user_id: Annotated[str, AfterValidator(_name)] = Field(
        default="default",
        description="Whose memory this server serves over stdio; over HTTP with `--no-auth`, or with the "
        "token that the first start makes.",
    )
    topic_id: Annotated[str, AfterValidator(_name)] | None = Field(
        None,
        description="Topic of calls that name none. Unset: `remember` uses `default`, `recall` "
        "searches all topics.",
    )
    timezone: Annotated[str, AfterValidator(_known_zone)] | None = Field(
        None,
        description="IANA time zone for dates shown and asked for, such as `Asia/Shanghai`. Unset: "
        "this machine's.",
    )
    storage_backend: Literal["sqlite", "elasticsearch"] | None = Field(
        None,
        description="Where memories are kept: `sqlite`, files on this machine, or `elasticsearch`. Unset: "
        "`elasticsearch` where `MEM1_ES_HOSTS` is set, else `sqlite`.",
    )
    es_hosts: Annotated[_Several, AfterValidator(_urls)] = Field(
        (),
        description="Elasticsearch nodes, with commas between, such as "
        "`https://es1.example.com:9200,https://es2.example.com:9200`.",
    )
    es_user: str | None = Field(None, description="User of the cluster, with `MEM1_ES_PASSWORD`.")
    es_password: SecretStr | None = Field(None, description="Password of `MEM1_ES_USER`.")
    es_api_key: SecretStr | None = Field(
        None,
        description="API key of the cluster, as Elasticsearch encodes it, instead of user and password.",
    )
    es_ca_file: Annotated[Path, AfterValidator(_file)] | None = Field(
        None, description="Certificate of the authority that signed the cluster's, a PEM file."
    )
    es_fingerprint: Annotated[str, AfterValidator(_fingerprint)] | None = Field(
        None,
        description="SHA-256 fingerprint of the cluster's certificate, where there is no CA file.",
    )
    es_prefix: Annotated[str, AfterValidator(_index_name)] = Field(
        "", description="What the names of all indices begin with, such as `mcp-`."
    )
    es_index: Annotated[str, AfterValidator(_index_name)] = Field(
        "conversation_history",
        description="Name of the index of messages, an alias; after `MEM1_ES_PREFIX`.",
    )
    es_shards: Annotated[int, Field(ge=1, le=1024)] = Field(
        1,
        description="Primary shards of an index when it is made; 1 does for some 10 million messages.",
    )
    embeddings: Literal["none", "openai", "fastembed"] = Field(
        "none",
        description="What makes vectors, by which recall finds what shares no word with a question: "
        "`openai` is any endpoint with OpenAI's API, `fastembed` a model on this machine (install "
        "`mem1-mcp[local]`).",
    )
    embeddings_model: str | None = Field(
        None,
        description="Model that makes vectors, as the endpoint or fastembed names it; for `fastembed` also "
        "the folder of an ONNX model. Unset: `text-embedding-3-small`, or "
        "`sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2`.",
    )
    embeddings_base_url: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        None,
        description="Address of the endpoint for `openai`, such as `http://127.0.0.1:11434/v1`. Unset: "
        "OpenAI's own, which gets what is remembered.",
    )
    embeddings_api_key: SecretStr | None = Field(None, description="Key for `MEM1_EMBEDDINGS_BASE_URL`.")
    embeddings_query_prefix: str = Field(
        "", description="Put before a question, for models that want it, such as `query: `."
    )
    embeddings_passage_prefix: str = Field(
        "", description="Put before a message, for models that want it, such as `passage: `."
    )
    llm_model: str | None = Field(
        None,
        description="Language model that keeps the profile current and sums up long replies, as its "
        "endpoint names it, such as `qwen3:8b`. Unset: the profile holds what hosts tell as facts.",
    )
    llm_base_url: Annotated[str, AfterValidator(_endpoint)] | None = Field(
        None,
        description="Address of its endpoint with OpenAI's API, such as `http://127.0.0.1:11434/v1`. "
        "Unset: OpenAI's own, which gets what is remembered.",
    )
    llm_api_key: SecretStr | None = Field(None, description="Key for `MEM1_LLM_BASE_URL`.")
    llm_temperature: Annotated[float, Field(ge=0, le=2)] = Field(
        0.2,
        description="How freely the model words its answers; not sent where its endpoint does not know it.",
    )
    auto_update_profile: bool = Field(
        True,  # noqa: FBT003
        description="Refresh the profile by itself. `false`: only by `mem1-mcp profile refresh`.",
    )
    update_interval_rounds: Annotated[int, Field(ge=1, le=1000)] = Field(
        5,
        description="Rounds after which the profile is refreshed: a round is a `remember` with something "
        "that the user said.",
    )
    update_interval_minutes: Annotated[int, Field(ge=1, le=10_080)] = Field(
        3, description="Minutes after which it is refreshed where fewer rounds came."
    )
    max_profile_chars: Annotated[int, Field(ge=200, le=100_000)] = Field(
        3000,
        description="About how many characters the profile may have. Over that the model joins lines, and "
        "the oldest that are done or passing are archived; never pinned ones.",
    )
    profile_template: str = Field(
        "general",
        description="Sections of the profile: `general`, `public_opinion` (`舆情`), `ecommerce` (`电商`), "
        "`medical` (`医疗`), or the path of a file of your own. The first choice holds for the store.",
    )
    save_assistant_messages: bool = Field(
        True,  # noqa: FBT003
        description="Keep what the assistant said. `false`: the user's side only.",
    )
    max_assistant_chars: Annotated[int, Field(ge=100, le=200_000)] = Field(
        500,
        description="Characters from which an assistant's reply is summed up in the background, and of its "
        "summary.",
    )
    keep_original_replies: bool = Field(
        True,  # noqa: FBT003
        description="Keep the words of a reply that was summed up, compressed: they stay searchable, and "
        "`around` opens them. `false`: its summary is all that stays.",
    )
    http_host: str = Field("127.0.0.1", description="Address that `mem1-mcp serve --http` listens on.")
    http_port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        8765, description="Port that `mem1-mcp serve --http` listens on; `0` takes a free one."
    )
    allowed_hosts: Annotated[_Several, AfterValidator(_hosts)] = Field(
        (),
        description="Further names that the HTTP server may be reached by, with commas between: its own "
        "behind a proxy, such as `memory.example.com`.",
    )
    allowed_origins: Annotated[_Several, AfterValidator(_origins)] = Field(
        (),
        description="Web pages that a proxy serves together with the HTTP server, with commas between, "
        "such as `https://chat.example.com`. Pages of other origins get no answer.",
    )
    rate_limit: Annotated[int, Field(ge=0, le=1_000_000)] = Field(
        1200,
        description="Requests a minute over HTTP from one token; from a service token, for each of its "
        "users. `0` is no limit.",
    )
    protocol: Literal["auto", "legacy"] = Field(
        "auto",
        description="`legacy` speaks MCP up to 2025-11-25 only, for hosts that stumble over newer "
        "versions.",
    )
    mask_secrets: bool = Field(
        True,  # noqa: FBT003
        description="Replace keys, tokens, passwords, card and identity numbers by "
        "`[REDACTED:kind]` before anything is stored.",
    )
    profile_in_instructions: bool = Field(
        True,  # noqa: FBT003
        description="Put up to 600 characters of the profile into the server's instructions, so "
        "that the model knows its user from the start.",
    )
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR"], BeforeValidator(lambda text: str(text).upper())
    ] = Field(
        "WARNING",
        description="How much is logged to stderr. What was said is never logged.",
    )
    remember_description: str | None = Field(
        None, description="Replaces the text that tells the model when to call `remember`."
    )
    recall_description: str | None = Field(
        None, description="Replaces the text that tells the model when to call `recall`."
    )
    list_topics_description: str | None = Field(
        None, description="Replaces the text that tells the model when to call `list_topics`."
    )
    forget_description: str | None = Field(
        None, description="Replaces the text that tells the model when to call `forget`."
    )

    @property
    def zone(self) -> tzinfo:
        """The time zone in force."""
        if self.timezone is not None:
            return ZoneInfo(self.timezone)
        from tzlocal import get_localzone  # not needed where a zone is set

        try:
            return get_localzone()
        except (ValueError, KeyError, OSError):
            # The machine names no zone, as with TZ=CST-8: today's offset is still right today.
            return datetime.now(UTC).astimezone().tzinfo or UTC

    @property
    def backend(self) -> Literal["sqlite", "elasticsearch"]:
        """The store in force."""
        return self.storage_backend or ("elasticsearch" if self.es_hosts else "sqlite")

    @property
    def rhythm(self) -> Rhythm | None:
        """When profiles are refreshed; ``None`` where they are not by themselves."""
        if self.llm_model is None or not self.auto_update_profile:
            return None
        return Rhythm(self.update_interval_rounds, self.update_interval_minutes * 60_000)

    @property
    def set_by_environment(self) -> frozenset[str]:
        """The names of the fields that the environment gave a value."""
        return frozenset(self.model_fields_set)


def load(**given: object) -> Settings:
    """Read the settings from the environment; what is given and not ``None`` counts before it.

    Raises:
        SettingsError: a value can't be used; the text names the variable and the cure.

    """
    try:
        loaded = Settings(**{name: value for name, value in given.items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        wrong = "; ".join(
            f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg'].removeprefix('Value error, ')}"
            f" (it is {_PASSWORD_IN_URL.sub('//…@', repr(problem['input']))})"
            for problem in error.errors(include_url=False)
        )
        raise SettingsError(f"Check the server's environment. {wrong}.") from None
    clash = _wrong_in_embeddings(loaded) or _wrong_in_model(loaded)
    if loaded.backend == "elasticsearch":
        clash = _wrong_together(loaded) or clash
    if clash:
        raise SettingsError(f"Check the server's environment. {clash}.")
    return loaded


def _wrong_in_embeddings(given: Settings) -> str | None:
    """Say what can't be used beside the choice of what makes vectors."""
    own = given.embeddings_base_url or given.embeddings_api_key
    if given.embeddings == "openai" and not own:
        return (
            "MEM1_EMBEDDINGS_BASE_URL: MEM1_EMBEDDINGS=openai needs it, or MEM1_EMBEDDINGS_API_KEY for "
            "OpenAI itself; set it to an endpoint such as http://127.0.0.1:11434/v1"
        )
    if given.embeddings != "openai" and own:
        return (
            "MEM1_EMBEDDINGS: MEM1_EMBEDDINGS_BASE_URL or _API_KEY is set, which only openai uses; set it "
            "to openai, or take those out"
        )
    return None


def _wrong_in_model(given: Settings) -> str | None:
    """Say what can't be used beside the choice of a language model."""
    own = given.llm_base_url or given.llm_api_key
    if own and not given.llm_model:
        return (
            "MEM1_LLM_MODEL: MEM1_LLM_BASE_URL or _API_KEY is set without it; name the model that is to be "
            "asked there, such as qwen3:8b"
        )
    if given.llm_model and not own:
        return (
            "MEM1_LLM_BASE_URL: MEM1_LLM_MODEL needs it, or MEM1_LLM_API_KEY for OpenAI itself; set it to "
            "an endpoint such as http://127.0.0.1:11434/v1"
        )
    return None


def _wrong_together(given: Settings) -> str | None:
    """Say what of a cluster's settings can't be used beside the others."""
    if not given.es_hosts:
        return (
            "MEM1_ES_HOSTS: MEM1_STORAGE_BACKEND=elasticsearch needs it; set it to the URL of a node, such "
            "as http://127.0.0.1:9200"
        )
    if given.es_api_key and given.es_user:
        return "MEM1_ES_API_KEY: MEM1_ES_USER is set too; keep one of the two"
    if given.es_password and not given.es_user:
        return "MEM1_ES_USER: MEM1_ES_PASSWORD is set without it"
    trusted = given.es_ca_file or given.es_fingerprint
    if trusted and not all(host.startswith("https://") for host in given.es_hosts):
        return "MEM1_ES_HOSTS: with MEM1_ES_CA_FILE or MEM1_ES_FINGERPRINT each must begin with https://"
    return None


def unknown_names(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Describe each ``MEM1_*`` variable that is no setting, with the nearest name that is."""
    known = [PREFIX + name.upper() for name in Settings.model_fields]
    told = []
    for name in sorted(environ):
        if name.startswith(PREFIX) and name not in known and not name.startswith(_NOT_OURS):
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
            hint = f"; did you mean {near[0]}?" if near else ""
            told.append(f"{name} is not a setting of this version{hint}")
    return told
