# shellcheck shell=bash disable=SC2034,SC2154
dump_options=(--tcp-established --file-locks --link-remap --network-lock nftables)
restore_options=(--tcp-established --file-locks --link-remap)

setup() {
  cp "$build/tree" /srv/tree
  mkdir /srv/watched
  mount -t tmpfs -o size=4k frozen /srv/watched
}

launch() { start /srv/tree; }
