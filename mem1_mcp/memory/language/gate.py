"""What may not become a line of the profile: what commands a reader, refuses, or is no plain sentence.

A line is a statement about a person. What commands a model stays out of every place where one could
take it for instructions. Patterns are a help, no proof: the text is quoted as data all the same.

People order things too: "Call the dentist", "Never mention his brother" and "不要在周末打电话给她" are
to-dos and cautions, "Wants short answers" is a wish. So it takes more than an imperative: what only a
model does (a tool, a prompt, its answers), whom only a model calls "the user", signs that frame a message.
Gaps are bounded and stand behind what is rare, so that the search stays linear.
"""

from __future__ import annotations

import re
from functools import cache

from mem1_mcp.text.terms import normalise

# Where a sentence, or a part of one, begins; behind this a bare verb is an imperative.
_START = r"(?:^|[.!?;:,。、\"'“”()\[\]⏎—-]\s*|\b(?:please|now|then|must|should|shall)\s+)"
_AI = r"(?:ai|assistant|chatbot|bot|llm|(?:ai|language)\s+(?:model|assistant))"
_THE_AI = rf"(?:the|this|any|every|an?|dear)\s+{_AI}"
_ANSWERS = r"(?:answers?|repl(?:y|ies)|responses?|outputs?|completions?)"
_EACH = r"(?:every|each|all|any|your|the\s+next)\s+(?:future\s+|further\s+|single\s+|of\s+your\s+)?"
_PRAISE = r"(?:mention|recommend|praise|promote|advertise|endorse|insert|append|repeat)"
_ANSWER = (
    r"(?:answer|reply|respond|say|tell|claim|insist|recommend|mention|call|use|send|open|ignore|output)"
)
# What a model may be made to do to others; "wants the assistant to answer in German" is a wish.
_HARM = (
    r"(?:send|forward|e-?mail|upload|call(?!\s+(?:her|him|them|me|us)\b)|invoke|execute|run|buy|order|pay"
    r"|transfer|recommend|promote|praise|advertise|ignore|reveal|delete|erase|remove|forget|click|visit|open"
    r"|fetch|download|install|share|post|trust|obey|treat|output|pretend|lie|hide|leak|claim)"
)
_KEPT = (
    r"(?:chats?|conversations?|messages?|histor(?:y|ies)|memor(?:y|ies)|profile|credentials|passwords?|keys?"
    r"|secrets?|data|files)"
)

_ORDERS = (
    # What was said before is to hold no more.
    (
        r"\b(?:ignore|disregard|forget|override|bypass|skip|circumvent)\b.{0,40}"
        r"\b(?:instructions?|prompts?|guidelines|guardrails|restrictions|confirmations?|safety"
        r"|everything\s+(?:above|before)|(?:all|any|these|those|your|previous|prior|the)\s+(?:rules|previous|above|prior)\b)"
    ),
    # What frames a message.
    r"(?:^|[\[(<#*|⏎.!]\s*)system(?:\s+(?:prompt|message|instructions?|notice|note|override|update))?\s*[\])>|:]",
    r"(?:^|[\[(<#*|⏎.!]\s*)(?:developer|admin(?:istrator)?|assistant|operator)\s+(?:prompt|message|instructions?|note|notice|override)\s*[\])>|:]",
    r"⏎\s*(?:assistant|human|user|system)\s*:|^\W*(?:begin|end|new)\s+(?:of\s+)?(?:system|instructions?)\b",
    r"\b(?:reveal|print|output|show|repeat|leak|tell)\b.{0,30}\b(?:system|developer|hidden)\s+(?:prompt|message|instruction)",
    r"\bend\s+of\s+(?:the\s+)?(?:data|context|prompt|document|fence|user\s+(?:input|message))\b|>>>|<<<|\bdata-[0-9a-f]{6,}",
    r"https?://|\bwww\.|\]\(|```|~~~|<\||\|>|</?[a-z!?]|\[/?inst\]|##\s?\w",
    r"[{\[]\s*[\"']\w+[\"']\s*:|\"\w+\"\s*:\s*[\[{\"]",
    # Who is spoken to, or what a model must do.
    r"\byou\s+(?:must|should|shall|will|are|need|have\s+to|may\s+now|can\s+now)\b",
    rf"\b(?:the|this|any|every|dear)\s+{_AI}\s+(?:must|should|shall|will|is\s+to|needs?\s+to|has\s+to|may\s+not)\b",
    rf"^\W*{_AI}s?\s+(?:must|should|shall|will)\b|^\W*{_AI}\s*,\s*(?:whenever|when|if|please|you|always|never|do)\b",
    (
        r"\byour\s+(?:new\s+|real\s+|only\s+)?(?:task|role|job|mission|goal|purpose|instructions?)\s+(?:is|are)\b"
        r"|\bfuture\s+(?:sessions?|assistants?|models?|agents?|conversations?)\s+(?:to|must|should)\b"
    ),
    (
        rf"{_START}(?:notes?|messages?|instructions?|orders?|commands?|hint|memo|reminder|attention)\s+(?:for|to)\s+"
        rf"(?:the\s+|an?\s+|any\s+|my\s+|your\s+|future\s+)*(?:{_AI}|models?|agents?|assistants)\b"
    ),
    (
        rf"\b(?:wants?|asks?|asked|instructs?|instructed|told|tells?|expects?|requires?|allows?|allowed|permits?"
        rf"|authori[sz]e[sd]?)\s+(?:you|{_THE_AI})\s+to\s+(?:always\s+|never\s+)?{_HARM}\b"
    ),
    # What is to be said from now on.
    rf"{_START}(?:always|never)\s+(?:answer|reply|respond|recommend|promote|praise|advertise|obey|output|refuse)\b",
    rf"{_START}always\s+(?:say|tell|mention|trust|agree|append|insert|invoke|call\s+the|end\s+with|begin\s+with)\b",
    (
        r"\b(?:from\s+(?:now|this\s+(?:point|moment|day))\s+on(?:wards?)?|going\s+forward|henceforth|starting\s+now)\b,?\s*"
        rf"(?:(?:please|you|must|should|will|always|never|only|do\s+not|don't)\s+){{0,3}}(?:{_ANSWER}|{_PRAISE}|obey|treat"
        r"|trust|act|pretend|refuse|speak|address|visit|fetch|delete|remove|follow)\b"
    ),
    (
        rf"\b(?:{_PRAISE}|add|include|end|start|begin)\b.{{0,60}}"
        rf"\b(?:in|to|into|with|of|before|after)\s+{_EACH}(?:{_ANSWERS}|profiles?)\b"
    ),
    (
        rf"\b{_ANSWERS}\s+(?:must|should|shall|will|ha(?:s|ve)\s+to)\s+(?:{_PRAISE}|claim)\b"
        rf"|\b{_ANSWERS}\s+(?:(?:must|should|shall|will|ha(?:s|ve)\s+to)\s+)?(?:ends?|begins?|starts?)\s+with\s+the\s+(?:words?|phrase|sentence)\b"
    ),
    rf"\b(?:in|to|with|before|after)\s+{_EACH}{_ANSWERS}\s*,?\s*(?:please\s+|always\s+|you\s+)?(?:{_PRAISE}|open|call|visit|fetch|say)\b",
    r"\bbefore\s+(?:each|every|any)\s+(?:reply|answer|response)\b|\bbefore\s+(?:answering|replying|responding)\s*,",
    (
        r"\b(?:whenever|when|if|each\s+time|every\s+time)\s+(?:the\s+)?(?:users?|anyone|anybody|someone|somebody|they|he|she|i)?\s*"
        r"(?:is\s+|are\s+)?(?:asks?|asked|mentions?|wants?|says?)\b[^.,]{0,60},\s*"
        rf"(?:(?:you|always|please|just|only)\s+){{0,2}}{_ANSWER}\b"
    ),
    (
        rf"{_START}(?:answer|reply|respond)\s+(?:only|exclusively|always|solely|in\s+(?:base64|code|json|binary|hex|rot13)"
        r"|as\s+(?:if|an?)|with\s+(?:only|just|the\s+(?:words?|phrase|following|text)))\b"
    ),
    # What a model does to others, or hides.
    (
        r"\b(?:send|forward|e-?mail|upload|post|leak|exfiltrate|export|share|copy|transmit|submit)\b.{0,12}"
        rf"\b(?:whole|entire|full|complete|all|every|this|user'?s|your)\b.{{0,20}}\b{_KEPT}\b"
    ),
    r"\b(?:do\s+not|don't|never|without)\s+(?:tell|inform|ask|warn|alert|notify|show|reveal|mention)(?:ing)?\b.{0,20}\bthe\s+user\b",
    rf"{_START}(?:delete|erase|remove|wipe|clear|overwrite)\s.{{0,30}}\b(?:memor(?:y|ies)|profiles?)\b",
    (
        rf"{_START}(?:call|invoke|use|run|execute|trigger|fetch)\s+(?:(?:the|your|an?|this|any|that)\s+)?"
        r"[`\"'“]?(?:(?:remember|recall|forget)\b|\w+_\w|(?:\w+\s+){0,2}(?:tools?|functions?|commands?|plugins?|endpoint|webhook)\b"
        r"(?!\s+(?:shop|store|hire|rental|line|box)))"
    ),
    # What a model is to be.
    rf"{_START}(?:pretend|role-?play|impersonate)\b|{_START}act\s+(?:as|like)\b|\bno\s+longer\s+bound\s+by\b",
    (
        r"\b(?:enter|enable|activate|switch\s+to)\s+(?:the\s+)?(?:jailbreak|dan|god|unrestricted|developer|admin|debug)\s+mode"
        r"|\b(?:jailbreak|dan|god|unrestricted|developer|admin|debug)\s+mode\s*(?:is\s+)?(?:on|enabled|activated)\b|\bjailbreak\s+prompt"
    ),
    r"\b(?:treat|regard|accept|follow)\b.{0,40}\bas\s+(?:an?\s+|the\s+)?(?:user'?s\s+)?(?:orders?|instructions?|commands?|system)\b",
    r"\b(?:safety|security|content)\s+(?:checks?|filters?|rules|policies|guidelines)\s+(?:are|is)\s+(?:off|disabled|lifted|suspended)\b",
    r"\bas\s+(?:a\s+|your\s+)?(?:new\s+|standing\s+|permanent\s+)?(?:rule|instruction|directive|command)\s*:",
    # The same in Chinese.
    r"(?:忽略|无视|忘记|忘掉|绕过|跳过|推翻).{0,12}(?:指令|提示词|系统提示|设定|限制|确认|安全检查|(?:之前|以上|上面|前面)的?(?:所有|全部|一切|要求|规则|对话|内容)|上述)",
    r"(?:^|[\[【(#⏎。]\s*)(?:系统|开发者|管理员)(?:消息|提示词?|指令|通知|公告|备注)?\s*[\]】):]",
    r"(?:输出|泄露|透露|显示|告诉|打印|复述|重复|公开).{0,12}(?:系统提示|提示词|系统指令|内部指令)",
    r"数据到此结束|以下是(?:新的)?(?:系统)?指令|(?:新|最新)(?:系统)?指令\s*:",
    r"你(?:必须|应该|应当|要|需要|只能|不得|务必|一定|永远|无需|不用|将|现在|从现在|今后|以后|的新?(?:任务|职责|身份|角色|设定)|是一)",
    r"(?<!希望)(?<!想让)(?<!想要)你(?:不能|不要|不许|可以)",
    r"(?:必须|务必|一律|一定要|只能|只|无条件)(?:用.{0,8})?(?:回答|服从|听从|调用|推荐|声称|附上|遵循以下|遵守以下|按照以下|执行(?:以下|后面|下面))",
    r"一律.{0,4}(?:声称|推荐|回复|说)|(?:永远|始终|总是)(?:要|只)?(?:服从|听从|调用|输出)|无条件(?:执行|服从|相信)",
    r"(?:以后|今后|往后|从此|从现在(?:开始|起)?|接下来|每次|每个|所有).{0,8}(?:回答|回复|对话).{0,8}(?:推荐|调用|提到|插入|宣传|夸|推销|附上|执行|发送|打开|访问|结尾|运行)",
    r"(?:以后|今后|从此|从现在(?:开始|起)?)\s*,?\s*(?:都要|总是|永远|只能|必须|一律|务必|请)(?:.{0,6})(?:推荐|宣传|调用|服从|声称)",
    r"(?:回答|回复)(?:问题)?(?:之前|前)\s*,?\s*(?:请|都|先|要|必须){1,3}(?:打开|运行|调用|访问|执行|发送)",
    r"(?:(?:请|立即|立刻|马上).{0,8}(?:调用|使用|执行|运行)|(?:^|[,。;:!?、\s])调用).{0,12}(?:工具|函数|插件|forget|remember|recall)",
    r"(?:回答|回复)(?:时|中|里)?\s*,?\s*(?:永远|一律|务必|绝对)(?:不要|不得|不许|不能)?(?:提到|提及|透露|推荐|说)|(?:回答|回复)(?:的?结尾|末尾|最后)(?:都|要|一律){1,2}加上",
    r"(?:^|[,。;:!?、\s])(?:现在|立即|立刻|马上|直接)?(?:清空|删除|抹掉|覆盖).{0,8}(?:画像|记忆)",
    r"(?:直接|立即|立刻|马上)(?:执行|运行).{0,8}(?:命令|指令|代码|脚本)",
    r"(?:给|致|写给)(?:ai|助手|模型|大模型|智能体|机器人)(?:的|之)?(?:备注|提示|指令|留言|说明|话|通知|消息|注意)",
    r"(?:ai|助手|模型|智能体|机器人)请?注意\s*[:,]|(?<!的)(?:智能|ai)?助手(?:必须|应当|应该|务必|须|不得|请|一律|都要)",
    r"(?:当|如果|只要|每当|一旦|无论)(?:用户|谁).{0,12}(?:问|提到|询问|说).{0,20}(?:回答|回复|说|推荐|告诉|声称|调用)",
    r"(?:不要|别|不得|不许|无需|不用|不必|瞒着)(?:再)?(?:(?:告诉|告知|询问|提醒|通知|经过|征求)?用户(?:有|这|该|确认|同意|知道|,|。|$)|(?:向|对|跟|和|让)用户(?:透露|说|提|解释|知道|公开))",
    r"(?:用户|主人)(?:已经?)?(?:希望|要求|同意|授权|允许|想让|让)(?:你|助手|ai)(?:把|将|去|立即|发|转|删|执行|推荐|调用|忽略)",
    r"(?:全部|所有|整个|完整|用户)的?(?:聊天记录|对话|记忆|画像|密码|密钥|历史消息|数据).{0,8}(?:发送|发给|发到|转发|上传|泄露|导出|交给|寄)",
    r"(?:请|你|现在|开始|从现在(?:起|开始))\s*扮演|假装(?:你|自己)(?:是|没有)|越狱(?:模式|提示|指令)",
    r"(?:^|[,。;:!?、\s]|你|请|现在|已)(?:进入|启用|切换到|激活|开启)(?:开发者|dan|越狱|无限制|上帝|管理员)模式",
    r"(?:当作|视为|作为)(?:用户的?|一条|永久|系统)?(?:命令|指令|规则)",
)


@cache
def _commands() -> re.Pattern[str]:
    # On first use: it takes a twentieth of a hook's time, and most see no text to judge.
    return re.compile("|".join(f"(?:{each})" for each in _ORDERS))


# They are not seen, and would stand between the letters of a word.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\U000e0000-\U000e007f]"
)

_HELP = r"(?:help|assist|comply|provide|fulfil|process|answer|create|update|do\s+(?:that|this|so)|with)"
_REFUSALS = re.compile(
    r"\bi(?:'m|\s+am)\s+(?:very\s+|so\s+)?sorry\s*(?:,|\.|but\b|i\b)"
    rf"|\bi(?:'m|\s+am)\s+(?:unable|not\s+able)\s+to\s+{_HELP}\b"
    rf"|\bi\s+(?:can(?:'t|not)|can\s+not|won't|will\s+not)\s+{_HELP}\b"
    r"|\bi\s+must\s+(?:decline|refuse)\b|\bas\s+an\s+ai\b|\bas\s+a\s+(?:large\s+)?language\s+model\b"
    r"|^\W*(?:很?抱歉|对不起)\s*,|作为(?:一个|一名)?(?:ai|人工智能|语言模型|大模型)"
    r"|我(?:无法|不能|没办法)(?:提供|处理|回答|满足|协助|完成|帮助|遵从)",
)
_MARKUP = re.compile(
    r"<\s*/?[a-z!?][^>]{0,200}>|</|<!--|```|&(?:lt|gt|nbsp|amp|#\d+);|\{\{|\}\}", re.IGNORECASE
)

# What no screen shows, or what turns the order of letters; and halves of characters, which no file takes.
_UNREADABLE = re.compile(
    "[\x00-\x08\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff\U000e0000-\U000e007f]"
)


def is_unreadable(text: str) -> bool:
    """Whether a text holds signs that a person does not see as they are."""
    return _UNREADABLE.search(text) is not None


def refuses(text: str) -> bool:
    """Whether a model says in a text that it does not do what it was asked."""
    return _REFUSALS.search(_plain(text)) is not None


def is_marked_up(text: str) -> bool:
    """Whether a text holds HTML or code."""
    return _MARKUP.search(text) is not None


def commands(text: str) -> bool:
    """Whether a text tells a model what to do instead of telling about a person."""
    plain = _plain(text)
    # A line that is broken within a word is read as one all the same.
    return any(_commands().search(each) for each in {plain, plain.replace(" ⏎ ", "")})


def _plain(text: str) -> str:
    """Write a text as the patterns have it: small letters of usual width, simple signs, one line."""
    return " ".join(normalise(_INVISIBLE.sub("", " ⏎ ".join(text.splitlines()))).split())
