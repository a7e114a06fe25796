"""What hosts tell their hooks, read into one form; and how each of them wants to be answered.

Claude Code, Codex, Gemini CLI, Qwen Code and Cursor run a command at the beginning of a session, when the
person has sent a prompt, when the model has replied, and at the end, with one JSON object on standard
input. They differ in names. Sources: code.claude.com/docs/en/hooks, developers.openai.com/codex/hooks,
geminicli.com/docs/hooks/reference, cursor.com/docs/agent/hooks.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from mem1_mcp.hook.transcripts import last_reply

if TYPE_CHECKING:
    from collections.abc import Mapping

Kind = Literal["start", "prompt", "reply", "end"]

KINDS: Mapping[str, Kind] = {
    "SessionStart": "start",
    "UserPromptSubmit": "prompt",
    "BeforeAgent": "prompt",
    "Stop": "reply",
    "AfterAgent": "reply",
    "SessionEnd": "end",
    "sessionStart": "start",
    "beforeSubmitPrompt": "prompt",
    "afterAgentResponse": "reply",
    "sessionEnd": "end",
}
_NAME = ("hook_event_name", "hookEventName")
_SESSION = ("session_id", "conversation_id", "sessionId")
_TURN = ("turn_id", "prompt_id", "generation_id")
_PROMPT = ("prompt",)
_REPLY = ("last_assistant_message", "prompt_response", "text")
_TAGS = "hook_context|system-reminder|environment_context|qwen:[a-z-]+"
# What hosts put into a prompt themselves: among it what a hook gave them.
_PUT_IN = re.compile(rf"<({_TAGS})\b[^<>]{{0,200}}>")
_MOST_PUT_IN = 100
# What a host sends in the person's place: news of its own tasks, and its own commands; a path is none.
_NOT_SAID = re.compile(
    rf"<(?:task-notification|command-|local-command|bash-|{_TAGS})"
    r"|/(?!(?:bin|dev|etc|home|mnt|opt|proc|root|srv|sys|tmp|usr|var)\b)[a-z][\w:-]*(?:\s|\Z)"
)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened in a session; ``name`` is the host's own word for it.

    ``text`` is what was said, where something was. ``turn`` is the host's id of the turn, or empty.
    ``afresh`` when the model sees nothing any more of what this session was told before.
    """

    kind: Kind
    name: str
    session: str
    text: str = ""
    turn: str = ""
    afresh: bool = False


def parse(given: bytes) -> Mapping[str, object]:
    """Parse what a host sent.

    Raises:
        ValueError: it is no JSON object, or not all of one.

    """
    # Windows PowerShell puts a mark before what it pipes.
    data = json.loads(given.decode("utf-8-sig", errors="replace"))
    if not isinstance(data, dict):
        raise ValueError("it is no JSON object")  # noqa: TRY004 - the reader of the text is a person
    return data


def read(data: Mapping[str, object]) -> Event | None:
    """Read what a host said; ``None`` where it is of no use here."""
    name = _text(data, _NAME)
    kind = KINDS.get(name)
    # Helpers of the model talk to the model.
    if kind is None or _text(data, ("agent_id",)):
        return None
    text = ""
    if kind == "prompt":
        text = _said(_text(data, _PROMPT))
    elif kind == "reply":
        text = _text(data, _REPLY).strip() or last_reply(_text(data, ("transcript_path",)))
    if kind in ("prompt", "reply") and not text:
        return None
    afresh = kind == "start" and _text(data, ("source",)) != "resume"
    return Event(kind, name, _text(data, _SESSION), text, _text(data, _TURN), afresh)


def _said(prompt: str) -> str:
    """Return what the person said in a prompt."""
    text = _without_what_was_put_in(prompt).strip()
    return "" if _NOT_SAID.match(text) else text


def _without_what_was_put_in(prompt: str) -> str:
    # By hand: a pattern from tag to tag takes a time that grows with the square of tags left open.
    kept, at = [], 0
    for _ in range(_MOST_PUT_IN):
        begun = _PUT_IN.search(prompt, at)
        closing = -1 if begun is None else prompt.find(f"</{begun[1]}>", begun.end())
        if begun is None or closing < 0:
            break
        kept.append(prompt[at : begun.start()])
        at = prompt.index(">", closing) + 1
    return "".join((*kept, prompt[at:]))


def answer(event: Event, context: str) -> str:
    """Write what puts a text before the model, as the event's host wants it; nothing for nothing."""
    if not context:
        return ""
    if event.name[0].islower():
        return json.dumps({"additional_context": context}, ensure_ascii=False)
    told = {"hookEventName": event.name, "additionalContext": context}
    return json.dumps({"hookSpecificOutput": told}, ensure_ascii=False)


def _text(data: Mapping[str, object], names: tuple[str, ...]) -> str:
    """Return the first of these that holds text."""
    found = (data.get(name) for name in names)
    text = next((each for each in found if isinstance(each, str) and each), "")
    return text.encode("utf-8", errors="replace").decode()  # halves of characters, which no file takes
