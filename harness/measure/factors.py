"""CO2 and money from measured seconds and joules, by factors that the user gives."""

from __future__ import annotations

from dataclasses import dataclass

JOULES_PER_KWH = 3_600_000.0
SECONDS_PER_HOUR = 3600.0


@dataclass(frozen=True)
class Factors:
    """None is assumed: what is not given is not reported. `pue` multiplies the device's energy."""

    price_per_device_hour: float | None = None
    price_per_kwh: float | None = None
    currency: str | None = None
    grams_co2_per_kwh: float | None = None
    pue: float | None = None


Figure = tuple[float | None, str | None]


def co2_grams(joules: float | None, why_not: str | None, factors: Factors) -> Figure:
    """Grams of CO2 of `joules`, or None with the reason."""
    if factors.grams_co2_per_kwh is None:
        return None, "factors.grams_co2_per_kwh is not given"
    if joules is None:
        return None, f"energy: {why_not or 'not measured'}"
    return joules / JOULES_PER_KWH * (factors.pue or 1.0) * factors.grams_co2_per_kwh, None


def money(seconds: float | None, joules: float | None, why_not: str | None, factors: Factors) -> Figure:
    """The price of device hours, of energy, or of both, in `factors.currency`; or the reason."""
    hourly, per_kwh = factors.price_per_device_hour, factors.price_per_kwh
    if hourly is None and per_kwh is None:
        return None, "factors.price_per_device_hour and factors.price_per_kwh are not given"
    total = 0.0
    if hourly is not None:
        if seconds is None:
            return None, "time: not measured"
        total += seconds / SECONDS_PER_HOUR * hourly
    if per_kwh is not None:
        if joules is None:
            return None, f"energy: {why_not or 'not measured'}"
        total += joules / JOULES_PER_KWH * (factors.pue or 1.0) * per_kwh
    return total, None
