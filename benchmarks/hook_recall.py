"""What a hook puts before the model: how often what answers a question, and how often something idle.

    python benchmarks/hook_recall.py PATH [--dataset locomo,…]

PATH is a folder with the package ``membench``. Each of its users gets a memory; every question is the
prompt of a new session, and so is each of some requests that a person makes of a programming assistant,
which have nothing to do with these memories. All run through ``hook/context.py`` as ``mem1-mcp hook`` does.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path
from statistics import mean
from typing import Any

import anyio

from mem1_mcp.app import open_memory
from mem1_mcp.hook.context import Context
from mem1_mcp.hook.events import Event
from mem1_mcp.hook.sessions import Session
from mem1_mcp.memory import Memory
from mem1_mcp.memory.remember import Remember, Said
from mem1_mcp.settings import Settings
from mem1_mcp.text.budget import estimate_tokens

_BATCH, _MAX_TOKENS = 50, 500
IDLE = """\
Fix the failing test in parser.py and explain what was wrong
Why does this regex match the empty string?
Rename the function load_config to read_settings everywhere
Add type hints to utils.ts
The build fails with "cannot find module lodash", please help
Write a unit test for the date parser
Refactor this class into smaller functions
Convert this for loop into a list comprehension
What does the --no-verify flag of git do?
Generate a Dockerfile for this Flask app
Make the button blue and center it
Explain the difference between a mutex and a semaphore
Bump the version to 2.3.1 and update the changelog
Run the linter and fix all warnings
How do I revert the last commit but keep the changes?
Optimise this SQL query, it takes 12 seconds
Add pagination to the users endpoint
Write a haiku about rain
Translate the error messages into French
Continue
yes
ok, do it
Looks good, commit it
Undo that and try the other approach
Can you check whether the port is already in use?
修复登录页面的空指针异常
把这个函数改成异步的
为什么编译的时候报内存溢出？
给这个接口加上分页
写一个正则表达式匹配邮箱
运行一下单元测试，看看哪里挂了
把日志级别改成 debug
这段代码的时间复杂度是多少？
帮我写一个读取 CSV 的脚本
合并到主分支之前先变基
解释一下什么是闭包
把变量名统一成驼峰
继续
好的，提交吧
数据库连接池应该设多大？""".splitlines()


async def shown(memory: Memory, user: str, prompts: Iterable[str], folder: Path) -> list[str]:
    """Return what each prompt, the first of its session, puts before the model."""
    context = Context(memory, user, None, _MAX_TOKENS)
    events = [Event("prompt", "UserPromptSubmit", f"{user} {prompt}", prompt) for prompt in prompts]
    return [await context.of(event, Session(folder / "none")) for event in events]


async def measure(data: Any, folder: Path) -> str:
    """Fill the memories of a data set, and return a line of the table."""
    settings = Settings(memory_dir=folder, timezone="UTC")
    places: dict[tuple[str, str], str] = {}
    found, tokens, silent, idle, idle_tokens = [], [], 0, 0, []
    async with open_memory(settings) as memory:
        for conversation in data.conversations.values():
            user = conversation.id
            for _, turns in conversation.sessions():
                for start in range(0, len(turns), _BATCH):
                    part = turns[start : start + _BATCH]
                    said = [
                        Said(
                            turn.role, turn.full_text, turn.speaker, int(turn.timestamp.timestamp() * 1000)
                        )
                        for turn in part
                    ]
                    kept = await memory.remember(user, Remember("default", tuple(said)))
                    places |= {
                        (user, place): turn.id for turn, place in zip(part, kept.message_ids, strict=True)
                    }
            asked = [
                each
                for each in data.questions
                if each.conversation_id == user and each.kind == "answerable"
            ]
            for question, text in zip(
                asked, await shown(memory, user, (q.text for q in asked), folder), strict=True
            ):
                ids = {
                    places.get((user, each))
                    for each in re.findall(r"^- \[(m\d+\.\d+)\]", text, re.MULTILINE)
                }
                found.append(bool(ids & question.evidence_turns))
                tokens.append(estimate_tokens(text))
                silent += not text
            for text in await shown(memory, user, IDLE, folder):
                idle += bool(text)
                idle_tokens.append(estimate_tokens(text))
    share = 100 / len(found)
    return (
        f"{len(found)} | {share * sum(found):.0f} | {share * silent:.0f} | {mean(tokens):.0f} "
        f"| {100 * idle / len(idle_tokens):.0f} | {mean(idle_tokens):.0f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("path", type=Path)
    parser.add_argument("--dataset", default="locomo,locomo-zh,memorybank-cn")
    parser.add_argument("--split", default="dev")
    options = parser.parse_args()
    sys.path.insert(0, str(options.path))
    from membench import datasets  # type: ignore[import-not-found]

    print("| data | questions | answered % | silent % | tokens | idle prompts answered % | tokens |")
    print("|---" * 7 + "|")
    for name in options.dataset.split(","):
        with tempfile.TemporaryDirectory() as folder:
            line = anyio.run(measure, datasets.load(name, options.split), Path(folder))
        print(f"| {name} | {line} |", flush=True)


if __name__ == "__main__":
    main()
