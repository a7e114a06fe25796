"""A kind of database file: how it is known, and the migrations that lay it out.

``user_version`` counts the migrations applied. ``state.oldest_writer`` is the version of the layout
that a program must know to write the file: an additive migration leaves it alone, so an older program
keeps working beside a newer one. ``state.owner`` says whose file it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mem1_mcp.errors import StoreDamagedError, StoreTooNewError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import apsw

    Migration = Callable[[apsw.Connection, str], None]

PAGE_SIZE = 4096  # bytes


@dataclass(frozen=True, slots=True)
class Layout:
    """One kind of file. ``migrations`` are only ever appended to; each makes the next version.

    ``warning`` tells what a person should know of a file that is opened for writing.
    """

    application_id: int
    migrations: Sequence[Migration]
    warning: Callable[[apsw.Connection], str | None] = lambda _db: None

    def migrate(self, db: apsw.Connection, owner: str) -> None:
        """Bring the file to the newest layout, in a transaction; nothing where another process did."""
        version: int = db.execute("PRAGMA user_version").get
        if version < len(self.migrations):
            db.execute(f"PRAGMA application_id = {self.application_id}")
        for number, step in enumerate(self.migrations[version:], start=version + 1):
            step(db, owner)
            db.execute(f"PRAGMA user_version = {number}")

    def check_program(self, db: apsw.Connection, where: str) -> None:
        """Refuse another program's database; reads only."""
        if db.execute("PRAGMA application_id").get != self.application_id:
            raise StoreDamagedError(
                f"{where} is a database of another program, not a memory of mem1-mcp. It was left "
                "untouched. Move it away or point MEM1_MEMORY_DIR elsewhere."
            )

    def is_current(self, db: apsw.Connection, owner: str, where: str) -> bool:
        """Whether the layout is the newest; what is another owner's or too new is refused by name."""
        version: int = db.execute("PRAGMA user_version").get
        if version > len(self.migrations):
            oldest: int = db.execute("SELECT oldest_writer FROM state").get
            if oldest > len(self.migrations):
                raise StoreTooNewError(
                    f"{where} was written by a newer mem1-mcp (layout {version}, this program knows "
                    f"{len(self.migrations)}). Nothing was read or changed. Update this mem1-mcp."
                )
        found: str = db.execute("SELECT owner FROM state").get
        if found != owner:
            raise StoreDamagedError(f"{where} holds another user's memory. It was left untouched.")
        return version >= len(self.migrations)
