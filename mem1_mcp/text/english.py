"""English for the index: function words, irregular forms, stems."""

from __future__ import annotations

from functools import cache, lru_cache

FUNCTION_WORDS = frozenset(
    """
    a an the this that these those some any each every either neither both all such own same i
    me my mine myself you your yours yourself he him his himself she her hers herself it its
    itself we us our ours ourselves they them their theirs themselves one ones who whom whose
    which what when where why how am is are was were be been being do does did doing done have
    has had having will would shall should can could may might must ought and or but nor so
    yet if then else than because as until while of at by for with about against between into
    through during before after above below to from up down in out on off over under again
    further once here there not no only just very too also more most much many few less least
    don't doesn't didn't isn't aren't wasn't weren't haven't hasn't hadn't won't wouldn't
    can't couldn't shouldn't i'm i've i'd i'll you're you've you'd you'll he's she's it's
    we're we've we'd we'll they're they've they'd they'll that's there's what's who's where's
    how's let's did s t d ll m re ve get got oh ok okay yes yeah hey hi
    """.split()
)

# One line a lemma: the forms that stemming alone would keep apart.
_IRREGULAR = """
be:been go:went gone goes take:took taken see:saw seen give:gave given make:made come:came
know:knew known think:thought find:found tell:told say:said feel:felt leave:left keep:kept
buy:bought bring:brought teach:taught catch:caught fight:fought seek:sought sell:sold hold:held
meet:met run:ran sit:sat stand:stood win:won lose:lost pay:paid spend:spent send:sent build:built
lend:lent lead:led read:reads write:wrote written ride:rode ridden drive:drove driven speak:spoke
spoken break:broke broken choose:chose chosen wear:wore worn grow:grew grown throw:threw thrown
fly:flew flown draw:drew drawn sing:sang sung swim:swam swum begin:began begun drink:drank drunk
eat:ate eaten fall:fell fallen forget:forgot forgotten hide:hid hidden bite:bit bitten wake:woke
woken steal:stole stolen freeze:froze frozen hear:heard sleep:slept mean:meant learn:learnt
dream:dreamt hang:hung shoot:shot become:became understand:understood understood shake:shook shaken
show:shown lie:lain lay:laid feed:fed stick:stuck dig:dug rise:rose risen light:lit sweep:swept
deal:dealt tear:tore torn swear:swore sworn bear:bore born child:children man:men woman:women
person:people foot:feet tooth:teeth mouse:mice goose:geese life:lives wife:wives knife:knives
leaf:leaves half:halves shelf:shelves wolf:wolves loaf:loaves good:better best bad:worse worst
"""


@cache
def _lemmas() -> dict[str, str]:
    lemmas: dict[str, str] = {}
    lemma = ""
    for word in _IRREGULAR.split():
        head, colon, form = word.partition(":")
        lemma = head if colon else lemma
        lemmas[form if colon else head] = lemma
    return lemmas


@lru_cache(maxsize=1 << 16)
def stem(word: str) -> str:
    """Reduce a lower-case English word to the form that its inflections share."""
    # Importing the stemmer takes longer than a tool call; text without letters never needs it.
    from snowballstemmer.english_stemmer import EnglishStemmer

    word = _lemmas().get(word, word)
    return str(EnglishStemmer().stemWord(word))
