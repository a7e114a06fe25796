"""What is no user's own: tokens that let programs in, secrets all processes share, the template."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from mem1_mcp.stores.sqlite.layout import Layout
from mem1_mcp.types import Token

if TYPE_CHECKING:
    import apsw

_SECRET_BYTES = 32
_WITH_TEMPLATE = 2  # the layout


def _m001_tokens_and_secrets(db: apsw.Connection, owner: str) -> None:
    db.execute(
        """
        CREATE TABLE state(
            id INTEGER PRIMARY KEY CHECK (id = 1), owner TEXT NOT NULL,
            oldest_writer INTEGER NOT NULL) STRICT;
        CREATE TABLE tokens(
            id TEXT PRIMARY KEY, secret_hash TEXT NOT NULL, user TEXT, topic TEXT, name TEXT NOT NULL,
            created_at INTEGER NOT NULL, expires_at INTEGER) STRICT, WITHOUT ROWID;
        CREATE TABLE secrets(name TEXT PRIMARY KEY, value BLOB NOT NULL) STRICT, WITHOUT ROWID;
        """
    )
    db.execute("INSERT INTO state(id, owner, oldest_writer) VALUES (1, ?, 1)", (owner,))


def _m002_template(db: apsw.Connection, _owner: str) -> None:
    db.execute("CREATE TABLE template(id INTEGER PRIMARY KEY CHECK (id = 1), text TEXT NOT NULL) STRICT")


SHARED_LAYOUT = Layout(0x6D656D30, (_m001_tokens_and_secrets, _m002_template))  # "mem0"

_COLUMNS = "id, secret_hash, user, topic, name, created_at, expires_at"


def keep_token(db: apsw.Connection, token: Token) -> None:
    """Keep a token; the same one again changes nothing."""
    db.execute(
        f"INSERT INTO tokens({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
        (
            token.id,
            token.secret_hash,
            token.user,
            token.topic,
            token.name,
            token.created_at,
            token.expires_at,
        ),
    )


def token(db: apsw.Connection, token_id: str) -> Token | None:
    """Read one token."""
    found = db.execute(f"SELECT {_COLUMNS} FROM tokens WHERE id = ?", (token_id,)).get
    return None if found is None else Token(*found)


def tokens(db: apsw.Connection) -> tuple[Token, ...]:
    """Read all tokens, oldest first."""
    return tuple(
        Token(*row) for row in db.execute(f"SELECT {_COLUMNS} FROM tokens ORDER BY created_at, id")
    )


def revoke_token(db: apsw.Connection, token_id: str) -> bool:
    """Take a token away; false where there is none."""
    db.execute("DELETE FROM tokens WHERE id = ?", (token_id,))
    return db.changes() > 0


def secret(db: apsw.Connection, name: str) -> bytes | None:
    """Read a secret."""
    found: bytes | None = db.execute("SELECT value FROM secrets WHERE name = ?", (name,)).get
    return found


def make_secret(db: apsw.Connection, name: str) -> bytes:
    """Make a secret, unless another process was faster; read it."""
    db.execute(
        "INSERT INTO secrets(name, value) VALUES (?, ?) ON CONFLICT DO NOTHING",
        (name, secrets.token_bytes(_SECRET_BYTES)),
    )
    made: bytes = db.execute("SELECT value FROM secrets WHERE name = ?", (name,)).get
    return made


def template(db: apsw.Connection) -> str | None:
    """Read the template of all profiles."""
    if db.pragma("user_version") < _WITH_TEMPLATE:
        return None
    found: str | None = db.execute("SELECT text FROM template").get
    return found


def keep_template(db: apsw.Connection, text: str, *, instead: bool) -> bool:
    """Keep a template where there is none, or instead of the one there; say whether that was done."""
    if not instead and db.execute("SELECT 1 FROM template").get:
        return False
    db.execute("INSERT OR REPLACE INTO template(id, text) VALUES (1, ?)", (text,))
    return True
