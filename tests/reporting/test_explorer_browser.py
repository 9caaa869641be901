"""The report page in a real browser. The numbers are those of explorer_arrays."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from browser import Missing, install, opened, requests, shown
from explorer_arrays import GRID, HEADS, IMAGES
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.select import Select

from dino.core.configuration.parameters import read_parameters
from dino.core.paths import Project
from dino.stages.report import execute

PANELS = {
    (kind, model): f'.panel canvas[data-kind="{kind}"][data-model="{model}"]'
    for kind in ("cls", "patch", "alike")
    for model in (0, 1)
}
TEACHER = [selector for (_, model), selector in PANELS.items() if model == 0]


@pytest.fixture(scope="session", autouse=True)
def chromium() -> None:
    """Skipped, with the reason, where chromium neither is installed nor can be; never in CI."""
    try:
        install()
    except Missing as reason:
        if os.environ.get("CI"):
            raise
        pytest.skip(str(reason))


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory, projects: Callable[..., Project]) -> Path:
    project = projects(tmp_path_factory.mktemp("browser"), seeds=(0,))
    execute(project, read_parameters(project.parameters))
    # alone in a folder, as when it was sent by mail
    page = tmp_path_factory.mktemp("mail") / "report.html"
    return (project.results / "report.html").rename(page)


@pytest.fixture(scope="module")
def one_browser(report: Path) -> Iterator[Chrome]:
    with opened(report) as browser:
        yield browser


@pytest.fixture
def browser(one_browser: Chrome) -> Chrome:
    """The page as it opens."""
    one_browser.refresh()
    shown(one_browser, "#explorer")
    return one_browser


def _find(browser: Chrome, name: str) -> WebElement:
    return browser.find_element(By.ID, f"explorer-{name}")


def _drawing(browser: Chrome, selector: str = "#explorer-picker") -> str:
    script = "return document.querySelector(arguments[0]).toDataURL()"
    return str(browser.execute_script(script, selector))


def _place(browser: Chrome) -> tuple[int, int]:
    row, column = (_find(browser, name).get_attribute("value") for name in ("row", "column"))
    return int(row or 0), int(column or 0)


def _reading(browser: Chrome, kind: str, model: int = 0) -> str:
    panel = browser.find_element(By.CSS_SELECTOR, PANELS[kind, model])
    return str(panel.get_attribute("aria-label"))


def _press(browser: Chrome, *keys: str) -> None:
    _find(browser, "picker").send_keys(*keys)


def _choose(browser: Chrome, group: str, number: int) -> None:
    browser.find_elements(By.CSS_SELECTOR, f"#explorer-{group} input")[number].send_keys(Keys.SPACE)


def test_the_page_opens_alone_without_errors_and_requests(browser: Chrome) -> None:
    assert browser.get_log("browser") == []
    addresses = requests(browser)
    assert {address.partition(":")[0] for address in addresses} == {"file", "data"}
    files = {address for address in addresses if address.startswith("file")}
    assert len(files) == 1 and _find(browser, "form").is_displayed()


def test_it_begins_where_the_teachers_cls_attends(browser: Chrome) -> None:
    # cell 5 in head 1, cell 10 in head 2: of equals the first
    assert _place(browser) == (1 + 5 // GRID, 1 + 5 % GRID)


def test_arrow_keys_move_the_patch_and_change_the_drawing(browser: Chrome) -> None:
    _press(browser, Keys.HOME, Keys.PAGE_UP)
    assert _place(browser) == (1, 1)
    selectors = ("#explorer-picker", PANELS["patch", 0], PANELS["alike", 0])
    before = [_drawing(browser, selector) for selector in selectors]
    cls = _drawing(browser, PANELS["cls", 0])
    _press(browser, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert _place(browser) == (2, 2)
    after = [_drawing(browser, selector) for selector in selectors]
    assert all(one != other for one, other in zip(before, after, strict=True))
    assert _drawing(browser, PANELS["cls", 0]) == cls
    status = _find(browser, "status")
    assert status.get_attribute("aria-live") == "polite"
    assert status.text.startswith("Row 2, column 2, mean of the heads.")


def test_the_patch_stays_inside_the_image(browser: Chrome) -> None:
    _press(browser, Keys.END, Keys.PAGE_DOWN, Keys.ARROW_RIGHT, Keys.ARROW_DOWN)
    assert _place(browser) == (GRID, GRID)
    _press(browser, Keys.HOME, Keys.PAGE_UP, Keys.ARROW_LEFT, Keys.ARROW_UP)
    assert _place(browser) == (1, 1)


def test_row_and_column_can_be_typed(browser: Chrome) -> None:
    row = _find(browser, "row")
    row.clear()
    row.send_keys("4", Keys.TAB)
    assert _place(browser) == (4, 2)
    assert browser.switch_to.active_element == _find(browser, "column")


def test_a_head_has_its_own_drawing_and_numbers(browser: Chrome) -> None:
    _press(browser, Keys.HOME, Keys.PAGE_UP, Keys.ARROW_RIGHT)
    assert len(browser.find_elements(By.CSS_SELECTOR, "#explorer-heads input")) == 1 + HEADS
    drawings = {_drawing(browser, PANELS["patch", 0])}
    for head, target in ((1, "row 1, column 3"), (2, "row 1, column 1")):
        _choose(browser, "heads", head)
        drawings.add(_drawing(browser, PANELS["patch", 0]))
        assert f"head {head}" in _find(browser, "status").text
        # one cell of 255 and the others of 20
        assert f"this patch at {target} ({100 * 255 / (255 + 16 * 20):.1f} %)" in (
            _find(browser, "status").text
        )
    assert len(drawings) == 3


def test_cosines_are_those_of_the_arrays(browser: Chrome) -> None:
    _press(browser, Keys.HOME, Keys.PAGE_UP)
    expected = -0.5 + 1.5 * (255 - 255 // 15) / 255
    assert f"row 1, column 2, cosine {expected:.2f}" in _reading(browser, "alike")


def test_random_init_is_drawn_and_said_differently(browser: Chrome) -> None:
    for kind in ("cls", "patch", "alike"):
        assert _drawing(browser, PANELS[kind, 0]) != _drawing(browser, PANELS[kind, 1])
    assert "Spread over 16 of 16 patches" in _reading(browser, "cls", 1)
    assert "Random init" in _reading(browser, "cls", 1)
    assert "Spread over 16 of 16 patches" not in _reading(browser, "cls", 0)


def test_every_image_has_its_own_drawings_and_no_name_is_markup(browser: Chrome) -> None:
    labels = browser.find_elements(By.CSS_SELECTOR, "#explorer-images label")
    assert [label.text for label in labels] == ["</script><b>zero", "one", "test/2"]
    drawings = set()
    for image in range(IMAGES):
        _choose(browser, "images", image)
        shown(browser, "#explorer")
        drawings |= {_drawing(browser), _drawing(browser, PANELS["cls", 0])}
    assert len(drawings) == 2 * IMAGES


def test_colours_can_be_each_maps_own_and_the_image_left_out(browser: Chrome) -> None:
    shared = _drawing(browser, PANELS["cls", 1])
    _find(browser, "shared").send_keys(Keys.SPACE)
    own = _drawing(browser, PANELS["cls", 1])
    _find(browser, "beneath").send_keys(Keys.SPACE)
    assert len({shared, own, _drawing(browser, PANELS["cls", 1])}) == 3


def test_the_pointer_shows_a_patch_and_a_click_chooses_it(browser: Chrome) -> None:
    start = _place(browser)
    panel = browser.find_element(By.CSS_SELECTOR, PANELS["patch", 0])
    third = round(panel.size["width"] / 3)
    ActionChains(browser).move_to_element_with_offset(panel, third, third).perform()
    assert _place(browser) == (GRID, GRID)
    assert _find(browser, "status").get_attribute("aria-live") == "off"
    ActionChains(browser).move_to_element(_find(browser, "note")).perform()
    assert _place(browser) == start
    ActionChains(browser).move_to_element_with_offset(panel, third, third).click().perform()
    ActionChains(browser).move_to_element(_find(browser, "note")).perform()
    assert _place(browser) == (GRID, GRID)


def test_another_run_can_be_chosen(browser: Chrome) -> None:
    runs = Select(_find(browser, "run"))
    assert [one.text for one in runs.options] == ["vit_micro_7-dino-s0", "vit_nano_7-dino-s0"]
    _press(browser, Keys.PAGE_UP)
    runs.select_by_index(1)
    assert _place(browser) == (2, 2)


def test_the_keyboard_reaches_every_control_and_focus_is_seen(browser: Chrome) -> None:
    _find(browser, "run").click()
    _find(browser, "run").send_keys(Keys.ESCAPE)
    reached = []
    for _ in range(7):
        element = browser.switch_to.active_element
        reached.append(element.get_attribute("name") or element.get_attribute("id"))
        element.send_keys(Keys.TAB)
    assert reached == [
        "explorer-run",
        "explorer-image",
        "explorer-head",
        *(f"explorer-{name}" for name in ("shared", "beneath", "picker", "row")),
    ]
    _find(browser, "row").send_keys(Keys.SHIFT + Keys.TAB)
    assert browser.switch_to.active_element == _find(browser, "picker")
    assert _find(browser, "picker").value_of_css_property("outline-width") == "3px"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width_px", [320, 390, 1280])
def test_nothing_is_wider_than_the_window(report: Path, width_px: int, dark: bool) -> None:
    with opened(report, width_px, dark=dark) as browser:
        shown(browser, "#explorer")
        size = "return document.documentElement.scrollWidth"
        assert browser.execute_script(size) == width_px
        picker, panel = _find(browser, "picker"), browser.find_element(By.CSS_SELECTOR, TEACHER[0])
        beside = panel.location["x"] >= picker.location["x"] + picker.size["width"]
        assert beside == (width_px == 1280) and panel.size["width"] > 120
        paper = browser.find_element(By.TAG_NAME, "body").value_of_css_property("background-color")
        assert paper == ("rgba(22, 24, 27, 1)" if dark else "rgba(255, 255, 255, 1)")
        assert len(browser.get_screenshot_as_png()) > 10_000


def test_without_a_script_the_page_says_so(report: Path) -> None:
    with opened(report) as browser:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
        browser.refresh()
        text = browser.find_element(By.ID, "explorer").text
        assert "The explorer needs JavaScript" in text and "Where [CLS]" not in text
