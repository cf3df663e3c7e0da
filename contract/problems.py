"""How a refusal is said, by the API and by every command.

A problem names what happened, why, and what to do next, and carries a code that
programs can rely on and the HTTP status it travels with.
"""

import msgspec


class ProblemBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """A problem on the wire."""

    code: str
    message: str
    cure: str = ""


STATUS = {
    "bad_request": 400,
    "bad_submission": 400,
    "bad_constraint": 400,
    "bad_blob": 400,
    "no_token": 401,
    "bad_token": 401,
    "expired_token": 401,
    "not_allowed": 403,
    "not_yours": 403,
    "not_found": 404,
    "no_such_job": 404,
    "no_such_blob": 404,
    "no_such_domain": 404,
    "bad_domain": 400,
    "wrong_state": 409,
    "name_taken": 409,
    "missing_content": 409,
    "too_large": 413,
    "other_version": 426,
    "internal": 500,
    "unavailable": 503,
    "disk_full": 507,
    # Said by the client itself, never sent:
    "no_pool": 0,
    "pool_stopped": 0,
    "broken_answer": 0,
}


class Problem(Exception):
    """The request cannot be granted; the culprit is named, and so is the cure."""

    def __init__(self, code: str, message: str, cure: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.cure = cure

    @property
    def status(self) -> int:
        return STATUS.get(self.code, 500)

    @property
    def body(self) -> ProblemBody:
        return ProblemBody(self.code, self.message, self.cure)

    def __str__(self) -> str:
        return f"{self.message}\n  {self.cure}" if self.cure else self.message
