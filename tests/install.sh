#!/usr/bin/env bash
# Debian packages that the tests use beside Python's own.  Where one cannot be had its tests skip,
# and say its name.  Needs root.
set -uo pipefail

packages=(
  ffmpeg                          # makes clips, playlists and pipes of frames
  python3-gi                      # Debian's Python talks with GStreamer by it
  gir1.2-gstreamer-1.0            # GStreamer, as Debian's Python sees it
  gir1.2-gst-rtsp-server-1.0      # the RTSP server of tests/servers
  gstreamer1.0-plugins-base       # its colours and sources
  gstreamer1.0-plugins-good       # RTP
  gstreamer1.0-plugins-bad        # H.264, parsed
  gstreamer1.0-plugins-ugly       # H.264, made (x264)
  mosquitto                       # an MQTT broker
  xvfb                            # an X server without a screen, for the window
  openbox                         # a window manager, as every desktop has one
  xdotool                         # presses its keys
  tmux                            # a terminal that wraps its lines anew when it changes its width
)

apt-get update -qq
for package in "${packages[@]}"; do
  apt-get install -y -qq --no-install-recommends "$package" >/dev/null ||
    echo "$package cannot be installed: its tests will be skipped" >&2
done
