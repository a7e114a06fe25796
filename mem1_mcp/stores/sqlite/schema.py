"""The layout of a user's file: messages with their index, the profile, and what is left to do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mem1_mcp.stores.sqlite.layout import Layout
from mem1_mcp.stores.sqlite.reindexing import beside_a_newer_program
from mem1_mcp.text.terms import VERSION as TERMS_VERSION

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

MIGRATIONS: list[Callable[[apsw.Connection, str], None]] = []
migration = MIGRATIONS.append

USER_LAYOUT = Layout(0x6D656D31, MIGRATIONS, beside_a_newer_program)  # "mem1"


@migration
def m001_messages_and_profile(db: apsw.Connection, user: str) -> None:
    """Messages with their index, calls, topics, the profile and previews waiting for a yes."""
    db.execute(
        """
        CREATE TABLE state(
            id INTEGER PRIMARY KEY CHECK (id = 1), owner TEXT NOT NULL, oldest_writer INTEGER NOT NULL,
            terms_version INTEGER NOT NULL, messages INTEGER NOT NULL DEFAULT 0,
            total_length INTEGER NOT NULL DEFAULT 0, rounds INTEGER NOT NULL DEFAULT 0,
            conversations INTEGER NOT NULL DEFAULT 0) STRICT;
        CREATE TABLE topics(
            id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE,
            messages INTEGER NOT NULL DEFAULT 0, newest_call INTEGER,
            conversation INTEGER, position INTEGER, said_at INTEGER) STRICT;
        CREATE TABLE calls(
            id INTEGER PRIMARY KEY AUTOINCREMENT, topic INTEGER NOT NULL, arrived_at INTEGER NOT NULL,
            fingerprint BLOB NOT NULL, request_id BLOB UNIQUE, metadata TEXT, places TEXT NOT NULL) STRICT;
        CREATE INDEX calls_topic ON calls(topic);
        CREATE TABLE labels(
            name TEXT, value TEXT, call INTEGER, PRIMARY KEY(name, value, call)) STRICT, WITHOUT ROWID;
        CREATE INDEX labels_call ON labels(call);
        CREATE TABLE messages(
            place INTEGER PRIMARY KEY, call INTEGER NOT NULL, topic INTEGER NOT NULL,
            said_at INTEGER NOT NULL, role INTEGER NOT NULL, name TEXT NOT NULL,
            traits INTEGER NOT NULL, length INTEGER NOT NULL, terms_version INTEGER NOT NULL,
            terms TEXT NOT NULL, content TEXT NOT NULL) STRICT;
        CREATE INDEX messages_said ON messages(said_at);
        -- With call and length, what a topic loses is counted without reading its messages.
        CREATE INDEX messages_topic ON messages(topic, said_at, call, length);
        -- Forgotten up to this call, of one topic or of all; no read may find it. Jobs erase it.
        CREATE TABLE hidden(
            id INTEGER PRIMARY KEY, topic INTEGER, call INTEGER NOT NULL) STRICT;
        CREATE TABLE hidden_places(place INTEGER PRIMARY KEY) STRICT;
        CREATE TABLE jobs(
            kind TEXT PRIMARY KEY, revision INTEGER NOT NULL, due_at INTEGER,
            progress INTEGER NOT NULL DEFAULT 0, attempts INTEGER NOT NULL DEFAULT 0, error TEXT,
            owner TEXT, leased_until INTEGER NOT NULL DEFAULT 0) STRICT, WITHOUT ROWID;
        CREATE TABLE speakers(name TEXT PRIMARY KEY, messages INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        CREATE TABLE profile(
            id INTEGER PRIMARY KEY CHECK (id = 1), version INTEGER NOT NULL,
            next_number INTEGER NOT NULL, items TEXT NOT NULL) STRICT;
        CREATE TABLE confirmations(
            token_hash TEXT PRIMARY KEY, expires_at INTEGER NOT NULL, content TEXT NOT NULL) STRICT;
        -- The terms are ready made, so only spaces separate; no positions, so no phrases.
        CREATE VIRTUAL TABLE words USING fts5(
            terms, content='', detail=none,
            tokenize="unicode61 remove_diacritics 0 categories 'L* M* N* P* S* C*'");
        CREATE VIRTUAL TABLE vocabulary USING fts5vocab(words, row);
        -- Without this a deleted word stays readable in the index.
        INSERT INTO words(words, rank) VALUES ('secure-delete', 1);
        """
    )
    db.execute(
        "INSERT INTO state(id, owner, oldest_writer, terms_version) VALUES (1, ?, 1, ?)",
        (user, TERMS_VERSION),
    )


@migration
def m002_vectors(db: apsw.Connection, _user: str) -> None:
    """Vectors of messages, of one model at a time; see ``embedding``."""
    db.execute(
        """
        ALTER TABLE state ADD COLUMN space TEXT;
        ALTER TABLE state ADD COLUMN space_number INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE state ADD COLUMN space_since INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE state ADD COLUMN dimensions INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE state ADD COLUMN embedded_call INTEGER NOT NULL DEFAULT 0;
        CREATE TABLE vectors(
            place INTEGER PRIMARY KEY, space INTEGER NOT NULL, vector BLOB NOT NULL) STRICT;
        -- Also where a program erases that knows nothing of vectors.
        CREATE TRIGGER vectors_of_erased AFTER DELETE ON messages
            BEGIN DELETE FROM vectors WHERE place = old.place; END;
        """
    )


@migration
def m003_refreshes_and_summaries(db: apsw.Connection, _user: str) -> None:
    """Versions of the profile, how far its refresh has read, what models cost, and long messages."""
    db.execute(
        """
        CREATE TABLE profiles(
            version INTEGER PRIMARY KEY, next_number INTEGER NOT NULL, epoch INTEGER NOT NULL,
            saved_at INTEGER NOT NULL, why TEXT NOT NULL, items TEXT NOT NULL) STRICT;
        INSERT INTO profiles SELECT version, next_number, 0, 0, '', items FROM profile;
        DROP TABLE profile;
        ALTER TABLE state ADD COLUMN reached_call INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE state ADD COLUMN reached_place INTEGER NOT NULL DEFAULT -1;
        ALTER TABLE state ADD COLUMN rounds_read INTEGER NOT NULL DEFAULT 0;
        ALTER TABLE state ADD COLUMN refreshed_at INTEGER NOT NULL DEFAULT 0;
        -- Stretches of messages that no refresh could read.
        CREATE TABLE parked(
            id INTEGER PRIMARY KEY AUTOINCREMENT, first TEXT NOT NULL, last TEXT NOT NULL,
            reason TEXT NOT NULL, at INTEGER NOT NULL) STRICT;
        CREATE TABLE usage(
            model TEXT PRIMARY KEY, calls INTEGER NOT NULL, input_tokens INTEGER NOT NULL,
            output_tokens INTEGER NOT NULL) STRICT, WITHOUT ROWID;
        -- Where it is summarised the message's content is the summary, and its words are here, compressed.
        CREATE TABLE long_messages(
            place INTEGER PRIMARY KEY, summarised INTEGER NOT NULL DEFAULT 0, words BLOB) STRICT;
        CREATE INDEX long_messages_waiting ON long_messages(place) WHERE NOT summarised;
        CREATE TRIGGER long_of_erased AFTER DELETE ON messages
            BEGIN DELETE FROM long_messages WHERE place = old.place; END;
        -- An older program would look for the profile where it is no more.
        UPDATE state SET oldest_writer = 3;
        """
    )


@migration
def m004_images(db: apsw.Connection, _user: str) -> None:
    """Images: what is known of each, and the bytes, equal ones once; see ``images``."""
    db.execute(
        """
        -- Each is a message too. `about` is what does not change of it.
        CREATE TABLE images(
            place INTEGER PRIMARY KEY, beside INTEGER, digest TEXT, size INTEGER NOT NULL,
            about TEXT NOT NULL, ocr TEXT, caption TEXT, ocr_trouble TEXT, caption_trouble TEXT) STRICT;
        CREATE INDEX images_beside ON images(beside);
        CREATE INDEX images_digest ON images(digest);
        CREATE TABLE image_files(
            digest TEXT PRIMARY KEY, media_type TEXT NOT NULL, width INTEGER NOT NULL,
            height INTEGER NOT NULL, data BLOB NOT NULL, thumbnail BLOB NOT NULL) STRICT;
        CREATE TRIGGER images_of_erased AFTER DELETE ON messages
            BEGIN DELETE FROM images WHERE place = old.place; END;
        CREATE TRIGGER files_of_erased AFTER DELETE ON images
            WHEN NOT EXISTS (SELECT 1 FROM images WHERE digest = old.digest)
            BEGIN DELETE FROM image_files WHERE digest = old.digest; END;
        """
    )
