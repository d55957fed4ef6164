#!/usr/bin/env bash
# Makes a folder that holds Trove's own API as Debian packages it, by apt alone, or leaves it as it is when it is there.
#   setup.sh DIR       needs root; a minute or two the first time, nothing after it
# What is mounted while packages are unpacked is seen by this script's processes only and ends with them, so the folder
# is plain files and may be removed like any other.
set -euo pipefail
dir=${1:?folder}
# Its Trove is the one that start.py and the suite were written against.
suite=${COFFER_ORACLE_SUITE:-forky}
ready="$dir/etc/coffer-oracle-$suite"
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
if [ "${2:-}" != mounted ]; then
  mkdir -p "$dir"
  # Two suites may start at once; the lock stays with the descriptor over the exec.
  exec 9>"$dir.lock"
  flock 9
  [ ! -e "$ready" ] || exit 0
  # Half made by a run that was stopped: begun anew.
  rm -rf --one-file-system "$dir"
  exec unshare --mount --propagation private bash "$0" "$dir" mounted
fi

if ! command -v debootstrap >/dev/null; then
  apt-get -q update
  apt-get -q -o DPkg::Lock::Timeout=600 install -y --no-install-recommends debootstrap
fi
# The mirror that this machine's apt is set to.
mirror=$(apt-get indextargets --format '$(SITE)' | grep -v security | head -n 1)
script=$suite
[ -e "/usr/share/debootstrap/scripts/$suite" ] || script=sid
debootstrap --variant=minbase --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$suite" "$dir" "$mirror" "$script"
mount -t proc proc "$dir/proc"
mount --bind /dev "$dir/dev"
# Nothing that is installed starts by itself; no manuals; a stored testing may be older than it says it may be.
printf '#!/bin/sh\nexit 101\n' >"$dir/usr/sbin/policy-rc.d"
chmod +x "$dir/usr/sbin/policy-rc.d"
printf 'path-exclude /usr/share/%s/*\n' doc man locale >"$dir/etc/dpkg/dpkg.cfg.d/slim"
printf 'Acquire::Check-Valid-Until "false";\nAcquire::Languages "none";\n' >"$dir/etc/apt/apt.conf.d/99coffer"
cp /etc/hosts "$dir/etc/hosts"
[ ! -e /etc/resolv.conf ] || cp -L /etc/resolv.conf "$dir/etc/resolv.conf"
chroot "$dir" apt-get -q update
chroot "$dir" apt-get -q install -y --no-install-recommends python3-trove
chroot "$dir" apt-get clean
touch "$ready"
