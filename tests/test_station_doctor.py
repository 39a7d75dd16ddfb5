"""What `edge doctor` says of cameras, disks, clocks and packages: of this machine, of made ones."""

import os

import pytest

from edge.station import doctor
from edge.station.settings import load


def test_every_line_of_this_machine_is_one():
    lines = list(doctor.station_lines())
    assert len(lines) >= 8
    for ok, line in lines:
        assert isinstance(ok, bool)
        assert line
        assert "\n" not in line
    said = " | ".join(line for _, line in lines)
    for word in ("camera", "disk of", "health.json", "clock: 20", "OpenCV", "paho-mqtt"):
        assert word in said


def settings_of(tmp_path, source, sink="-"):
    options = {"bundle.path": "b", "source.open": source, "sink": [sink], "folder": str(tmp_path)}
    return load(None, options)


def failing(settings):
    return [line for ok, line in doctor.station_lines(settings) if not ok]


def test_what_the_station_needs_is_complained_of(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "_installed", lambda module: False)
    assert failing(settings_of(tmp_path, "watch:in")) == []
    said = failing(settings_of(tmp_path, "camera:97", "mqtt://host/topic"))
    assert any("/dev/video97: no such device; is it plugged in?" in line for line in said)
    assert any("`pip install opencv-python-headless`" in line for line in said)
    assert any("`pip install paho-mqtt`" in line for line in said)
    assert len(said) == 3
    assert any("picamera2" in line for line in failing(settings_of(tmp_path, "picamera:0")))
    assert any("gpiozero" in line for line in failing(settings_of(tmp_path, "-", "gpio:17")))


# Cameras


def test_what_is_no_camera_is_passed_over(tmp_path):
    assert list(doctor.cameras(devices=str(tmp_path))) == [
        (True, f"cameras: none at {tmp_path}/video*")
    ]
    (tmp_path / "video0").write_bytes(b"")
    said = [(True, "cameras: none that this user can take pictures with")]
    assert list(doctor.cameras(devices=str(tmp_path))) == said
    assert not any(ok for ok, _ in doctor.cameras(str(tmp_path / "video0"), str(tmp_path)))


def test_a_camera_without_permission_names_its_group(tmp_path):
    camera = tmp_path / "video0"
    camera.write_bytes(b"")
    camera.chmod(0)
    says = f"camera {camera}: no permission; run `sudo usermod -aG {camera.group()} $USER`, log in"
    privileged = os.geteuid() == 0  # who may open everything
    if privileged:
        for folder in (tmp_path, *tmp_path.parents):
            mode = folder.stat().st_mode
            if not mode & 0o001:  # those that pytest made
                folder.chmod(mode | 0o055)
        os.seteuid(65534)
    try:
        lines = list(doctor.cameras(devices=str(tmp_path)))
    finally:
        if privileged:
            os.seteuid(0)
    assert lines[0] == (False, says)


def test_a_capture_device_is_told_from_others(monkeypatch, tmp_path):
    import fcntl
    import struct

    def ioctl(handle, request, answer):
        answer[16:26] = b"HD camera\0"
        struct.pack_into("=III", answer, 80, 0, 0x84A00001, ioctl.of_device)

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    (tmp_path / "video3").write_bytes(b"")
    ioctl.of_device = 0x04200001
    camera = f"camera {tmp_path}/video3: HD camera"
    assert list(doctor.cameras(devices=str(tmp_path))) == [(True, camera)]
    ioctl.of_device = 0x04A00000  # metadata alone
    assert camera not in dict(map(reversed, doctor.cameras(devices=str(tmp_path))))


# Disk


def test_room_and_permission(tmp_path, monkeypatch):
    lines = list(doctor.disk(tmp_path / "not" / "made" / "yet"))
    assert lines[0][0]
    assert "MB free" in lines[0][1]
    usage = type("Usage", (), {"free": 12e6})
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    assert (
        next(doctor.disk(tmp_path))[0],
        "12 MB" in next(doctor.disk(tmp_path))[1],
    ) == (False, True)


def test_a_read_only_disk(monkeypatch, tmp_path):
    monkeypatch.setattr(doctor.os, "access", lambda *_: False)
    said = [line for ok, line in doctor.disk(tmp_path) if not ok]
    assert said == [
        f"disk of {tmp_path}: no permission to write; choose another folder for the station"
    ]


MOUNTS = r"""
22 1 179:2 / / rw,noatime shared:1 - ext4 /dev/mmcblk0p2 rw
23 22 0:20 / /proc rw - proc proc rw
30 22 0:25 / /tmp rw shared:12 - tmpfs tmpfs rw,size=1g
31 22 8:1 / /media/usb\040stick rw - vfat /dev/sda1 rw
32 31 0:26 / /media/usb\040stick/x rw - tmpfs none rw
garbage
"""


@pytest.mark.parametrize(
    ("folder", "kind", "device"),
    [
        ("/", "ext4", "/dev/mmcblk0p2"),
        ("/home/pi/station", "ext4", "/dev/mmcblk0p2"),
        ("/tmp", "tmpfs", "tmpfs"),
        ("/tmpfile", "ext4", "/dev/mmcblk0p2"),
        ("/media/usb stick/deep/er", "vfat", "/dev/sda1"),
        ("/media/usb stick/x/y", "tmpfs", "none"),
    ],
)
def test_where_a_folder_lies(folder, kind, device, tmp_path):
    (tmp_path / "mountinfo").write_text(MOUNTS)
    mount = doctor.mount_of(folder, str(tmp_path / "mountinfo"))
    assert (mount.kind, mount.device) == (kind, device)
    assert mount.in_memory == (kind == "tmpfs")
    assert mount.on_a_card == ("mmcblk" in device)


def test_here_it_is_told_as_well(tmp_path):
    assert doctor.mount_of("/proc").kind == "proc"
    assert doctor.mount_of(tmp_path, str(tmp_path / "absent")) is None


# Clock


@pytest.mark.parametrize(
    ("now", "synchronised", "ok", "says"),
    [
        (0.0, False, False, "1970-01-01 00:00:00 UTC, never set"),
        (1.8e9, True, True, "2027-01-15 08:00:00 UTC, synchronised"),
        (1.8e9, False, True, "not synchronised; `timedatectl set-ntp true`"),
    ],
)
def test_clocks(now, synchronised, ok, says):
    was, line = doctor.clock(now, synchronised)
    assert was == ok
    assert says in line


def test_the_kernel_is_asked():
    assert doctor.clock_is_synchronised() in (True, False, None)
    assert doctor.clock()[0]
