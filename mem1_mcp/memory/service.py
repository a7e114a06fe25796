"""One user-facing door to the use cases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import anyio

from mem1_mcp.errors import EmbedderError
from mem1_mcp.memory import forget, recall, remember, tokens
from mem1_mcp.protocols import silently

if TYPE_CHECKING:
    from datetime import tzinfo

    from mem1_mcp.memory.forget import Preview
    from mem1_mcp.memory.jobs import Jobs
    from mem1_mcp.memory.meaning import Meaning
    from mem1_mcp.memory.recall import Recall, Recalled
    from mem1_mcp.memory.remember import Remember, Remembered
    from mem1_mcp.memory.tokens import MadeToken, NewToken
    from mem1_mcp.protocols import Clock, Progress, Store
    from mem1_mcp.types import Forgotten, Health, Profile, Selection, Token, Topic


_SHOWN_SECONDS = 1.0  # between two signs of progress


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything a host can do with its users' memory. Lives as long as its store.

    Each method is safe under concurrency, within this process and with others on the same store.
    """

    store: Store
    clock: Clock
    zone: tzinfo
    jobs: Jobs
    masking: bool = True
    meaning: Meaning | None = None

    async def remember(self, user: str, asked: Remember, progress: Progress = silently) -> Remembered:
        """Keep messages and facts; see ``remember.remember``."""
        done = await remember.remember(
            self.store, user, asked, self.clock(), masking=self.masking, progress=progress
        )
        if self.meaning is not None:
            self.jobs.wake("embedding")
        return done

    async def recall(self, asked: Recall, progress: Progress = silently) -> Recalled:
        """Find what was said; see ``recall.recall``."""
        moment = self.clock(), self.zone
        return await recall.recall(self.store, self.meaning, asked, moment, progress)

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

    async def topics(self, user: str) -> tuple[Topic, ...]:
        """Return the user's topics, the one used last first."""
        return await self.store.topics(user)

    async def profile(self, user: str) -> Profile:
        """Return the user's profile."""
        return await self.store.profile(user)

    async def preview_forgetting(self, user: str, selection: Selection, skip: int) -> Preview:
        """Show what would go; see ``forget.preview``."""
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
