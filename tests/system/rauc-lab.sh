#!/usr/bin/env bash
# A throw-away RAUC laboratory for tests.
#
# Starts, in one private directory, a D-Bus "system" bus, two file-backed root
# slots (A and B), a custom boot loader made of a few text files, and a real
# `rauc service` on that bus. Nothing outside the directory is touched, apart from
# loop devices, and a mount below the directory while a bundle is open (RAUC does
# that itself, so run as root).
#
#   rauc-lab.sh check
#       exit with 77 and the reason if this machine cannot run a laboratory
#   rauc-lab.sh bundles DIR
#       make certificates and a set of bundles in DIR, for any number of
#       laboratories. Needs no root.
#   rauc-lab.sh device DIR BUNDLES
#       make slots, boot loader and DIR/etc/system.conf, for a `rauc service` of
#       the caller's own
#   rauc-lab.sh run [--dir DIR] [--keep] [--bundles DIR] [-- COMMAND ARGS...]
#       start everything, run COMMAND with the variables below set, tear all of
#       it down again, exit with COMMAND's status. Without a COMMAND: write
#       DIR/env, print its path and wait for SIGTERM, SIGINT or the end of
#       standard input. Without --bundles they are made first (5 s).
#   rauc-lab.sh ctl DIR reboot      pretend to reboot: choose a slot as a boot
#                                   loader with try counters would, then start
#                                   `rauc service` again as if booted from it
#   rauc-lab.sh ctl DIR crash-boot  the same, but the chosen slot is left
#                                   unconfirmed and boots again until its tries
#                                   are gone, so the other slot wins (rollback)
#   rauc-lab.sh ctl DIR kill        kill the service (as if it had crashed)
#   rauc-lab.sh ctl DIR start       start it again in the current slot
#   rauc-lab.sh ctl DIR state       show the boot loader's variables
#
# Variables given to COMMAND (and written to DIR/env):
#   DBUS_SYSTEM_BUS_ADDRESS  the private bus: zbus, gdbus, busctl, rauc use it
#   RAUC_LAB_DIR             the private directory
#   RAUC_LAB_BUNDLES         the directory with the bundles
#   RAUC_LAB_VERITY          1 if device-mapper is there, so that verity bundles
#                            can be installed; else 0 (then only `plain` works)
# Files: slots/{a,b}.img, boot/*, log/*. After the request of the boot loader that a file
# run/die-after names (set-state, get-state...) the service is killed. An installation of held-plain.raucb waits
# in its install-check hook until there is a file run/release.
#
# Settings: LAB_COMPATIBLE, LAB_SLOT_MB (16), LAB_IMAGE_MB (8), LAB_LARGE_MB (96),
#   LAB_TRIES (3), LAB_SLOTS=loop to put the slots on loop devices (real block
#   devices with a fixed size: only then does toobig-*.raucb fail, a plain file
#   just grows), RAUC (path of the rauc program), LAB_DEBUG=1 for its debug log.
set -euo pipefail

SELF=$(readlink -f "${BASH_SOURCE[0]}")
RAUC=${RAUC:-rauc}
LAB_COMPATIBLE=${LAB_COMPATIBLE:-lab-board}
LAB_SLOT_MB=${LAB_SLOT_MB:-16}
LAB_IMAGE_MB=${LAB_IMAGE_MB:-8}
LAB_LARGE_MB=${LAB_LARGE_MB:-96}
LAB_TRIES=${LAB_TRIES:-3}
LAB_SLOTS=${LAB_SLOTS:-file}

say() { printf 'rauc-lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
skip() { say "skip: $*"; exit 77; }

check() {
	local t
	for t in "$RAUC" openssl mksquashfs dbus-daemon gdbus losetup; do
		command -v "$t" >/dev/null || skip "no $t"
	done
	[[ $(id -u) == 0 ]] || skip "RAUC must be root to mount a bundle"
	[[ -e /dev/loop-control ]] || skip "no loop devices"
	# There may be the file and yet no right to use one, as in many containers. A shell of
	# its own tries it, which leaves nothing behind when the check is interrupted.
	(
		loop='' file=$(mktemp "${TMPDIR:-/tmp}/rauc-lab.XXXXXX")
		trap '[[ -z $loop ]] || losetup --detach "$loop"; rm -f "$file"' EXIT
		truncate -s 1M "$file"
		loop=$(losetup --find --show "$file" 2>/dev/null)
	) || skip "no loop device can be set up"
	grep -qw squashfs /proc/filesystems || modprobe squashfs 2>/dev/null || skip "no squashfs in the kernel"
}

make_pki() { # DIR NAME: a root CA and one signing certificate below it
	local d=$1 n=$2
	mkdir -p "$d"
	cat >"$d/openssl.cnf" <<-CNF
		[req]
		distinguished_name = dn
		prompt = no
		[dn]
		O = $n
		[ca]
		basicConstraints = critical,CA:TRUE
		keyUsage = critical,keyCertSign,cRLSign
		subjectKeyIdentifier = hash
		[signer]
		basicConstraints = CA:FALSE
		keyUsage = critical,digitalSignature
		extendedKeyUsage = critical,emailProtection
		subjectKeyIdentifier = hash
		authorityKeyIdentifier = keyid
	CNF
	openssl req -new -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-config "$d/openssl.cnf" -extensions ca -subj "/O=$n/CN=$n CA" -days 3650 \
		-keyout "$d/ca.key.pem" -out "$d/ca.cert.pem" 2>/dev/null
	openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
		-config "$d/openssl.cnf" -subj "/O=$n/CN=$n signer" \
		-keyout "$d/signer.key.pem" -out "$d/signer.csr" 2>/dev/null
	openssl x509 -req -in "$d/signer.csr" -CA "$d/ca.cert.pem" -CAkey "$d/ca.key.pem" \
		-CAcreateserial -days 3650 -extfile "$d/openssl.cnf" -extensions signer \
		-out "$d/signer.cert.pem" 2>/dev/null
}

make_image() { # FILE VERSION MIB: a recognisable raw image, mostly incompressible
	local f=$1 v=$2 mb=$3
	{
		printf 'LAB-IMAGE version=%s\n' "$v"
		openssl enc -aes-128-ctr -pass "pass:$v" -pbkdf2 -nosalt -in /dev/zero 2>/dev/null | head -c $((mb * 1048576))
	} 2>/dev/null | head -c $((mb * 1048576)) >"$f" || true
	[[ $(stat -c %s "$f") == $((mb * 1048576)) ]] || die "cannot make $f"
}

bundle() { # DIR NAME PKI FORMAT COMPATIBLE VERSION IMAGE [HOOK-SCRIPT]
	local dir=$1 out=$1/$2.raucb pki=$3 format=$4 compatible=$5 version=$6 image=$7 hook=${8:-}
	local c=$dir/tmp/content
	rm -rf "$c" "$out"
	mkdir -p "$c"
	ln "$dir/tmp/$image.img" "$c/rootfs.img"
	{
		printf '[update]\ncompatible=%s\nversion=%s\ndescription=lab bundle\nbuild=%s\n' \
			"$compatible" "$version" "lab-$version"
		printf '\n[bundle]\nformat=%s\n\n[image.rootfs]\nfilename=rootfs.img\n' "$format"
		[[ -z $hook ]] || printf '\n[hooks]\nfilename=hook.sh\nhooks=install-check\n'
	} >"$c/manifest.raucm"
	if [[ -n $hook ]]; then
		printf '#!/bin/sh\n%s\n' "$hook" >"$c/hook.sh"
		chmod +x "$c/hook.sh"
	fi
	"$RAUC" --cert="$pki/signer.cert.pem" --key="$pki/signer.key.pem" \
		--keyring="$pki/ca.cert.pem" bundle "$c" "$out" >>"$dir/tmp/log" 2>&1 ||
		{ cat "$dir/tmp/log" >&2; die "cannot make $out"; }
}

make_bundles() { # DIR
	local d=$1 c=$LAB_COMPATIBLE f
	mkdir -p "$d/tmp"
	make_pki "$d/pki" 'Lab vendor'
	make_pki "$d/pki-foreign" 'Somebody else'
	make_image "$d/tmp/v2.img" 2.0.0 "$LAB_IMAGE_MB"
	make_image "$d/tmp/v3.img" 3.0.0 "$LAB_IMAGE_MB"
	make_image "$d/tmp/big.img" 9.9.9 $((LAB_SLOT_MB + 4))
	make_image "$d/tmp/large.img" 4.0.0 "$LAB_LARGE_MB"
	for f in plain verity; do
		bundle "$d" "good-$f" "$d/pki" "$f" "$c" 2.0.0 v2
		bundle "$d" "next-$f" "$d/pki" "$f" "$c" 3.0.0 v3
		bundle "$d" "incompatible-$f" "$d/pki" "$f" other-board 2.0.0 v2
		bundle "$d" "badsig-$f" "$d/pki-foreign" "$f" "$c" 2.0.0 v2
		bundle "$d" "toobig-$f" "$d/pki" "$f" "$c" 9.9.9 big
		bundle "$d" "rejected-$f" "$d/pki" "$f" "$c" 2.0.0 v2 "$REJECT"
		# one changed byte in the payload, the signature left as it was
		cp "$d/good-$f.raucb" "$d/tampered-$f.raucb"
		printf '\xff' | dd of="$d/tampered-$f.raucb" bs=1 seek=4096 conv=notrunc status=none
		# cut short, as a broken download would be
		head -c $(($(stat -c %s "$d/good-$f.raucb") / 2)) "$d/good-$f.raucb" >"$d/truncated-$f.raucb"
	done
	bundle "$d" held-plain "$d/pki" plain "$c" 2.0.0 v2 "$HOLD"
	# long enough in copying to be caught there
	bundle "$d" large-plain "$d/pki" plain "$c" 4.0.0 large
	printf 'this is no bundle\n' >"$d/garbage.raucb"
	rm -rf "$d/tmp"
}
# RAUC takes the exit status 10 and the words for its LastError.
REJECT='echo "this device is not ready for the update" >&2; exit 10'
# Gives up after 20 s, so that nothing is left of a test that failed.
# shellcheck disable=SC2016
HOLD='for _ in $(seq 400); do [ ! -e "$RAUC_MOUNT_PREFIX/../run/release" ] || exit 0; sleep 0.05; done; exit 10'

make_device() { # LAB BUNDLES
	local lab=$1 pki=$2/pki s
	mkdir -p "$lab"/{slots,boot,etc,status,mnt,log,run}
	for s in a b; do
		truncate -s "${LAB_SLOT_MB}M" "$lab/slots/$s.img"
		printf 'LAB-IMAGE version=1.0.0\n' | dd of="$lab/slots/$s.img" conv=notrunc status=none
	done
	local dev_a=$lab/slots/a.img dev_b=$lab/slots/b.img
	if [[ $LAB_SLOTS == loop ]]; then
		dev_a=$(losetup --find --show "$dev_a")
		echo "$dev_a" >"$lab/run/loops"
		dev_b=$(losetup --find --show "$dev_b")
		echo "$dev_b" >>"$lab/run/loops"
	fi
	printf 'A\n' >"$lab/boot/primary"
	printf 'A\n' >"$lab/boot/current"
	for s in A B; do
		printf 'good\n' >"$lab/boot/$s.state"
		printf '%s\n' "$LAB_TRIES" >"$lab/boot/$s.tries"
	done
	cat >"$lab/etc/bootloader" <<-'SH'
		#!/bin/sh
		# custom boot loader back end: answers on standard output, 0 for success
		d=$(dirname "$(dirname "$(readlink -f "$0")")")/boot
		case "$1" in
		get-primary) cat "$d/primary" ;;
		set-primary) echo "$2" >"$d/primary.new" && mv "$d/primary.new" "$d/primary"
			echo good >"$d/$2.state"; cat "$d/tries.max" >"$d/$2.tries" ;;
		get-state) cat "$d/$2.state" ;;
		set-state) echo "$3" >"$d/$2.state"
			if [ "$3" = good ]; then cat "$d/tries.max"; else echo 0; fi >"$d/$2.tries" ;;
		get-current) cat "$d/current" ;;
		*) echo "unknown request $1" >&2; exit 1 ;;
		esac
		# the service dies after this request, before it can answer for it
		at=$d/../run/die-after
		if [ "$(cat "$at" 2>/dev/null)" = "$1" ]; then
			rm "$at"
			kill -KILL "$(cat "$d/../run/rauc.pid")"
		fi
	SH
	printf '%s\n' "$LAB_TRIES" >"$lab/boot/tries.max"
	cat >"$lab/etc/system-info" <<-'SH'
		#!/bin/sh
		echo RAUC_SYSTEM_SERIAL=LAB0001
		echo RAUC_SYSTEM_VARIANT=lab
	SH
	chmod +x "$lab/etc/bootloader" "$lab/etc/system-info"
	cat >"$lab/etc/system.conf" <<-CONF
		[system]
		compatible=$LAB_COMPATIBLE
		bootloader=custom
		statusfile=$lab/status/rauc.status
		mountprefix=$lab/mnt
		bundle-formats=plain verity
		activate-installed=true

		[keyring]
		path=$pki/ca.cert.pem

		[handlers]
		bootloader-custom-backend=$lab/etc/bootloader
		system-info=$lab/etc/system-info

		[slot.rootfs.0]
		device=$dev_a
		type=raw
		bootname=A

		[slot.rootfs.1]
		device=$dev_b
		type=raw
		bootname=B
	CONF
}

start_bus() { # LAB
	local lab=$1
	cat >"$lab/etc/bus.conf" <<-XML
		<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
		 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
		<busconfig>
		  <type>system</type>
		  <listen>unix:path=$lab/run/bus</listen>
		  <auth>EXTERNAL</auth>
		  <policy context="default">
		    <allow user="*"/>
		    <allow own="*"/>
		    <allow send_destination="*" eavesdrop="true"/>
		    <allow eavesdrop="true"/>
		  </policy>
		</busconfig>
	XML
	dbus-daemon --config-file="$lab/etc/bus.conf" --nofork --nopidfile >"$lab/log/bus.log" 2>&1 &
	echo $! >"$lab/run/bus.pid"
	for _ in $(seq 200); do
		[[ -S $lab/run/bus ]] && return 0
		sleep 0.02
	done
	die "the private bus did not start, see $lab/log/bus.log"
}

start_service() { # LAB
	local lab=$1 slot addr=unix:path=$1/run/bus
	slot=$(cat "$lab/boot/current")
	DBUS_SYSTEM_BUS_ADDRESS=$addr DBUS_STARTER_BUS_TYPE='' \
		${LAB_DEBUG:+env G_MESSAGES_DEBUG=all} \
		"$RAUC" -c "$lab/etc/system.conf" --override-boot-slot="$slot" service \
		>>"$lab/log/rauc.log" 2>&1 </dev/null &
	echo $! >"$lab/run/rauc.pid"
	for _ in $(seq 100); do
		kill -0 "$(cat "$lab/run/rauc.pid")" 2>/dev/null || break
		if gdbus call --address "$addr" --dest org.freedesktop.DBus --object-path / \
			--method org.freedesktop.DBus.NameHasOwner de.pengutronix.rauc 2>/dev/null | grep -q true; then
			return 0
		fi
		sleep 0.05
	done
	tail -5 "$lab/log/rauc.log" >&2
	die "rauc service did not take its name"
}

stop_pid() { # PIDFILE [SIGNAL]
	local p
	[[ -f $1 ]] || return 0
	p=$(cat "$1")
	rm -f "$1"
	kill "-${2:-TERM}" "$p" 2>/dev/null || return 0
	for _ in $(seq 60); do
		kill -0 "$p" 2>/dev/null || return 0
		# one that is dead but not waited for counts as gone
		[[ $(awk '{print $3}' "/proc/$p/stat" 2>/dev/null) == Z ]] && return 0
		sleep 0.05
	done
	kill -KILL "$p" 2>/dev/null || true
}

tear_down() { # LAB KEEP
	local lab=$1 keep=$2 m
	stop_pid "$lab/run/rauc.pid"
	stop_pid "$lab/run/bus.pid"
	# whatever a killed installation left mounted below the private directory
	awk -v p="$lab/" 'index($2, p) == 1 {print $2}' /proc/mounts | sort -r | while read -r m; do
		umount "$m" 2>/dev/null || umount -l "$m" 2>/dev/null || true
	done
	if [[ -f $lab/run/loops ]]; then
		while read -r m; do losetup -d "$m" 2>/dev/null || true; done <"$lab/run/loops"
	fi
	[[ $keep == 1 ]] || rm -rf "$lab"
}

next_slot() { # LAB: what the boot loader would choose; burns one try
	local lab=$1 p o s t
	p=$(cat "$lab/boot/primary")
	[[ $p == A ]] && o=B || o=A
	for s in "$p" "$o"; do
		t=$(cat "$lab/boot/$s.tries")
		if [[ $(cat "$lab/boot/$s.state") == good && $t -gt 0 ]]; then
			echo $((t - 1)) >"$lab/boot/$s.tries"
			echo "$s"
			return 0
		fi
	done
	# nothing left to try: a real board would stay in its recovery
	return 1
}

ctl() { # DIR WHAT
	local lab what=$2 s first
	lab=$(readlink -f "$1")
	[[ -f $lab/etc/system.conf ]] || die "$1 is no laboratory"
	case $what in
	reboot)
		stop_pid "$lab/run/rauc.pid"
		s=$(next_slot "$lab") || die "no slot is bootable"
		echo "$s" >"$lab/boot/current"
		start_service "$lab"
		echo "$s"
		;;
	crash-boot)
		stop_pid "$lab/run/rauc.pid"
		first=$(next_slot "$lab") || die "no slot is bootable"
		s=$first
		for _ in $(seq 20); do
			s=$(next_slot "$lab") || die "no slot is bootable"
			[[ $s == "$first" ]] || break
		done
		echo "$s" >"$lab/boot/current"
		start_service "$lab"
		echo "$s"
		;;
	kill) stop_pid "$lab/run/rauc.pid" KILL ;;
	start) start_service "$lab" ;;
	state)
		for s in primary current A.state A.tries B.state B.tries; do
			printf '%s=%s\n' "$s" "$(cat "$lab/boot/$s")"
		done
		;;
	*) die "unknown request $what" ;;
	esac
}

run() {
	local dir='' bundles='' keep=0
	while [[ $# -gt 0 ]]; do
		case $1 in
		--dir) dir=$2; shift 2 ;;
		--bundles) bundles=$(readlink -f "$2"); shift 2 ;;
		--keep) keep=1; shift ;;
		--) shift; break ;;
		*) die "unknown option $1" ;;
		esac
	done
	check
	if [[ -n $dir ]]; then mkdir -p "$dir"; dir=$(readlink -f "$dir"); else dir=$(mktemp -d "${TMPDIR:-/tmp}/rauc-lab.XXXXXX"); fi
	# shellcheck disable=SC2064
	trap "tear_down '$dir' '$keep'" EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM
	if [[ -z $bundles ]]; then
		bundles=$dir/bundles
		make_bundles "$bundles"
	fi
	make_device "$dir" "$bundles"
	start_bus "$dir"
	start_service "$dir"

	local verity=0
	grep -qw device-mapper /proc/devices /proc/misc 2>/dev/null && verity=1
	cat >"$dir/env" <<-ENV
		export DBUS_SYSTEM_BUS_ADDRESS=unix:path=$dir/run/bus
		export RAUC_LAB_DIR=$dir
		export RAUC_LAB_BUNDLES=$bundles
		export RAUC_LAB_VERITY=$verity
	ENV
	# shellcheck disable=SC1091
	. "$dir/env"
	if [[ $# -gt 0 ]]; then
		local rc=0
		"$@" || rc=$?
		exit "$rc"
	fi
	echo "$dir/env"
	cat >/dev/null
}

case ${1:-} in
check) check ;;
bundles) [[ $# -eq 2 ]] || die 'bundles DIR'; make_bundles "$2" ;;
device) [[ $# -eq 3 ]] || die 'device DIR BUNDLES'; make_device "$2" "$3" ;;
run) shift; run "$@" ;;
ctl) shift; [[ $# -eq 2 ]] || die 'ctl DIR WHAT'; ctl "$@" ;;
*) sed -n '2,/^set -euo/p' "$SELF" | sed '$d; s/^# \{0,1\}//'; exit 2 ;;
esac
