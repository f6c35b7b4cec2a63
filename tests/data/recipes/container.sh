# shellcheck shell=bash disable=SC2034,SC2154
# The root file system. CRIU leaves its content to whoever restores, so it is made twice.
root() {
  mount -t tmpfs -o size=4m,mode=755 rootfs /srv/root
  cd /srv/root
  cp /srv/container init
  mkdir -p proc dev/pts dev/mqueue data mnt shared slave
}

# Runs as process 1 of the container, in its namespaces, before the program takes its place.
inside_container() {
  set -eE
  trap 'echo "$BASH_COMMAND failed" >/srv/.ready' ERR
  hostname frozen-container
  echo ice >/proc/sys/kernel/domainname
  mount --make-rprivate /
  root
  mount -t proc proc proc
  mount -t devpts -o newinstance,ptmxmode=0666,mode=0620 devpts dev/pts
  mount -t mqueue mqueue dev/mqueue
  mount -t tmpfs -o size=256k,mode=1777 data data
  mkdir data/sub data/empty
  echo 'a file on a tmpfs' >data/file.txt
  echo 'seen twice' >data/sub/sub.txt
  ln -s sub/sub.txt data/link
  : >data/log
  chmod 600 data/file.txt
  mount --bind data/sub mnt
  mount -o remount,bind,ro mnt
  mount -t tmpfs -o size=64k shared shared
  mount --make-shared shared
  mount --bind shared slave
  mount --make-slave slave
  echo one >shared/one.txt

  mount -t tmpfs run /run
  ip netns add inner
  ip link set lo up
  ip link add bridge0 address 02:00:00:00:00:10 type bridge
  ip link add outer0 address 02:00:00:00:00:01 type veth peer name inner0 address 02:00:00:00:00:02 netns inner
  ip link set outer0 master bridge0 mtu 1400
  ip address add 10.77.0.1/24 dev bridge0
  ip address add fd00:77::1/64 dev bridge0 nodad
  ip link set outer0 up
  ip link set bridge0 up
  ip route add 198.51.100.0/24 via 10.77.0.2
  ip rule add from 10.77.0.9 lookup 100 priority 1000
  iptables-legacy -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT
  iptables-legacy -A INPUT -p tcp --dport 8080 -m comment --comment frozen -j DROP
  ip6tables-legacy -A OUTPUT -p tcp --dport 8081 -j DROP
  iptables-nft -A FORWARD -p udp --dport 8082 -j DROP
  ip -n inner link set lo up
  ip -n inner address add 10.77.0.2/24 dev inner0
  ip -n inner link set inner0 up
  exec 9</run/netns/inner
  exec -c ./init 9<&9
}

setup() {
  cp "$build/container" /srv/container
  mkdir /srv/root
}

# In a control group of its own, under the one that this runs in.
launch() {
  group=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/frozen
  mkdir "$group"
  trap leave_group EXIT
  # shellcheck disable=SC2016 # expanded inside
  start /bin/bash -c 'echo 0 >"$0" && exec "$@"' "$group/cgroup.procs" \
    /usr/bin/unshare "${namespaces[@]}" --fork /bin/bash -c "$(declare -f root inside_container); inside_container"
  root_pid=101
}

leave_group() {
  echo 1 >"$group/cgroup.kill"
  for _ in {1..50}; do
    rmdir "$group" 2>/dev/null && return
    sleep 0.1
  done
}

before_restore() { root; }

namespaces=(--user --map-root-user --mount --uts --ipc --net --pid --cgroup
  --time --monotonic 100000 --boottime 200000)
dump_options=(--tcp-established --network-lock nftables)
restore_options=(--tcp-established --root /srv/root)
