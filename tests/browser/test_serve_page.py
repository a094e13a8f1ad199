"""The page of bench serve in a real Chromium: choose, paste, drop, draw."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

from tests.serve.test_serve import start  # noqa: F401

SEND = """
const bytes = Uint8Array.from(atob(arguments[0]), (c) => c.charCodeAt(0));
const data = new DataTransfer();
data.items.add(new File([bytes], "digit.png", { type: "image/png" }));
const event = arguments[1] === "paste"
  ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
  : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true });
document.body.dispatchEvent(event);
"""


@pytest.mark.parametrize("width", [1280, 400])
def test_every_way_to_give_an_image(start: Any, chromium: Any, digit: Path, width: int) -> None:  # noqa: F811
    server = start("cnn")
    status, wanted = server.post(digit.read_bytes())
    assert status == 200
    chromium.get_log("browser")
    chromium.set_window_size(width, 900)
    chromium.get(server.url)
    wait = WebDriverWait(chromium, 20)
    wait.until(lambda d: "10 classes" in d.find_element(By.ID, "model").text)

    def answer() -> str:
        wait.until(lambda d: d.find_element(By.ID, "class").text != "")
        wait.until(lambda d: "busy" not in d.find_element(By.ID, "said").get_attribute("class"))
        return str(chromium.find_element(By.ID, "class").text)

    chromium.find_element(By.ID, "file").send_keys(str(digit))
    first = answer()
    assert first.startswith(f"{wanted['class']}, ")
    bars = [li.text.split() for li in chromium.find_elements(By.CSS_SELECTOR, "#bars li")]
    assert [name for name, _ in bars] == list(wanted["probabilities"])  # the most probable one first
    assert len(chromium.find_elements(By.CSS_SELECTOR, "#pictures img")) == 2
    assert len(chromium.find_elements(By.CSS_SELECTOR, "#nearest img")) == 6
    raw = base64.b64encode(digit.read_bytes()).decode()
    for way in ("paste", "drop"):
        chromium.execute_script("document.getElementById('class').textContent = ''")
        chromium.execute_script(SEND, raw, way)
        assert answer() == first

    chromium.execute_script("document.getElementById('class').textContent = ''")
    chromium.find_element(By.ID, "draw").click()
    canvas = chromium.find_element(By.CSS_SELECTOR, "#pad canvas")
    pen = ActionChains(chromium).move_to_element_with_offset(canvas, 0, -80).click_and_hold()
    pen.move_by_offset(0, 80).move_by_offset(0, 60).release().perform()
    assert "%" in answer()
    words = chromium.find_element(By.CSS_SELECTOR, "#drop span")
    assert words.is_displayed()  # what was dropped before is not what was asked now
    white = (
        "const c = document.querySelector('#pad canvas');return c.getContext('2d').getImageData(140, 140, 1, "
        "1).data[0] + c.getContext('2d').getImageData(5, 5, 1, 1).data[0]"
    )
    assert chromium.execute_script(white) == 255  # light on dark, as these digits are

    file = digit.with_name("note.png")
    file.write_text("no image")
    chromium.find_element(By.ID, "file").send_keys(str(file))
    wait.until(lambda d: "not an image" in d.find_element(By.ID, "error").text)
    assert words.is_displayed()
    bad = [e for e in chromium.get_log("browser") if e["level"] == "SEVERE" and "422" not in e["message"]]
    assert bad == []
    assert chromium.execute_script("return document.documentElement.scrollWidth <= innerWidth")
