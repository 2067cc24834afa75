#!/usr/bin/env bash
# The programs that tests talk to, from Debian's packages; a test skips by name where one is missing.
set -euo pipefail

packages=(
  mosquitto # an MQTT broker
)

apt-get install -y --no-install-recommends "${packages[@]}" ||
  { apt-get update && apt-get install -y --no-install-recommends "${packages[@]}"; } ||
  echo "not installed: ${packages[*]}; their tests skip" >&2
