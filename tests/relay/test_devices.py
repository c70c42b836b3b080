"""Classes of devices: a decision table of fields that real clients send."""

from __future__ import annotations

import pytest

from relay.devices import MAX_AGENT_CHARS, Device, device_of

CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
TABLE = [
    # Phones: the browser, and what plays for it
    ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148",
     Device.PHONE),
    ("AppleCoreMedia/1.0.0.22F76 (iPhone; U; CPU OS 18_5 like Mac OS X; en_us)", Device.PHONE),
    ("AppleCoreMedia/1.0.0.13G34 (iPod touch; U; CPU OS 9_3 like Mac OS X; en_us)", Device.PHONE),
    (f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Mobile Safari/537.36", Device.PHONE),
    ("Mozilla/5.0 (Android 15; Mobile; rv:140.0) Gecko/140.0 Firefox/140.0", Device.PHONE),
    # Tablets
    ("Mozilla/5.0 (iPad; CPU OS 18_5 like Mac OS X) AppleWebKit/605.1.15 Version/18.5 Mobile/15E148 Safari/604.1",
     Device.TABLET),
    ("AppleCoreMedia/1.0.0.22F76 (iPad; U; CPU OS 18_5 like Mac OS X; en_us)", Device.TABLET),
    (f"Mozilla/5.0 (Linux; Android 10; K) {CHROME} Safari/537.36", Device.TABLET),
    ("Mozilla/5.0 (Linux; Android 11; KFTRWI) AppleWebKit/537.36 Silk/120.1 like Chrome/120.0 Safari/537.36",
     Device.TABLET),
    # Desktops
    (f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {CHROME} Safari/537.36", Device.DESKTOP),
    ("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.5 Safari/605", Device.DESKTOP),
    ("AppleCoreMedia/1.0.0.24F74 (Macintosh; U; Intel Mac OS X 15_5; en_us)", Device.DESKTOP),
    (f"Mozilla/5.0 (X11; Linux x86_64) {CHROME} Safari/537.36", Device.DESKTOP),
    (f"Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) {CHROME} Safari/537.36", Device.DESKTOP),
    ("Mozilla/5.0 (X11; Ubuntu; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", Device.DESKTOP),
    # Televisions: before Android, Linux and the browsers that they name as well
    ("Mozilla/5.0 (SMART-TV; LINUX; Tizen 7.0) AppleWebKit/537.36 Chrome/94.0 TV Safari/537.36", Device.TV),
    ("Mozilla/5.0 (Web0S; Linux/SmartTV) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/94.0 Safari/537.36", Device.TV),
    ("HbbTV/1.5.1 (+DRM; Panasonic; TV; 1.0; ;)", Device.TV),
    ("AppleCoreMedia/1.0.0.22L572 (Apple TV; U; CPU OS 18_5 like Mac OS X; en_us)", Device.TV),
    ("AppleTV14,1/18.5", Device.TV),
    ("Mozilla/5.0 (Linux; Android 9; AFTKA) AppleWebKit/537.36 Chrome/120.0 Mobile Safari/537.36", Device.TV),
    ("Mozilla/5.0 (Linux; Android 12.0; Build/STTL.240508) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 CrKey/1.56",
     Device.TV),
    ("Dalvik/2.1.0 (Linux; U; Android 10; BRAVIA 4K UR2 Build/QTG3)", Device.TV),
    ("Roku/DVP-14.5 (14.5.4.5934-AC)", Device.TV),
    ("Mozilla/5.0 (PlayStation; PlayStation 5/9.00) AppleWebKit/605.1.15 Version/16.4 Safari/605.1.15", Device.TV),
    ("Mozilla/5.0 (Windows NT 10.0; Win64; x64; Xbox; Xbox One) AppleWebKit/537.36 Edge/44.18363", Device.TV),
    # Apps: libraries that play, and programs that do nothing else
    ("Shop/3.1 (Linux;Android 14) ExoPlayerLib/2.19.1", Device.APP),
    ("Shop/3.1 (Linux;Android 14) AndroidXMedia3/1.4.1", Device.APP),
    ("okhttp/4.12.0", Device.APP),
    ("Shop/31 CFNetwork/3826.500.131 Darwin/24.5.0", Device.APP),
    ("Lavf/61.7.100", Device.APP),
    ("VLC/3.0.21 LibVLC/3.0.21", Device.APP),
    ("mpv 0.38.0", Device.APP),
    # Nothing that can be told
    ("curl/8.5.0", Device.OTHER),
    ("python-httpx2/2.16", Device.OTHER),
    ("", Device.OTHER),
    ("\x00\xff", Device.OTHER),
    ("Shiphone/1.0", Device.OTHER),
]  # fmt: skip


@pytest.mark.parametrize(("agent", "device"), TABLE)
def test_table(agent: str, device: Device) -> None:
    assert device_of(agent) is device


def test_only_the_beginning_counts() -> None:
    assert device_of(" " * MAX_AGENT_CHARS + "iPhone") is Device.OTHER
    assert device_of("iPhone " + "x" * 100_000) is Device.PHONE
