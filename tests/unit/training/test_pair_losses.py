"""Losses of pairs beyond DPO and ORPO: gradients by finite differences, and what each is at its limits."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import logsigmoid

from harness.methods import Objective, PairLogProbs, SideLogProbs, about, load_method, log_odds
from harness.pipeline.training_spec import TrainConfig

RESPONSES = ([[1, 1, 1, 0], [0, 1, 1, 0]], [[0, 1, 0, 0], [1, 1, 1, 1]])
SETTINGS: dict[str, dict[str, Any]] = {
    "sft": {},
    "dpo": {"beta": 0.5},
    "ipo": {"beta": 0.5},
    "sigmoid_norm": {"beta": 2.0},
    "hinge": {"beta": 0.5},
    "robust": {"beta": 0.5, "label_smoothing": 0.2},
    "apo_zero": {"beta": 0.5},
    "dpop": {"beta": 0.5, "lambda": 5.0},
    "rdpo": {"beta": 0.5, "alpha": 0.1},
    "cpo": {"beta": 0.5, "alpha": 0.7},
    "cdpo": {"beta": 0.5, "label_smoothing": 0.2},
    "simpo": {"beta": 2.0, "gamma_beta_ratio": 0.5},
    "orpo": {"lambda": 0.7, "odds_ratio_beta": 2.0},
}


def sides(seed: int = 0) -> list[SideLogProbs]:
    """Chosen and rejected answers of two pairs, of unequal lengths, in float64."""
    chance = torch.Generator().manual_seed(seed)
    found = []
    for marks in RESPONSES:
        response = torch.tensor(marks, dtype=torch.bool)
        policy, frozen = (-torch.rand(2, 4, generator=chance, dtype=torch.float64) * 4 for _ in range(2))
        found.append(SideLogProbs(policy * response, response, response, frozen * response))
    return found


def scored(method: str, pair: list[SideLogProbs], **changes: Any) -> Objective:
    return load_method(method).objective(PairLogProbs(*pair), config_of(method, **changes))


def config_of(method: str, **changes: Any) -> TrainConfig:
    settings = {"learning_rate": 1e-3, **SETTINGS[method], **changes}
    return load_method(method).Config.model_validate(settings)


def preference(method: str, pair: list[SideLogProbs], **changes: Any) -> torch.Tensor:
    return scored(method, pair, **changes).per_pair["preference"]


def log_ratios(pair: list[SideLogProbs]) -> list[torch.Tensor]:
    return [side.sums() - side.reference_sums() for side in pair]


@pytest.mark.parametrize("method", sorted(SETTINGS.keys() - {"sft"}))
def test_gradients_are_those_of_finite_differences(method: str) -> None:
    chosen, rejected = sides()

    def loss(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        pair = [
            SideLogProbs(values * side.response, side.response, side.nll, side.reference)
            for values, side in ((a, chosen), (b, rejected))
        ]
        found = scored(method, pair)
        parts = [*found.per_pair.values(), *found.per_token.values()]
        return torch.stack([part.sum() for part in parts]).sum()

    leaves = [side.log_probs.clone().requires_grad_() for side in (chosen, rejected)]
    assert torch.autograd.gradcheck(loss, leaves)


def test_ipo_is_zero_where_mean_log_ratios_lie_as_far_apart_as_beta_says() -> None:
    chosen, rejected = sides()
    apart = (chosen.mean_log_ratios() - rejected.mean_log_ratios())[0]
    found = preference("ipo", [chosen, rejected], beta=float(1 / (2 * apart.abs())))
    assert float(found[0]) == pytest.approx(0.0 if apart > 0 else float((2 * apart) ** 2))


def test_sigmoid_norm_is_dpo_of_answers_with_one_token() -> None:
    pair = sides()
    one = [
        SideLogProbs(side.sums()[:, None], torch.ones_like(side.nll[:, :1]), side.nll[:, :1], frozen[:, None])
        for side, frozen in ((side, side.reference_sums()) for side in pair)
    ]
    assert torch.allclose(preference("sigmoid_norm", one, beta=0.5), preference("dpo", pair, beta=0.5))
    assert not torch.allclose(preference("sigmoid_norm", pair, beta=0.5), preference("dpo", pair, beta=0.5))


def test_hinge_leaves_pairs_alone_that_are_far_enough_apart() -> None:
    pair = sides()
    margin = log_ratios(pair)[0] - log_ratios(pair)[1]
    assert torch.allclose(preference("hinge", pair), (1 - 0.5 * margin).clamp(min=0))
    far = float(2 / margin.abs().min())
    assert (preference("hinge", pair, beta=far) == 0).tolist() == (margin > 0).tolist()


@pytest.mark.parametrize("flips", [0.0, 0.1, 0.4])
def test_robust_dpo_has_the_mean_of_clean_dpo_when_labels_flip(flips: float) -> None:
    """E over flips of the loss is DPO's on the true labels, whatever their share."""
    pair = sides()
    kept, flipped = (preference("robust", p, label_smoothing=flips) for p in (pair, pair[::-1]))
    assert torch.allclose((1 - flips) * kept + flips * flipped, preference("dpo", pair))


def test_apo_zero_by_hand() -> None:
    pair = sides()
    chosen, rejected = log_ratios(pair)
    expected = 1 - torch.sigmoid(0.5 * chosen) + torch.sigmoid(0.5 * rejected)
    assert torch.allclose(preference("apo_zero", pair), expected)


def test_dpo_positive_adds_nothing_where_the_chosen_answer_rose() -> None:
    pair = sides()
    chosen, rejected = log_ratios(pair)
    assert torch.allclose(preference("dpop", pair, **{"lambda": 0.0}), preference("dpo", pair))
    expected = -logsigmoid(0.5 * (chosen - rejected - 5.0 * (-chosen).clamp(min=0)))
    assert torch.allclose(preference("dpop", pair), expected)
    rose = chosen > 0
    assert 0 < int(rose.sum()) < len(rose)
    assert torch.equal(preference("dpop", pair)[rose], preference("dpo", pair)[rose])


def test_r_dpo_asks_more_of_longer_answers() -> None:
    pair = sides()
    assert torch.allclose(preference("rdpo", pair, alpha=0.0), preference("dpo", pair))
    longer = pair[0].tokens() > pair[1].tokens()
    assert torch.equal(preference("rdpo", pair) > preference("dpo", pair), longer)


def test_cpo_without_its_nll_is_dpo_with_a_uniform_reference() -> None:
    pair = sides()
    even = [SideLogProbs(s.log_probs, s.response, s.nll, torch.zeros_like(s.log_probs)) for s in pair]
    assert torch.allclose(preference("cpo", pair), preference("dpo", even))
    nll = scored("cpo", pair).per_token["nll"]
    assert torch.allclose(nll, -0.7 * pair[0].log_probs)


def test_conservative_dpo_is_least_where_the_margin_says_how_many_labels_are_wrong() -> None:
    pair = sides()
    assert torch.allclose(preference("cdpo", pair, label_smoothing=0.0), preference("dpo", pair))
    kept, flipped = preference("dpo", pair), preference("dpo", pair[::-1])
    assert torch.allclose(preference("cdpo", pair), 0.8 * kept + 0.2 * flipped)


def test_simpo_by_hand() -> None:
    pair = sides()
    margin = pair[0].means() - pair[1].means()
    assert torch.allclose(preference("simpo", pair), -logsigmoid(2.0 * (margin - 0.5)))
    one_token = preference("simpo", pair, gamma_beta_ratio=0.0, beta=0.5)
    assert not torch.allclose(one_token, preference("cpo", pair)), "means, not sums"


def test_orpo_scales_the_log_odds_ratio_and_leaves_the_nll_out() -> None:
    pair = sides()
    ratio = log_odds(pair[0].means(), pair[1].means())
    found = scored("orpo", pair, nll_scope="none")
    assert torch.allclose(found.per_pair["odds_ratio"], -0.7 * logsigmoid(2.0 * ratio))
    assert not found.per_token
    plain = scored("orpo", pair, odds_ratio_beta=1.0)
    assert torch.allclose(plain.per_pair["odds_ratio"], -0.7 * logsigmoid(ratio))
    assert torch.equal(plain.per_token["nll"], scored("sft", pair).per_token["nll"])


def test_orpo_without_its_odds_ratio_reads_no_rejected_answer() -> None:
    pair = sides()
    alone = load_method("orpo").objective(PairLogProbs(pair[0]), config_of("orpo", **{"lambda": 0.0}))
    assert not alone.per_pair
    assert torch.equal(alone.per_token["nll"], scored("sft", pair).per_token["nll"])


@pytest.mark.parametrize(
    ("method", "changes", "data", "reference"),
    [
        ("orpo", {}, "pairs", False),
        ("orpo", {"lambda": 0.0}, "chosen", False),
        ("orpo", {"lambda": 0.0, "implementation": "trl", "odds_ratio_beta": 1.0}, "pairs", False),
        ("dpo", {}, "pairs", True),
        ("dpo", {"reference": "none"}, "pairs", False),
    ],
)
def test_settings_decide_what_a_method_reads(
    method: str, changes: dict[str, Any], data: str, reference: bool
) -> None:
    said = about(load_method(method), config_of(method, **changes))
    assert (said.data, said.reference) == (data, reference)
    assert said.sequences_per_pair == (1 if data == "chosen" else 2)


@pytest.mark.parametrize(
    ("method", "changes", "says"),
    [
        ("robust", {"label_smoothing": 0.5}, "less than 0.5"),
        ("dpop", {"lambda": -1.0}, "greater than or equal to 0"),
        ("ipo", {"beta": 0.0}, "greater than 0"),
        ("orpo", {"lambda": -0.1}, "greater than or equal to 0"),
        ("orpo", {"lambda": 0.0, "nll_scope": "none"}, "leaves no loss"),
        ("orpo", {"implementation": "trl", "nll_scope": "none"}, "leave nll_scope out"),
        ("orpo", {"implementation": "trl", "odds_ratio_beta": 2.0}, "leave odds_ratio_beta out"),
        ("ipo", {"implementation": "trl", "reference": "none"}, "always scores a reference"),
    ],
)
def test_settings_that_mean_nothing_are_refused(method: str, changes: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        scored(method, sides(), **changes)
