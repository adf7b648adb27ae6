#!/usr/bin/env bash
# Makes a device for system tests: the disk of a virtual machine with a boot loader
# and two root slots, and the bundles that update it.
#
#   vm-lab.sh check
#       exit with 77 and the reason if this machine cannot make or run one
#   vm-lab.sh base FILE
#       a tar file of Debian with what the device needs; the slow part, made again
#       only when the list of packages or this script's way of making it changes
#   vm-lab.sh device BASE PROGRAMS DIR
#       DIR/disk.img (both slots hold version 1.0.0) and DIR/bundles/NAME.raucb, with
#       lwm2md and lwm2mctl of the directory PROGRAMS
#   vm-lab.sh data DIR CONFIGURATION
#       DIR/data.img: the data partition, as provisioned at the factory, with a file of
#       the agent's configuration. Needs no root.
#   vm-lab.sh run DISK DATA DIR CONSOLE
#       runs the machine until its standard input ends; what it writes to DISK is
#       forgotten then. What its console says goes to the file CONSOLE; in DIR are the
#       sockets qmp (of QEMU) and shell.
#
# What is in the bundles:
#   good   2.0.0: the same system
#   deaf   3.0.0: its agent has no network
#   dead   4.0.0: its agent exits at once
#
# The device: GRUB chooses a slot by RAUC's variables and sets its try flag. /data is
# a disk of its own, which both slots share: the agent's state, its configuration by
# the factory and RAUC's status. The journal goes to the serial console; a shell of
# root listens at the virtio port `lab` and says `lab: ready BOOT-ID` when it starts.
#
# Settings: VM_SLOT_MB (160), VM_SUITE (bookworm), VM_TRIAL (120, seconds that a new
#   system has to confirm itself), VM_TIMER (180, seconds after which the independent
#   timer gives it up).
set -euo pipefail

HERE=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
SYSTEMD=$HERE/../../systemd
VM_SLOT_MB=${VM_SLOT_MB:-160}
VM_SUITE=${VM_SUITE:-bookworm}
VM_TRIAL=${VM_TRIAL:-120}
VM_TIMER=${VM_TIMER:-180}
GRUB=/usr/lib/grub/i386-pc

say() { printf 'vm-lab: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }
skip() { say "skip: $*"; exit 77; }

check() {
	local t
	for t in mmdebstrap rauc openssl mksquashfs mke2fs sfdisk grub-mkimage grub-editenv qemu-system-x86_64; do
		command -v "$t" >/dev/null || skip "no $t"
	done
	[[ -f $GRUB/boot.img ]] || skip "no GRUB for BIOS (grub-pc-bin)"
	[[ $(id -u) == 0 ]] || skip "the image can be made only by root"
}

# ------------------------------------------------------------------ the system
PACKAGES=linux-image-cloud-amd64,initramfs-tools,systemd-sysv,udev,dbus,polkitd,rauc-service
PACKAGES+=,grub-common,kmod,e2fsprogs,zstd,libsqlite3-0,libssl3,procps
# In the initial RAM disk, and all that is left of the modules in the slot.
BOOT_MODULES='virtio_pci virtio_blk ext4'
MODULES="$BOOT_MODULES virtio_net virtio_console virtio_rng loop squashfs dm_verity"

base() { # FILE
	local want="$VM_SUITE $PACKAGES $BOOT_MODULES"
	[[ ! -f $1 || $(cat "$1.list" 2>/dev/null) != "$want" ]] || return 0
	say "fetching Debian $VM_SUITE"
	# shellcheck disable=SC2016
	mmdebstrap --quiet --variant=minbase --include="$PACKAGES" \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' --dpkgopt='path-exclude=/usr/share/grub/*' \
		--essential-hook='mkdir -p "$1/etc/initramfs-tools/conf.d"' \
		--essential-hook='printf "MODULES=list\nCOMPRESS=zstd\nRESUME=none\n" >"$1/etc/initramfs-tools/conf.d/lab"' \
		--essential-hook="printf '%s\n' $BOOT_MODULES >\"\$1/etc/initramfs-tools/modules\"" \
		"$VM_SUITE" "$1.new.tar"
	mv "$1.new.tar" "$1"
	printf '%s\n' "$want" >"$1.list"
}

# What a device does not need: the smaller it is, the sooner it is sent and written.
slim() { # ROOT
	local r=$1 version m
	version=$(ls "$r/usr/lib/modules")
	for m in $MODULES; do
		chroot "$r" modprobe -S "$version" --show-depends "$m"
	done | sed -n 's/^insmod \([^ ]*\).*/\1/p' | sort -u >"$r/keep"
	(cd "$r" && find "usr/lib/modules/$version/kernel" -type f | sed 's,^usr,/lib,; s,^/lib/lib,/lib,' |
		grep -vxFf keep | sed 's,^/,,' | xargs -d '\n' rm -f)
	rm "$r/keep"
	chroot "$r" depmod "$version"
	chroot "$r" dpkg --purge --force-all initramfs-tools initramfs-tools-core apt >/dev/null 2>&1 || true
	rm -rf "$r"/var/{cache,lib/apt,lib/dpkg,log}/* "$r"/usr/share/{grub,i18n,zoneinfo,perl,perl5,bash-completion} \
		"$r"/usr/lib/x86_64-linux-gnu/{gconv,perl,perl-base} "$r"/usr/lib/udev/hwdb.{d,bin} "$r"/usr/lib/grub \
		"$r"/usr/bin/perl* "$r"/usr/lib/x86_64-linux-gnu/lib{perl,apt-pkg,apt-private}.so.* \
		"$r"/boot/{System.map,config}-*
	find "$r"/usr/bin "$r"/usr/sbin -name 'grub-*' ! -name grub-editenv -delete
}

customise() { # ROOT PROGRAMS PKI
	local r=$1 programs=$2 pki=$3 u
	echo device >"$r/etc/hostname"
	# The boot loader tells it: it has to be the same in both slots.
	: >"$r/etc/machine-id"
	rm -f "$r/var/lib/dbus/machine-id"
	mkdir -p "$r"/{data,boot/env} "$r"/var/lib/lwm2md "$r"/etc/{rauc,lwm2md} "$r"/etc/systemd/network
	cat >"$r/etc/fstab" <<-'F'
		PARTLABEL=bootenv /boot/env ext4 noatime 0 0
		/dev/vdb /data ext4 noatime 0 0
		/data/lwm2md /var/lib/lwm2md none bind,x-systemd.requires-mounts-for=/data 0 0
	F
	printf '[Match]\nName=en* eth*\n[Network]\nAddress=10.0.2.15/24\nGateway=10.0.2.2\nIPv6AcceptRA=no\n' \
		>"$r/etc/systemd/network/lab.network"
	mkdir -p "$r/etc/systemd/journald.conf.d"
	printf '[Journal]\nStorage=volatile\nForwardToConsole=yes\nTTYPath=/dev/ttyS0\nMaxLevelConsole=info\n' \
		>"$r/etc/systemd/journald.conf.d/lab.conf"
	cat >"$r/etc/systemd/system/lab-shell.service" <<-'F'
		[Unit]
		Description=Shell for the laboratory
		StartLimitIntervalSec=0
		DefaultDependencies=no
		After=sysinit.target dbus.socket
		Conflicts=shutdown.target

		[Service]
		ExecStart=/bin/sh -c 'echo "lab: ready $(cat /proc/sys/kernel/random/boot_id)"; exec /bin/sh'
		StandardInput=file:/dev/virtio-ports/lab
		StandardOutput=file:/dev/virtio-ports/lab
		StandardError=journal
		Restart=always
		RestartSec=500ms

		[Install]
		WantedBy=multi-user.target
	F
	cp "$pki/ca.cert.pem" "$r/etc/rauc/keyring.pem"
	cat >"$r/etc/rauc/system.conf" <<-'F'
		[system]
		compatible=lab-vm
		bootloader=grub
		grubenv=/boot/env/grub/grubenv
		statusfile=/data/rauc.status
		bundle-formats=verity

		[keyring]
		path=/etc/rauc/keyring.pem

		[slot.rootfs.0]
		device=/dev/disk/by-partlabel/rootfs-a
		type=raw
		bootname=A

		[slot.rootfs.1]
		device=/dev/disk/by-partlabel/rootfs-b
		type=raw
		bootname=B
	F
	# As RAUC comes with it on other distributions: GRUB counts each boot as a try.
	cat >"$r/usr/lib/systemd/system/rauc-mark-good.service" <<-'F'
		[Unit]
		Description=Mark this boot good
		After=boot-complete.target
		Requires=boot-complete.target

		[Service]
		Type=oneshot
		RemainAfterExit=yes
		ExecStart=/usr/bin/rauc status mark-good

		[Install]
		WantedBy=multi-user.target
	F
	for u in apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer dpkg-db-backup.timer e2scrub_reap.service \
		systemd-pstore.service getty@tty1.service serial-getty@ttyS0.service systemd-networkd-wait-online.service \
		systemd-update-utmp.service systemd-update-utmp-runlevel.service; do
		ln -sf /dev/null "$r/etc/systemd/system/$u"
	done
	install_agent "$r" "$programs"
	chroot "$r" systemctl enable --quiet systemd-networkd.service lab-shell.service lwm2md.service lwm2md-trial.timer \
		rauc-mark-good.service
	chroot "$r" systemctl set-default --quiet multi-user.target
}

# As a package would, with what systemd/ has.
install_agent() { # ROOT PROGRAMS
	local r=$1 programs=$2
	install -m 755 "$programs"/{lwm2md,lwm2mctl} "$r/usr/bin/"
	install -m 644 "$SYSTEMD"/lwm2md*.{service,timer} "$r/usr/lib/systemd/system/"
	install -D -m 755 "$SYSTEMD/lwm2md-trial" "$r/usr/lib/lwm2md/trial"
	install -m 755 "$SYSTEMD/lwm2md-backend" "$r/usr/lib/lwm2md/backend"
	install -m 755 "$SYSTEMD/lwm2md-lock" "$r/usr/lib/lwm2md/lock"
	install -D -m 644 -t "$r/usr/lib/sysusers.d" "$SYSTEMD/sysusers.d/lwm2md.conf"
	install -D -m 644 -t "$r/usr/share/dbus-1/system.d" "$SYSTEMD/dbus-1/system.d/org.lwm2md.conf"
	install -D -m 644 -t "$r/usr/share/polkit-1/rules.d" "$SYSTEMD"/polkit-1/rules.d/*.rules
	chroot "$r" systemd-sysusers lwm2md.conf
	ln -s /data/config "$r/etc/lwm2md/conf.d"
	# A check that the system has to pass, too.
	mkdir "$r/usr/lib/lwm2md/checks.d"
	printf '#!/bin/sh\nexec test -e /data/config/factory.yaml\n' >"$r/usr/lib/lwm2md/checks.d/factory"
	chmod 755 "$r/usr/lib/lwm2md/checks.d/factory"
	mkdir "$r/etc/systemd/system/lwm2md-trial.timer.d"
	install -D -m 644 -t "$r/usr/lib/systemd/system/rauc-mark-good.service.d" \
		"$SYSTEMD/rauc-mark-good.service.d/lwm2md.conf"
	printf '[Timer]\nOnBootSec=\nOnBootSec=%s\n' "$VM_TIMER" >"$r/etc/systemd/system/lwm2md-trial.timer.d/lab.conf"
	printf 'objects:\n  firmware: {backend: rauc, trial: %s}\n' "$VM_TRIAL" >"$r/etc/lwm2md/lwm2md.yaml"
}

# ------------------------------------------------------------- slots and bundles
slot_image() { # ROOT OUT VERSION
	sed -i '/^IMAGE_VERSION=/d' "$1/usr/lib/os-release"
	echo "IMAGE_VERSION=$3" >>"$1/usr/lib/os-release"
	rm -f "$2"
	truncate -s "${VM_SLOT_MB}M" "$2"
	mke2fs -q -t ext4 -J size=4 -m 0 -d "$1" "$2" || die "the system needs more than $VM_SLOT_MB MiB"
}

bundle() { # TMP PKI IMAGE OUT VERSION
	local d=$1/bundle
	rm -rf "$d" "$4"
	mkdir -p "$d"
	ln "$3" "$d/rootfs.img"
	printf '[update]\ncompatible=lab-vm\nversion=%s\n\n[bundle]\nformat=verity\n\n[image.rootfs]\nfilename=rootfs.img\n' \
		"$5" >"$d/manifest.raucm"
	rauc --cert="$2/ca.cert.pem" --key="$2/key.pem" --keyring="$2/ca.cert.pem" bundle \
		--mksquashfs-args='-comp zstd -Xcompression-level 9' "$d" "$4" >"$1/log" 2>&1 ||
		{ cat "$1/log" >&2; die "cannot make $4"; }
	rm -rf "$d"
}

make_pki() { # DIR
	mkdir -p "$1"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj '/CN=Lab vendor' \
		-addext 'keyUsage=critical,digitalSignature,keyCertSign' \
		-keyout "$1/key.pem" -out "$1/ca.cert.pem" 2>/dev/null
}

device() { # BASE PROGRAMS DIR
	local d=$3 t=$3/tmp
	rm -rf "$d"
	mkdir -p "$t/root" "$d/bundles"
	make_pki "$d/pki"
	tar -xf "$1" -C "$t/root" --exclude='./dev/*'
	slim "$t/root"
	customise "$t/root" "$2" "$d/pki"
	slot_image "$t/root" "$t/slot.img" 1.0.0
	make_disk "$d/disk.img" "$t" "$t/slot.img"
	slot_image "$t/root" "$t/slot.img" 2.0.0
	bundle "$t" "$d/pki" "$t/slot.img" "$d/bundles/good.raucb" 2.0.0
	mkdir -p "$t/root/etc/systemd/system/lwm2md.service.d"
	printf '[Service]\nPrivateNetwork=yes\n' >"$t/root/etc/systemd/system/lwm2md.service.d/deaf.conf"
	slot_image "$t/root" "$t/slot.img" 3.0.0
	bundle "$t" "$d/pki" "$t/slot.img" "$d/bundles/deaf.raucb" 3.0.0
	rm "$t/root/etc/systemd/system/lwm2md.service.d/deaf.conf"
	printf '#!/bin/sh\nexit 1\n' >"$t/root/usr/bin/lwm2md"
	slot_image "$t/root" "$t/slot.img" 4.0.0
	bundle "$t" "$d/pki" "$t/slot.img" "$d/bundles/dead.raucb" 4.0.0
	rm -rf "$t"
	say "bundles: $(du -m "$d/bundles/good.raucb" | cut -f1) MiB"
}

data() { # DIR CONFIGURATION
	local t=$1/data.tmp
	rm -rf "$t" "$1/data.img"
	mkdir -p "$t/config" "$t/lwm2md"
	cp "$2" "$t/config/factory.yaml"
	truncate -s 192M "$1/data.img"
	mke2fs -q -t ext4 -m 0 -E root_owner=0:0 -d "$t" "$1/data.img"
	rm -rf "$t"
}

# ------------------------------------------------------------------- the disk
poke() { # FILE OFFSET NUMBER BYTES: a little-endian number
	local i n=$3 bytes=
	for ((i = 0; i < $4; i++)); do
		bytes+=$(printf '\\x%02x' $((n & 255)))
		n=$((n >> 8))
	done
	# shellcheck disable=SC2059
	printf "$bytes" | dd of="$1" bs=1 seek="$2" conv=notrunc status=none
}

place() { dd if="$1" of="$2" bs=512 seek="$3" conv=notrunc,sparse status=none; } # FILE DISK SECTOR

make_disk() { # DISK TMP SLOT-IMAGE
	local disk=$1 t=$2 core=2048 env=4096 a=65536 n=$((VM_SLOT_MB * 2048))
	local b=$((a + n))
	truncate -s $(((b + n + 2048) * 512)) "$disk"
	sfdisk --quiet "$disk" <<-F
		label: gpt
		start=$core, size=2048, type=21686148-6449-6E6F-744E-656564454649, name=grub
		start=$env, size=$((a - env)), name=bootenv
		start=$a, size=$n, name=rootfs-a
		start=$b, size=$n, name=rootfs-b
	F
	mkdir -p "$t/env/grub"
	cat >"$t/env/grub/grub.cfg" <<-'F'
		serial --unit=0 --speed=115200
		terminal_output serial
		load_env
		set chosen=
		for s in $ORDER; do
		  if [ -z "$chosen" -a "$s" = A -a "$A_OK" = 1 -a "$A_TRY" = 0 ]; then set chosen=A; set A_TRY=1; fi
		  if [ -z "$chosen" -a "$s" = B -a "$B_OK" = 1 -a "$B_TRY" = 0 ]; then set chosen=B; set B_TRY=1; fi
		done
		if [ -z "$chosen" ]; then
		  echo "lab: no slot is left"
		  set A_TRY=0; set B_TRY=0
		  save_env A_TRY B_TRY
		  reboot
		fi
		save_env A_TRY B_TRY
		if [ "$chosen" = A ]; then set part=3; set label=rootfs-a; else set part=4; set label=rootfs-b; fi
		echo "lab: slot $chosen"
		linux (hd0,gpt$part)/vmlinuz root=PARTLABEL=$label rw rauc.slot=$chosen systemd.machine_id=$MACHINE_ID console=ttyS0 panic=2 quiet mitigations=off random.trust_cpu=on
		initrd (hd0,gpt$part)/initrd.img
		boot
	F
	grub-editenv "$t/env/grub/grubenv" create
	grub-editenv "$t/env/grub/grubenv" set ORDER='A B' A_OK=1 B_OK=1 A_TRY=0 B_TRY=0 \
		MACHINE_ID="$(openssl rand -hex 16)"
	# GRUB writes its variables straight into the block: no checksums, no journal.
	rm -f "$t/env.img"
	truncate -s $(((a - env) * 512)) "$t/env.img"
	mke2fs -q -t ext4 -O ^has_journal,^metadata_csum,^64bit -d "$t/env" "$t/env.img"
	place "$t/env.img" "$disk" $env
	place "$3" "$disk" $a
	place "$3" "$disk" $b
	# GRUB is put in place by hand: grub-install wants a block device.
	grub-mkimage -O i386-pc -d $GRUB -p '(hd0,gpt2)/grub' -o "$t/core.img" \
		biosdisk part_gpt ext2 normal test loadenv linux serial terminal echo reboot configfile minicmd
	cp $GRUB/boot.img "$t/boot.img"
	# where the core is, twice, and no guess at the drive: the BIOS hands it over
	poke "$t/boot.img" $((0x5c)) $core 8
	poke "$t/boot.img" $((0x66)) $((0x9090)) 2
	poke "$t/core.img" $((0x1f4)) $((core + 1)) 8
	dd if="$t/boot.img" of="$disk" bs=1 count=440 conv=notrunc status=none
	place "$t/core.img" "$disk" $core
}

# ----------------------------------------------------------------- the machine
run() { # DISK DATA DIR CONSOLE
	local disk=$1 data=$2 dir=$3 console=$4 accel=${VM_ACCEL:-tcg} cpu=${VM_CPU:-Nehalem,+aes} pid
	if [[ $accel == kvm ]]; then cpu=host; else accel=tcg,thread=multi; fi
	# The guest reaches this machine's loopback as 10.0.2.2, UDP too.
	# What the guest's disk has taken counts as written: a reset of the machine loses
	# what its kernel has not given to the disk.
	qemu-system-x86_64 -accel "$accel" -cpu "$cpu" -smp 2 -m "${VM_MEMORY:-512}" \
		-nodefaults -display none -no-user-config \
		-chardev "file,id=serial,path=$console" -serial chardev:serial \
		-qmp "unix:$dir/qmp,server=on,wait=off" \
		-device virtio-serial-pci -chardev "socket,id=shell,path=$dir/shell,server=on,wait=off" \
		-device virtserialport,chardev=shell,name=lab \
		-drive "if=virtio,format=raw,file=$disk,snapshot=on,cache=unsafe" \
		-drive "if=virtio,format=raw,file=$data,cache=unsafe" \
		-netdev user,id=net -device virtio-net-pci,netdev=net,romfile= -device virtio-rng-pci \
		</dev/null &
	pid=$!
	# shellcheck disable=SC2064
	trap "kill $pid 2>/dev/null; wait $pid" EXIT
	cat >/dev/null
}

case ${1:-}:$# in
check:1) check ;;
base:2) check; base "$2" ;;
device:4) check; device "${@:2}" ;;
data:3) data "$2" "$3" ;;
run:5) run "${@:2}" ;;
*) sed -n '2,/^set -euo/p' "${BASH_SOURCE[0]}" | sed '$d; s/^# \{0,1\}//'; exit 2 ;;
esac
