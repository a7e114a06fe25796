"""The one place that chooses implementations and owns their lifetimes."""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import threading
import time
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import anyio
from pydantic import SecretStr, ValidationError

from mem1_mcp.errors import Mem1Error, StoreError
from mem1_mcp.memory import (
    Captioning,
    Embedding,
    InForce,
    Jobs,
    Keeping,
    Meaning,
    Memory,
    Model,
    Reading,
    Receiver,
    Refreshing,
    Summarising,
    load_template,
)
from mem1_mcp.settings import unknown_names

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    from mem1_mcp.hook.events import Event
    from mem1_mcp.memory.profile.template import Template
    from mem1_mcp.memory.work.worker import Worker
    from mem1_mcp.protocols import ChatModel, Embedder, Store, TextKind, TextReader
    from mem1_mcp.settings import Settings

log = logging.getLogger(__name__)

# From the end of stdin, or a signal; hosts kill what takes longer.
_LAST_SECONDS, _LAST_HTTP_SECONDS = 1.8, 1.9
# That a hook takes once its host has the answer; what is not in the store by then waits.
_KEEP_SECONDS = 0.5
_TEMPLATE_SECONDS = 0.6  # that a start waits for the store

# Below WARNING these log whole messages, and what is wrong in them, with what people said.
_TALKATIVE = (
    "elastic_transport",
    "elasticsearch",
    "fastembed",
    "mcp",
    "openai",
    "sse_starlette",
    "uvicorn",
    "httpx2",
    "httpcore2",
)


def wall_clock() -> int:
    """Return milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


@asynccontextmanager
async def open_memory(settings: Settings) -> AsyncGenerator[Memory]:
    """Open the memory that the settings name, for as long as the block lasts."""
    embedder = _embedder(settings)
    meaning = None if embedder is None else Meaning(embedder)
    template = load_template(settings.profile_template)
    store = _store(settings, None if meaning is None else meaning.space)
    in_force = InForce(store, template, chosen="profile_template" in settings.set_by_environment)
    warmth = settings.llm_temperature
    chat = _chat(settings.llm_model, settings.llm_base_url, settings.llm_api_key, warmth, "MEM1_LLM")
    model = None if chat is None else Model(chat, store)
    chars = settings.max_profile_chars
    workers: list[Worker] = [
        Summarising(store, model, settings.max_assistant_chars, keep_words=settings.keep_original_replies)
    ]
    if meaning is not None:
        workers.append(Embedding(store, meaning))
    if model is not None:
        workers.append(Refreshing(store, model, in_force, wall_clock, settings.zone, chars))
    reader = _reader(settings)
    vision = _chat(settings.vl_model, settings.vision_base_url, settings.vl_api_key, warmth, "MEM1_VL")
    seeing = None if vision is None else Model(vision, store)
    if reader is not None:
        workers.append(Reading(store, reader, masking=settings.mask_secrets))
    if seeing is not None:
        workers.append(Captioning(store, seeing, masking=settings.mask_secrets))
    keeping = Keeping(
        masking=settings.mask_secrets,
        assistant=settings.save_assistant_messages,
        long_reply=settings.max_assistant_chars,
        # A model joins lines first; see ``Refreshing``.
        profile_chars=chars if model is None else 2 * chars,
        images=Receiver(settings.image_roots, settings.max_image_bytes),
    )
    try:
        yield Memory(
            store,
            wall_clock,
            settings.zone,
            Jobs(store, wall_clock, workers),
            keeping,
            meaning,
            in_force,
            model,
            seeing,
            hooked=settings.hooks is not None,
        )
    finally:
        with anyio.CancelScope(shield=True):
            await store.close()
            if reader is not None:
                await reader.rest()
            for engine in (meaning, model, seeing):
                if engine is not None:
                    await engine.close()


def _chat(
    model: str | None, url: str | None, key: SecretStr | None, temperature: float, names: str
) -> ChatModel | None:
    """Return the model that is chosen by settings whose names begin so, if one is."""
    if model is None:
        return None
    from mem1_mcp.models.chat import OpenAIChat  # not needed without a model

    secret = None if key is None else key.get_secret_value()
    return OpenAIChat(model, url, secret, temperature, settings=names)


def _reader(settings: Settings) -> TextReader | None:
    from mem1_mcp.models import ocr

    return ocr.OCR() if settings.ocr == "auto" and ocr.is_installed() else None


def _embedder(settings: Settings) -> Embedder | None:
    prefixes: dict[TextKind, str] = {
        "query": settings.embeddings_query_prefix,
        "passage": settings.embeddings_passage_prefix,
    }
    if settings.embeddings == "openai":
        from mem1_mcp.models import embeddings

        key = settings.embeddings_api_key
        return embeddings.OpenAIEmbedder(
            settings.embeddings_model or embeddings.DEFAULT_MODEL,
            settings.embeddings_base_url,
            None if key is None else key.get_secret_value(),
            prefixes,
        )
    if settings.embeddings == "fastembed":
        from mem1_mcp.models import local

        return local.LocalEmbedder(settings.embeddings_model or local.DEFAULT_MODEL, prefixes)
    return None


def _store(settings: Settings, space: str | None) -> Store:
    if settings.backend == "sqlite":
        from mem1_mcp.stores.sqlite import SqliteStore  # either store without the other's library

        return SqliteStore(settings.memory_dir, wall_clock, space=space, rhythm=settings.rhythm)
    from mem1_mcp.stores.elasticsearch import Cluster, ElasticsearchStore

    password, api_key = settings.es_password, settings.es_api_key
    cluster = Cluster(
        hosts=settings.es_hosts,
        user=settings.es_user,
        password=None if password is None else password.get_secret_value(),
        api_key=None if api_key is None else api_key.get_secret_value(),
        ca_file=None if settings.es_ca_file is None else str(settings.es_ca_file),
        fingerprint=settings.es_fingerprint,
        prefix=settings.es_prefix,
        index=settings.es_index,
        shards=settings.es_shards,
    )
    return ElasticsearchStore(cluster, wall_clock, space, settings.rhythm)


async def revoke_token(settings: Settings, token_id: str) -> bool:
    """End a token; false where there is none of this id."""
    from mem1_mcp.server.web import first_token

    async with open_memory(settings) as memory:
        revoked = await memory.revoke_token(token_id)
    first_token.remove_file(settings.memory_dir, token_id)
    return revoked


def run_hook(settings: Settings, event: Event, host: str, max_tokens: int) -> None:
    """Do what ``answer_hook`` does, and end the process: always with 0.

    To a host everything else is a reason to stop what its user is doing.
    """
    try:
        hurry = partial(_end_within, _KEEP_SECONDS)
        anyio.run(answer_hook, settings, event, host, max_tokens, hurry)
    except Exception as error:  # noqa: BLE001 - a host must go on, whatever this program does wrong
        # Some hosts show this to the person: once a session is enough.
        if event.kind == "start" or settings.log_level in ("DEBUG", "INFO"):
            sys.stderr.write(f"mem1-mcp: the memory can't be reached now. {error}\n")
    finally:
        sys.stderr.flush()
        os._exit(0)


async def answer_hook(
    settings: Settings, event: Event, host: str, max_tokens: int, hurry: Callable[[], None]
) -> None:
    """Write down what a host's hook tells of, print what its model should know now, and keep what waits.

    ``host`` is which, as ``install`` names it. ``hurry`` is called once a host that waits has its answer.

    Raises:
        OSError: what was said can't be written down; it is not kept.
        Mem1Error: the store can't be read, or not all could be kept; what waits goes on waiting.

    """
    from mem1_mcp.hook import events, keeping, sessions  # no server needs these
    from mem1_mcp.hook.context import Context
    from mem1_mcp.hook.waiting import Waiting

    waiting = Waiting.of(settings)
    unwritten: OSError | None = None
    try:
        keeping.note(event, settings, waiting, wall_clock())
        sessions.note_that_it_ran(settings.memory_dir, host)
    except OSError as error:
        unwritten = error  # what is known can be told all the same
    session = sessions.Session.open(settings.memory_dir, event.session)
    # By words alone: nobody waits for a model at every turn.
    bare = {"embeddings": "none", "llm_model": None, "vl_model": None, "ocr": "none"}
    bare |= {"profile_template": "general", "hooks": None}
    async with open_memory(settings.model_copy(update=bare)) as memory:
        try:
            context = Context(memory, settings.user_id, settings.topic_id, max_tokens)
            told = events.answer(event, await context.of(event, session))
            # Bytes: a console's encoding is not the one that hosts read JSON in.
            sys.stdout.buffer.write(told.encode())
            sys.stdout.flush()
            session.save()
        finally:
            if event.kind in ("start", "prompt"):
                hurry()
            try:
                await keeping.keep(memory, waiting, session.took)
            finally:
                session.save()
                if event.kind == "end":
                    session.tidy()
    if unwritten is not None:
        raise unwritten


def serve_stdio(settings: Settings) -> None:
    """Serve one host over stdin and stdout; ends the process when stdin ends or on a signal."""
    _serve(partial(_serve_stdio, settings), settings)


def serve_http(settings: Settings, *, asking_for_tokens: bool) -> None:
    """Serve many hosts over HTTP; ends the process on a signal, or when a pipe on stdin ends."""
    _serve(partial(_serve_http, settings, asking_for_tokens), settings)


def _serve(serving: Callable[[], Awaitable[None]], settings: Settings) -> None:
    logging.basicConfig(
        stream=sys.stderr, level=settings.log_level, format="mem1-mcp %(levelname)s %(message)s"
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(_without_what_was_sent)
    for library in _TALKATIVE:
        logging.getLogger(library).setLevel(max(logging.WARNING, logging.getLogger().level))
    for told in unknown_names():
        log.warning("%s", told)
    code = 1
    try:
        anyio.run(serving)
        code = 0
    except Mem1Error as error:
        sys.stderr.write(f"mem1-mcp: {error}\n")
    except Exception:
        log.exception("The server ended by an error of its own")
    finally:
        # A thread may still wait on stdin; everything answered is on disk already.
        sys.stderr.flush()
        os._exit(code)


def _without_what_was_sent(record: logging.LogRecord) -> bool:
    """Leave out of the log an error that quotes what could not be read."""
    if record.exc_info and isinstance(record.exc_info[1], ValidationError):
        record.exc_info = None
    return True


async def _serve_stdio(settings: Settings) -> None:
    from mem1_mcp.hook import keeping, sessions
    from mem1_mcp.hook.waiting import Waiting
    from mem1_mcp.server import stdio  # the SDK: a second that other commands save
    from mem1_mcp.server.build import build_server
    from mem1_mcp.server.identity import always
    from mem1_mcp.server.updates import Updates

    # Set up, and yet not run: Codex runs no hook before its user trusts it.
    if settings.hooks and not sessions.has_run(settings.memory_dir, settings.hooks):
        settings = settings.model_copy(update={"hooks": None})
    async with open_memory(settings) as opened, anyio.create_task_group() as tasks:
        # What a hook wrote down and no hook has brought in yet can be forgotten as well.
        memory = replace(opened, catch_up=partial(keeping.keep, opened, Waiting.of(settings)))
        at_end = partial(_end_within, _LAST_SECONDS)

        def stop() -> None:
            at_end()
            tasks.cancel_scope.cancel()

        tasks.start_soon(_on_signal, stop)
        identify = always(settings.user_id, settings.topic_id)
        updates = Updates(memory, identify)
        server = build_server(memory, settings, identify, updates, await _template(memory))
        tasks.start_soon(memory.jobs.run)
        tasks.start_soon(updates.run)
        gc.freeze()
        gc.enable()
        await stdio.serve(server, settings.protocol, at_end)
        tasks.cancel_scope.cancel()


async def _serve_http(settings: Settings, asking_for_tokens: bool) -> None:  # noqa: FBT001 - for partial
    from mem1_mcp.server.build import build_server
    from mem1_mcp.server.identity import of_the_request
    from mem1_mcp.server.updates import Updates
    from mem1_mcp.server.web import listening
    from mem1_mcp.server.web.application import Application

    # Many users, and none of them a host of this machine.
    async with open_memory(settings.model_copy(update={"hooks": None})) as memory:
        with listening.listen(settings.http_host, settings.http_port) as listener:
            rules = await listening.rules(memory, settings, listener, asking_for_tokens=asking_for_tokens)
            sealing = await listening.sealing(memory)
            updates = Updates(memory, of_the_request)
            template = await _template(memory)
            server = build_server(memory, settings, of_the_request, updates, template, sealing)
            http = listening.HttpServer(Application(server, memory, updates, rules))

            gc.freeze()

            def stop() -> None:
                _end_within(_LAST_HTTP_SECONDS)
                http.stop()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_on_signal, stop)
                tasks.start_soon(listening.when_stdin_ends, stop)
                tasks.start_soon(memory.jobs.run)
                tasks.start_soon(updates.run)
                await http.serve(listener)
                tasks.cancel_scope.cancel()


async def _template(memory: Memory) -> Template:
    """Find out which template is in force; a store that does not answer is not waited for."""
    try:
        with anyio.move_on_after(_TEMPLATE_SECONDS):
            if (told := await memory.settle_template()) is not None:
                log.warning("%s", told)
            return await memory.template()
    except StoreError as error:
        # Each call will say so itself.
        log.warning("The template of the profiles could not be read: %s", error)
    return memory.configured_template


async def _on_signal(stop: Callable[[], None]) -> None:
    if sys.platform == "win32":
        return  # Ctrl+C ends the process; what was answered is on disk
    # A program that was started to outlive its terminal has hanging up ignored.
    hang_up = [signal.SIGHUP] if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN else []
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, *hang_up) as signals:
        async for _ in signals:
            stop()


def _end_within(seconds: float) -> None:
    """Have the process end in any case, even while a thread waits for another process's lock.

    What that thread would write has no answer yet, so nothing acknowledged is lost with it.
    """
    timer = threading.Timer(seconds, os._exit, [0])
    timer.daemon = True
    timer.start()
