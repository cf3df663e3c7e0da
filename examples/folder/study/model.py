"""A population that grows by the same share every year."""


def growth(start: float, rate: float, years: int) -> float:
    return start * (1 + rate) ** years
