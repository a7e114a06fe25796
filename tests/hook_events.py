"""What hosts hand to their hooks, each as it documents that, and a transcript of Claude Code's shape.

Each host is a class of one shape: ``start``, ``prompt``, ``reply`` and ``end`` return the JSON that it
writes to standard input. ``turn`` is the host's own id of a turn, where it has one.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests import conversation

TOLD = dict[str, Any]

SESSION = "1475c1f0-7c1a-4d7e-9c58-0f6d6a3b2e11"


class ClaudeCode:
    """As 2.1.197 wrote it."""

    name = "Claude Code"

    def __init__(self, session: str = SESSION, transcript: str | None = None) -> None:
        folder = "/home/ming/.claude/projects/-home-ming-bread"
        self._base = {
            "session_id": session,
            "transcript_path": transcript or f"{folder}/{session}.jsonl",
            "cwd": "/home/ming/bread",
        }

    def start(self, source: str = "startup") -> TOLD:
        return {**self._base, "hook_event_name": "SessionStart", "source": source}

    def prompt(self, text: str, turn: str = "t1") -> TOLD:
        return {
            **self._base,
            "prompt_id": turn,
            "permission_mode": "default",
            "hook_event_name": "UserPromptSubmit",
            "prompt": text,
        }

    def reply(self, text: str | None, turn: str = "t1") -> TOLD:
        """Tell of a reply; ``None`` as versions before ``last_assistant_message`` did."""
        told: TOLD = {
            **self._base,
            "prompt_id": turn,
            "permission_mode": "default",
            "hook_event_name": "Stop",
            "effort": {"level": "medium"},
            "stop_hook_active": False,
            "background_tasks": [],
            "session_crons": [],
        }
        return told if text is None else told | {"last_assistant_message": text}

    def end(self) -> TOLD:
        return {**self._base, "prompt_id": "t1", "hook_event_name": "SessionEnd", "reason": "other"}


class Codex:
    """As 0.169 wrote it."""

    name = "Codex"

    def __init__(self, session: str = SESSION) -> None:
        self._base = {
            "session_id": session,
            "transcript_path": None,
            "cwd": "/home/ming/bread",
            "model": "gpt-5.2-codex",
            "permission_mode": "default",
        }

    def start(self, source: str = "startup") -> TOLD:
        return {**self._base, "hook_event_name": "SessionStart", "source": source}

    def prompt(self, text: str, turn: str = "t1") -> TOLD:
        return {**self._base, "hook_event_name": "UserPromptSubmit", "turn_id": turn, "prompt": text}

    def reply(self, text: str | None, turn: str = "t1") -> TOLD:
        return {
            **self._base,
            "hook_event_name": "Stop",
            "turn_id": turn,
            "stop_hook_active": False,
            "last_assistant_message": text,
        }

    def end(self) -> TOLD:
        return {**self._base, "hook_event_name": "SessionEnd", "reason": "exit"}


class Gemini:
    """As 0.61.0 wrote it: it has no id of a turn."""

    name = "Gemini CLI"

    def __init__(self, session: str = SESSION) -> None:
        self._base = {
            "session_id": session,
            "transcript_path": f"/home/ming/.gemini/tmp/bread/chats/session-{session}.json",
            "cwd": "/home/ming/bread",
            "timestamp": "2026-11-26T03:51:11.786Z",
        }
        self._asked = ""

    def start(self, source: str = "startup") -> TOLD:
        return {**self._base, "hook_event_name": "SessionStart", "source": source}

    def prompt(self, text: str, turn: str = "t1") -> TOLD:
        self._asked = text
        return {**self._base, "hook_event_name": "BeforeAgent", "prompt": text}

    def reply(self, text: str | None, turn: str = "t1") -> TOLD:
        return {
            **self._base,
            "hook_event_name": "AfterAgent",
            "prompt": self._asked,
            "prompt_response": text or "",
            "stop_hook_active": False,
        }

    def end(self) -> TOLD:
        return {**self._base, "hook_event_name": "SessionEnd", "reason": "exit"}


class Qwen:
    """As 0.15.10 wrote it: Claude Code's names, no id of a turn, and a flag that is always up."""

    name = "Qwen Code"

    def __init__(self, session: str = SESSION) -> None:
        self._base = {
            "session_id": session,
            "transcript_path": f"/home/ming/.qwen/tmp/bread/{session}.json",
            "cwd": "/home/ming/bread",
            "timestamp": "2026-11-26T03:51:11.786Z",
        }

    def start(self, source: str = "startup") -> TOLD:
        return {**self._base, "hook_event_name": "SessionStart", "source": source}

    def prompt(self, text: str, turn: str = "t1") -> TOLD:
        return {**self._base, "hook_event_name": "UserPromptSubmit", "prompt": text}

    def reply(self, text: str | None, turn: str = "t1") -> TOLD:
        return {
            **self._base,
            "hook_event_name": "Stop",
            "stop_hook_active": True,
            "last_assistant_message": text or "",
        }

    def end(self) -> TOLD:
        return {**self._base, "hook_event_name": "SessionEnd", "reason": "other"}


class Cursor:
    """As its page documents it; only two of its events name a session, all a conversation."""

    name = "Cursor"

    def __init__(self, session: str = SESSION) -> None:
        self._session = session
        self._base = {
            "conversation_id": session,
            "model": "composer-2",
            "cursor_version": "3.20.17",
            "workspace_roots": ["/home/ming/bread"],
            "user_email": "ming@example.com",
            "transcript_path": None,
        }

    def start(self, source: str = "startup") -> TOLD:
        return {
            **self._base,
            "generation_id": "g0",
            "hook_event_name": "sessionStart",
            "session_id": self._session,
            "is_background_agent": False,
            "composer_mode": "agent",
        }

    def prompt(self, text: str, turn: str = "t1") -> TOLD:
        return {
            **self._base,
            "generation_id": turn,
            "hook_event_name": "beforeSubmitPrompt",
            "prompt": text,
            "attachments": [],
        }

    def reply(self, text: str | None, turn: str = "t1") -> TOLD:
        return {
            **self._base,
            "generation_id": turn,
            "hook_event_name": "afterAgentResponse",
            "text": text or "",
        }

    def end(self) -> TOLD:
        return {
            **self._base,
            "generation_id": "g0",
            "hook_event_name": "sessionEnd",
            "session_id": self._session,
            "reason": "completed",
            "duration_ms": 45_000,
        }


class VSCode:
    """As its page of June 2026 documents it: Claude Code's events, spelt its own way, and no reply."""

    name = "VS Code"

    def __init__(self, session: str = SESSION, transcript: str | None = None) -> None:
        self._base = {
            "timestamp": "2026-11-26T03:51:11.786Z",
            "cwd": "/home/ming/bread",
            "sessionId": session,
            "transcript_path": transcript or "/home/ming/.config/Code/User/chat.json",
        }

    def start(self, source: str = "new") -> TOLD:
        return {**self._base, "hookEventName": "SessionStart", "source": source}

    def prompt(self, text: str, turn: str = "t1") -> TOLD:
        return {**self._base, "hookEventName": "UserPromptSubmit", "prompt": text}

    def reply(self, text: str | None, turn: str = "t1") -> TOLD:
        """Tell of a reply, whose words are in the transcript alone."""
        return {**self._base, "hookEventName": "Stop", "stop_hook_active": False}


Dialect = ClaudeCode | Codex | Gemini | Qwen | Cursor
DIALECTS: tuple[type[Dialect], ...] = (ClaudeCode, Codex, Gemini, Qwen, Cursor)


class Turn(NamedTuple):
    """What a person said and what the model answered in the end."""

    user: str
    assistant: str


def long_talk(count: int) -> list[Turn]:
    """Return so many turns of work in two languages, sixty of a person's life before them.

    Some words come again, as people's do.
    """
    talk = [Turn(turn.user, turn.assistant) for turn in conversation.turns()]
    talk += [_turn(number) for number in range(len(talk), count)]
    return talk[:count]


def _turn(number: int) -> Turn:
    return (
        Turn(f"把第{number}个测试改成参数化的，别动夹具。", f"好的，第{number}个测试有三组参数了。"),
        Turn(f"Rename step_{number} to load_{number} everywhere.", f"Done.\n\nload_{number} is exported."),
        Turn("好的", f"那我接着做第{number}步。"),
        Turn(f"Why does build {number} fail on Windows?", f"A path of build {number} has a colon."),
    )[number % 4]


# What must never come into a memory: each stands in what no person and no model said.
MARKS = ("ZQRESULT", "ZQMETA", "ZQREMINDER", "ZQSIDE", "ZQINJECTED", "ZQTHOUGHT", "ZQCALL", "ZQTASK")


def lines_of(number: int, turn: Turn, session: str = SESSION) -> Iterator[str]:
    """Write the lines that Claude Code adds to its transcript in one turn, with what is between."""
    base = {"isSidechain": False, "sessionId": session, "version": "2.1.197", "cwd": "/home/ming/bread"}
    calls = {"type": "tool_use", "id": f"toolu_{number}", "name": "Bash", "input": {"command": "ZQCALL"}}
    result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": f"ZQRESULT {turn.user}"}
    reminder = {"type": "text", "text": "<system-reminder>ZQREMINDER</system-reminder>"}

    def by_user(content: Any, **more: Any) -> TOLD:
        return base | {"type": "user", "message": {"role": "user", "content": content}, **more}

    def by_model(*content: Any, **more: Any) -> TOLD:
        message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "content": content}
        return base | {"type": "assistant", "message": message, **more}

    injected = {"type": "hook_additional_context", "content": ["ZQINJECTED"], "hookEvent": "SessionStart"}
    yield from map(
        _written,
        (
            {"type": "queue-operation", "operation": "enqueue", "content": turn.user},
            by_user("<local-command-caveat>Caveat: ZQMETA", isMeta=True),
            by_user(turn.user, promptId=f"p{number}", promptSource="typed"),
            base | {"type": "attachment", "attachment": injected},
            by_model({"type": "thinking", "thinking": "ZQTHOUGHT", "signature": "x"}),
            by_model({"type": "text", "text": f"Let me look, {number}. ZQCALL"}),
            by_model(calls),
            by_user([result], toolUseResult={"stdout": "ZQRESULT"}),
            by_user([reminder], isMeta=True),
            by_user("Look for ZQSIDE", isSidechain=True),
            by_model({"type": "text", "text": "Found ZQSIDE"}, isSidechain=True),
            by_model({"type": "text", "text": turn.assistant}),
            base | {"type": "system", "subtype": "stop_hook_summary", "hookCount": 1},
            {"type": "last-prompt", "lastPrompt": turn.user},
        ),
    )


def _written(entry: TOLD) -> str:
    return json.dumps(entry, ensure_ascii=False)


def write_transcript(path: Path, talk: list[Turn]) -> str:
    """Write a whole transcript; return its path as hosts hand it over."""
    lines = [line for number, turn in enumerate(talk) for line in lines_of(number, turn)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return str(path)


# Of a day's work with an assistant that writes programs: nothing of it is about the person of
# ``conversation``.
UNRELATED = (
    "Refactor the parser so that it streams tokens.",
    "Add a unit test for the date formatter.",
    "Why does this regex backtrack so much?",
    "Bump the version and update the changelog.",
    "The CI job on Windows times out, please have a look.",
    "Write a Dockerfile for the API server.",
    "Explain what this SQL query does.",
    "Convert these callbacks to async functions.",
    "Can you make the error message clearer?",
    "Fix the type errors mypy reports in store.py.",
    "把这个函数拆成两个，名字你来定。",
    "为什么这个接口返回 500？",
    "给登录页面加一个加载动画。",
    "帮我写一个二分查找，要带单元测试。",
    "这段代码有内存泄漏吗？",
    "把日志级别改成可以用环境变量配置。",
    "数据库迁移脚本跑不起来，看一下报错。",
    "把变量名改成驼峰式。",
    "继续",
    "Commit this with a good message.",
)
