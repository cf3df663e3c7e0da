#!/bin/bash
# test.sh PYTHON [PYTEST-ARG...]: the tests that need containers, as an ordinary user (see env.sh).
#
# Where rootless Podman cannot be had they are left out with one line; with PESC_STRICT=1 that is a failure.
set -euo pipefail
python=$1; shift
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
cd "$here/../.."

leave_out() {
    echo "The container tests are left out: $1"
    [ "${PESC_STRICT:-0}" != 1 ] || { echo "PESC_STRICT=1 forbids that." >&2; exit 1; }
    exit 0
}

if [ "$(id -u)" != 0 ] && ! command -v podman >/dev/null; then
    leave_out "Podman is not on this machine (apt-get install podman crun catatonit uidmap busybox-static)."
fi

status=0
"$here/run.sh" "$python" -m pytest -p no:cacheprovider -n 2 -k podman "$@" tests/startd/runtime tests/rootless || status=$?
[ "$status" != 125 ] || leave_out "there is no rootless Podman to be had here (why: above)."
exit "$status"
