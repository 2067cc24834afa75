"""How much the server takes: every bound, once."""

from dataclasses import dataclass

MIB = 1 << 20


@dataclass(frozen=True)
class Limits:
    """Bounds of a server; what is above one is refused with 413, 429 or 408.

    Attributes:
        json_bytes: of a JSON body.  Parsed it takes up to twenty times as much memory, so only one
            is parsed at a time.
        video_bytes: of a body with files, a video or many pictures.
        picture_bytes: of one picture.
        small_bytes: of any other body.
        bytes_at_once: of all bodies that are being read or worked on.
        pixels: of one picture or video frame, found before it is decoded.
        instances: of one JSON body.
        pictures: of one body.
        clip_bytes: of the steps of one clip, which are kept in a temporary file.
        clip_seconds: that may be spent on one request, decoding and the model together.
        ticks: of the model's clock that the clips of one request may last: 73 minutes at 30 a
            second.
        timeline_values: probabilities in the timelines of one request.
        clips: requests that decode a video or many pictures, or wait for it.
        clients: requests and WebSockets at once.
        streams: that are open at once, those of WebSockets included.
        room: frames and clips that the model has been asked about and has not answered.
        idle_seconds: without a frame, after which a stream is closed.
        head_seconds: in which the head of a request must have come.
        chunks: of one chunked body, and one more for each `chunk_bytes` of it: one chunk costs as
            much as another.
        chunk_bytes: see there.
        fragments: of one WebSocket message.
        socket_frames: of one WebSocket in a second; what comes faster waits.
        stall_seconds: without a byte of a body, or without a byte that the client would take.
        body_seconds: in which a whole body must have come.
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
