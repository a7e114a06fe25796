"""Talk of a user and an assistant, in Chinese and English, that is about none of the pictures."""

from __future__ import annotations

import random
from collections.abc import Iterator

_FRIENDS = "Anna Tom Sofia Karl Mei Jorge Ruth Emeka Lena Paul".split()
_FRIENDS_ZH = "小李 老王 阿强 晓敏 大伟 玲玲 表姐 二叔 同桌 邻居".split()
_PLACES = ["the library", "the gym", "the harbour", "our old school", "the bakery", "the dentist's", "work"]
_PLACES_ZH = "图书馆 健身房 菜市场 公司 操场 书店 理发店 博物馆 河边".split()
_THINGS = [
    "a guitar",
    "a second-hand desk",
    "new curtains",
    "a rice cooker",
    "running shoes",
    "a tent",
    "a kettle",
]
_THINGS_ZH = "吉他 书桌 窗帘 电饭煲 跑鞋 帐篷 水壶 加湿器 台灯 耳机".split()
_TOPICS = [
    "verb tenses",
    "compound interest",
    "SQL joins",
    "black holes",
    "the French Revolution",
    "knitting",
]
_TOPICS_ZH = "概率论 文言文 正则表达式 黑洞 明朝历史 复利 围棋定式 标点符号".split()
_DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
_DAYS_ZH = "周一 周二 周三 周四 周五 周六 周日 明天 后天 下个月".split()
_MOODS = ["tired", "relieved", "a bit worried", "really happy", "bored", "proud", "confused"]
_MOODS_ZH = "有点累 很开心 松了口气 有些担心 挺无聊 特别感动 一头雾水".split()

_SAID = (
    "{friend} and I went to {place} on {day}, and I came back {mood}.",
    "Can you explain {topic} again? I have a test on {day}.",
    "I'm thinking of buying {thing}, is it worth the money?",
    "Sure, here is a short summary of {topic} with three examples to practise.",
    "Remind me to call {friend} before {day}, I keep forgetting.",
    "{friend} gave me {thing} for my birthday, I was {mood}.",
    "The train was late again, so I walked to {place} with {friend}.",
    "Let's plan {day}: first {place}, then dinner with {friend} if there is time.",
    "I slept badly and feel {mood}; maybe I should go to bed earlier.",
    "You could ask {friend} about {topic}, they studied it for two years.",
    "My sister is moving house on {day} and needs help with {thing}.",
    "I started reading about {topic} because {friend} would not stop talking about it.",
    "Write a friendly message to {friend}: I can't make it to {place} on {day}.",
    "The new colleague asked where {place} is; I drew a little map for her.",
)
_SAID_ZH = (
    "{day}和{friend}去了{place}，回来的路上{mood}。",
    "再给我讲讲{topic}吧，{day}要考试。",
    "我想买个{thing}，你觉得值不值？",
    "好的，{topic}可以分三步来理解，先从最简单的例子开始。",
    "提醒我{day}之前给{friend}回个电话，我老忘。",
    "{friend}送了我一个{thing}当生日礼物，{mood}。",
    "早上堵车，我干脆走路去{place}，还碰到了{friend}。",
    "{day}这样安排：先去{place}，晚上和{friend}吃饭。",
    "昨晚没睡好，今天{mood}，想早点休息。",
    "你可以问问{friend}，他对{topic}很有研究。",
    "妹妹{day}搬家，让我帮忙把{thing}拿过去。",
    "最近迷上了{topic}，都是{friend}带的头。",
    "帮我给{friend}写条消息，就说{day}去不了{place}了。",
    "新来的同事问{place}怎么走，我给她指了路。",
)


def messages(count: int, seed: int = 7) -> Iterator[str]:
    """Yield so many things that were said, turn about in English and in Chinese."""
    chance = random.Random(seed)
    slots = {
        "friend": (_FRIENDS, _FRIENDS_ZH),
        "place": (_PLACES, _PLACES_ZH),
        "thing": (_THINGS, _THINGS_ZH),
        "topic": (_TOPICS, _TOPICS_ZH),
        "day": (_DAYS, _DAYS_ZH),
        "mood": (_MOODS, _MOODS_ZH),
    }
    for number in range(count):
        language = number % 2
        filled = {name: chance.choice(words[language]) for name, words in slots.items()}
        yield chance.choice((_SAID, _SAID_ZH)[language]).format(**filled)
