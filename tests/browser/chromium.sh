#!/bin/sh
# Makes sure that what the browser tests need of the system is there: Chromium, and a font with
# Japanese letters for the pictures.
set -eu

missing=
command -v chromium > /dev/null || command -v chromium-browser > /dev/null || missing=chromium
[ -n "$(fc-list :lang=ja 2> /dev/null)" ] || missing="$missing fontconfig fonts-ipafont-gothic"
[ -n "$missing" ] || exit 0

if command -v apt-get > /dev/null && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update
    # shellcheck disable=SC2086 # one word for each package
    apt-get install -y --no-install-recommends $missing
else
    echo "The browser tests need more of the system; on Debian: apt-get install" $missing >&2
    exit 1
fi
