"""Data that no comparison can be made of is refused, with the reason."""

from __future__ import annotations

from harness.data.schemas import Pair
from harness.data.tokenise import ROOM, TOO_LONG, Tokenised
from harness.errors import UserError


def check_raw(pairs: list[Pair], source: str, split: str) -> None:
    """Raise UserError for an empty set, or one that prefers nothing."""
    if not pairs:
        raise UserError(f"has no {split} pairs", where=source, remedy="give a data set with pairs")
    if all(pair.chosen == pair.rejected for pair in pairs):
        raise UserError(
            f"chosen equals rejected in all {len(pairs)} {split} pairs",
            where=source,
            remedy="check which columns hold the preferred and the other answer",
        )


def check_tokenised(
    tokenised: Tokenised, source: str, *, max_length: int, unknown_token_limit: float
) -> None:
    """Raise UserError where nothing is left, or where the tokenizer does not know the words."""
    share = tokenised.unknown_tokens / tokenised.tokens if tokenised.tokens else 0.0
    if share > unknown_token_limit:
        raise UserError(
            f"{share:.1%} of the tokens are unknown to the tokenizer (limit {unknown_token_limit:.0%})",
            where=source,
            remedy="use a model whose tokenizer covers this text, or raise data.unknown_token_limit",
        )
    if tokenised.kept:
        return
    if tokenised.dropped.keys() == {TOO_LONG}:
        raise UserError(
            f"no prompt leaves {ROOM} tokens of data.max_length {max_length} to its answers "
            f"(the shortest has {tokenised.shortest_prompt})",
            where=source,
            remedy=f"set data.max_length well above {tokenised.shortest_prompt}",
        )
    reasons = ", ".join(f"{count} with {reason}" for reason, count in tokenised.dropped.items())
    raise UserError(
        f"has nothing to train on ({reasons or 'no rows'})",
        where=source,
        remedy="give a data set whose answers have text and differ",
    )
