#!/usr/bin/env bash
# A Debian that boots with its own systemd, D-Bus, polkit and journal in a container, for
# the tests of the packages.
#
#   package-lab.sh check
#       exit with 77 and the reason if this machine cannot run one
#   package-lab.sh base FILE
#       a tar file of Debian as small as apt and systemd allow, with the lists of apt and
#       with the packages that lwm2md asks for in apt's cache, so that apt needs no network
#   package-lab.sh inside COMMAND [ARGS...]
#       run COMMAND where containers can run: with mounts, control groups, a time since
#       boot and a network of its own, in which there is the loopback interface alone
#   package-lab.sh root BASE ROOT
#       unpack a system into the directory ROOT
#   package-lab.sh boot ROOT CONSOLE
#       run the system of ROOT until standard input ends, over restarts of it; what it
#       prints goes to the file CONSOLE. It shares the network of `inside`.
#   package-lab.sh exec ROOT COMMAND [ARGS...]
#       run a command of root in the running system
#   package-lab.sh leader ROOT
#       its first process, as this machine counts: what is below /proc/PROCESS/root is
#       what the system sees
#
# It works where the host has no systemd and where /sys/fs/cgroup is of version 1. The
# controllers that are bound there are missing then: MemoryMax= has no effect.
set -euo pipefail

skip() { echo "package-lab: skip: $*" >&2; exit 77; }

check() {
	local t
	for t in mmdebstrap systemd-nspawn unshare nsenter pgrep ip python3 rpm rpmlint; do
		command -v $t >/dev/null || skip "no $t"
	done
	[[ $(id -u) == 0 ]] || skip "a container needs root"
	unshare --mount --net --time --fork --propagation private true 2>/dev/null || skip "no namespaces"
}

PACKAGES=systemd,systemd-sysv,dbus,tzdata
# What apt has to find for lwm2md and for what it recommends, and services that it asks.
CACHED=(libsqlite3-0 libssl3 polkitd gpsd network-manager modemmanager rauc rauc-service squashfs-tools)

base() { # FILE
	[[ ! -f $1 || ${BASH_SOURCE[0]} -nt $1 ]] || return 0
	echo "package-lab: fetching Debian" >&2
	# shellcheck disable=SC2016
	DEBIAN_FRONTEND=noninteractive mmdebstrap --quiet --variant=minbase --include=$PACKAGES \
		--skip=cleanup/apt/lists,cleanup/apt/cache \
		--customize-hook='rm -f "$1"/var/cache/apt/archives/*.deb' \
		--customize-hook="APT_CONFIG=\$MMDEBSTRAP_APT_CONFIG apt-get --yes --no-install-recommends --download-only install ${CACHED[*]}" \
		bookworm "$1.new.tar"
	mv "$1.new.tar" "$1"
}

inside() { # COMMAND...
	if [[ ${PACKAGE_LAB_INSIDE:-} != 1 ]]; then
		# Here a boot is minutes old, as that of a device after an update, and not as old as
		# this machine's.
		local up
		up=$(cut -d. -f1 /proc/uptime)
		PACKAGE_LAB_INSIDE=1 exec unshare --mount --net --time --boottime="-$up" --fork --kill-child \
			--propagation private -- "${BASH_SOURCE[0]}" inside "$@"
	fi
	ip link set lo up
	umount -R /sys/fs/cgroup 2>/dev/null || umount -Rl /sys/fs/cgroup 2>/dev/null || true
	mount -t cgroup2 none /sys/fs/cgroup
	local group=/sys/fs/cgroup/package-lab.$$ before=/sys/fs/cgroup code=0
	mkdir "$group"
	echo $$ >"$group/cgroup.procs"
	"$@" || code=$?
	echo $$ >"$before/cgroup.procs"
	find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || true
	return "$code"
}

root() { # BASE ROOT
	mkdir -p "$2"
	tar -xf "$1" -C "$2" --exclude='./dev/*'
	# The first boot makes another one.
	: >"$2/etc/machine-id"
	rm -f "$2/var/lib/dbus/machine-id"
	# The host's.
	rm -f "$2/etc/resolv.conf" "$2/etc/hostname"
}

boot() { # ROOT CONSOLE
	mkdir -p /run/systemd/nspawn
	# Ends with the caller, who holds the other end of standard input.
	local root=$1 console=$2 loop tries
	(
		code=133
		# The code of a system that wants to start again.
		while [[ $code == 133 ]]; do
			code=0
			# The services that manage the network get the right to.
			systemd-nspawn --directory="$root" --machine="lab$$" --boot --register=no --keep-unit \
				--capability=CAP_NET_ADMIN --suppress-sync=yes --quiet --console=pipe </dev/null >>"$console" 2>&1 &
			echo $! >"$root.nspawn"
			wait $! || code=$?
		done
	) &
	loop=$!
	cat >/dev/null || true
	kill "$(cat "$root.nspawn")" 2>/dev/null || true
	# A system that does not stop is killed: nobody waits for ever.
	for ((tries = 0; tries < 150; tries++)); do
		kill -0 "$(cat "$root.nspawn")" 2>/dev/null || break
		sleep 0.2
	done
	kill -KILL "$(cat "$root.nspawn")" 2>/dev/null || true
	wait $loop || true
}

# The first process of the running system.
leader() { # ROOT
	local child
	for child in $(pgrep -P "$(cat "$1.nspawn")"); do
		if [[ $(cat "/proc/$child/comm") == systemd ]]; then
			echo "$child"
			return
		fi
	done
	echo "package-lab: $1 does not run" >&2
	return 1
}

run() { # ROOT COMMAND...
	local process
	process=$(leader "$1")
	shift
	exec nsenter --target "$process" --all env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 "$@"
}

command=${1:-}
shift || true
case $command:$# in
check:0) check ;;
base:1) base "$1" ;;
inside:[1-9]*) inside "$@" ;;
root:2) root "$@" ;;
boot:2) boot "$@" ;;
exec:[2-9] | exec:[1-9]?*) run "$@" ;;
leader:1) leader "$@" ;;
*) sed -n '2,/^set -euo/p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//'; exit 2 ;;
esac
