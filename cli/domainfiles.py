"""The domain that a submission asks for, with the files that its Dockerfile copies."""

from cli.pack import Packed, Unfit, pack_context
from contract.messages import Recipe
from contract.requests import DomainAsked
from dsl.submit.domain import Asked


def pack_domain(packed: Packed, asked: Asked) -> list[Unfit]:
    """Put it beside what travels; return what of it cannot."""
    if asked.name:
        packed.domain = DomainAsked(asked.name, None, asked.packages, asked.arguments)
        return []
    try:
        context = pack_context(packed, asked.folder, asked.sources) if asked.sources else None
    except Unfit as error:
        return [error]
    except OSError as error:
        return [Unfit(asked.folder, f"cannot read {error.filename}: {error.strerror or error}")]
    packed.domain = DomainAsked("", Recipe(asked.dockerfile, asked.arguments, context))
    return []
