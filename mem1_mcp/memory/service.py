"""One user-facing door to the use cases."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import anyio

from mem1_mcp.errors import EmbedderError, Mem1Error, ModelError, ReaderError
from mem1_mcp.memory import forget, recall, remember, tokens
from mem1_mcp.memory.profile import versions
from mem1_mcp.memory.profile.portrait import View
from mem1_mcp.memory.profile.template import GENERAL
from mem1_mcp.memory.remember import Keeping
from mem1_mcp.memory.secrets import mask
from mem1_mcp.protocols import silently
from mem1_mcp.types import IMAGE_KINDS

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
    from datetime import tzinfo

    from mem1_mcp.memory.forget import Preview
    from mem1_mcp.memory.language.model import Model
    from mem1_mcp.memory.profile.in_force import InForce
    from mem1_mcp.memory.profile.template import Template
    from mem1_mcp.memory.recall import Recall, Recalled
    from mem1_mcp.memory.remember import Remember, Remembered
    from mem1_mcp.memory.search.meaning import Meaning
    from mem1_mcp.memory.tokens import MadeToken, NewToken
    from mem1_mcp.memory.work.jobs import Jobs
    from mem1_mcp.protocols import Clock, Progress, Store
    from mem1_mcp.types import (
        Forgotten,
        Health,
        ImageFile,
        Item,
        JobKind,
        Profile,
        Selection,
        Stored,
        Token,
        Topic,
    )


_LOOKS: Mapping[JobKind, str] = {"ocr": "Read the text in images", "caption": "Had images described"}
_BEING_ANSWERED_MS = 120_000  # for as long a question is taken for one that is being answered
_SHOWN_SECONDS = 1.0  # between two signs of progress


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything a host can do with its users' memory. Lives as long as its store.

    Each method is safe under concurrency, within this process and with others on the same store. With
    ``hooked`` a host's hooks hand over what is said; ``catch_up`` brings in what of it waits.
    """

    store: Store
    clock: Clock
    zone: tzinfo
    jobs: Jobs
    keeping: Keeping = field(default_factory=Keeping)
    meaning: Meaning | None = None
    in_force: InForce | None = None
    model: Model | None = None
    seeing: Model | None = None
    hooked: bool = False
    catch_up: Callable[[], Awaitable[object]] | None = None

    async def remember(self, user: str, asked: Remember, progress: Progress = silently) -> Remembered:
        """Keep messages and facts; see ``remember.remember``."""
        moment = self.clock(), await self.template()
        done = await remember.remember(self.store, user, asked, moment, self.keeping, progress)
        kinds: list[JobKind] = ["embedding", "refresh"]
        long_reply = self.keeping.long_reply
        if any(said.role == "assistant" and len(said.content) > long_reply for said in asked.messages):
            kinds.append("summary")
        if done.image_ids:
            kinds += IMAGE_KINDS
        self.jobs.wake(kinds, user)
        return done

    async def recall(self, asked: Recall, progress: Progress = silently) -> Recalled:
        """Find what was said; see ``recall.recall``.

        Where a host's hooks hand over what is said, the question that is being answered is kept already: it
        would match itself best.
        """
        now, view = self.clock(), await self.view()
        if self.hooked:
            asked = replace(asked, unanswered_since=now - _BEING_ANSWERED_MS)
        return await recall.recall(self.store, self.meaning, asked, now, view, progress)

    async def template(self) -> Template:
        """Return the template that profiles follow; the general one where nothing else was chosen."""
        return GENERAL if self.in_force is None else await self.in_force.now()

    @property
    def configured_template(self) -> Template:
        """The template that this program was set to, whatever the store follows."""
        return GENERAL if self.in_force is None else self.in_force.configured

    async def settle_template(self) -> str | None:
        """Give the store the template that was chosen; say where it has another. See ``InForce``."""
        return None if self.in_force is None else await self.in_force.settle()

    async def kept_template(self) -> Template | None:
        """Return the template that the store keeps; ``None`` where it has none yet."""
        return None if self.in_force is None else await self.in_force.kept()

    async def check_template(self) -> str | None:
        """Say where the store has another template than the chosen one. Changes nothing."""
        return None if self.in_force is None else await self.in_force.differs()

    async def change_template(self, template: Template) -> None:
        """Have all profiles of the store follow another template."""
        if self.in_force is not None:
            await self.in_force.change_to(template)

    async def view(self) -> View:
        """Return how profiles are shown."""
        return View(await self.template(), self.zone)

    async def refresh(self, user: str, progress: Progress = silently) -> None:
        """Have the model read what the profile does not know yet, here and now.

        Raises:
            ModelError: nothing is set that reads it, or it fails. What was read stays read.

        """
        if self.model is None:
            raise ModelError(
                "Nothing is set that reads the messages; set MEM1_LLM_MODEL, and MEM1_LLM_BASE_URL or "
                "MEM1_LLM_API_KEY. Facts that a host tells come into the profile without it."
            )
        unread = await self.store.unread(user, 1)
        total = unread.rounds - unread.rounds_read
        await self.store.ask_for_job(user, "refresh")
        done = False
        while unread.messages and not done:
            done = await self.jobs.finish_soon(user, "refresh", _SHOWN_SECONDS)
            if self.model.trouble:
                raise ModelError(f"{self.model.trouble}. What was read before stays read.")
            before, unread = unread, await self.store.unread(user, 1)
            left = unread.rounds - unread.rounds_read
            total = max(total, left)
            await progress(total - left, total, "Read rounds")
            if not done and unread.after == before.after:
                # Another process is at it, or a bad answer is to be asked for again.
                await anyio.sleep(_SHOWN_SECONDS)

    async def profiles(self, user: str) -> tuple[Profile, ...]:
        """Return the kept versions of the profile, newest first."""
        return await self.store.profiles(user)

    async def restore_profile(self, user: str, version: int) -> Profile:
        """Go back to a version; see ``versions.restore``."""
        return await versions.restore(self.store, user, version, self.clock())

    async def profile_item(self, user: str, item: str) -> Item:
        """Return a current line of the profile by its id; see ``versions.item_of``."""
        return versions.item_of(await self.store.profile(user), item)

    async def edit_profile(self, user: str, item: str, text: str) -> Profile:
        """Put the user's words in the place of a line, without secrets; see ``versions.edit``."""
        words = mask(text).text if self.keeping.masking else text
        return await versions.edit(self.store, user, item, words, self.clock())

    async def pin(self, user: str, item: str, *, pinned: bool) -> Profile:
        """Pin a line, or let go of it; see ``versions.pin``."""
        return await versions.pin(self.store, user, item, self.clock(), pinned=pinned)

    async def look_at_images(self, user: str, progress: Progress = silently) -> None:
        """Look at all images that nobody has looked at yet, here and now, also those that were given up.

        Raises:
            ReaderError: nothing is set that looks at them, or it can't. What was seen is kept.

        """
        kinds = [kind for kind in IMAGE_KINDS if self.jobs.can_do(kind)]
        if not kinds:
            raise ReaderError(
                'Nothing is set that looks at images; install "mem1-mcp[ocr]" to read the text in them, or '
                "set MEM1_VL_MODEL, and MEM1_VL_BASE_URL or MEM1_VL_API_KEY, to have them described."
            )
        for kind in kinds:
            await self.store.ask_for_job(user, kind)
            total = await self.store.count_unseen(user, kind)
            while not await self.jobs.finish_soon(user, kind, _SHOWN_SECONDS):
                left = await self.store.count_unseen(user, kind)
                total = max(total, left)
                if trouble := self.jobs.trouble_of(kind):
                    raise ReaderError(f"{trouble}. What was looked at before is kept.")
                if not left:
                    break
                await progress(total - left, total, _LOOKS[kind])
                await anyio.sleep(_SHOWN_SECONDS / 10)
            await progress(total, total, _LOOKS[kind])

    async def make_vectors(self, user: str, progress: Progress = silently) -> None:
        """Make all vectors that a user's messages have none of yet, here and now.

        Raises:
            EmbedderError: nothing is set that makes them, or it fails. What was made is kept.

        """
        if self.meaning is None:
            raise EmbedderError(
                "Nothing is set that makes vectors; set MEM1_EMBEDDINGS to openai or fastembed."
            )
        await self.meaning.check()
        total = left = (await self.store.vectors(user)).waiting
        while left:
            await self.jobs.finish_soon(user, "embedding", _SHOWN_SECONDS)
            before, left = left, (await self.store.vectors(user)).waiting
            await progress(max(total - left, 0), total, "Made vectors")
            if left == before:
                # Another process is at it, or it failed and is to be tried again.
                await self.meaning.check()
                await anyio.sleep(_SHOWN_SECONDS)

    async def messages(self, user: str, places: Sequence[int]) -> tuple[Stored, ...]:
        """Return the messages at these places, in their order; those that are not there are passed over."""
        return await self.store.messages(user, places)

    async def image(self, user: str, place: int) -> ImageFile | None:
        """Return an image's bytes; ``None`` where there is no image with bytes at this place."""
        return await self.store.image_file(user, place)

    async def thumbnails(self, user: str, places: Collection[int]) -> Mapping[int, bytes]:
        """Return small pictures of the images at these places, as JPEG."""
        return await self.store.thumbnails(user, places)

    async def topics(self, user: str) -> tuple[Topic, ...]:
        """Return the user's topics, the one used last first."""
        return await self.store.topics(user)

    async def profile(self, user: str) -> Profile:
        """Return the user's profile."""
        return await self.store.profile(user)

    async def preview_forgetting(self, user: str, selection: Selection, skip: int) -> Preview:
        """Show what would go, of what waits as well; see ``forget.preview``."""
        if self.catch_up is not None:
            # What it can't bring in is another user's, or fails below as well.
            with suppress(Mem1Error):
                await self.catch_up()
        return await forget.preview(self.store, user, selection, skip, self.clock(), self.zone)

    async def forget(
        self, user: str, token: str, selection: Selection | None, progress: Progress = silently
    ) -> Forgotten:
        """Take what a preview showed; see ``forget.confirm``."""
        confirmed = forget.Confirmed(token, selection)
        return await forget.confirm(self.store, self.jobs, user, confirmed, self.clock(), progress)

    def new_token(self, asked: NewToken, token_id: str | None = None) -> MadeToken:
        """Make a token, which is yet to be kept; see ``tokens.make``."""
        return tokens.make(asked, self.clock(), token_id)

    async def keep_token(self, token: Token) -> None:
        """Let whoever sends this token in from now on."""
        await self.store.keep_token(token)

    async def tokens(self) -> tuple[Token, ...]:
        """Return all tokens, oldest first."""
        return await self.store.tokens()

    async def revoke_token(self, token_id: str) -> bool:
        """Take a token away; false where there is none of this id."""
        return await self.store.revoke_token(token_id)

    async def verify_token(self, text: str) -> Token | None:
        """Return the token that a request sent, if it is one and holds; see ``tokens.verify``."""
        return await tokens.verify(self.store, text, self.clock())

    async def secret(self, name: str) -> bytes:
        """Return 32 random bytes that all processes on this store share."""
        return await self.store.secret(name)

    def stop_waiting(self) -> None:
        """Have calls that wait for other processes end, since the program does."""
        self.store.stop_waiting()

    async def health(self, user: str) -> Health:
        """Look the store over."""
        return await self.store.health(user)
