"""The buttons of a wait: they come where clicks reach a kernel that runs a cell, and work there."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest
from fake_clock import FakeClock
from model_server import Answer, ModelServer, Refuse

from openhands_llm_magic.errors import RateLimitError
from openhands_llm_magic.llm.control import Control
from openhands_llm_magic.llm.events import Held, Retrying, Waiting
from openhands_llm_magic.notebook.view.wait import PATIENCE_S, WIDGET_VIEW, Clicks, Waits
from openhands_llm_magic.notebook.view.wait_buttons import WaitButtons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel import Front, Kernel, Ran

AT_ONCE_S = 2.0
"""Far below the wait, which is a minute."""


class FrontEnd:
    """What JupyterLab does of its own accord, and a person who clicks once.

    Args:
        kernel: The kernel.
        passes: Whether widgets' messages go past a running cell, to a subshell.
        click: The message of the button, or None for no click.
    """

    def __init__(self, kernel: Kernel, *, passes: bool = True, click: str | None = None) -> None:
        self._kernel = kernel
        self._subshell_id = kernel.new_subshell() if passes else None
        self._click = click
        self.clicked_at_s: float | None = None
        self.models: dict[str, dict[str, Any]] = {}

    def on_message(self, message: dict[str, Any]) -> None:
        """Take in a message of the cell."""
        content = message["content"]
        match message["header"]["msg_type"]:
            case "comm_open":
                self.models[content["comm_id"]] = content["data"]["state"]
            case "comm_msg":
                self.models[content["comm_id"]] |= content["data"].get("state", {})
            case "comm_close":
                del self.models[content["comm_id"]]
            case "update_display_data" if WIDGET_VIEW not in content["data"]:
                # It says so more than once, as the kernel may not have been ready to hear it.
                for model_id in [key for key, state in self.models.items() if "_esm" in state]:
                    self.send(model_id, "here")
            case "update_display_data" if self._click and self.clicked_at_s is None:
                self.clicked_at_s = time.monotonic()
                self.send(content["data"][WIDGET_VIEW]["model_id"], self._click)

    def send(self, model_id: str, kind: str) -> None:
        """Send what a button, or the script itself, sends."""
        data = {"method": "custom", "content": {"type": kind}}
        self._kernel.send_to_widget(model_id, data, self._subshell_id)


@pytest.fixture
def cell(kernel: Kernel, model_server: ModelServer) -> str:
    """A cell whose server asks for a wait of a minute, then answers."""
    kernel.run("get_ipython().magics_manager.registry['LLMMagics'].asking.clicks.heard()")
    kernel.run("key = 'sk-of-the-test'")
    model_server.script(Refuse(429, {"retry-after": "60"}, message="Slow down."), Answer())
    return f"%%llm -m openai/test --base-url {model_server.openai_base} --api-key $key\nHi"


def widget_messages(ran: Ran) -> list[dict[str, Any]]:
    return ran.contents("comm_open", "comm_msg", "comm_close")


def test_retry_now_ends_the_wait(kernel: Kernel, model_server: ModelServer, cell: str) -> None:
    front_end = FrontEnd(kernel, click="now")

    ran = kernel.run(cell, on_message=front_end.on_message)

    assert front_end.clicked_at_s is not None
    assert ran.times_s[-1] - front_end.clicked_at_s < AT_ONCE_S
    assert model_server.count == 2
    assert [shown["text/plain"][:21] for shown in ran.outputs] == ["Hello from the model."]


def test_stop_is_the_interrupt(kernel: Kernel, model_server: ModelServer, cell: str) -> None:
    front_end = FrontEnd(kernel, click="stop")

    ran = kernel.run(cell, on_message=front_end.on_message)

    assert front_end.clicked_at_s is not None
    assert ran.times_s[-1] - front_end.clicked_at_s < AT_ONCE_S
    assert ran.error is not None
    assert ran.error.startswith("Stopped: ")
    assert "\n" not in ran.error
    assert model_server.count == 1
    assert kernel.run("%llm -m practice/echo Hello").reply["status"] == "ok"


@pytest.mark.parametrize("click", ["now", "stop"])
def test_one_output_and_no_widget_is_left(kernel: Kernel, cell: str, click: str) -> None:
    """The buttons stand in the output of the cell, and what came of it replaces them."""
    front_end = FrontEnd(kernel, click=click)

    ran = kernel.run(cell, on_message=front_end.on_message)

    (output,) = ran.outputs
    assert WIDGET_VIEW not in output
    assert front_end.models == {}


def test_the_buttons_stay_as_they_are_while_the_time_runs(kernel: Kernel, cell: str) -> None:
    """An update of the output would make them anew, and take the focus from them."""
    front_end = FrontEnd(kernel)
    counted: list[str] = []

    def stop_after_some_time(message: dict[str, Any]) -> None:
        front_end.on_message(message)
        state = message["content"].get("data", {}).get("state", {})
        if "html" in state and "_esm" not in state:
            counted.append(state["html"])
            if len(counted) == 3:
                kernel.interrupt()

    ran = kernel.run(cell, on_message=stop_after_some_time)

    assert len(set(counted)) == 3
    assert all("Rate limit (429): retry 1 of 4 in" in html for html in counted)
    assert all("Slow down." in html for html in counted)
    assert "interrupt button" not in counted[-1]
    assert (
        sum(WIDGET_VIEW in content["data"] for content in ran.contents("update_display_data")) == 1
    )


def test_where_clicks_do_not_get_through_there_are_no_buttons(kernel: Kernel, cell: str) -> None:
    """The countdown is a plain one to its end."""
    front_end = FrontEnd(kernel, passes=False)

    def stop_late(message: dict[str, Any]) -> None:
        front_end.on_message(message)
        if f"in {60 - PATIENCE_S - 1:g} s" in str(message["content"]):
            kernel.interrupt()

    ran = kernel.run(cell, on_message=stop_late)

    assert widget_messages(ran)
    assert WIDGET_VIEW not in str(ran.updates)
    assert "interrupt button" in ran.updates[-2]
    assert front_end.models == {}


@pytest.mark.parametrize("front", ["console", "nobody"])
def test_where_nobody_can_click_there_is_no_widget(
    kernel: Kernel, model_server: ModelServer, cell: str, front: Front
) -> None:
    model_server.script(Refuse(429, {"retry-after": "3"}), Answer())

    ran = kernel.run(cell, front)

    assert widget_messages(ran) == []
    assert ran.reply["status"] == "ok"


HOOK = """
ran = []
def hook():
    ran.append(1)
get_ipython().events.register("post_execute", hook)
"""


def test_a_click_is_no_cell(kernel: Kernel, cell: str) -> None:
    """It runs no hook of the cells, as the one that shows the figures that a cell has drawn."""
    kernel.run(HOOK)

    kernel.run(cell, on_message=FrontEnd(kernel, click="now").on_message)

    unhook = "print(len(ran)); get_ipython().events.unregister('post_execute', hook)"
    assert kernel.run(unhook).stdout == "2\n"


class Session:
    """A session of IPython as `Clicks` sees it.

    Args:
        features: Those of its kernel.
        metadata: That of the request that runs.
    """

    def __init__(self, features: tuple[str, ...] = ("kernel subshells",), **metadata: str) -> None:
        self.kernel = self
        self.kernel_info = {"supported_features": list(features)}
        self._metadata = metadata

    def get_parent(self, _channel: str) -> dict[str, Any]:
        return {"metadata": self._metadata}


@pytest.fixture(autouse=True)
def no_widget_left() -> Iterator[None]:
    ipywidgets.Widget.close_all()  # those of other tests in this process
    yield
    left = ipywidgets.Widget.get_manager_state()["state"]
    ipywidgets.Widget.close_all()
    assert left == {}


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def control() -> Control:
    return Control()


@pytest.fixture
def waits(clock: FakeClock, control: Control) -> Iterator[Waits]:
    """The waits of a cell that a person watches."""
    waits = Waits(Clicks(Session(cellId="cell-1")), control, clock)
    yield waits
    waits.close()


def a_wait(remaining_s: float, of_s: float = 60) -> Waiting:
    error = RateLimitError("<b>Slow</b> down.", status=429, retry_after_s=of_s)
    retrying = Retrying(retry=1, of=4, caused_by=error, wait_s=of_s, set_by="server")
    return Waiting(retrying, remaining_s)


def receive(waits: Waits, content: object) -> WaitButtons:
    """Play the front end."""
    buttons = waits._buttons
    assert buttons is not None
    buttons.comm.handle_msg(
        {"content": {"data": {"method": "custom", "content": content}}, "buffers": []}
    )
    return buttons


def test_buttons_come_when_the_front_end_is_heard(waits: Waits) -> None:
    before = [waits.bundle(a_wait(60)), waits.bundle(a_wait(59))]
    buttons = receive(waits, {"type": "here"})

    shown = waits.bundle(a_wait(58))

    assert all(WIDGET_VIEW not in each for each in before)
    assert shown[WIDGET_VIEW]["model_id"] == buttons.model_id
    assert shown["text/html"] == buttons.html
    assert "in 58 s" in shown["text/plain"]


def test_the_words_of_a_server_are_text(waits: Waits) -> None:
    waits.bundle(a_wait(60))
    buttons = receive(waits, {"type": "here"})

    shown = waits.bundle(a_wait(59))

    assert "&lt;b&gt;Slow&lt;/b&gt; down." in buttons.html
    assert "<b>" not in str(shown)


def test_retry_now_can_be_pressed_while_it_waits(waits: Waits) -> None:
    """When the wait is over the button stays where it is, without effect."""
    waits.bundle(a_wait(60))
    buttons = receive(waits, {"type": "here"})

    waits.bundle(a_wait(59))
    assert (buttons.now_text, buttons.waiting) == ("Retry now", True)
    waits.bundle(a_wait(0))
    assert (buttons.now_text, buttons.waiting) == ("Retry now", False)
    waits.bundle(Held("pace", 1, 9))
    assert (buttons.now_text, buttons.waiting) == ("Send now", True)


def test_a_click_on_retry_now_asks(waits: Waits, control: Control) -> None:
    waits.bundle(a_wait(60))

    receive(waits, {"type": "now"})

    assert control.retrying_now


@pytest.mark.parametrize("content", [{}, {"type": "other"}, "text", None, ["now"]])
def test_other_messages_are_ignored(waits: Waits, control: Control, content: object) -> None:
    waits.bundle(a_wait(60))

    buttons = receive(waits, content)

    assert not control.retrying_now
    assert not buttons.heard


def test_a_front_end_that_is_not_heard_in_time_is_tried_once_more(
    waits: Waits, clock: FakeClock
) -> None:
    """It may have been busy; heard of neither time, it is not tried again."""
    for buttons in ("once", "twice"):
        waits.bundle(a_wait(60))
        clock.sleep(PATIENCE_S - 0.1)
        waits.bundle(a_wait(55))
        assert waits._buttons is not None, buttons
        clock.sleep(0.1)
        waits.bundle(a_wait(2))

    for remaining_s in (54, 53):
        waits.bundle(a_wait(remaining_s))
        assert waits._buttons is None


def test_a_short_wait_has_no_buttons(waits: Waits) -> None:
    waits.bundle(a_wait(2.4))

    assert waits._buttons is None


@pytest.mark.parametrize(
    "session",
    [object(), Session((), cellId="cell-1"), Session()],
    ids=["terminal", "ipykernel 6", "nbclient"],
)
def test_only_where_clicks_may_get_through_they_are_tried(session: Any) -> None:
    assert not Clicks(session).may_get_through


def test_nothing_is_stopped_once_the_buttons_are_closed() -> None:
    """A click that comes late must not stop the cell after."""
    stopped: list[int] = []
    buttons = WaitButtons(lambda: None, lambda: stopped.append(1))
    handle = buttons.comm.handle_msg
    stop = {"content": {"data": {"method": "custom", "content": {"type": "stop"}}}, "buffers": []}

    handle(stop)
    buttons.close()
    handle(stop)

    assert stopped == [1]
