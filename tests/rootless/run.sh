#!/bin/bash
# run.sh PYTHON ARG...: run a Python of this tree as an ordinary user with rootless Podman (see env.sh),
# also where the tree or the interpreter lies below a folder that is closed to others.
set -euo pipefail
python=$1; shift
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
case $python in /*) ;; *) python=$PWD/$python ;; esac

expose=()
for folder in "$PWD" "$(dirname "$(dirname "$python")")" "$("$python" -c 'import sys; print(sys.base_prefix)')"; do
    part=$folder
    while [ "$part" != / ]; do
        if [ $((0$(stat -c %a "$part") & 1)) = 0 ]; then expose+=("$folder"); break; fi
        part=$(dirname "$part")
    done
done

export CONTAINERS=1 PYTHONDONTWRITEBYTECODE=1
export ROOTLESS_PASS="CONTAINERS PESC_STRICT ${ROOTLESS_PASS:-}" ROOTLESS_EXPOSE="${expose[*]} ${ROOTLESS_EXPOSE:-}"
exec "$here/env.sh" "$python" "$@"
