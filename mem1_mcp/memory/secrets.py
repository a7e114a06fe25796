"""Secrets in what people say: each is replaced by ``[REDACTED:kind]`` before anything is stored.

Three sorts of evidence are used, the surest first. *Form*: keys of known makers, private keys,
JWTs, cards and identity numbers carry a prefix or a checksum of their own. *Place*: whatever
stands in an ``Authorization`` header or before the ``@`` of a URL. *Label*: a value after "password
is", ``api_key=`` or 密码是, and only when the value itself looks like a secret, since people talk
about passwords far more often than they write one down.

Every pattern is linear: what repeats without bound is possessive, or can't be entered again from
inside its own run. A text that names no hint and holds no long number never meets a pattern.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    _Judge = Callable[[re.Match[str], str], bool]

_MARK = "[REDACTED:"
_MARKS = re.compile(r"\[REDACTED:[a-z-]+\]")

# A replacement can uncover one more secret beside it, so masking repeats until nothing is found.
# Ordinary text needs one round, text with secrets two; the bound is for text made to need more.
_MAX_ROUNDS = 6

# A longer value is not looked through again for labels, which keeps the search linear.
_LABEL_LENGTH = 64

# Sentence marks and closing brackets after a value belong to the sentence.
_CLOSERS = ".,;:)]}>"


@dataclass(frozen=True, slots=True)
class Masked:
    """A text without its secrets; the very same string when there were none.

    ``kinds`` has one entry for each masked place, in the order of the text. Marks that were already
    in the text are not counted.
    """

    text: str
    kinds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Place:
    start: int
    end: int
    kind: str


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern whose group ``secret`` (or else the whole match) is masked if ``accepts`` agrees.

    ``hints`` are lower-case: without one of them in the text the pattern is not tried. A rule
    without hints is for numbers.
    """

    kind: str
    hints: tuple[str, ...]
    pattern: re.Pattern[str]
    accepts: _Judge

    def places(self, text: str) -> Iterable[_Place]:
        group = "secret" if "secret" in self.pattern.groupindex else 0
        resume = 0
        while match := self.pattern.search(text, resume):
            start = match.start(group)
            value = match[group].rstrip(_CLOSERS)
            resume = max(match.end(), match.start() + 1)
            if value and self.accepts(match, value):
                yield _Place(start, start + len(value), self.kind)
            elif group and len(value) <= _LABEL_LENGTH:
                # What was no value may be the label of one: "password token: …".
                resume = max(start, match.start() + 1)


def mask(text: str) -> Masked:
    """Replace every secret in ``text``; masking the result again changes nothing."""
    masked = text
    places: list[_Place] = []
    for _ in range(_MAX_ROUNDS):
        found = _find(masked)
        if not found:
            break
        masked, places = _rewrite(masked, _merged([*places, *found]))
    return Masked(masked, tuple(place.kind for place in places))


def _find(text: str) -> list[_Place]:
    folded = _folded(text)
    lowered = folded.lower()
    wanted = {number for hint, number in _HINTS if hint in lowered}
    if _LONG_NUMBER.search(folded):
        wanted |= _NUMBER_RULES
    if not wanted:
        return []
    return [place for number in sorted(wanted) for place in _RULES[number].places(folded)]


def _merged(places: list[_Place]) -> list[_Place]:
    """Join overlapping places; the kind is that of the first, then of the surer rule."""
    joined: list[_Place] = []
    for place in sorted(places, key=lambda place: place.start):
        if joined and place.start < joined[-1].end:
            last = joined[-1]
            joined[-1] = _Place(last.start, max(last.end, place.end), last.kind)
        else:
            joined.append(place)
    return joined


def _rewrite(text: str, places: list[_Place]) -> tuple[str, list[_Place]]:
    """Put a mark at each place; also return where the marks stand in the new text."""
    parts: list[str] = []
    marks: list[_Place] = []
    done = length = 0
    for place in places:
        mark = f"{_MARK}{place.kind}]"
        parts += (text[done : place.start], mark)
        start = length + place.start - done
        length = start + len(mark)
        done = place.end
        marks.append(_Place(start, length, place.kind))
    parts.append(text[done:])
    return "".join(parts), marks


# Each character becomes exactly one, so offsets in the folded text are offsets in the original.
_WIDE = re.compile("[０-９Ａ-Ｚａ-ｚ－＿．／＋＠\u00a0\u2010-\u2013\u2212\u3000]")
_FOLD = {
    **{ord(wide): ord(wide) - 0xFEE0 for wide in "－＿．／＋＠"},
    **{
        code: code - 0xFEE0
        for code in (*range(0xFF10, 0xFF1A), *range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))
    },
    **dict.fromkeys((0xA0, 0x3000), ord(" ")),
    **dict.fromkeys((*range(0x2010, 0x2014), 0x2212), ord("-")),
}


def _folded(text: str) -> str:
    if _MARK in text:
        # No pattern may read a mark, or it would find a label or a value in it.
        text = _MARKS.sub(lambda mark: "\ufdd0" * len(mark[0]), text)
    if text.isascii() or not _WIDE.search(text):
        return text
    return text.translate(_FOLD)


_RUNS = re.compile(r"[A-Za-z0-9]+")
# The weak ones count among capitals only: "the password is name+birthday" describes one.
_SYMBOLS, _WEAK_SYMBOLS = frozenset("!@#$%^*"), frozenset("&+=?")
_FEWEST_DIGITS, _FEWEST_LOOSE_DIGITS, _SHORTEST = 4, 6, 5
_RUN, _LONG_WORD, _LONG_RUN, _LONGEST_RUN = 8, 16, 20, 30
_CHANGES_OF_CASE = 3
_LOOSE = frozenset(("", "-", "|"))
_CASE_CHANGE = re.compile("[a-z][A-Z]")
# What follows most labels; asked first because it is cheap to ask.
_PLAIN_WORD = re.compile(r"[a-z_.'()/-]{0,15}|.{0,3}", re.DOTALL)
_PASSPHRASE = re.compile(r"(?=.{24})[a-z]{2,12}(?:[-.][a-z]{2,12}){3,12}", re.IGNORECASE)
_PRODUCT = re.compile(r"(?:[A-Z][A-Za-z]*|i[A-Z][a-z]+)\d{1,4}")
_MEASURE = re.compile(
    r"[\s-]?(?:[位年个個次天月日号號条條元块种]|bits?\b|char|digit|letter|byte|times|days|years|%)"
)

_CONTEXT = 28
_SORT_OF_KEY = re.compile(
    "(?:api|access|secret|private|auth|account|encryption|signing|master|service|session|refresh"
    "|client|bearer|(?<![a-z])(?:app|bot|id))[ _-]?(?:access[ _-]?)?$",
    re.IGNORECASE,
)

# Words that mix letters and digits, code that reads a secret from elsewhere, stand-ins, addresses.
_NOT_A_SECRET = re.compile(
    r"""(?:(?:base\d+|sha-?\d+|md5|aes\d*|rsa\d*|utf-?\d+|rfc-?\d+|bcrypt|argon2\w{0,2}|pbkdf2|scrypt
    |pkcs\d*|oauth\d?|erc-?\d+|1password)(?![a-z0-9!@#$%^&*])|\d{1,4}-?(?:digit|char|letter|bit|byte|word|day|hour|step|time)
    |v?\d+(?:\.\d+)+\w{0,8}$|\d{4}-\d\d-\d\d|\d{1,2}:\d\d
    |your[ _-]|<|\{\{|\{[a-z_.]+(?:$|!)|\$[{(]|(?-i:\$[A-Z_]+)$|%\w+%?$|x{4}|\w{0,4}\*{3}|\.{3}
    |(?:os|self|settings|config|cfg|env|process|args|request|req|ctx|this|app)\.
    |(?-i:[a-z_][a-z_.]{2,})[\[(]|[a-z][a-z0-9+.-]{1,20}://|~/|\.{1,2}/|[a-z]:\\
    |/(?:home|etc|usr|var|opt|tmp|root|mnt|users|data|run|srv|app)/
    |[\w.+-]{1,64}@[\w-]{1,63}\.(?:com|org|net|edu|gov|io|cn)(?:\.cn)?$)""",
    re.IGNORECASE | re.VERBOSE | re.ASCII,
)


def _always(_match: re.Match[str], _value: str) -> bool:
    return True


def _is_mixed(value: str) -> bool:
    """Tell whether letters and digits stand together."""
    return any(letter.isalpha() for letter in value) and any(digit.isdigit() for digit in value)


def _has_symbol(value: str) -> bool:
    """Tell whether a symbol stands inside, not only at the end where a sentence has its own."""
    inner = value[1:-1]
    capitals = not (inner.islower() or inner.isupper())
    symbols = _SYMBOLS | _WEAK_SYMBOLS if capitals else _SYMBOLS
    return not symbols.isdisjoint(value[:-1]) and any(letter.isalpha() for letter in value)


def _looks_drawn(_match: re.Match[str], value: str) -> bool:
    """Tell a token drawn by a machine from hyphenated words, which share its alphabet."""
    runs = _RUNS.findall(value)
    if any(len(run) >= (_RUN if _is_mixed(run) else _LONGEST_RUN) for run in runs):
        return True
    if len(value) < _LONG_RUN or value.islower() or value.isupper():
        return False
    return _is_mixed(value) or len(_CASE_CHANGE.findall(value)) >= _CHANGES_OF_CASE


def _looks_chosen(value: str) -> bool:
    """Tell a password somebody chose from a word of a sentence."""
    if len(value) < _SHORTEST:
        return False
    return (
        _is_mixed(value)
        or _has_symbol(value)
        or (value.isalpha() and len(value) >= _LONG_WORD)
        or len(_CASE_CHANGE.findall(value)) >= _CHANGES_OF_CASE
        or _PASSPHRASE.fullmatch(value) is not None
    )


def _between(match: re.Match[str]) -> str:
    """Return the word or sign that joins label and value, if they don't merely stand together."""
    return match["join"].strip(" \t\n\"'`*_")


def _is_password(match: re.Match[str], value: str) -> bool:
    if _PLAIN_WORD.fullmatch(value):
        return False
    loose = _between(match) in _LOOSE
    digits = value.rstrip("!?")
    if digits.isdigit():
        enough = len(digits) >= (_FEWEST_LOOSE_DIGITS if loose else _FEWEST_DIGITS)
        return enough and not _MEASURE.match(match.string, match.start("secret") + len(digits))
    if _NOT_A_SECRET.match(value) or not _looks_chosen(value):
        return False
    if not loose or _has_symbol(value):
        return True
    # "password Windows10" is about Windows; after 密码 a value often follows with nothing between.
    mere_words = match[0].isascii() and not _between(match)
    return not mere_words and _is_mixed(value) and not _PRODUCT.fullmatch(value)


def _is_own_password(_match: re.Match[str], value: str) -> bool:
    return _is_mixed(value) and not _NOT_A_SECRET.match(value)


def _is_key(match: re.Match[str], value: str) -> bool:
    """Ask the more of ``value`` the less its label says: "API key", "token", mere "key"."""
    if _PLAIN_WORD.fullmatch(value) or _NOT_A_SECRET.match(value):
        return False
    sure = not match["label"].isascii() or _SORT_OF_KEY.search(_before(match, "label")) is not None
    if not sure and match["label"].lower().startswith("key"):
        runs = _RUNS.findall(value)
        return any(len(run) >= _LONG_RUN and _is_varied(match, run) for run in runs)
    if _between(match) in _LOOSE or not (sure or "=" in match["join"]):
        # "token: gpt-4o" and "the secret is Omega3" are conversation.
        return _looks_drawn(match, value) or (len(value) >= _LONGEST_RUN and _is_mixed(value))
    return _looks_chosen(value) or _looks_drawn(match, value)


def _is_varied(_match: re.Match[str], value: str) -> bool:
    """Ask for both cases and digits, which no hash has."""
    return _is_mixed(value) and not value.islower() and not value.isupper()


def _is_credential(match: re.Match[str], value: str) -> bool:
    """Tell a credential from a word of prose such as "authentication"."""
    capitals = not (value[1:].islower() or value[1:].isupper())
    return match[0].endswith("=") or capitals or any(digit.isdigit() for digit in value)


_PLAIN_PROSE = frozenset(("the", "and", "for", "with", "was", "are", "your", "not", "from"))


def _is_seed(_match: re.Match[str], value: str) -> bool:
    """Wallet words never include the commonest words of prose."""
    return _PLAIN_PROSE.isdisjoint(_RUNS.findall(value))


_ISSUER = re.compile(
    r"""4(?:\d{12}|\d{15}|\d{18})|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}
    |220[0-4]\d{12}|3[47]\d{13}|3(?:0[0-5]|[689]\d)\d{11}|35(?:2[89]|[3-8]\d)\d{12}
    |6(?:011|4[4-9]\d|5\d\d)\d{12}|62\d{14,17}|5[0678]\d{14}|(?:6304|6759|676[1-3])\d{12}""",
    re.VERBOSE,
)
_DOUBLED = str.maketrans("0123456789", "0246813579")
# An order or serial number passes Luhn one time in ten, so what the text calls it decides.
_CALLED_OTHERWISE = re.compile(
    r"(?:订单|訂單|单号|單號|编号|編號|流水|快递|运单|物流|序列|发票|商品|条码|工单|交易|群"
    r"|(?<![a-z])(?:order|tracking|invoice|ticket|serial|part|model|isbn|imei|ean|sku|id|uid|ref|no)|#)"
    r"(?:[\s_-]?(?:id|no|number|code|号码?|號碼?))?[.)）]?\s?(?:is|was|是|为|為)?[\s:：#=\"'(（]{0,4}$",
    re.IGNORECASE,
)
_CARD_WORD = re.compile(r"卡|card|visa|amex|debit|credit", re.IGNORECASE)
_EAN_LENGTH, _USUAL_LENGTH = 13, 16


def _before(match: re.Match[str], group: str) -> str:
    start = match.start(group)
    return match.string[max(0, start - _CONTEXT) : start]


def _is_card(match: re.Match[str], value: str) -> bool:
    digits = value.replace(" ", "").replace("-", "")
    if not _ISSUER.fullmatch(digits):
        return False
    backwards = digits[::-1]
    # Adding bytes is several times faster than adding int() of each, and digits can be many.
    luhn = (backwards[::2] + backwards[1::2].translate(_DOUBLED)).encode()
    if (sum(luhn) - ord("0") * len(luhn)) % 10:
        return False
    before = _before(match, "secret")
    if digits != value or _CARD_WORD.search(before):
        return True
    # Barcodes have 13 digits, and ids of many services 19; hardly any Visa card has.
    if len(digits) == _EAN_LENGTH and not sum(map(int, digits[::2] + digits[1::2] * 3)) % 10:
        return False
    if digits[0] == "4" and len(digits) > _USUAL_LENGTH:
        return False
    return not _CALLED_OTHERWISE.search(before)


_PROVINCE = re.compile("1[1-5]|2[1-3]|3[1-7]|4[1-6]|5[0-4]|6[1-5]|71|8[1-3]|91")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)


def _is_chinese_id(_match: re.Match[str], value: str) -> bool:
    number = value.replace(" ", "").replace("-", "").upper()
    if not _PROVINCE.match(number):
        return False
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
    except ValueError:
        return False
    total = sum(weight * int(digit) for weight, digit in zip(_WEIGHTS, number[:17], strict=True))
    return "10X98765432"[total % 11] == number[17]


def _is_social_security(match: re.Match[str], _value: str) -> bool:
    return not _CALLED_OTHERWISE.search(_before(match, "secret"))


# The pieces patterns are made of. ASCII only: a Chinese character next to a key is no part of it.

_FLAGS = re.ASCII | re.IGNORECASE
_B = r"(?<![A-Za-z0-9])"
_E = r"(?![A-Za-z0-9])"
_T = "[A-Za-z0-9_-]"
# Anything typed without a space. A separator goes on only when no next "name=" follows it.
_PART = r"[!#-%(-+\--:<-_a-{}~]"
_NEXT_NAME = r"\s|[\"']?[\w-]{1,40}+[\"']?\s?[=:]"
_VALUE = (
    rf"[\"'`“”‘’「『《【*]{{0,3}}"
    # No group is possessive here: Python before 3.11.5 loses matches of those (gh-106052).
    rf"(?P<secret>(?:(?<=[:=：＝\s])[,;&|](?!{_NEXT_NAME}))?{_PART}++(?:[,;&|](?!{_NEXT_NAME}){_PART}*+)*)"
)
_OWNER = r"(?:\s(?:for|of|to|on|at|in)(?:\s[^\s:=]{1,20}+){1,4}?)?"
_SIGNS = r"\s{0,3}(?:=>|->|:=|={1,3}|[:：＝]{1,2})[*_]{0,2}\s{0,3}"
_ENGLISH_JOIN = (
    rf"(?:\s?\([^()\n]{{1,24}}\))?(?P<join>{_OWNER}[\"'`*_)]{{0,3}}(?:{_SIGNS}"
    r"|\s{1,3}(?:is|are|was|will be|should be)(?:\s(?:now|still|currently|always|just))?"
    r"(?:\s(?:set|changed|reset) to)?\s?[:：]?\s{1,3}|\s(?:set|changed|reset) to\s|'s\s)"
    r"|[\"'`*_]{0,3}(?:\s\|\s|\s-\s|\s{1,2}))"
)
_CHINESE_JOIN = (
    r"(?:[(（][^()（）\n]{1,20}[)）])?[*」”]{0,2}(?P<join>"
    r"(?:我|你|他|她|的|现在|已经|统一|默认|初始|一律|一直|目前|都|就|还|应该|可能|好像|已|被){0,3}"
    r"(?:是|为|為|叫|(?:改|设|設|换|換|设置|设定|修改|更改|更新|重置|重设)(?:成|为|為|到|的?是)?了?)"
    rf"[:：]?\s{{0,3}}|{_SIGNS}|\s-\s|[\s|]{{0,3}})"
)
_ENGLISH_LABEL = (
    "(?:passwords?|passwd|passcode|passphrase|(?<![a-z])(?:pwd|pw)"
    # Alone it is mostly a verb, or lets one board.
    r"|(?<![a-z])(?<!boarding )pass(?=[\"'`*_)]{0,3}\s?[:=：＝](?!\s?\d+(?:[\s,;/]|\Z))))"
)
_CHINESE_LABEL = "(?:密码|密碼|口令)"
_MINE = (
    r"(?<![!-~])(?P<secret>[!-~]{6,64})"
    r"\s?(?:is|was|是|就是)\s?(?:my|our|the|his|her|我的?|我们的?|他的?|她的?)\s?(?:\S{1,12}\s?){0,2}?"
    r"(?:password|passcode|密码|密碼|口令)(?!\s?(?:manager|hint|policy|管理|提示|保险))"
)
_KEY_LABEL = "(?P<label>key|token|secret)"
_CHINESE_KEY_LABEL = r"(?P<label>密钥|密鑰|秘钥|私钥|令牌|(?:key|token)\s?(?=[是为]))"

# Tokens that carry their maker's mark: kind, hints, form. Each stands alone and looks drawn.
_TOKENS = (
    ("anthropic-key", "sk-ant-", f"sk-ant-{_T}{{16,}}"),
    ("openai-key", "sk-", f"sk-(?:proj|svcacct|admin)-{_T}{{16,}}"),
    ("api-key", "sk-", f"sk-(?!ecdsa-|ssh-){_T}{{16,}}"),
    ("github-token", "ghp_ gho_ ghu_ ghs_ ghr_", rf"gh[pousr]_{_T}{{20,}}(?:\.{_T}{{8,}}){{0,2}}"),
    ("github-token", "github_pat_", f"github_pat_{_T}{{20,}}"),
    ("gitlab-token", "glpat- gldt- glrt-", rf"gl(?:pat|dt|rt)-{_T}{{16,}}(?:\.{_T}{{2,}}){{0,2}}"),
    ("slack-token", "xox", r"xox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}"),
    ("slack-token", "xapp-", r"xapp-\d-[A-Za-z0-9-]{20,}"),
    ("slack-token", "hooks.slack.com/", "hooks.slack.com/services/[A-Za-z0-9/_-]{20,}"),
    ("google-key", "aiza gocspx-", f"(?:AIza|GOCSPX-){_T}{{24,}}"),
    ("google-key", "ya29. aq.ab", rf"(?:ya29|AQ)\.{_T}{{24,}}"),
    ("stripe-key", "k_live_ k_test_ whsec_", "(?:[sr]k_(?:live|test)|whsec)_[A-Za-z0-9]{16,}"),
    ("npm-token", "npm_", "npm_[A-Za-z0-9]{30,}"),
    ("pypi-token", "pypi-age", f"pypi-AgE{_T}{{30,}}"),
    ("mem1-token", "mem1_", f"mem1_[0-9a-f]{{8}}_{_T}{{32,}}"),  # what lets a program in here
    ("huggingface-token", "hf_", "hf_[A-Za-z0-9]{24,}"),
    ("telegram-token", ":aa", rf"\d{{8,10}}:AA{_T}{{32,}}"),
    ("cloud-key-id", "ltai akid", f"(?:LTAI[A-Za-z0-9]{{12,26}}|AKID[A-Za-z0-9]{{32}}){_E}"),
    ("service-token", "xai- pplx- nvapi- tvly-", f"(?:xai|pplx|nvapi|tvly)-{_T}{{24,}}"),
    ("service-token", "gsk_ r8_ ntn_ shpat_", f"(?:gsk|r8|ntn|shpat)_{_T}{{24,}}"),
    ("service-token", "dckr_pat_ dop_v1_", f"(?:dckr_pat|dop_v1)_{_T}{{24,}}"),
    ("service-token", "sg. hvs.", rf"(?:SG\.{_T}{{16,40}}|hvs)\.{_T}{{24,}}"),
    # The run may not begin inside itself, or each eyJ of a long one would be tried to its end.
    ("jwt", "eyj", rf"(?<![_-])eyJ{_T}{{6,}}+\.eyJ{_T}{{6,}}+\.{_T}{{8,}}"),
)


def _rule(kind: str, hints: str, form: str, accepts: _Judge, flags: re.RegexFlag = _FLAGS) -> _Rule:
    return _Rule(kind, tuple(hints.split()), re.compile(form, flags), accepts)


_OF_A_KEY = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?\s?-{4,5}"
_PEM = rf"-{{4,5}}\s?BEGIN {_OF_A_KEY}(?s:.*?)(?:-{{4,5}}\s?END {_OF_A_KEY}|\Z)"
_AWS_ID = f"{_B}(?:AKIA|ASIA)[A-Z0-9]{{16}}{_E}"
_AWS_VALUE = (
    r"(?:aws|secret[ _-]?access[ _-]?key|(?:AKIA|ASIA)[A-Z0-9]{16})"
    r"(?:[^A-Za-z0-9/+]{1,6}[A-Za-z0-9]{1,12}+){0,5}?[^A-Za-z0-9/+]{1,6}(?P<secret>[A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"
)
_AUTHORIZATION = (
    r"authorization[\"']?\s{0,3}[:=]\s{0,3}[\"']?(?:(?:bearer|basic|token|apikey|bot)\s{1,3})?+"
    r"(?P<secret>[A-Za-z0-9._~+/:-]{6,}+={0,2})"
)
_BEARER = rf"{_B}bearer\s{{1,3}}(?P<secret>[A-Za-z0-9._~+/-]{{16,}}+={{0,2}})"
# A port and a query that holds an e-mail address is no password.
_URL = r"://[^\s/:@]{0,128}+:(?!\d{1,5}[?#,;])(?P<secret>[!-.0-~]+)@(?=[^\s/@])"
_CHANGED = (
    r"(?:changed?|changing|(?:re)?set|setting|updated?|updating)(?:\s[^\s:=]{1,20}+){0,3}?"
    rf"\s(?:password|passcode)(?P<join>\sto\s){_VALUE}"
)
_PIN = (
    rf"(?<![a-z])pin(?:\s?码)?{_OWNER}(?:\s{{0,2}}[:：=]\s{{0,2}}|\s(?:is|was)\s|\s?[是为]\s?)"
    rf"(?P<secret>\d{{4,8}}){_E}"
)
_CARD_CODE = rf"(?:cvv2?|cvc2?|安全码)[\s:：=]{{0,3}}(?:is|是|为)?[\s:：=]{{0,3}}(?P<secret>\d{{3,4}}){_E}"
_SEED = (
    r"(?:(?:seed|recovery|secret)\sphrase|mnemonic|助记词)(?:\s?(?:is|are|是|为))?[\s:：=\"'“]{0,5}"
    rf"(?P<secret>[a-z]{{3,8}}(?:[\s,]{{1,3}}[a-z]{{3,8}}){{11,23}}){_E}"
)
# A card may follow some other number, so these two look at every digit: first at a whole run of
# groups, then at the usual groups whatever comes behind them.
_NO_UUID = "(?!-[A-Fa-f0-9]{4})"
_ANY_GROUPS = (
    rf"{_B}(?<![A-Fa-f0-9]{{4}}-)(?<![0-9]\.)"
    rf"(?=(?P<secret>[2-6]\d{{2,18}}+(?:[ -]\d{{3,12}}+){{0,5}}+(?:[ -]\d\d?)?+)"
    rf"(?![ -]?\d|[A-Za-z]|\.\d){_NO_UUID})"
)
_USUAL_GROUPS = (
    rf"{_B}(?<![A-Fa-f0-9]{{4}}-)(?=(?P<secret>[2-6]\d{{3}}"
    rf"(?:(?:[ -]\d{{4}}){{3}}|[ -]\d{{6}}[ -]\d{{4,5}}|\d{{9,15}}(?= ))){_E}{_NO_UUID})"
)
_CHINESE_ID = rf"{_B}[1-9]\d{{5}}[ -]?(?:19|20)\d\d[01]\d[0-3]\d[ -]?\d{{3}}[\dX]{_E}"
_SSN = r"(?<![A-Za-z0-9-])(?!000|666|9)(?P<secret>\d{3}-(?!00)\d\d-(?!0000)\d{4})(?![A-Za-z0-9-])"
# Earlier rules name the kind where two find the same place.
_RULES = (
    _rule("private-key", "----", _PEM, _always),
    *(_rule(kind, hints, _B + form, _looks_drawn, re.ASCII) for kind, hints, form in _TOKENS),
    _rule("aws-key-id", "akia asia", _AWS_ID, _always, re.ASCII),
    _rule("aws-secret-key", "aws secretaccesskey access_key akia asia", _AWS_VALUE, _is_varied),
    _rule("authorization", "authorization", _AUTHORIZATION, _is_credential),
    _rule("authorization", "bearer", _BEARER, _looks_drawn),
    _rule("url-password", "://", _URL, _always),
    _rule("password", "pass pwd pw", _ENGLISH_LABEL + _ENGLISH_JOIN + _VALUE, _is_password),
    _rule("password", "密码 密碼 口令", _CHINESE_LABEL + _CHINESE_JOIN + _VALUE, _is_password),
    _rule("password", "password passcode 密码 密碼 口令", _MINE, _is_own_password),
    _rule("password", "password passcode", _CHANGED, _is_password),
    _rule("pin", "pin", _PIN, _always),
    _rule("card-code", "cvv cvc 安全码", _CARD_CODE, _always),
    _rule("secret", "key token secret", _KEY_LABEL + _ENGLISH_JOIN + _VALUE, _is_key),
    _rule("secret", "钥 鑰 令牌 key token", _CHINESE_KEY_LABEL + _CHINESE_JOIN + _VALUE, _is_key),
    _rule("seed-phrase", "phrase 助记词 mnemonic", _SEED, _is_seed),
    _rule("payment-card", "", _ANY_GROUPS, _is_card),
    _rule("payment-card", "", _USUAL_GROUPS, _is_card),
    _rule("cn-id-number", "", _CHINESE_ID, _is_chinese_id),
    _rule("us-ssn", "", _SSN, _is_social_security),
)

_LONG_NUMBER = re.compile(r"\d(?:[ -]?\d){8}", re.ASCII)
_HINTS = tuple((hint, number) for number, rule in enumerate(_RULES) for hint in rule.hints)
_NUMBER_RULES = frozenset(number for number, rule in enumerate(_RULES) if not rule.hints)
