"""The arithmetic that the preference losses share, in float32."""

from __future__ import annotations

import torch


def log1mexp(x: torch.Tensor) -> torch.Tensor:
    """log(1 - exp(x)) for x <= 0 in float32, finite at 0 (Maechler 2012, eq. 7)."""
    x = x.float().clamp(max=-1e-6)
    near = x > -0.6931472
    safe_near = torch.where(near, x, torch.full_like(x, -0.5))
    safe_far = torch.where(near, torch.full_like(x, -1.0), x)
    return torch.where(near, torch.log(-torch.expm1(safe_near)), torch.log1p(-torch.exp(safe_far)))


def log_odds(mean_chosen: torch.Tensor, mean_rejected: torch.Tensor) -> torch.Tensor:
    """log of the odds ratio, from mean log-probs per token (Hong et al. 2024, eq. 4 and 7)."""
    difference = mean_chosen.float() - mean_rejected.float()
    return difference - (log1mexp(mean_chosen) - log1mexp(mean_rejected))


def sequence_means(log_probs: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Mean log-prob per scored token: (batch, length) -> (batch,)."""
    mask = mask.to(log_probs.dtype)
    return (log_probs * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1)
