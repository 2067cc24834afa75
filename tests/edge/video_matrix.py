"""Small videos of every container, codec, pixel format and field order, and FFmpeg's own frames.

Each is made once in a test run.
"""

import shutil
import subprocess
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from once import once

FRAMES = 8
# What FFmpeg shows, in square pixels: the side that is too short is enlarged.
_SQUARE = "scale='if(gt(sar,1),round(iw*sar),iw)':'if(gt(sar,1),ih,round(ih/sar))'"
# Smooth, so that only decoding is compared, and not how an edge of colour is interpolated.
_PICTURE = "gblur=sigma=4,noise=alls=4:allf=t"


@dataclass(frozen=True)
class Case:
    """A video: its file's name, the encoder's arguments and the filters before it."""

    file: str
    arguments: str
    size: tuple[int, int] = (96, 64)
    fps: str = "25"
    filters: str = ""

    def __str__(self) -> str:
        return self.file


_TOP = "tinterlace=interleave_top,setfield=tff"
_BOTTOM = "tinterlace=interleave_bottom,setfield=bff"
_FIELDS = "-flags +ildct+ilme"
_X265 = "-x265-params log-level=none"

CASES = [
    # Containers.
    *(
        Case(f"h264.{ending}", "-c:v libx264 -bf 2 -pix_fmt yuv420p")
        for ending in ("mp4", "mov", "mkv", "ts", "mts", "flv", "3gp", "m4v")
    ),
    Case("b-frames.avi", "-c:v mpeg4 -bf 2"),
    Case("vp8.webm", "-c:v libvpx -b:v 500k"),
    Case("vp9.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"),
    Case("vp9.mp4", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8"),
    Case("mpeg2.mpg", "-c:v mpeg2video -bf 2"),
    Case("mpeg1.mpg", "-c:v mpeg1video"),
    Case("wmv2.wmv", "-c:v wmv2"),
    Case("mpeg4.3gp", "-c:v mpeg4"),
    Case("h263.flv", "-c:v flv"),
    Case("animation.gif", "-c:v gif", fps="10"),
    # Codecs.
    Case("hevc.mp4", f"-c:v libx265 {_X265} -tag:v hvc1 -pix_fmt yuv420p"),
    Case("av1.mkv", "-c:v libaom-av1 -cpu-used 8 -usage realtime"),
    Case("av1.mp4", "-c:v libsvtav1 -preset 12"),
    Case("mjpeg.avi", "-c:v mjpeg -pix_fmt yuvj422p"),
    Case("prores.mov", "-c:v prores_ks"),
    Case("ffv1.mkv", "-c:v ffv1 -pix_fmt yuv420p"),
    # Pixel formats.
    Case("422.mp4", "-c:v libx264 -pix_fmt yuv422p"),
    Case("444.mp4", "-c:v libx264 -pix_fmt yuv444p"),
    Case("10-bit.mp4", "-c:v libx264 -pix_fmt yuv420p10le"),
    Case("hevc-10-bit.mp4", f"-c:v libx265 {_X265} -pix_fmt yuv420p10le"),
    Case("422-10-bit.mov", "-c:v prores_ks -profile:v 3 -pix_fmt yuv422p10le"),
    Case("444-12-bit.mkv", "-c:v ffv1 -pix_fmt yuv444p12le"),
    Case("vp9-444.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -pix_fmt yuv444p"),
    Case("grey.mp4", "-c:v libx264 -pix_fmt gray"),
    Case("grey-16-bit.mkv", "-c:v ffv1 -pix_fmt gray16le"),
    Case("alpha.mkv", "-c:v ffv1 -pix_fmt bgra"),
    Case("prores-alpha.mov", "-c:v prores_ks -profile:v 4 -pix_fmt yuva444p10le"),
    Case("rgb.avi", "-c:v rawvideo -pix_fmt bgr24"),
    # Ranges and matrices.
    Case("full-range.mp4", "-c:v libx264 -pix_fmt yuvj420p"),
    Case(
        "bt709.mp4",
        "-c:v libx264 -pix_fmt yuv420p -colorspace bt709 -color_range tv",
        filters="scale=out_color_matrix=bt709:out_range=tv",
    ),
    Case(
        "bt709-full.mp4",
        "-c:v libx264 -pix_fmt yuv420p -colorspace bt709 -color_range pc",
        filters="scale=out_color_matrix=bt709:out_range=pc",
    ),
    # Interlaced.
    *(
        Case(f"{codec}-{order}.{ending}", arguments, filters=fields)
        for order, fields in (("tff", _TOP), ("bff", _BOTTOM))
        for codec, ending, arguments in (
            ("h264", "mp4", f"-c:v libx264 {_FIELDS} -pix_fmt yuv420p"),
            ("h264", "mkv", f"-c:v libx264 {_FIELDS} -pix_fmt yuv420p"),
            ("h264", "ts", f"-c:v libx264 {_FIELDS} -pix_fmt yuv420p"),
            ("h264-422", "mts", f"-c:v libx264 {_FIELDS} -pix_fmt yuv422p10le"),
            ("mpeg2", "mpg", f"-c:v mpeg2video {_FIELDS}"),
            ("mpeg4", "avi", f"-c:v mpeg4 {_FIELDS}"),
            ("prores", "mov", f"-c:v prores_ks {_FIELDS}"),
        )
    ),
    Case("dv.avi", "-c:v dvvideo -pix_fmt yuv420p", size=(720, 576), filters=_BOTTOM),
    # Sizes and shapes of pixels.
    Case("odd.webm", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8", size=(97, 65)),
    Case("odd.mkv", "-c:v ffv1 -pix_fmt yuv420p", size=(101, 51)),
    Case("odd-444.mp4", "-c:v libx264 -pix_fmt yuv444p", size=(95, 63)),
    Case("wide-pixels.mp4", "-c:v libx264 -pix_fmt yuv420p", filters="setsar=4/3"),
    Case("tall-pixels.mkv", "-c:v libx264 -pix_fmt yuv420p", filters="setsar=3/4"),
    Case("wide-pixels.webm", "-c:v libvpx -b:v 500k", filters="setsar=16/11"),
    Case("wide-pixels-tff.ts", f"-c:v mpeg2video {_FIELDS}", filters=f"{_TOP},setsar=16/15"),
    # Rates.
    Case("ntsc.mp4", "-c:v libx264 -bf 2 -pix_fmt yuv420p", fps="30000/1001"),
    Case("slow.mkv", "-c:v mpeg4", fps="5"),
]


@dataclass(frozen=True)
class Shown:
    """What FFmpeg gives: `(time, height, width, 3)` BGR, and times in seconds from 0 on."""

    frames: NDArray[np.uint8]
    times: list[float]


def video(case: Case) -> Path:
    """Return a video of the matrix, made by the first that needs it."""
    needs_ffmpeg()
    return once(f"matrix-{case.file}", lambda folder: _make(case, folder)) / case.file


def needs_ffmpeg() -> None:
    """Skip a test where the program is missing."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("no ffmpeg here, which makes these videos; install it with tests/install.sh")


def ffmpeg(*arguments: str | Path) -> None:
    """Run ffmpeg."""
    command = ["ffmpeg", "-nostdin", "-v", "error", "-y", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, f"{' '.join(command)}: {done.stderr[-2000:]}"


def _make(case: Case, folder: Path) -> None:
    folder.mkdir()
    width, height = case.size
    # Two fields make a frame.
    rate = Fraction(case.fps) * (2 if "tinterlace" in case.filters else 1)
    source = (
        f"testsrc2=s={width + width % 2}x{height + height % 2}:r={rate}:d={float(32 / rate):.3f}"
    )
    ffmpeg(
        *("-f", "lavfi", "-i", f"{source},crop={width}:{height}:exact=1"),
        *("-vf", ",".join(filter(None, (_PICTURE, case.filters)))),
        *(*case.arguments.split(), "-threads", "1", "-frames:v", str(FRAMES)),
        folder / case.file,
    )


def shown(path: Path) -> Shown:
    """Return what ffmpeg itself shows of a video."""
    raw, times = path.with_suffix(path.suffix + ".raw"), path.with_suffix(path.suffix + ".times")
    common = ["-map", "0:v:0", "-vf", f"{_SQUARE},format=bgr24", "-fps_mode", "passthrough"]
    times_of = ["-enc_time_base", "1:90000", "-f", "framecrc", times]
    ffmpeg("-threads", "1", "-i", path, *common, "-f", "rawvideo", raw, *common, *times_of)
    lines = times.read_text().splitlines()
    base = Fraction(next(line.split()[-1] for line in lines if line.startswith("#tb")))
    size = next(line.split()[-1] for line in lines if line.startswith("#dimensions"))
    width, height = map(int, size.split("x"))
    stamps = [int(line.split(",")[2]) for line in lines if not line.startswith("#")]
    frames = np.fromfile(raw, np.uint8).reshape(-1, height, width, 3)
    return Shown(frames, [float((stamp - stamps[0]) * base) for stamp in stamps])
