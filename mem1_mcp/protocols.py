"""Everything that can be swapped: what a store promises to the use cases above it.

Each operation is atomic by itself and safe to repeat: a repeated one finds its first effect and
changes nothing more. No operation needs a transaction over several documents, so a store may write a
call as several documents as long as no reader ever sees half of it. Nothing is ever read as empty
because it could not be read: every operation raises ``StoreError`` (see ``errors``) instead.

No read returns or counts what is forgotten and not yet erased. The user is the first word of every
operation, as an argument or inside a ``Scope`` or a ``Job``; a store never guesses one. Only tokens and
secrets are no user's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from mem1_mcp.types import (
        Appended,
        Call,
        Confirmation,
        Forgotten,
        Health,
        ImageFile,
        Indexed,
        Job,
        JobKind,
        Period,
        Profile,
        Refreshed,
        Scope,
        Seen,
        Selected,
        Selection,
        Statistics,
        Stored,
        Summary,
        Token,
        Topic,
        Unread,
        Usage,
        Vectors,
        Windows,
    )

TextKind = Literal["query", "passage"]


class Clock(Protocol):
    """Tells the time."""

    def __call__(self) -> int:
        """Return milliseconds since 1970, UTC."""


class Progress(Protocol):
    """Is told how far a long operation is."""

    async def __call__(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Take note that ``progress`` of ``total`` is done; never less than the last time."""


class Embedder(Protocol):
    """Turns texts into vectors that lie near each other where the texts mean the same."""

    @property
    def space(self) -> str:
        """Names the model and how passages are handed to it: vectors of two spaces are never compared."""

    @property
    def at_once(self) -> int:
        """How many texts it takes in one call."""

    async def embed(self, texts: Sequence[str], kind: TextKind) -> Sequence[Sequence[float]]:
        """Return a vector for each text, in their order, as the model gave them.

        Raises:
            EmbedderError: it could not be done, or what came is no list of numbers.

        """

    async def close(self) -> None:
        """Release everything."""


@dataclass(frozen=True, slots=True)
class Question:
    """What a language model is asked. ``schema`` is the JSON schema of the answer; ``None`` for words.

    ``max_tokens`` bounds the answer. ``image`` is what it is about, for a model that sees.
    """

    system: str
    user: str
    schema: Mapping[str, object] | None
    max_tokens: int
    image: ImageFile | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """What a language model said. ``cut`` where it was not done when ``max_tokens`` were used up."""

    text: str
    cut: bool
    input_tokens: int
    output_tokens: int


class ChatModel(Protocol):
    """A language model behind an endpoint."""

    @property
    def name(self) -> str:
        """The model's name, as the endpoint knows it."""

    @property
    def address(self) -> str | None:
        """The endpoint's address, without what may be secret in it; ``None`` for OpenAI's own."""

    async def ask(self, question: Question) -> Answer:
        """Ask once; nothing is tried again here but what an endpoint does not know of a request.

        Raises:
            ModelError: no answer came; it says why, and for how long to leave it alone.

        """

    async def close(self) -> None:
        """Release everything."""


class TextReader(Protocol):
    """Reads the text that stands in images."""

    async def read(self, image: bytes) -> str:
        """Return the text line by line, empty where none is found.

        Raises:
            ReaderError: it can't read now, or not at all.
            AnswerRefusedError: it reads, but not this image.

        """

    async def rest(self) -> None:
        """Let go of what it took to read, until it is asked again."""


async def silently(progress: float, total: float | None = None, message: str | None = None) -> None:
    """Tell nobody: a ``Progress`` for whom nobody waits."""


class Store(Protocol):
    """Keeps messages and profiles of many users, each apart from all others."""

    async def append(self, user: str, call: Call) -> Appended:
        """Keep a call: all of it or nothing, durable when this returns.

        Messages are placed by ``Tail.next`` in the order of arrival. The same ``request_id`` and
        fingerprint, or without an id an equal newest call of the topic that arrived at
        ``repeat_since`` or later, is the same delivery: its places come back, nothing is added.
        A call without messages is kept for its ``request_id`` alone. An image's bytes are kept with it,
        equal ones of a user once, and jobs of ``IMAGE_KINDS`` are asked for to look at it. It stands beside
        the message before it in the call.

        Raises:
            RequestIdReusedError: the ``request_id`` was used with another fingerprint.

        """

    async def statistics(self, user: str, terms: Sequence[str]) -> Statistics:
        """Return this user's own numbers, and for each term in how many of the messages it is."""

    async def vocabulary(self, user: str, letter: str) -> Mapping[str, int]:
        """Return the indexed terms that start with ``letter`` and in how many messages each is."""

    async def candidates(
        self,
        scope: Scope,
        weights: Mapping[str, float],
        days: Sequence[Period],
        limit: int,
    ) -> Mapping[int, float]:
        """Return about the best ``limit`` messages in scope by their own words: place to score.

        The score is the sum of the weights of the terms a message holds, where a store may pass over
        what only common terms would add. Messages of ``days`` come in addition, at most ``limit`` a
        day, with the day's weight on top. Where the scope is images, also messages beside one.
        """

    async def windows(self, scope: Scope, places: Sequence[int], reach: int) -> Windows:
        """Return the messages at the places and up to ``reach`` before and after each.

        Only neighbours in the same conversation; nothing said after ``scope.until``. Places where
        nothing is are passed over.
        """

    async def vectors(self, user: str) -> Vectors:
        """Say how this user's messages stand with vectors of the store's space."""

    async def nearest(self, scope: Scope, vector: bytes, limit: int) -> Mapping[int, float]:
        """Return the ``limit`` messages in scope whose vectors are nearest: place to cosine.

        A vector is of unit length, each number a signed byte of its 127-fold. Empty where those of the
        store's space have other dimensions.
        """

    async def similarities(self, user: str, vector: bytes, places: Collection[int]) -> Mapping[int, float]:
        """Return the cosines of the messages at these places; those without a vector are passed over."""

    async def messages(self, user: str, places: Sequence[int]) -> tuple[Stored, ...]:
        """Return the messages at these places in the order asked; unknown ones are passed over."""

    async def latest(self, scope: Scope, limit: int, skip: int = 0) -> tuple[Stored, ...]:
        """Return the messages in scope that were said last, latest first, without the first ``skip``."""

    async def count(self, scope: Scope) -> int:
        """Return how many messages are in scope."""

    async def topics(self, user: str) -> tuple[Topic, ...]:
        """Return the topics that hold messages, the one used last first."""

    async def profile(self, user: str) -> Profile:
        """Return the profile as it is; an empty one (version 0) for a user who has none."""

    async def profiles(self, user: str) -> tuple[Profile, ...]:
        """Return the newest versions of the profile, newest first: at most ``KEPT_PROFILES``."""

    async def save_profile(self, user: str, profile: Profile) -> bool:
        """Keep the profile if the kept one has the version before it; say whether that was so.

        That one stays as a former version, the oldest beyond ``KEPT_PROFILES`` goes.
        """

    async def unread(self, user: str, limit: int) -> Unread:
        """Return the first ``limit`` messages that no refresh of the profile has read."""

    async def keep_refresh(self, job: Job, refreshed: Refreshed, profile: Profile | None) -> bool:
        """Note how far a refresh read, together with the profile that came of it, if one did.

        False where the kept profile is not the one before it: then nothing was noted.

        Raises:
            LeaseLostError: another owner has the job, or others read on from ``refreshed.after`` meanwhile.

        """

    async def count_usage(self, user: str, usage: Usage) -> None:
        """Add to what models have been asked for this user, which ``health`` tells."""

    async def unsummarised(self, job: Job, limit: int) -> Mapping[int, str]:
        """Return about ``limit`` messages that wait for a summary: place to content."""

    async def keep_summaries(self, job: Job, summaries: Mapping[int, Summary], lease_ms: int) -> None:
        """Keep summaries; what the messages said stays, compressed, unless the summary is indexed.

        Messages that were forgotten or summarised meanwhile are passed over.

        Raises:
            LeaseLostError: another owner has the job.

        """

    async def image_file(self, user: str, place: int) -> ImageFile | None:
        """Return the bytes of the image at this place; ``None`` where none with bytes is."""

    async def thumbnails(self, user: str, places: Collection[int]) -> Mapping[int, bytes]:
        """Return the thumbnails of the images at these places; those without bytes are passed over."""

    async def unseen(self, job: Job) -> tuple[int, ImageFile] | None:
        """Return an image that a job of one of ``IMAGE_KINDS`` has yet to look at, and its place."""

    async def count_unseen(self, user: str, kind: JobKind) -> int:
        """Return how many images are left for a job of one of ``IMAGE_KINDS``, those given up left out."""

    async def keep_seen(self, job: Job, place: int, seen: Seen, lease_ms: int) -> None:
        """Keep what a look at an image told; its words, index and vector become what is known now.

        Nothing where it was forgotten, or looked at, meanwhile.

        Raises:
            LeaseLostError: another owner has the job.

        """

    async def template(self) -> str | None:
        """Return the template of all profiles of this store, as it was kept; ``None`` where none was."""

    async def keep_template(self, text: str, *, instead: bool) -> bool:
        """Keep a template if there is none, or ``instead`` of the one there; say whether that was done."""

    async def select(self, user: str, selection: Selection, limit: int, skip: int = 0) -> Selected:
        """Find the messages a selection takes as of now: numbers, and ``limit`` lines after ``skip``.

        Lines come in the order in which they were said. Unknown places are passed over.
        """

    async def keep_confirmation(self, user: str, confirmation: Confirmation) -> None:
        """Keep a preview for its confirmation; ones that ran out are dropped."""

    async def confirmation(self, user: str, token_hash: str) -> Confirmation | None:
        """Return the kept preview of this token, done or not; ``None`` when there is none."""

    async def forget(self, user: str, token_hash: str) -> Forgotten:
        """Hide what the kept preview names, up to its mark, and note it there as done.

        When this returns no read finds any of it: messages, their index, the profile items that rest
        on nothing else (``Profile.forgetting``), images, the calls' request ids and metadata. Refreshes
        under way notice by the profile's version. The job ``erasure`` is due at once and takes it off the
        disk. A repeated call returns what was done the first time.
        """

    async def claim_job(
        self, kinds: Collection[JobKind], owner: str, lease_ms: int, user: str | None = None
    ) -> Job | None:
        """Lease a job that is due to ``owner``, of one user or of whoever has one.

        No other owner gets it until it is finished or postponed, or ``lease_ms`` have passed since
        the last step of it. A job asks to be done at least once: a step may be repeated.
        """

    async def ask_for_job(self, user: str, kind: JobKind) -> None:
        """Have a job of this kind be due now; of ``IMAGE_KINDS`` also for images it was given up for."""

    async def hold_job(self, job: Job, lease_ms: int) -> None:
        """Lengthen the lease of a job whose step takes long.

        Raises:
            LeaseLostError: another owner has the job.

        """

    async def finish_job(self, job: Job) -> bool:
        """Take a job away as done; one that was asked for again meanwhile stays, due now: false."""

    async def postpone_job(
        self, job: Job, error: str | None, due_at: int | None, *, failed: bool = True
    ) -> None:
        """Give a job back, not done. An ``error`` counts as a failed attempt, unless it was not the job's.

        Without ``due_at`` the job is parked: it waits until it is asked for again.
        """

    async def erase_some(self, job: Job, lease_ms: int) -> int | None:
        """Do a step of ``erasure``, short enough for others; return how long the next one can wait.

        In milliseconds; 0 for at once. ``None`` when nothing is left to erase: then no byte of what was
        forgotten is in any file of the store.

        Raises:
            LeaseLostError: another owner has the job.
            StoreBusyError: others use what is to be erased just now; try again soon.

        """

    async def outdated(self, job: Job, limit: int) -> Mapping[int, str]:
        """Return about ``limit`` messages after ``job.progress`` whose index an older ``text`` made.

        Places to contents, in the order of places.
        """

    async def reindex(self, job: Job, indexed: Mapping[int, Indexed], lease_ms: int) -> Job:
        """Replace the index of these messages; return the job with its progress behind the last.

        Messages that were forgotten meanwhile are passed over.

        Raises:
            LeaseLostError: another owner has the job.

        """

    async def unembedded(self, job: Job, limit: int) -> Mapping[int, str]:
        """Return about ``limit`` messages that have no vector of the store's space: place to content.

        In the order in which they came.
        """

    async def keep_vectors(self, job: Job, vectors: Mapping[int, bytes], lease_ms: int) -> None:
        """Keep vectors of the store's space; an empty one says that none can be made of the message.

        Vectors of other dimensions than those kept begin the space anew. Messages that were forgotten
        meanwhile are passed over.

        Raises:
            LeaseLostError: another owner has the job, or a program with another space chose that meanwhile.

        """

    async def keep_token(self, token: Token) -> None:
        """Keep a token of this id; one that is kept already stays as it is."""

    async def token(self, token_id: str) -> Token | None:
        """Return a token as it is at this moment, whichever process made or revoked it; or ``None``."""

    async def tokens(self) -> tuple[Token, ...]:
        """Return all tokens, also those that ran out, oldest first."""

    async def revoke_token(self, token_id: str) -> bool:
        """Take a token away; false where there is none. The next ``token`` does not find it."""

    async def secret(self, name: str) -> bytes:
        """Return the 32 random bytes of this name: made once, the same for every process."""

    async def health(self, user: str) -> Health:
        """Look the store over: where it is, versions, sizes, whether it can be written."""

    def stop_waiting(self) -> None:
        """Have calls that wait for other processes fail now, as busy: the store is about to be closed."""

    async def close(self) -> None:
        """Release everything; the store can't be used afterwards. What was answered is kept anyway."""
