'''The headers, one for each language.

Every one gives the same variables, reads the environment (and, for parameters, the command
line), and has a default for each, so that the file runs on a laptop as it is. Those of
INJECTED have one whole statement on each line: they are put into a program as one line.
'''

VERSION = 1
BEGIN = f">>> PESC header {VERSION}: what PESC tells this program; without PESC the defaults hold"
END = f"<<< PESC header {VERSION}"

VARIABLES = ("rank", "world_size", "repetitions", "parameters", "output_dir", "checkpoint_dir", "app_dir",
             "master_addr", "master_port", "row")

INJECTED = ("python", "r", "julia", "octave", "shell")
"""Languages whose programs travel as text."""

ALIASES = {"py": "python", "jl": "julia", "m": "octave", "matlab": "octave", "sh": "shell", "bash": "shell",
           "c++": "cpp", "f90": "fortran", "rs": "rust"}

_COMMENT = {"java": "//", "c": "//", "cpp": "//", "rust": "//", "fortran": "!"}

_PYTHON = """
import json as _json, os as _os, sys as _sys
_told = _json.load(open(_os.environ["PESC_JOB"])) if "PESC_JOB" in _os.environ else {}
rank = int(_os.environ.get("PESC_RANK", 0))
world_size = int(_os.environ.get("PESC_WORLD_SIZE", 1))
repetitions = int(_os.environ.get("PESC_REPETITIONS", 1))
parameters = _told.get("parameters", _sys.argv[1:])
output_dir = _os.environ.get("PESC_OUTPUT_DIR", ".")
checkpoint_dir = _os.environ.get("PESC_CHECKPOINT_DIR", ".")
app_dir = _os.environ.get("PESC_APP_DIR", _os.path.dirname(_os.path.abspath(__file__)))
master_addr = _os.environ.get("PESC_MASTER_ADDR", "127.0.0.1")
master_port = int(_os.environ.get("PESC_MASTER_PORT", 0))
row = _told.get("row", _json.loads(_os.environ.get("PESC_ROW", "{}")))
"""

_R = """
.told <- function(name, without) { text <- Sys.getenv(paste0("PESC_", name)); if (text == "") without else text }
rank <- as.integer(.told("RANK", 0))
world_size <- as.integer(.told("WORLD_SIZE", 1))
repetitions <- as.integer(.told("REPETITIONS", 1))
parameters <- commandArgs(trailingOnly = TRUE)
.before <- if (.told("JOB", "") == "") 0 else match("--parameters", parameters, length(parameters))
parameters <- parameters[seq_along(parameters) > .before]
output_dir <- .told("OUTPUT_DIR", ".")
checkpoint_dir <- .told("CHECKPOINT_DIR", ".")
app_dir <- .told("APP_DIR", ".")
master_addr <- .told("MASTER_ADDR", "127.0.0.1")
master_port <- as.integer(.told("MASTER_PORT", 0))
row <- .told("ROW", "")
"""

_JULIA = """
rank = parse(Int, get(ENV, "PESC_RANK", "0"))
world_size = parse(Int, get(ENV, "PESC_WORLD_SIZE", "1"))
repetitions = parse(Int, get(ENV, "PESC_REPETITIONS", "1"))
told_before = haskey(ENV, "PESC_JOB") ? something(findfirst(==("--parameters"), ARGS), length(ARGS)) : 0
parameters = ARGS[told_before+1:end]
output_dir = get(ENV, "PESC_OUTPUT_DIR", ".")
checkpoint_dir = get(ENV, "PESC_CHECKPOINT_DIR", ".")
app_dir = get(ENV, "PESC_APP_DIR", @__DIR__)
master_addr = get(ENV, "PESC_MASTER_ADDR", "127.0.0.1")
master_port = parse(Int, get(ENV, "PESC_MASTER_PORT", "0"))
row = get(ENV, "PESC_ROW", "")
"""

_OCTAVE = """
told_ = @(name, without) merge (isempty (getenv (["PESC_" name])), without, getenv (["PESC_" name]));
rank = str2double (told_ ("RANK", "0"));
world_size = str2double (told_ ("WORLD_SIZE", "1"));
repetitions = str2double (told_ ("REPETITIONS", "1"));
parameters = argv ();
told_before_ = [find(strcmp (parameters, "--parameters")', 1), numel(parameters)](1) * ! isempty (told_ ("JOB", ""));
parameters = parameters(told_before_ + 1 : end);
output_dir = told_ ("OUTPUT_DIR", ".");
checkpoint_dir = told_ ("CHECKPOINT_DIR", ".");
app_dir = told_ ("APP_DIR", ".");
master_addr = told_ ("MASTER_ADDR", "127.0.0.1");
master_port = str2double (told_ ("MASTER_PORT", "0"));
row = told_ ("ROW", "");
"""

_SHELL = """
rank=${PESC_RANK:-0}
world_size=${PESC_WORLD_SIZE:-1}
repetitions=${PESC_REPETITIONS:-1}
if [ -n "${PESC_JOB:-}" ]; then while [ $# -gt 0 ] && [ "$1" != --parameters ]; do shift; done; fi
if [ "${1:-}" = --parameters ]; then shift; fi
parameters=$*
output_dir=${PESC_OUTPUT_DIR:-.}
checkpoint_dir=${PESC_CHECKPOINT_DIR:-.}
app_dir=${PESC_APP_DIR:-.}
master_addr=${PESC_MASTER_ADDR:-127.0.0.1}
master_port=${PESC_MASTER_PORT:-0}
row=${PESC_ROW:-}
"""

_JAVA = """
// Inside a class; parameters are pesc.parameters(args).
static final class pesc {
    static String told(String name, String without) {
        String text = System.getenv("PESC_" + name);
        return text == null ? without : text;
    }
    static final int rank = Integer.parseInt(told("RANK", "0"));
    static final int world_size = Integer.parseInt(told("WORLD_SIZE", "1"));
    static final int repetitions = Integer.parseInt(told("REPETITIONS", "1"));
    static final String output_dir = told("OUTPUT_DIR", ".");
    static final String checkpoint_dir = told("CHECKPOINT_DIR", ".");
    static final String app_dir = told("APP_DIR", ".");
    static final String master_addr = told("MASTER_ADDR", "127.0.0.1");
    static final int master_port = Integer.parseInt(told("MASTER_PORT", "0"));
    static final String row = told("ROW", "");
    static String[] parameters(String[] args) {
        if (System.getenv("PESC_JOB") == null) return args;
        int at = java.util.Arrays.asList(args).indexOf("--parameters");
        return at < 0 ? new String[0] : java.util.Arrays.copyOfRange(args, at + 1, args.length);
    }
}
"""

_C = """
// First in main: pesc_read(argc, argv); then pesc.rank, pesc.output_dir …
#include <stdlib.h>
#include <string.h>
static struct {
    int rank, world_size, repetitions, master_port, parameter_count;
    const char *output_dir, *checkpoint_dir, *app_dir, *master_addr, *row;
    char **parameters;
} pesc;
static const char *pesc_told(const char *name, const char *without) {
    const char *text = getenv(name);
    return text ? text : without;
}
static void pesc_read(int argc, char **argv) {
    int at = 1;
    if (getenv("PESC_JOB")) {
        while (at < argc && strcmp(argv[at], "--parameters")) at++;
        if (at < argc) at++;
    }
    pesc.parameters = argv + at;
    pesc.parameter_count = argc - at;
    pesc.rank = atoi(pesc_told("PESC_RANK", "0"));
    pesc.world_size = atoi(pesc_told("PESC_WORLD_SIZE", "1"));
    pesc.repetitions = atoi(pesc_told("PESC_REPETITIONS", "1"));
    pesc.output_dir = pesc_told("PESC_OUTPUT_DIR", ".");
    pesc.checkpoint_dir = pesc_told("PESC_CHECKPOINT_DIR", ".");
    pesc.app_dir = pesc_told("PESC_APP_DIR", ".");
    pesc.master_addr = pesc_told("PESC_MASTER_ADDR", "127.0.0.1");
    pesc.master_port = atoi(pesc_told("PESC_MASTER_PORT", "0"));
    pesc.row = pesc_told("PESC_ROW", "");
}
"""

_FORTRAN = """
! A module of its own, before the program: use pesc; call pesc_read(); then rank, output_dir …
module pesc
    implicit none
    integer :: rank, world_size, repetitions, master_port
    character(len=4096) :: output_dir, checkpoint_dir, app_dir, master_addr, parameters, row
contains
    subroutine pesc_read()
        rank = number("PESC_RANK", 0)
        world_size = number("PESC_WORLD_SIZE", 1)
        repetitions = number("PESC_REPETITIONS", 1)
        master_port = number("PESC_MASTER_PORT", 0)
        output_dir = text("PESC_OUTPUT_DIR", ".")
        checkpoint_dir = text("PESC_CHECKPOINT_DIR", ".")
        app_dir = text("PESC_APP_DIR", ".")
        master_addr = text("PESC_MASTER_ADDR", "127.0.0.1")
        parameters = text("PESC_PARAMETERS", "")
        row = text("PESC_ROW", "")
    end subroutine
    function text(name, without)
        character(len=*), intent(in) :: name, without
        character(len=4096) :: text
        integer :: status
        call get_environment_variable(name, text, status=status)
        if (status == 1) text = without
    end function
    function number(name, without)
        character(len=*), intent(in) :: name
        integer, intent(in) :: without
        integer :: number, status
        character(len=4096) :: said
        said = text(name, "")
        read (said, *, iostat=status) number
        if (status /= 0) number = without
    end function
end module
"""

_RUST = """
#[allow(dead_code)]
mod pesc {
    fn told(name: &str, without: &str) -> String {
        std::env::var(format!("PESC_{name}")).unwrap_or(without.to_string())
    }
    fn number(name: &str, without: &str) -> usize {
        told(name, without).parse().expect(name)
    }
    pub fn rank() -> usize { number("RANK", "0") }
    pub fn world_size() -> usize { number("WORLD_SIZE", "1") }
    pub fn repetitions() -> usize { number("REPETITIONS", "1") }
    pub fn output_dir() -> String { told("OUTPUT_DIR", ".") }
    pub fn checkpoint_dir() -> String { told("CHECKPOINT_DIR", ".") }
    pub fn app_dir() -> String { told("APP_DIR", ".") }
    pub fn master_addr() -> String { told("MASTER_ADDR", "127.0.0.1") }
    pub fn master_port() -> usize { number("MASTER_PORT", "0") }
    pub fn row() -> String { told("ROW", "") }
    pub fn parameters() -> Vec<String> {
        let words = std::env::args().skip(1);
        match std::env::var("PESC_JOB") {
            Ok(_) => words.skip_while(|word| word != "--parameters").skip(1).collect(),
            Err(_) => words.collect(),
        }
    }
}
"""

HEADERS = {"python": _PYTHON, "r": _R, "julia": _JULIA, "octave": _OCTAVE, "shell": _SHELL, "java": _JAVA, "c": _C,
           "cpp": _C, "fortran": _FORTRAN, "rust": _RUST}


def header(language: str) -> str:
    """The header of a language, to be pasted at the top of a program."""
    comment = _COMMENT.get(language, "#")
    return f"{comment} {BEGIN}\n{HEADERS[language].strip()}\n{comment} {END}\n"


def one_line(language: str) -> str:
    """The header of an injected language as one line of statements."""
    statements = HEADERS[language].strip().split("\n")
    return " ".join(statement if statement.endswith(";") else f"{statement};"
                    for statement in statements).removesuffix(";")
