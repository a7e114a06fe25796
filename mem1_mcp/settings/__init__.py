"""Every setting, read once from the environment into one frozen value.

Nothing else looks at the environment. The names are ``MEM1_`` and the field's name in capitals;
`docs/settings.md` lists them, and a test keeps that list and this file together.
"""

from __future__ import annotations

import difflib
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError

from mem1_mcp.errors import SettingsError
from mem1_mcp.settings import values
from mem1_mcp.types import Rhythm

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import tzinfo

PREFIX = "MEM1_"
# For other programs around this one: the tests' switches.
_NOT_OURS = ("MEM1_TEST_",)


class Settings(BaseModel):
    """What a person can set, with its default and its effect."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    memory_dir: values.Folder = Field(
        default_factory=values.default_memory_dir,
        description="Folder that holds all memories, one file a user, and the tokens. Absolute; `~` is "
        "your home.",
    )
    user_id: values.Name = Field(
        default="default",
        description="Whose memory this server serves over stdio; over HTTP with `--no-auth`, or with the "
        "token that the first start makes.",
    )
    topic_id: values.Name | None = Field(
        None,
        description="Topic of calls that name none. Unset: `remember` uses `default`, `recall` "
        "searches all topics.",
    )
    timezone: values.Zone | None = Field(
        None,
        description="IANA time zone for dates shown and asked for, such as `Asia/Shanghai`. Unset: "
        "this machine's.",
    )
    storage_backend: Literal["sqlite", "elasticsearch"] | None = Field(
        None,
        description="Where memories are kept: `sqlite`, files on this machine, or `elasticsearch`. Unset: "
        "`elasticsearch` where `MEM1_ES_HOSTS` is set, else `sqlite`.",
    )
    es_hosts: values.Urls = Field(
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
    es_ca_file: values.File | None = Field(
        None, description="Certificate of the authority that signed the cluster's, a PEM file."
    )
    es_fingerprint: values.Fingerprint | None = Field(
        None,
        description="SHA-256 fingerprint of the cluster's certificate, where there is no CA file.",
    )
    es_prefix: values.IndexName = Field(
        "", description="What the names of all indices begin with, such as `mcp-`."
    )
    es_index: values.IndexName = Field(
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
    embeddings_base_url: values.Endpoint | None = Field(
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
    llm_base_url: values.Endpoint | None = Field(
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
    image_roots: values.Folders = Field(
        default_factory=lambda: (Path.home(),),
        description="Folders whose images `remember` may open by path, with commas between; hidden ones in "
        "them never. `none`: no path is opened.",
    )
    max_image_bytes: Annotated[int, Field(ge=10_000, le=11 * 1024 * 1024)] = Field(
        10 * 1024 * 1024, description="Largest image that is kept, in bytes; 40 million pixels in any case."
    )
    ocr: Literal["auto", "none"] = Field(
        "auto",
        description="`auto` reads the text in images, Chinese and English, on this machine, where "
        "`mem1-mcp[ocr]` is installed.",
    )
    vl_provider: Literal["openai", "qwen", "doubao"] = Field(
        "openai",
        description="Whose endpoint the vision model is asked at where `MEM1_VL_BASE_URL` is unset: "
        "OpenAI's, DashScope's (`qwen`) or Volcengine's (`doubao`).",
    )
    vl_model: str | None = Field(
        None,
        description="Vision model that says what images show, as its endpoint names it, such as "
        "`qwen2.5vl:7b`. Unset: images are found by their descriptions and the text in them.",
    )
    vl_base_url: values.Endpoint | None = Field(
        None,
        description="Address of its endpoint with OpenAI's API, such as `http://127.0.0.1:11434/v1`. It "
        "gets the images.",
    )
    vl_api_key: SecretStr | None = Field(None, description="Key for that endpoint.")
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
    allowed_hosts: values.Hosts = Field(
        (),
        description="Further names that the HTTP server may be reached by, with commas between: its own "
        "behind a proxy, such as `memory.example.com`.",
    )
    allowed_origins: values.Origins = Field(
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
    hooks: str | None = Field(
        None,
        description="The host whose hooks hand over each turn, such as `claude-code`; `mem1-mcp install "
        "--with-hooks` sets it. Once they have run, `remember` asks the model for facts and images alone.",
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
    search_images_description: str | None = Field(
        None, description="Replaces the text that tells the model when to call `search_images`."
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
    def vision_base_url(self) -> str | None:
        """Where the vision model is asked; ``None`` is OpenAI itself."""
        return self.vl_base_url or values.VISION[self.vl_provider]

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


def load(environ: Mapping[str, str] = os.environ, /, **given: object) -> Settings:
    """Read the settings from an environment; what is given and not ``None`` counts before it.

    A variable that is empty counts as not set.

    Raises:
        SettingsError: a value can't be used; the text names the variable and the cure.

    """
    set_there = {name: environ.get(f"{PREFIX}{name.upper()}") for name in Settings.model_fields}
    found = {name: value for name, value in set_there.items() if value}
    try:
        loaded = Settings.model_validate(
            found | {name: value for name, value in given.items() if value is not None}
        )
    except ValidationError as error:
        wrong = "; ".join(
            f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg'].removeprefix('Value error, ')}"
            f" (it is {values.PASSWORD_IN_URL.sub('//…@', repr(problem['input']))})"
            for problem in error.errors(include_url=False)
        )
        raise SettingsError(f"Check the server's environment. {wrong}.") from None
    clash = _wrong_in_embeddings(loaded) or _wrong_in_model(loaded) or _wrong_in_vision(loaded)
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


def _wrong_in_vision(given: Settings) -> str | None:
    """Say what can't be used beside the choice of a vision model."""
    own = given.vl_base_url or given.vl_api_key
    if own and not given.vl_model:
        return (
            "MEM1_VL_MODEL: MEM1_VL_BASE_URL or _API_KEY is set without it; name the model that is to see "
            "the images there, such as qwen2.5vl:7b"
        )
    if given.vl_model and not own:
        return (
            "MEM1_VL_BASE_URL: MEM1_VL_MODEL needs it, or MEM1_VL_API_KEY for the endpoint of "
            "MEM1_VL_PROVIDER; set it to an endpoint such as http://127.0.0.1:11434/v1"
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
