"""A real RTSP server on 127.0.0.1, by Debian's GStreamer: run it with /usr/bin/python3.

    /usr/bin/python3 rtsp_server.py PORT clock|FILE.mp4 [USER:PASSWORD]

`clock` is a live camera, `clock_code.SIZE` at `clock_code.FPS`, whose frames show the wall clock of
the moment they were made; a file is played once for each client, at its own speed.  The stream is
rtsp://127.0.0.1:PORT/cam.  It prints READY when clients can come.
"""

import sys
from pathlib import Path

import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstRtspServer", "1.0")
from gi.repository import GLib, Gst, GstRtspServer  # noqa: E402

sys.path.insert(0, str(Path(__file__).parent))
import clock_code  # noqa: E402

WIDTH, HEIGHT = clock_code.SIZE
CLOCK = (
    "( appsrc name=camera is-live=true do-timestamp=true format=time "
    f"caps=video/x-raw,format=GRAY8,width={WIDTH},height={HEIGHT},framerate={clock_code.FPS}/1 "
    "! videoconvert ! video/x-raw,format=I420 "
    f"! x264enc tune=zerolatency speed-preset=ultrafast key-int-max={clock_code.FPS} threads=1 "
    "! rtph264pay name=pay0 pt=96 config-interval=1 )"
)
FILE = (
    '( filesrc location="{}" ! qtdemux ! h264parse config-interval=-1 '
    "! rtph264pay name=pay0 pt=96 config-interval=1 )"
)


class Clock(GstRtspServer.RTSPMediaFactory):
    """Pictures of the clock, one stream for all clients."""

    def __init__(self) -> None:
        super().__init__()
        self.set_shared(True)
        self.set_launch(CLOCK)

    def do_configure(self, media: GstRtspServer.RTSPMedia) -> None:
        """Begin to push pictures; they end with the stream."""
        camera = media.get_element().get_child_by_name("camera")

        def push() -> bool:
            pixels = clock_code.draw(clock_code.now())
            buffer = Gst.Buffer.new_wrapped(pixels)
            return bool(camera.emit("push-buffer", buffer) == Gst.FlowReturn.OK)

        GLib.timeout_add(1000 // clock_code.FPS, push)


def factory_of(what: str) -> GstRtspServer.RTSPMediaFactory:
    """Return what makes the stream."""
    if what == "clock":
        return Clock()
    factory = GstRtspServer.RTSPMediaFactory()
    factory.set_launch(FILE.format(what))
    return factory


def ask_password(
    server: GstRtspServer.RTSPServer, factory: GstRtspServer.RTSPMediaFactory, account: str
) -> None:
    """Let only one user in."""
    user, password = account.split(":", 1)
    role, token = "viewer", GstRtspServer.RTSPToken()
    token.set_string("media.factory.role", role)
    auth = GstRtspServer.RTSPAuth()
    auth.add_basic(GstRtspServer.RTSPAuth.make_basic(user, password), token)
    server.set_auth(auth)
    permissions = GstRtspServer.RTSPPermissions()
    permissions.add_permission_for_role(role, "media.factory.access", True)
    permissions.add_permission_for_role(role, "media.factory.construct", True)
    factory.set_permissions(permissions)


def main(port: str, what: str, account: str = "") -> None:
    """Serve until the process is ended."""
    Gst.init(None)
    server = GstRtspServer.RTSPServer()
    server.set_address("127.0.0.1")
    server.set_service(port)
    factory = factory_of(what)
    if account:
        ask_password(server, factory, account)
    server.get_mount_points().add_factory("/cam", factory)
    if server.attach(None) == 0:
        sys.exit(f"port {port} is taken")
    print("READY", flush=True)
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(*sys.argv[1:])
