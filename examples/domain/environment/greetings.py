"""A module that only this domain has."""


def greet(name: str) -> str:
    return f"GREETING, {name}."
