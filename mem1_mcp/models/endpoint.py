"""What every endpoint with OpenAI's API has in common: how it is reached, and how it fails."""

from __future__ import annotations

import math
import socket
import ssl
import time
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Literal
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping

    from openai import AsyncOpenAI

# What failed: the key or a proxy is such that it can't be asked at all; it is not there; it takes too long;
# it answers a status that is no success, or something else than it was asked for.
Trouble = Literal["key", "proxy", "away", "slow", "status", "nonsense"]

_OPENAI = "https://api.openai.com/v1"  # said, since the client would take another one from its environment
_LONGEST_REST = 3600.0
_DEEPEST = 6  # how far into an answer its own words are looked for


class EndpointError(Exception):
    """A request to an endpoint failed. The text goes on after its name: "answered 401".

    ``status`` is 0 where none came. ``message`` and ``parameter`` are the endpoint's own words and what
    of the request it names, both empty where it says nothing of the kind; they may repeat what was sent.
    """

    def __init__(self, text: str, trouble: Trouble) -> None:
        super().__init__(text)
        self.trouble = trouble
        self.status = 0
        self.retry_after: float | None = None
        self.message = ""
        self.parameter = ""


class Endpoint:
    """Reaches an endpoint by a client that is made when it is first needed.

    ``base_url`` is ``None`` for OpenAI's own. ``seconds`` bounds one request.
    """

    def __init__(self, base_url: str | None, api_key: str | None, seconds: float) -> None:
        self._base_url = base_url
        self.api_key = (api_key or "").strip()
        self._seconds = seconds
        self._client: AsyncOpenAI | None = None
        self._making = anyio.Lock()

    @property
    def address(self) -> str | None:
        """Its address without what may be secret in it, ``None`` for OpenAI's own."""
        if self._base_url is None:
            return None
        parts = urlsplit(self._base_url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"

    @asynccontextmanager
    async def asking(self, wanted: str) -> AsyncGenerator[AsyncOpenAI]:
        """Lend the client for one request, and for taking out of the answer what is ``wanted``.

        Raises:
            EndpointError: it failed, or the answer is no ``wanted``.

        """
        client = await self._made()
        import openai  # by now it is there

        # What the library raises may repeat what was sent, so it is the cause of nothing.
        try:
            # Its own timeout begins anew with every byte, and some send blanks while they think.
            with anyio.fail_after(self._seconds):
                yield client
        except (openai.APITimeoutError, TimeoutError):
            raise EndpointError(f"did not answer within {self._seconds:g} s", "slow") from None
        except openai.APIConnectionError as error:
            raise EndpointError(f"can't be reached{_reason(error)}", "away") from None
        except openai.APIStatusError as error:
            failure = EndpointError(f"answered {error.status_code}", "status")
            failure.status = error.status_code
            failure.retry_after = _rest(error.response.headers)
            failure.message, failure.parameter = _own_words(error.body)
            raise failure from None
        except (openai.OpenAIError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
            raise EndpointError(f"answered something that is no {wanted}", "nonsense") from None

    async def close(self) -> None:
        """Close its connections."""
        if self._client is not None:
            await self._client.close()

    async def _made(self) -> AsyncOpenAI:
        async with self._making:
            if self._client is None:
                self._client = await anyio.to_thread.run_sync(self._connect)
            return self._client

    def _connect(self) -> AsyncOpenAI:
        if not (self.api_key.isascii() and self.api_key.isprintable()):
            raise EndpointError("can't be asked: its key holds characters that no key has", "key")
        # Importing it takes a second that a server without models does not pay.
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient

        try:
            # Made here: one that the client makes itself can't be disposed of when this fails.
            http_client = DefaultAsyncHttpxClient()
        except (ImportError, ValueError):
            raise EndpointError(
                "can't be asked through the proxy in HTTPS_PROXY, HTTP_PROXY or ALL_PROXY", "proxy"
            ) from None
        # Whoever asks tries again; a server of one's own wants no key, the client wants one.
        return AsyncOpenAI(
            base_url=self._base_url or _OPENAI,
            api_key=self.api_key or "none",
            timeout=self._seconds,
            max_retries=0,
            http_client=http_client,
        )


def _reason(error: BaseException) -> str:
    """Say what lies behind a failed connection, where a person can do something about it."""
    for cause in _causes(error):
        match cause:
            case ssl.SSLCertVerificationError():
                return f" (its certificate: {cause.verify_message})"
            case socket.gaierror():
                return " (there is no host of this name)"
            case ConnectionRefusedError():
                return " (nothing listens there)"
            case _:
                pass
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        # Several addresses were tried.
        inner = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else None
        error = inner or error.__cause__ or error.__context__


def _rest(headers: Mapping[str, str]) -> float | None:
    """Return for how many seconds an endpoint wants to be left alone, at most an hour."""
    seconds = _number(headers.get("retry-after-ms"), 1000)
    if seconds is None:
        seconds = _number(headers.get("retry-after"), 1)
    if seconds is None and (until := _instant(headers.get("retry-after"))) is not None:
        # By its own clock, where it tells what that shows.
        now = _instant(headers.get("date"))
        seconds = until - (time.time() if now is None else now)
    return None if seconds is None else min(max(seconds, 0.0), _LONGEST_REST)


def _number(text: str | None, divisor: int) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return None if math.isnan(number) else number / divisor


def _instant(text: str | None) -> float | None:
    try:
        return parsedate_to_datetime(text or "").timestamp()
    except (ValueError, OverflowError):
        return None


def _own_words(body: object) -> tuple[str, str]:
    """Return an endpoint's own words about a failure, and the parameter it names beside them."""
    parameter = ""
    for _ in range(_DEEPEST):
        if isinstance(body, list) and body:
            body = body[0]
        elif isinstance(body, dict):
            if isinstance(named := body.get("param") or body.get("loc"), str | list):
                parameter = str(named)
            keys = ("error", "message", "detail", "msg")
            body = next((body[key] for key in keys if body.get(key)), None)
        else:
            break
    is_text = isinstance(body, str) and not body.lstrip().startswith("<")
    return (str(body) if is_text else "", parameter)
