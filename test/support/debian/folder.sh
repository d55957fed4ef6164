#!/usr/bin/env bash
# Makes a folder with a Debian of its own that holds the packages asked for, by apt alone; what is there already is left as it is.
#   folder.sh DIR NAME SUITE PACKAGE...       needs root; a minute or two the first time, nothing after it
# NAME says what the folder is for. What is mounted while packages are unpacked is seen by this script's processes only and
# ends with them, so the folder is plain files and may be removed like any other.
set -euo pipefail
dir=${1:?folder} name=${2:?what it is for} suite=${3:?release of Debian}
packages=("${@:4}")
# There once the base system is.
made="$dir/etc/coffer-$name-$suite"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
installed() { [ -e "$made" ] && chroot "$dir" dpkg-query -W -f '${db:Status-Status}\n' "${packages[@]}" 2>/dev/null | grep -cx installed | grep -qx "${#packages[@]}"; }
if [ -z "${COFFER_FOLDER_MOUNTED:-}" ]; then
  mkdir -p "$dir"
  # Two suites may start at once; the lock stays with the descriptor over the exec.
  exec 9>"$dir.lock"
  flock 9
  ! installed || exit 0
  # Half made by a run that was stopped: begun anew.
  [ -e "$made" ] || rm -rf --one-file-system "$dir"
  exec env COFFER_FOLDER_MOUNTED=1 unshare --mount --propagation private bash "$0" "$@"
fi

if ! command -v debootstrap >/dev/null; then
  apt-get -q update
  apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends debootstrap
fi
if [ ! -e "$made" ]; then
  # The mirror that this machine's apt is set to.
  mirror=$(apt-get indextargets --format '$(SITE)' | grep -v security | head -n 1)
  script=$suite
  [ -e "/usr/share/debootstrap/scripts/$suite" ] || script=sid
  debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$dir" "$mirror" "$script"
  # Nothing that is installed starts by itself; no manuals; a stored testing may be older than it says it may be.
  printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d"
  chmod +x "$dir/usr/sbin/policy-rc.d"
  printf 'path-exclude /usr/share/%s/*\n' doc man locale >"$dir/etc/dpkg/dpkg.cfg.d/slim"
  printf 'Acquire::Check-Valid-Until "false";\nAcquire::Languages "none";\n' >"$dir/etc/apt/apt.conf.d/99coffer"
  touch "$made"
fi
mount -t proc proc "$dir/proc"
mount --bind /dev "$dir/dev"
cp /etc/hosts "$dir/etc/hosts"
[ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$dir/etc/resolv.conf"
chroot "$dir" apt-get -q update
chroot "$dir" dpkg --configure --pending
chroot "$dir" apt-get -q install -y --no-install-recommends --fix-broken "${packages[@]}"
chroot "$dir" apt-get clean
