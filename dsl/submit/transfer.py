"""The files of a job: its streams, what travels with it, what comes back and when."""

import posixpath
import re

from dsl.submit.expressions import quote, string_list
from dsl.submit.given import Given, Wrong
from dsl.submit.mistakes import shown
from dsl.submit.values import Attributes, file_list, truth, without_quotes, working_folder

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
WHETHER = {"yes": "YES", "true": "YES", "no": "NO", "false": "NO", "if_needed": "IF_NEEDED"}
WHEN = ("ON_EXIT", "ON_EXIT_OR_EVICT", "ON_SUCCESS")
_STREAMS = (("input", "In"), ("output", "Out"), ("error", "Err"))


def log(given: Given) -> Attributes:
    path = given.text("log")
    return {"UserLog": quote(posixpath.normpath(posixpath.join(working_folder(given), path)))} if path else {}


def stream(given: Given, command: str) -> Attributes:
    """input, output or error: a file, or nothing."""
    attribute = dict(_STREAMS)[command]
    path = given.text(command)
    if path is None or path == "/dev/null":
        return {attribute: '"/dev/null"', f"Transfer{attribute}": "false"}
    made = {attribute: quote(path), f"Stream{attribute}": "true" if truth(given, f"stream_{command}") else "false"}
    if not truth(given, f"transfer_{command}", True):
        made |= {f"Transfer{attribute}": "false"}
    return made


def standard_input(given: Given) -> Attributes:
    return stream(given, "input")


def standard_output(given: Given) -> Attributes:
    return stream(given, "output")


def standard_error(given: Given) -> Attributes:
    return stream(given, "error")


def whether_and_when(given: Given) -> Attributes:
    """should_transfer_files and when_to_transfer_output, which must not contradict each other."""
    whether, when = whether_files_travel(given), _when(given)
    if when == "ON_EXIT_OR_EVICT" and not given.text("should_transfer_files"):
        whether = "YES"
    if whether == "NO":
        for command in ("when_to_transfer_output", "transfer_input_files", "transfer_output_files"):
            if given.text(command) and not (command == "when_to_transfer_output" and when == ""):
                raise Wrong(command, f"{command} is given, and should_transfer_files is NO", "No files travel then.",
                            "Take one of the two lines out.")
        return {"ShouldTransferFiles": '"NO"'}
    if whether == "IF_NEEDED" and when == "ON_EXIT_OR_EVICT":
        raise Wrong("when_to_transfer_output", "ON_EXIT_OR_EVICT needs should_transfer_files = YES",
                    "With IF_NEEDED a job that left one machine might not find its files on the next.",
                    "Write: should_transfer_files = YES")
    return {"ShouldTransferFiles": quote(whether), "WhenToTransferOutput": quote(when or "ON_EXIT")}


def whether_files_travel(given: Given) -> str:
    text = without_quotes(given.text("should_transfer_files") or "IF_NEEDED")
    if text.lower() not in WHETHER:
        raise Wrong("should_transfer_files", f"{shown(text)!r} does not say whether files travel",
                    "It is YES, NO or IF_NEEDED.", "Write: should_transfer_files = YES")
    return WHETHER[text.lower()]


def _when(given: Given) -> str:
    text = without_quotes(given.text("when_to_transfer_output") or "").upper()
    if text in ("", "NEVER"):
        return ""
    if text not in WHEN:
        raise Wrong("when_to_transfer_output", f"{shown(text)!r} does not say when outputs come back",
                    f"It is one of {', '.join(WHEN)}.", "Write: when_to_transfer_output = ON_EXIT")
    return text


def transfer_input_files(given: Given) -> Attributes:
    files = file_list(given.text("transfer_input_files"))
    image = _travelling_image(given)
    if image and image not in files:
        files = [*files, image]
    return {"TransferInput": quote(",".join(files))} if files else {}


def plugins(given: Given) -> Attributes:
    """The kinds of addresses that files come from or go to."""
    methods = address_kinds(given)
    return {"WantTransferPluginMethods": quote(",".join(methods))} if methods else {}


def address_kinds(given: Given) -> list[str]:
    texts = [*file_list(given.text("transfer_input_files")), given.text("output_destination") or ""]
    kinds = [found[1].lower() for text in texts if (found := _ADDRESS.match(text))]
    return list(dict.fromkeys(kinds))


def is_address(text: str) -> bool:
    return bool(_ADDRESS.match(text))


def transfer_output_files(given: Given) -> Attributes:
    text = given.text("transfer_output_files")
    if text is None:
        return {}
    files = file_list(text)
    for file in files:
        if posixpath.isabs(file) or ".." in file.split("/"):
            raise Wrong("transfer_output_files", f"{shown(file)} is outside the folder in which the job runs",
                        "Only files below it come back.", "Name files relative to the job's working folder.")
    return {"TransferOutput": quote(",".join(files))}


def shared_files(given: Given) -> Attributes:
    files = file_list(given.text("shared_files"))
    folder = working_folder(given)
    paths = [posixpath.normpath(posixpath.join(folder, file)) for file in files]
    return {"PescSharedFiles": string_list(paths)} if paths else {}


def executable_travels(given: Given) -> bool:
    """Anything but a clear no means yes, as in HTCondor."""
    return (given.text("transfer_executable") or "true").strip('"').lower() not in ("false", "f", "no", "n", "0")


# --- containers -----------------------------------------------------------------------


def container(given: Given) -> Attributes:
    """The image that a job runs in, and which kind of image it is."""
    from dsl.submit.policy import universe_of

    docker, image = given.text("docker_image"), given.text("container_image")
    universe = universe_of(given)
    if docker and image:
        raise Wrong("container_image", "both docker_image and container_image are given", "", "Keep one of them.")
    if universe == "docker" and not docker:
        raise Wrong("universe", "a docker job needs a docker_image", "", "Write, say: docker_image = debian:12")
    if universe == "container" and not docker and not image:
        raise Wrong("universe", "a container job needs a container_image or a docker_image", "",
                    "Write, say: container_image = docker://debian:12")
    if docker:
        docker = docker.removeprefix("docker://")
        return {"DockerImage": quote(docker)} | (
            {"WantDocker": "true"} if universe == "docker" else {"WantContainer": "true", "WantDockerImage": "true"})
    if not image:
        return {}
    made = {"ContainerImage": quote(image), "WantContainer": "true", image_kind(image): "true"}
    travels = truth(given, "transfer_container", True)
    if not travels:
        made |= {"TransferContainer": "false", "ContainerImageSource": '"local"'}
    elif found := _ADDRESS.match(image):
        made["ContainerImageSource"] = quote(found[1].lower())
    elif image.startswith("/cvmfs/"):
        made["ContainerImageSource"] = '"local"'
    else:
        made |= {"ContainerImageSource": '"cedar"', "ContainerImageFullPath": quote(image)}
    return made


def image_kind(image: str) -> str:
    """The attribute that says what kind of image it is."""
    if image.startswith("docker://"):
        return "WantDockerImage"
    return "WantSIF" if image.lower().endswith(".sif") else "WantSandboxImage"


def wants_container(given: Given) -> bool:
    return bool(given.text("docker_image") or given.text("container_image"))


def _travelling_image(given: Given) -> str | None:
    """The image that is a file of the submitter's."""
    image = given.text("container_image")
    if not image or is_address(image) or image.startswith("/cvmfs/") or not truth(given, "transfer_container", True):
        return None
    return image
