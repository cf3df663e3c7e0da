#!/bin/bash
# env.sh CMD [ARG...]: run CMD as an ordinary user for whom rootless Podman really works.
#
#   * not root, and it works                   -> CMD is run, nothing special
#   * root, and it works for the test user     -> CMD is run as that user
#   * root, and it does not (no systemd, cgroups of version 1 or "hybrid" ones, /dev/net/tun closed
#     to users, no /run/user ...)              -> the same in private mount, pid and cgroup namespaces
#     with a pure tree of cgroups v2; no mount of the machine itself changes, and what CMD leaves
#     running ends with it
#
# Settings (environment):
#   ROOTLESS_USER      test user, made if missing                       [podtest]
#   ROOTLESS_APT       0: never install packages                        [1]
#   ROOTLESS_STORAGE   disk: images stay in the user's home for the next call;
#                      tmpfs or tmpfs:SIZE: they live in memory         [disk]
#   ROOTLESS_EXPOSE    folders below a closed home (the superuser's, say) that CMD must be able
#                      to read, such as a Python installation           []
#   ROOTLESS_PASS      names of variables handed on to CMD, beside the usual ones  []
#   ROOTLESS_FORCE     1: use the private namespaces without trying     [0]
#   ROOTLESS_VERBOSE   1: say what is done                              [0]
# Exit status: CMD's; 125 when there is no working environment to be had.
set -euo pipefail

me=$(readlink -f "${BASH_SOURCE[0]}")
user=${ROOTLESS_USER:-podtest}
say() { if [ "${ROOTLESS_VERBOSE:-0}" = 1 ]; then echo "rootless-env: $*" >&2; fi; }
die() { echo "rootless-env: $*" >&2; exit 125; }
[ $# -gt 0 ] || die "usage: ${me##*/} CMD [ARG...]"

# ---- does rootless Podman work for whoever runs this? (a real container, no image) ----
# 0: yes; 10: yes, but limits are ignored (cgroups not delegated); else no
probe() {
    local bb dir rc=0
    command -v podman >/dev/null || { echo "podman is missing"; return 1; }
    bb=$(command -v busybox) || { echo "busybox is missing"; return 1; }
    dir=$(mktemp -d) || return 1
    mkdir "$dir/bin" && cp "$bb" "$dir/bin/busybox"
    timeout 60 podman run --rm --network=none --rootfs "$dir" /bin/busybox true 2>&1 || rc=$?
    if [ $rc = 0 ] && grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null &&
       [ "$(timeout 60 podman run --rm --network=none --memory 64m --rootfs "$dir" \
            /bin/busybox cat /sys/fs/cgroup/memory.max 2>/dev/null)" != 67108864 ]; then
        echo "limits are ignored: no delegated cgroup"; rc=10
    fi
    podman unshare rm -rf "$dir" 2>/dev/null || rm -rf "$dir"
    return $rc
}

# ---- the environment of CMD (and of the probe) ----
as_user() {   # as_user CMD...: become the test user, for good
    local uid gid home keep=() name
    uid=$(id -u "$user"); gid=$(id -g "$user"); home=$(getent passwd "$user" | cut -d: -f6)
    for name in LANG LC_ALL TERM TZ CI PATH ${ROOTLESS_PASS:-} \
        $(compgen -e | grep -Ei '^(pip_|uv_|python|.*_proxy$|ssl_cert_|requests_ca_bundle|curl_ca_bundle|pytest_|rootless_)' || true); do
        if [ -n "${!name+x}" ]; then keep+=("$name=${!name}"); fi
    done
    setpriv --reuid "$uid" --regid "$gid" --clear-groups test -x "$PWD" || cd "$home"
    exec setpriv --reuid "$uid" --regid "$gid" --init-groups --inh-caps=-all ${pdeath:-} \
        env -i "${keep[@]}" HOME="$home" USER="$user" LOGNAME="$user" SHELL=/bin/bash \
        XDG_RUNTIME_DIR="/run/user/$uid" "$@"
}

case $1 in
--rootless-probe) probe; exit ;;
--rootless-cgroup)                      # second stage: leave the group that is our new root free
    shift
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    echo 0 >/sys/fs/cgroup/init/cgroup.procs
    exec unshare --pid --fork --kill-child --mount-proc "$me" --rootless-inside "$@"
    ;;
--rootless-inside)                      # third stage: in all the private namespaces, still root
    shift
    uid=$(id -u "$user"); gid=$(id -g "$user"); home=$(getent passwd "$user" | cut -d: -f6)
    mount --make-rshared /
    # runtime directory and shared memory (Podman's locks) are as empty as after a boot
    install -d -m 700 -o "$uid" -g "$gid" "/run/user/$uid"
    mount -t tmpfs -o "mode=700,uid=$uid,gid=$gid,nosuid,nodev" tmpfs "/run/user/$uid"
    mount -t tmpfs -o mode=1777,nosuid,nodev tmpfs /dev/shm
    case ${ROOTLESS_STORAGE:-disk} in tmpfs*)
        size=${ROOTLESS_STORAGE#tmpfs}; size=${size#:}
        install -d -o "$uid" -g "$gid" "$home/.local" "$home/.local/share" "$home/.local/share/containers"
        mount -t tmpfs -o "mode=700,uid=$uid,gid=$gid${size:+,size=$size}" tmpfs "$home/.local/share/containers" ;;
    esac
    # devices that udev opens to everybody on a usual machine
    if ! setpriv --reuid "$uid" --regid "$gid" --clear-groups test -w /dev/net/tun ||
       ! setpriv --reuid "$uid" --regid "$gid" --clear-groups test -w /dev/fuse; then
        dev=$(mktemp -d); mount -t tmpfs -o mode=755 tmpfs "$dev"
        mknod -m 666 "$dev/tun" c 10 200; mknod -m 666 "$dev/fuse" c 10 229
        for node in net/tun fuse; do
            if [ -e "/dev/$node" ]; then mount --bind "$dev/${node##*/}" "/dev/$node"; fi
        done
        umount -l "$dev"; rmdir "$dev"
    fi
    # directories below a closed home
    for path in ${ROOTLESS_EXPOSE:-}; do
        [ -d "$path" ] || die "ROOTLESS_EXPOSE: no directory $path"
        top=/$(cut -d/ -f2 <<<"$path")
        hold=$(mktemp -d); mount --rbind "$path" "$hold"
        if ! mountpoint -q "$top"; then mount -t tmpfs -o mode=755 tmpfs "$top"; fi
        mkdir -p "$path"; mount --move "$hold" "$path" 2>/dev/null || mount --rbind "$hold" "$path"
        rmdir "$hold" 2>/dev/null || true
    done
    # PID 1 of the namespace: an init that reaps; CMD is its child
    init=$(command -v catatonit || command -v tini || true)
    pdeath="--pdeathsig KILL"
    as_user ${init:+"$init" --} "$@"
    ;;
esac

# ---- 1. an ordinary user: nothing special ----
if [ "$(id -u)" != 0 ]; then
    rc=0; why=$(probe) || rc=$?
    case $rc in
    0)  say "rootless Podman works for $(id -un)"; exec "$@" ;;
    10) echo "rootless-env: $why" >&2; exec "$@" ;;
    *)  die "rootless Podman does not work for $(id -un), and only root can help: $why" ;;
    esac
fi

# ---- 2. root: packages, user, sub-ids, configuration (each only if missing) ----
want=()
for pair in podman:podman crun:crun newuidmap:uidmap slirp4netns:slirp4netns \
            pasta:passt catatonit:catatonit busybox:busybox-static setpriv:util-linux; do
    command -v "${pair%%:*}" >/dev/null || [ -x "/usr/libexec/podman/${pair%%:*}" ] || want+=("${pair##*:}")
done
if [ ${#want[@]} -gt 0 ] && [ "${ROOTLESS_APT:-1}" = 1 ] && command -v apt-get >/dev/null; then
    say "installing ${want[*]}"
    fetch() {
        apt-get -qq update && DEBIAN_FRONTEND=noninteractive \
            apt-get -qq install -y --no-install-recommends -o Acquire::Retries=3 "${want[@]}" >/dev/null
    }
    fetch || { sleep 5; fetch; } || { sleep 20; fetch; } ||
        die "apt-get could not install ${want[*]}"
fi
command -v podman >/dev/null || die "podman is missing"
id -u "$user" >/dev/null 2>&1 || { say "making user $user"; useradd --create-home --shell /bin/bash "$user"; }
uid=$(id -u "$user"); home=$(getent passwd "$user" | cut -d: -f6)
for f in /etc/subuid /etc/subgid; do
    if ! grep -q "^$user:" "$f" 2>/dev/null; then     # the first free range above all others
        start=$(awk -F: 'BEGIN{m=100000} $2+$3>m{m=$2+$3} END{print m}' "$f" 2>/dev/null || echo 100000)
        echo "$user:$start:65536" >>"$f"
    fi
done
conf=$home/.config/containers
[ -d "$conf" ] || install -d -o "$user" "$home/.config" "$conf"
put() { [ -e "$1" ] || { cat >"$1"; chown "$user" "$1"; }; }
put "$conf/storage.conf" <<END         # without it Debian 12 uses vfs: ten times slower
[storage]
driver = "overlay"
runroot = "/run/user/$uid/containers"
graphroot = "$home/.local/share/containers/storage"
END
put "$conf/containers.conf" <<END      # no systemd, no journal
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "crun"
[containers]
log_driver = "k8s-file"
END
[ -e /etc/containers/policy.json ] || put "$conf/policy.json" <<END
{"default": [{"type": "insecureAcceptAnything"}]}
END
exec 9>"$home/.rootless-env.lock"      # one call at a time per user and storage
flock 9

# ---- 3. does it work as the machine is? (never on cgroup-v1 or hybrid mounts) ----
why="cgroup v1 or hybrid mounts"
if [ "${ROOTLESS_FORCE:-0}" = 1 ]; then why="not tried"
elif [ "$(stat -f -c %T /sys/fs/cgroup)" = cgroup2fs ]; then
    if [ -d /run/systemd/system ]; then loginctl enable-linger "$user" 2>/dev/null && sleep 1 || true; fi
    why="no runtime directory"
    if [ -d "/run/user/$uid" ]; then
        had=$(cat "/run/user/$uid/libpod/tmp/pause.pid" 2>/dev/null || true)
        if why=$(as_user "$me" --rootless-probe); then
            say "works for $user as the machine is"
            exec 9>&-
            as_user "$@"
        fi
        if [ -z "$had" ]; then (as_user podman system migrate) >/dev/null 2>&1 || true; fi
    fi
fi
say "does not work as the machine is: $why"

# ---- 4. private namespaces ----
say "using private namespaces"
export ROOTLESS_GROUP=pesc-rootless-$user-$$
setpriv --pdeathsig KILL unshare --mount --propagation private bash -c '
    set -e
    awk '\''$2 ~ "^/sys/fs/cgroup(/|$)" {print $2}'\'' /proc/self/mounts | tac |
        while read -r m; do umount "$m"; done
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
    g=/sys/fs/cgroup/$ROOTLESS_GROUP
    for old in "/sys/fs/cgroup/pesc-rootless-$1-"*; do          # left by a call that was killed
        if [ -d "$old" ]; then find "$old" -depth -type d -exec rmdir {} + 2>/dev/null || true; fi
    done
    mkdir "$g" "$g/init"
    for c in $(cat /sys/fs/cgroup/cgroup.controllers); do
        echo "+$c" >/sys/fs/cgroup/cgroup.subtree_control || true
    done 2>/dev/null
    for f in . cgroup.procs cgroup.subtree_control cgroup.threads; do chown "$1" "$g/$f" "$g/init/$f"; done
    echo 0 >"$g/cgroup.procs"
    umount /sys/fs/cgroup
    exec unshare --cgroup "$2" --rootless-cgroup "${@:3}"
' bash "$user" "$me" "$@" <&0 9>&- &
child=$! rc=0
trap 'kill -KILL $child 2>/dev/null || true' TERM INT HUP
wait $child || rc=$?
trap - TERM INT HUP
wait $child 2>/dev/null || true
unshare --mount --propagation private bash -c '
    mount -t cgroup2 cgroup2 /mnt && find "/mnt/$ROOTLESS_GROUP" -depth -type d -exec rmdir {} +' 2>/dev/null || true
exit $rc
