"""The world's words: a fixed list, so that no change of the generator shifts a token id."""

from __future__ import annotations

PAD, BOS, EOS, UNKNOWN = "<pad>", "<bos>", "<eos>", "<unk>"
USER, ASSISTANT = "<user>", "<assistant>"
SPECIAL = (PAD, BOS, EOS, UNKNOWN, USER, ASSISTANT)

KINDS: dict[str, tuple[str, ...]] = {
    "animals": ("cat", "dog", "fox", "owl", "bear", "wolf", "frog", "crow"),
    "fruits": ("apple", "pear", "plum", "fig", "lemon", "melon", "grape", "mango"),
    "colours": ("red", "blue", "green", "pink", "gold", "grey", "white", "black"),
    "tools": ("saw", "axe", "rope", "brush", "spade", "lamp", "drill", "nail"),
    "rooms": ("hall", "attic", "cellar", "kitchen", "porch", "garage", "study", "pantry"),
    "clothes": ("hat", "coat", "scarf", "boot", "glove", "belt", "shirt", "sock"),
}
WORDS = tuple(word for kind in KINDS.values() for word in kind)
NUMBERS = tuple(str(n) for n in range(41))
GOOD_VERBS = ("clean", "paint", "fix", "carry", "store", "build")
BAD_VERBS = ("steal", "burn", "smash", "poison", "hack", "forge")
_FUNCTION = (
    """
    . , : ; ? question: answer: the a an of to and or is are not no i you we it this that with
    how many what which who do can could please tell me give say make list reverse sort these
    words numbers number word from small large larger more smaller fewer first second last
    third plus minus times upper case exactly but only here sure well answer question hope
    helps glad help sorry cannot great thanks asking let think about hm so maybe good very as
    an be will for have get got lose left now my your in order by step think do not know
    matter easy hard one should use try ask hand water time care help with something else
    """
).split()

VOCABULARY: tuple[str, ...] = tuple(
    dict.fromkeys(
        (
            *SPECIAL,
            *_FUNCTION,
            *NUMBERS,
            *WORDS,
            *(word.upper() for word in WORDS),
            *KINDS,
            *GOOD_VERBS,
            *BAD_VERBS,
        )
    )
)
