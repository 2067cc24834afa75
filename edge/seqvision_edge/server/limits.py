"""All limits of the server."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Limits of a server; a request above one is refused with 413, 429 or 408.

    Attributes:
        json_bytes: of a JSON body.  Parsed it takes up to twenty times as much memory, so only one
            is parsed at a time.
        video_bytes: of a body with files, a video or many pictures.
        picture_bytes: of one picture.
        small_bytes: of any other body.
        bytes_at_once: of all bodies that are being read or processed.
        pixels: of one picture or video frame, checked before it is decoded.
        instances: of one JSON body.
        pictures: of one body.
        clip_bytes: of the steps of one clip, which are kept in a temporary file.
        clip_seconds: time limit of one request, decoding and the model together.
        ticks: of the model's clock in all clips of one request: 73 minutes at 30 a
            second.
        timeline_values: probabilities in the timelines of one request.
        clips: requests that decode a video or many pictures, or wait for it.
        clients: concurrent requests and WebSockets.
        streams: open at once, those of WebSockets included.
        room: frames and clips submitted to the model and not finished.
        idle_seconds: time without a frame after which a stream is closed.
        head_seconds: time limit for the header of a request.
        chunks: of one chunked body, and one more for each `chunk_bytes` of it: every chunk has a
            fixed cost.
        chunk_bytes: see `chunks`.
        fragments: of one WebSocket message.
        socket_frames: of one WebSocket per second; further frames wait.
        stall_seconds: time without a byte of a body received, or of a response accepted.
        body_seconds: time limit for a whole body.
    """

    json_bytes: int = 16 * MIB
    video_bytes: int = 64 * MIB
    picture_bytes: int = 4 * MIB
    small_bytes: int = 64 << 10
    bytes_at_once: int = 192 * MIB
    pixels: int = 8 * MIB
    instances: int = 32
    pictures: int = 512
    clip_bytes: int = 1024 * MIB
    clip_seconds: float = 60.0
    ticks: int = 1 << 17
    timeline_values: int = 1 << 20
    clips: int = 4
    clients: int = 64
    streams: int = 64
    room: int = 128
    idle_seconds: float = 60.0
    head_seconds: float = 10.0
    chunks: int = 256
    chunk_bytes: int = 256
    fragments: int = 256
    socket_frames: float = 500.0
    stall_seconds: float = 10.0
    body_seconds: float = 60.0
