"""Where frames come from: one text names any source.

| text | frames |
|---|---|
| FOLDER or FILE | its pictures once, sorted |
| watch:FOLDER | each new picture in it |
| video:FILE | a video file, picture by picture |
| camera:N, camera:/dev/... | a V4L2 camera, through OpenCV |
| picamera:N | a Raspberry Pi's own camera |
| rtsp://..., rtsps://, http(s):// | a network camera, through OpenCV |
| command:PROGRAM ARGUMENT... | whatever writes pictures to its standard output |
| - or stdin: | pictures on standard input |
| upload:PORT, upload:HOST:PORT | pictures sent over HTTP |

A command writes PNG, JPEG, BMP or binary PPM and PGM pictures one behind the other. For raw pixels
PPM is the format: `P6`, width, height and `255`, each followed by white space, then the bytes R, G,
B of each pixel, row by row; `P5` for grey. It is started without a shell, is ended and started
again when it gives nothing for the time allowed or sends anything else, and ends with the station.
"""

from edge.station.sources.base import Source, SourceOptions
from edge.station.sources.opening import open_source

__all__ = ["Source", "SourceOptions", "open_source"]
