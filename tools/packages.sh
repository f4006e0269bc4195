# Debian packages by purpose, and how to get those that are missing. Sourced by quickstart and check.

build_packages="g++ meson ninja-build pkg-config libboost1.81-dev libslirp-dev libglib2.0-dev libseccomp-dev nlohmann-json3-dev
  libssl-dev libcurl4-openssl-dev libzstd-dev libisal-dev zlib1g-dev liblzma-dev libbz2-dev libmnl-dev libnftables-dev libfmt-dev
  libsdbus-c++-dev libsystemd-dev libnghttp2-dev"
test_build_packages="libgtest-dev libgmock-dev"
run_packages="uidmap fuse-overlayfs busybox-static libcurl4 libnghttp2-14 ca-certificates"
test_packages="clang-format python3 python3-pytest python3-pytest-xdist git iproute2 nftables
  openssh-client curl docker-registry skopeo attr dbus libcap2-bin procps apache2-utils python3-yaml python3-docker docker-compose redis-server crun runc"
# For the clients of tests/clients that are npm packages.
node_packages="nodejs npm"
# To make the image of Debian that tests/clients runs servers of, and what is in it.
image_tools="mmdebstrap uidmap"
image_packages="postgresql nginx-light redis-server mariadb-server-core mariadb-client-core python3-psycopg2 python3-flask gunicorn util-linux procps"
# The virtual machine of tests/vm: to make and run it, and what is inside.
vm_packages="qemu-system-x86 mmdebstrap e2fsprogs uidmap"
vm_image_packages="systemd systemd-sysv dbus dbus-user-session libpam-systemd uidmap fuse-overlayfs busybox-static iproute2 procps kmod sudo
  python3-minimal python3-pytest ca-certificates attr libcap2-bin util-linux-extra
  libslirp0 libsdbus-c++1 libsystemd0 libnftables1 libcurl4 libglib2.0-0 libisal2 libzstd1 libseccomp2 libmnl0 libssl3 libjansson4"

# Debian 12's default Boost is too old; later releases have newer ones only, other names for some libraries, and a clang-format
# that lays out differently (tests/style/format.sh).
if [ "$(. /etc/os-release && echo "${VERSION_ID:-}")" != 12 ]; then
    build_packages=${build_packages/libboost1.81-dev/libboost-dev}
    run_packages=${run_packages/libcurl4/libcurl4t64}
    test_packages=${test_packages/clang-format /}
    vm_image_packages=$(sed -E 's/libsdbus-c\+\+1/libsdbus-c++2/; s/\b(libcurl4|libglib2\.0-0|libssl3)\b/\1t64/g' <<<"$vm_image_packages")
fi

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else echo "$0: '$*' needs root and there is no sudo: run it as root, then run $0 again" >&2; return 1; fi
}

# need_packages NAME...: installs those that are missing; nothing is started, nothing is asked.
need_packages() {
    local missing=() name
    for name in "$@"; do
        [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$name" 2>/dev/null)" = "ii " ] || missing+=("$name")
    done
    [ ${#missing[@]} = 0 ] && return 0
    echo "installing: ${missing[*]}"
    as_root env DEBIAN_FRONTEND=noninteractive sh -c 'apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@" >/dev/null' sh "${missing[@]}"
}

# need_services_off: packages that bring a system service (docker-registry) must not start it here.
without_services() {
    local policy=/usr/sbin/policy-rc.d made=
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null && as_root chmod 755 "$policy" && made=1
    fi
    "$@"; local status=$?
    [ -n "$made" ] && as_root rm -f "$policy"
    return $status
}

# docker_cli DIR: the path of a docker client: the machine's own, else Debian's program unpacked into DIR
# (Debian 12 ships it only inside docker.io, whose root daemon nobody asked for).
docker_cli() {
    if command -v docker >/dev/null; then command -v docker; return; fi
    if [ ! -x "$1/usr/bin/docker" ]; then
        mkdir -p "$1"
        local package=docker.io
        apt-cache show docker-cli >/dev/null 2>&1 && package=docker-cli
        (cd "$1" && apt-get download -qq "$package" >&2 && dpkg-deb -x ./"$package"_*.deb . && rm -f ./*.deb) || return 1
    fi
    echo "$1/usr/bin/docker"
}

# plain_user NAME: makes an unprivileged user with subordinate ids where there is none. Needs root.
plain_user() {
    if ! id "$1" >/dev/null 2>&1; then
        echo "making the unprivileged user '$1'"
        useradd --create-home --shell /bin/bash "$1"
    fi
    local file range
    for file in subuid subgid; do
        grep -q "^$1:" "/etc/$file" 2>/dev/null && continue
        touch "/etc/$file"
        # After the highest range that is taken.
        range=$(awk -F: 'BEGIN {next_id = 100000} {end = $2 + $3; if (end > next_id) next_id = end} END {print next_id}' "/etc/$file")
        echo "$1:$range:65536" >> "/etc/$file"
    done
}

# devices_for_users: what udev does on an ordinary machine.
devices_for_users() {
    local device
    for device in /dev/net/tun /dev/fuse; do
        if [ -c "$device" ] && ! [ "$(stat -c %a "$device")" = 666 ]; then as_root chmod 666 "$device" || true; fi
    done
}
