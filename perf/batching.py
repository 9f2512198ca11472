"""Whether the batch size changes greedy answers: 1 against 32, in float32 and in bfloat16.

Every difference is traced to the first token that differs: the gap between the two likeliest next
tokens there, in float32 and unbatched. A gap below 1e-4 is a tie that rounding breaks.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from harness.data.base_model import EMBEDDED
from harness.generate import LoadedModel
from harness.generate.engines.by_name import token_ids
from harness.generate.load import load_model
from harness.pipeline.generation_spec import GenerationSpec
from harness.pipeline.model_form import ModelForm, PrecisionName

TIE = 1e-4


def answers(loaded: LoadedModel, prompts: list[list[int]], size: int, tokens: int) -> dict[int, list[int]]:
    """Greedy token ids by prompt."""
    found: dict[int, list[int]] = {}
    for batch in token_ids(loaded, prompts, GenerationSpec(max_new_tokens=tokens, batch_size=size)):
        found |= batch
    return found


def top_two_gap(exact: LoadedModel, prompt: list[int], before: list[int]) -> float:
    """Difference of the two largest log-probs of the next token."""
    import torch

    with torch.no_grad():
        logits = exact.model(torch.tensor([[*prompt, *before]]).to(exact.device)).logits[0, -1].float()
    first, second = torch.log_softmax(logits, dim=0).topk(2).values.tolist()
    return float(first - second)


def compare(
    loaded: LoadedModel, exact: LoadedModel, prompts: list[list[int]], sizes: tuple[int, int], tokens: int
) -> dict[str, Any]:
    """How many answers differ between two batch sizes, and the gaps at which they part."""
    one, many = (answers(loaded, prompts, size, tokens) for size in sizes)
    gaps = []
    for i, prompt in enumerate(prompts):
        if one[i] != many[i]:
            place = next(
                (k for k, (a, b) in enumerate(zip(one[i], many[i], strict=False)) if a != b),
                min(len(one[i]), len(many[i])),
            )
            gaps.append(top_two_gap(exact, prompt, one[i][:place]))
    return {
        "answers": len(prompts),
        "different": len(gaps),
        "rate": len(gaps) / len(prompts),
        "largest_gap": max(gaps, default=None),
        "not_ties": sum(gap >= TIE for gap in gaps),
    }


def embedded_prompts(tokenizer: Any, count: int) -> list[list[int]]:
    """Prompts of the embedded world, rendered to be answered."""
    from harness.data.embedded.world import pairs

    rows = pairs("test", count)
    texts = [
        tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True)
        for row in rows
    ]
    return [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]


def main() -> None:
    """Print one line a precision, then the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=EMBEDDED)
    parser.add_argument("--prompts", type=int, default=400)
    parser.add_argument("--tokens", type=int, default=32)
    arguments = parser.parse_args()
    found = {}
    precisions: tuple[PrecisionName, ...] = ("float32", "bfloat16")
    for precision in precisions:
        loaded, exact = (
            load_model(
                str(arguments.model), arguments.model, stop_token_ids=[], form=ModelForm(precision=name)
            )
            for name in (precision, "float32")
        )
        stops = [loaded.tokenizer.eos_token_id]
        loaded, exact = (
            LoadedModel(m.model, m.tokenizer, stops, m.device, m.path, m.tokenizer_path)
            for m in (loaded, exact)
        )
        prompts = embedded_prompts(loaded.tokenizer, arguments.prompts)
        found[precision] = compare(loaded, exact, prompts, (1, 32), arguments.tokens)
        one = found[precision]
        print(
            f"{precision}: {one['different']} of {one['answers']} answers differ between batch sizes 1 and "
            f"32 ({one['rate']:.2%}); largest top-2 gap {one['largest_gap']}, {one['not_ties']} above {TIE:g}"
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
