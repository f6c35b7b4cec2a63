# shellcheck shell=bash disable=SC2154
setup() { cp "$here/python.py" /srv/frozen.py; }

launch() { start /usr/bin/python3 -I -S -B -X utf8 /srv/frozen.py; }
