"""Secrets never reach the store, and ordinary words always do.

No secret stands in this file in one piece, so that no scanner takes it for a leak: tokens are drawn
from a hash, the others are put together when the tests run.
"""

from __future__ import annotations

import hashlib
import string
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mem1_mcp.memory.secrets import Masked, mask

MIXED = string.ascii_letters + string.digits
UPPER = string.ascii_uppercase + string.digits
HEX = "0123456789abcdef"
URL64 = MIXED + "_-"


def drawn(length: int, alphabet: str = MIXED, seed: str = "") -> str:
    """Draw the same characters in every run; the first two are a letter and a digit."""
    stream = hashlib.shake_256(f"{length}{alphabet}{seed}".encode()).digest(length)
    return ("a1" if "a" in alphabet else "A1") + "".join(
        alphabet[byte % len(alphabet)] for byte in stream[2:]
    )


def hyphenated(digits: str, *lengths: int, by: str = "-") -> str:
    parts, start = [], 0
    for length in lengths:
        parts.append(digits[start : start + length])
        start += length
    return by.join(parts)


def pem(sort: str, *, ended: bool = True) -> str:
    body = "\n".join(drawn(64, MIXED + "+/", str(line)) for line in range(4))
    dashes = "-" * 5
    end = f"\n{dashes}END {sort}PRIVATE KEY{dashes}" if ended else ""
    return f"{dashes}BEGIN {sort}PRIVATE KEY{dashes}\n{body}{end}"


def jwt(seed: str) -> str:
    return f"eyJ{drawn(33, seed=seed)}.eyJ{drawn(40, URL64, seed)}.{drawn(43, URL64, seed)}"


VISA = "4111" + "1" * 12
UNIONPAY = "622202" + "1234567890128"
CHINESE_ID = "110105" + "19491231" + "002X"
SEED = "abandon ability able about above absent absorb abstract absurd abuse access accident"

TOKENS = [
    ("openai-key", "my OpenAI key is {}, keep it", "sk-" + "proj-" + drawn(48, URL64)),
    ("openai-key", "管理密钥：{}。", "sk-" + "admin-" + drawn(40)),
    ("anthropic-key", "Claude 的密钥是{}，记一下", "sk-" + "ant-api03-" + drawn(80, URL64)),
    ("anthropic-key", "use {}", "sk-" + "ant-oat01-" + drawn(60)),
    ("api-key", "DeepSeek用这个{}就行", "sk-" + drawn(32, HEX)),
    ("api-key", "old style: {}", "sk-" + drawn(48)),
    ("api-key", "OPENROUTER={}", "sk-" + "or-v1-" + drawn(64, HEX)),
    ("github-token", "git push with {} please", "ghp" + "_" + drawn(36)),
    ("github-token", "仓库令牌{}别外传", "gho" + "_" + drawn(36)),
    ("github-token", "({})", "ghs" + "_" + drawn(36)),
    ("github-token", "remote https://{}@github.com/a/b.git", "ghu" + "_" + drawn(36)),
    ("github-token", "refresh={}", "ghr" + "_" + drawn(60)),
    ("github-token", "“{}”", "github" + "_pat_" + drawn(22) + "_" + drawn(59)),
    ("gitlab-token", "GitLab：{}", "glpat" + "-" + drawn(20)),
    ("aws-key-id", "the id is {}.", "AKIA" + drawn(16, UPPER)),
    ("aws-key-id", "临时凭证{}，一小时后过期", "ASIA" + drawn(16, UPPER)),
    ("aws-secret-key", "aws_secret_access_key = {}", drawn(40, MIXED + "+/")),
    ("aws-secret-key", '{{"SecretAccessKey": "{}"}}', drawn(40, MIXED + "/")),
    ("aws-secret-key", "AWS 密钥是 {}", drawn(40)),
    ("slack-token", "the bot is {}", "xoxb" + "-" + "123456789012-" + drawn(24)),
    ("slack-token", "用户令牌 {}", "xoxp" + "-" + "1234567890-" + drawn(32, HEX)),
    ("slack-token", "https://{}", "hooks.slack" + ".com/services/T0A1B2C3D/B0A1B2C3D/" + drawn(24)),
    ("google-key", "maps key {}", "AIza" + drawn(35, URL64)),
    ("google-key", "谷歌的密钥：{}", "AIza" + "Sy" + drawn(33)),
    ("stripe-key", "live: {}", "sk" + "_live_" + drawn(24)),
    ("stripe-key", "收款用{}", "rk" + "_live_" + drawn(24)),
    ("npm-token", "//registry/:_authToken {}", "npm" + "_" + drawn(36)),
    ("pypi-token", "upload with {}", "pypi-" + "AgE" + drawn(60, URL64)),
    ("huggingface-token", "模型下载 {}", "hf" + "_" + drawn(34)),
    ("huggingface-token", "letters only: {}", "hf" + "_" + drawn(34, string.ascii_letters)),
    ("telegram-token", "机器人：{}", "1234567890" + ":AA" + drawn(33, URL64)),
    ("cloud-key-id", "阿里云 AccessKey {}", "LTAI" + "5t" + drawn(18)),
    ("service-token", "Groq: {}", "gsk" + "_" + drawn(52)),
    ("service-token", "mail goes out through {}", "SG." + drawn(22) + "." + drawn(43)),
    ("jwt", "cookie {} ends", jwt("one")),
    ("jwt", "登录返回{}，两小时有效", jwt("two")),
    ("private-key", "here it is:\n{}\nkeep it safe", pem("RSA ")),
    ("private-key", "私钥如下\n{}", pem("")),
    ("private-key", "pasted in part:\n{}", pem("OPENSSH ", ended=False)),
    ("authorization", "Authorization: Bearer {}", drawn(24)),
    ("authorization", '"Authorization": "Basic {}"', "dXNlcjpw" + "YXNzd29yZA=="),
    ("authorization", "请求头带 bearer {} 就行", drawn(32)),
    ("url-password", "postgres://app:{}@db.internal:5432/x", "s3cr3t"),
    ("url-password", "连 redis://:{}@localhost:6379/0", "mypass"),
    ("url-password", "mongodb+srv://root:{}@cluster0.example.net", "P%40ss" + "word"),
]

CHOSEN = [
    ("password", "my password is {}", "hunter" + "2!"),
    ("password", "Password: {}", "Tr0ub4dor" + "&3"),
    ("password", "the password for the home wifi is {}, ok?", "blue" + "-horse-42"),
    ("password", "I changed my mail password to {} yesterday", "N3w" + "Pass99"),
    ("password", "{} is my password", "hunter" + "22"),
    ("password", "DB_PASSWORD={}", "s3cret" + "Pass"),
    ("password", '{{"password": "{}", "user": "bob"}}', "p@ss" + "word"),
    ("password", "user=bob&pwd={}&next=home", "abc" + "123"),
    ("password", "**Password:** {}", "xKdP" + "qWzLm"),
    ("password", "| password | {} |", "zebra" + "7zebra"),
    ("password", "passphrase: {}", "correct-horse" + "-battery-staple"),
    ("password", "密码是 {}", "abc" + "123!"),
    ("password", "密码：{}，别忘了", "hunter" + "2"),
    ("password", "WiFi密码是{}", "8888" + "6666"),
    ("password", "我把密码改成了 {} 了", "qwe" + "123456"),
    ("password", "账号tom密码{}", "tom" + "12345"),
    ("password", "{}是我的密码", "abc" + "123!"),
    ("password", "银行卡密码 {}", "482" + "913"),
    ("password", "我的密码（新的）：「{}」", "Zfb" + "@2024"),
    ("password", "密码是{}", "ａｂｃ" + "１２３４"),
    ("secret", "api_key={}", "abc123" + "def456"),
    ("secret", "API key: {}", "0f8fad5b-d9cd-469f" + "-a165-70867728950e"),
    ("secret", "the token is {}", drawn(32, HEX)),
    ("secret", "client_secret: '{}'", drawn(24)),
    ("secret", "密钥是 {}", drawn(16)),
    ("secret", "令牌：{}", drawn(20)),
    ("pin", "my card's PIN is {}", "48" + "21"),
    ("pin", "PIN码是 {}", "4821" + "00"),
    ("card-code", "cvv: {}", "12" + "3"),
    ("seed-phrase", "my seed phrase: {}", SEED),
    ("seed-phrase", "助记词是 {}。", SEED),
]

NUMBERS = [
    ("payment-card", "card {}", VISA),
    ("payment-card", "我的卡号是{}，有效期12/27", hyphenated(VISA, 4, 4, 4, 4, by=" ")),
    ("payment-card", "pay with {} 12/27 123", hyphenated(VISA, 4, 4, 4, 4)),
    ("payment-card", "room 12 {}", hyphenated("5555" * 3 + "4444", 4, 4, 4, 4, by=" ")),
    ("payment-card", "Amex {}", hyphenated("3782822463" + "10005", 4, 6, 5, by=" ")),
    ("payment-card", "银联{}。", UNIONPAY),
    ("payment-card", "银联 {}", hyphenated(UNIONPAY, 4, 4, 4, 4, 3, by=" ")),
    ("payment-card", "Diners {}", "3056930" + "9025904"),
    ("payment-card", "old Visa {}", "42222" + "22222222"),
    ("payment-card", "全角{}", "４１１１" + "１" * 12),
    ("cn-id-number", "身份证{}，别外传", CHINESE_ID),
    ("cn-id-number", "ID card {}", CHINESE_ID.lower()),
    ("cn-id-number", "身份证号 {}", hyphenated(CHINESE_ID, 6, 8, 4, by=" ")),
    ("us-ssn", "SSN {}", hyphenated("219" + "099999", 3, 2, 4)),
]

SECRETS = TOKENS + CHOSEN + NUMBERS


@pytest.mark.parametrize(("kind", "words", "secret"), SECRETS)
def test_a_secret_is_replaced_by_its_kind_and_the_words_around_it_stay(
    kind: str, words: str, secret: str
) -> None:
    masked = mask(words.format(secret))

    assert masked == Masked(words.format(f"[REDACTED:{kind}]"), (kind,))


def test_the_secrets_above_are_many_and_of_many_kinds() -> None:
    assert len(SECRETS) >= 60
    assert len({kind for kind, _, _ in SECRETS}) >= 12


def test_all_secrets_of_one_text_are_found_and_named_in_the_order_they_appear() -> None:
    kinds = tuple(kind for kind, _, _ in SECRETS if kind != "private-key")
    text = "\n".join(words.format(secret) for kind, words, secret in SECRETS if kind != "private-key")

    masked = mask(text)

    assert masked.kinds == kinds
    assert not [secret for _, _, secret in SECRETS if len(secret) > 3 and secret in masked.text]


def test_a_secret_found_by_its_label_and_by_its_form_is_one_secret_of_the_surer_kind() -> None:
    token = "ghp" + "_" + drawn(36)

    assert mask(f"Authorization: Bearer {token}").kinds == ("github-token",)
    assert mask(f"我的密钥是{token}").kinds == ("github-token",)
    assert mask(f"https://me:{token}@github.com/x.git").kinds == ("github-token",)


def test_two_secrets_side_by_side_are_two() -> None:
    first, second = "AKIA" + drawn(16, UPPER), "hunter" + "2!"

    assert mask(f"{first} 密码：{second}").text == "[REDACTED:aws-key-id] 密码：[REDACTED:password]"


def test_the_aws_secret_beside_its_key_id_goes_with_it() -> None:
    pair = mask("AKIA" + drawn(16, UPPER) + ", " + drawn(40))

    assert pair.kinds == ("aws-key-id", "aws-secret-key")


def test_a_private_key_cut_short_takes_the_rest_of_the_text_with_it() -> None:
    assert mask("before\n" + pem("EC ", ended=False) + "\nmore").text == "before\n[REDACTED:private-key]"


def test_a_label_in_place_of_a_value_does_not_hide_the_value_behind_it() -> None:
    assert mask("password token: " + drawn(20)).kinds == ("secret",)


def test_only_the_password_of_a_url_goes() -> None:
    masked = mask("ftp://bob:" + "tiger" + "@files.example.com/report.pdf")

    assert masked.text == "ftp://bob:[REDACTED:url-password]@files.example.com/report.pdf"


TALK_ABOUT_SECRETS = """
my password is wrong
I forgot my password again!
the password is stored in the safe
password reset
Please reset my password to something stronger.
The password is case-sensitive.
The password must contain 8 characters and 1 digit.
the password is 2048 bits long
a password is SHA256-hashed before it is saved
1Password is my password manager
my passwords are in 1Password
the password for Windows is wrong
password: required
password: 2FA!
password: ********
password: ab****yz
password=$DB_PASSWORD
password: ${PASS1}
password = os.environ["DB_PASS1"]
password = get_password(user1)
password: "<your-password-1>"
api_key=YOUR_API_KEY
api_key: your-api-key-1
api key management is on page 42
the api key is in settings.local
token: gpt-4o
max_tokens=4096
token: 128000
the token is expired
a token is about 4 characters
The secret is Omega3 and sleep.
the secret ingredient is vitamin B12
key: user_profile_v2
cache key: 9fceb02d0ae598e95dc970b74767f19372d61af8
the key is under the mat
my monkey: Bubbles2020
private key: /home/bob/.ssh/id_ed25519
the private key is 2048-bit RSA
access key: Alt+S
authorization: basic authentication is used here
Authorization needs two signatures.
the bearer of bad news
my pin is lost
GPIO pin is 13
pin the note at 1234 Main Street
boarding pass: CA1234
pass: 12/15 tests
pass: 1024, fail: 3
the seed phrase is something you should never write down in a chat and not in a mail
-----BEGIN CERTIFICATE-----
risk-assessment-framework2024
the sk-cube-grid-item-number-1 animation
hf_model_name_is_long_and_has_2
npm_config_registry
密码忘了
密码是什么？
密码又忘了，帮我想想
密码长度为8到16位
密码是 6 位数字
密码是2048位的
密码是2019年设的
密码用MD5加密
密码是AES-256加密的
密码 Windows10 登录不了
密码错误代码是0x80070005
密码提示是小狗的名字
密码本在抽屉里
密码不对，重试了3次
改密码要等24小时
口令是芝麻开门
密钥在保险柜里
密钥长度是2048
令牌过期了
他的生日就是密码
验证码没收到
身份证丢了，要补办
银行卡在妈妈那儿
""".strip().splitlines()

NUMBERS_THAT_ARE_NO_SECRET = """
550e8400-e29b-41d4-a716-446655440000
commit 9fceb02d0ae598e95dc970b74767f19372d61af8
sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
call me on 13812345678 or +86 138 1234 5678
(555) 010-9999 and 0755-1234-5678
手机号13800138000，座机010-12345678
order 4111111111111111
订单号：4012888888881881
快递单号 6222021234567890128
my card starts with 4111 1111 1111 1112
ISBN 978-7-111-12345-6
9787111123456
barcode 4901234567894
2024-05-01 12:30:55
2024050112305512
1700000000000
10.0.0.1:8080 and 192.168.1.1
http://localhost:8080/@foo
访问http://localhost:8080，联系bob@example.com
http://localhost:3000?mail=bob@example.com
git@github.com:foo/bar.git and ssh://git@github.com:22/foo
version 3.11.4-rc1, v1.2.3
0.4111111111111111
3.141592653589793238
numbers 36 12 05 33 21 08 14
110105194912310021
990105194912310021
status/4220315081820346526
110105199913310028
219-00-9999
data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk
tracking 1Z999AA10123456784
""".strip().splitlines()


@pytest.mark.parametrize("text", TALK_ABOUT_SECRETS + NUMBERS_THAT_ARE_NO_SECRET)
def test_talk_about_secrets_and_other_long_numbers_come_back_untouched(text: str) -> None:
    masked = mask(text)

    assert masked.text is text
    assert masked.kinds == ()


ENGLISH = (
    ("I", "My sister", "Our neighbour Tom", "The new manager", "Grandma", "Dr. Lee"),
    (
        " moved to Berlin in 2021",
        " is allergic to peanuts",
        " prefers tea, not coffee",
        " runs 5 km every Sunday",
        " works at a start-up (40 people)",
        " loves Bach's BWV 1007",
        " bought an iPhone 15 for $999",
        " has a meeting at 10:30, room B2",
    ),
    (" these days.", " since last year!", " - really?", " because of the kids; it's fine."),
)
CHINESE = (
    ("我", "我妹妹", "邻居老王", "新来的经理", "奶奶", "李医生"),
    (
        "去年搬到了上海",
        "对花生过敏",
        "喜欢喝茶，不喝咖啡",
        "每周日跑5公里",
        "在一家40人的公司上班",
        "爱听巴赫的BWV1007",
        "花8999元买了iPhone 15",
        "10:30在B2开会",
    ),
    ("。", "，真的！", "，因为孩子还小。", "（上次说过）。"),
)


def everyday_sentences() -> list[str]:
    return ["".join(parts) for parts in (*product(*ENGLISH), *product(*CHINESE))]


def numbers_and_hashes() -> list[str]:
    lines = []
    for count in range(100):
        seed = f"number {count}"
        digest = hashlib.sha256(seed.encode()).hexdigest()
        digits = str(int(digest, 16))
        lines += [
            f"commit {digest[:40]} fixed it",
            f"sha256:{digest}",
            f"{digest[:8]}-{digest[8:12]}-4{digest[12:15]}-a{digest[15:18]}-{digest[18:30]}",
            f"订单号{digits[:18]}已发货",
            f"order no. {digits[:16]}",
            f"我的电话是13{digits[:9]}，微信同号",
            f"Tel. +1 ({digits[:3]}) {digits[3:6]}-{digits[6:10]}",
            f"paid {digits[:3]}.{digits[3:5]} EUR on 2024-0{1 + count % 9}-1{count % 10}",
            f"built v{count}.{digits[0]}.{digits[1:3]} from {digest[:7]}",
            f"10.{count}.{int(digits[:2])}.1 answered in {digits[:3]} ms",
            f"data:image/png;base64,{drawn(200, MIXED + '+/', seed)}",
            f"https://example.com/a/{digest[:12]}?page={count}&sort=new",
        ]
    return lines


def test_of_more_than_a_thousand_ordinary_lines_none_is_taken_for_a_secret() -> None:
    lines = everyday_sentences() + numbers_and_hashes() + TALK_ABOUT_SECRETS + NUMBERS_THAT_ARE_NO_SECRET

    assert len(lines) >= 1_500
    assert [line for line in lines if mask(line).kinds] == []


def test_a_number_that_fails_its_check_digit_is_a_number() -> None:
    wrong = [VISA[:-1] + digit for digit in string.digits if digit != VISA[-1]]

    assert [number for number in wrong if mask(f"card {number}").kinds] == []


def test_a_mark_that_was_there_before_is_neither_counted_nor_changed() -> None:
    text = "my password is [REDACTED:password] and https://[REDACTED:github-token]@github.com"

    masked = mask(text)

    assert masked.text is text
    assert masked.kinds == ()


FRAGMENTS = st.sampled_from(
    [words.format(secret) for _, words, secret in SECRETS]
    + [secret for _, _, secret in SECRETS]
    + "password 密码 是 is : ： = & , ; ( ) [ ] * ' \" ` - _ / :// @ key token api_key my to for".split()
    + [
        "[REDACTED:x]",
        "[REDACTED:password]",
        " ",
        "\n",
        "Bearer ",
        "Authorization: ",
        " is my ",
        "a=",
        "９",
    ]
)


@given(st.lists(FRAGMENTS | st.text(max_size=8), max_size=8).map("".join))
def test_masking_what_was_masked_changes_nothing(text: str) -> None:
    once = mask(text)

    twice = mask(once.text)

    assert twice.text == once.text
    assert twice.kinds == ()


@given(st.text())
def test_a_text_without_secrets_is_the_very_same_string(text: str) -> None:
    masked = mask(text)

    assert masked.kinds or masked.text is text


HOSTILE = """
a|1|1 |4444 |4-|4111 1111 1111 1111 |622 |eyJ|eyJ-|eyJaaaaaaaa.|sk-|sk-a|ghp_|xoxb-|AKIA|hf_|SG.
aws |aws_secret |password for a b c |password |password is |password|password:|password='|password=.
password (a|pwd=,a|密码|密码是|密码我的|密码(|is my password |set |pin |cvv |pin for a b c |bearer a
aaaaaa is my password manager |change my a b password to |key |api key for a b c |secret: |key=|token=1
abandon |mnemonic abandon |authorization: |-----BEGIN |-----BEGIN PRIVATE KEY-----|-|219-09-
110105 19491231 0021 |１|密|!|=|'|@|.|{|[REDACTED:|://|a://|://a:|://a:b|a:b@
"""
UNITS = [unit for line in HOSTILE.strip().splitlines() for unit in line.split("|")]


@pytest.mark.parametrize("unit", UNITS)
def test_a_text_made_to_be_slow_is_masked_like_any_other(unit: str) -> None:
    text = unit * (100_000 // len(unit)) + "!"

    masked = mask(text)

    assert mask(masked.text) == Masked(masked.text, ())


def test_a_megabyte_is_masked_like_any_other_text() -> None:
    secret = "ghp" + "_" + drawn(36)
    text = "我的 key 和 password 都在保险柜里, tokens are not money. " * 20_000

    masked = mask(text + secret)

    assert masked == Masked(text + "[REDACTED:github-token]", ("github-token",))
