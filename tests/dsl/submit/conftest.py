"""The smallest world in which a submit file can be read."""

from collections.abc import Callable, Mapping

import pytest

from dsl.submit import Description, Mistake, Site, SubmitErrors, read


class InMemory:
    """Files by absolute path; a path that ends in `/` is a folder."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self.files = {path if path.startswith("/") else f"/here/{path}": text for path, text in files.items()}

    def _absolute(self, path: str) -> str:
        return path if path.startswith("/") else f"/here/{path}"

    def read_text(self, path: str) -> str:
        try:
            found = self.files[self._absolute(path)]
        except KeyError:
            raise FileNotFoundError(2, "No such file or directory", path) from None
        return found if isinstance(found, str) else found.decode()

    def exists(self, path: str) -> bool:
        return self._absolute(path) in self.files or self.is_dir(path)

    def is_dir(self, path: str) -> bool:
        return any(name.startswith(self._absolute(path).rstrip("/") + "/") for name in self.files)

    def glob(self, pattern: str) -> list[str]:
        import fnmatch

        names = (path.removeprefix("/here/") for path in self.files)
        return sorted(name for name in names if fnmatch.fnmatch(name, pattern))

    def run(self, command: str) -> tuple[str, int]:
        raise PermissionError(1, "no commands here")

    def standard_input(self) -> str:
        return "one\ntwo\n"

    def write_text(self, path: str, text: str) -> None:
        raise PermissionError(1, "nothing is written here")

    def members(self, path: str) -> list[str] | None:
        if not self.is_dir(path):
            return None
        folder = self._absolute(path).rstrip("/") + "/"
        return sorted(name.removeprefix(folder) for name in self.files if name.startswith(folder))


Reading = Callable[..., Description]


@pytest.fixture
def described() -> Reading:
    """Read a text as `job.pesc` (or `name`), beside `a.py`, `run.sh` and other `files`."""

    def read_it(text: str, name: str = "job.pesc", files: Mapping[str, str | bytes] | None = None,
                **more: object) -> Description:
        known = InMemory({"a.py": "", "run.sh": "#!/bin/sh\n", **(files or {})})
        site = Site(iwd="/here", user="ann", seed="7")
        return read(text, name=name, files=known, site=site, **more)  # type: ignore[arg-type]

    return read_it


@pytest.fixture
def mistakes(described: Reading) -> Callable[..., list[Mistake]]:
    """What is wrong with a text."""

    def of(text: str, **more: object) -> list[Mistake]:
        with pytest.raises(SubmitErrors) as caught:
            described(text, **more)
        return caught.value.mistakes

    return of
