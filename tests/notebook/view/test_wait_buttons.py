"""The buttons of a wait: they come where clicks reach a kernel that runs a cell, and work there."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import ipywidgets
import pytest
from fake_clock import FakeClock
from model_server import Answer, Call, ModelServer, Refuse, paced

from openhands_llm_magic.errors import RateLimitError
from openhands_llm_magic.llm.events import Accepted, Retrying, Throttled, Waiting
from openhands_llm_magic.llm.worker import Control
from openhands_llm_magic.notebook.buttons import HOW_TO_STOP, PATIENCE_S, Clicks, Waits
from openhands_llm_magic.notebook.view.wait_buttons import WaitButtons

if TYPE_CHECKING:
    from collections.abc import Iterator

    from kernel import Front, Kernel, Ran

    from openhands_llm_magic.llm.events import Event

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
        self.seen: list[str] = []

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
            case "update_display_data":
                self._find(content["data"]["text/html"])
        self._look()

    def _find(self, html: str) -> None:
        """Find the cell by the marker; it says so more than once, as it may not be heard yet."""
        for model_id, state in self.models.items():
            if state.get("marker") and f'class="{state["marker"]}"' in html:
                self.send(model_id, "here")

    def _look(self) -> None:
        for model_id, state in self.models.items():
            if state.get("is_shown") and state["now_text"] not in self.seen:
                self.seen.append(state["now_text"])
            can_click = state.get("is_shown") and (self._click != "now" or state["now_text"])
            if can_click and self._click and self.clicked_at_s is None:
                self.clicked_at_s = time.monotonic()
                self.send(model_id, self._click)

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
def test_no_output_ever_shows_a_widget(kernel: Kernel, cell: str, click: str) -> None:
    """A notebook that is saved meanwhile would say that the widget is not found."""
    front_end = FrontEnd(kernel, click=click)

    ran = kernel.run(cell, on_message=front_end.on_message)

    assert front_end.clicked_at_s is not None
    assert len(ran.outputs) == 1
    assert all(set(each["data"]) == {"text/html", "text/plain"} for each in shown_by(ran))
    assert "llm-wait" in str(ran.updates)
    assert "llm-wait" not in str(ran.outputs)
    assert front_end.models == {}


def shown_by(ran: Ran) -> list[dict[str, Any]]:
    """All that the cell displayed and updated."""
    return ran.contents("display_data", "update_display_data")


def test_stop_is_there_while_text_comes(
    kernel: Kernel, model_server: ModelServer, cell: str
) -> None:
    """In a request that lasts for some seconds, also while the first word is waited for."""
    model_server.script(paced("word " * 2_000, bytes_per_s=100, piece=5))
    front_end = FrontEnd(kernel, click="stop")

    ran = kernel.run(cell, on_message=front_end.on_message)

    assert front_end.seen == [""]
    assert ran.error is not None
    assert ran.error.startswith("Stopped: ")
    assert ran.outputs[0]["text/plain"].startswith("word word")


@pytest.mark.parametrize("models", ["-m openai/test", "-m openai/a -m openai/b"])
def test_stop_ends_a_function_that_a_model_has_asked_for(
    kernel: Kernel, model_server: ModelServer, cell: str, models: str
) -> None:
    """As the interrupt does; without it, Stop would do nothing until the function returns."""
    kernel.run("import time\ndef wait():\n    time.sleep(50)")
    asking = paced("word " * 100, bytes_per_s=100, piece=5)
    model_server.script(replace(asking, calls=(Call("wait"),), finish_reason="tool_calls"))
    front_end = FrontEnd(kernel)

    def click_in_call(message: dict[str, Any]) -> None:
        front_end.on_message(message)
        [*model_ids] = front_end.models
        if "calling wait" in str(message["content"]) and front_end.clicked_at_s is None:
            front_end.clicked_at_s = time.monotonic()
            front_end.send(model_ids[-1], "stop")

    options = f"{models} -t wait --yes wait"
    ran = kernel.run(cell.replace("-m openai/test", options), on_message=click_in_call)

    assert front_end.clicked_at_s is not None
    assert ran.times_s[-1] - front_end.clicked_at_s < AT_ONCE_S
    assert ran.error is not None
    assert ran.error.startswith("Stopped: ")
    assert kernel.run("%llm -m practice/echo Hello").reply["status"] == "ok"


def test_the_countdown_does_not_touch_the_buttons(kernel: Kernel, cell: str) -> None:
    """They would be made anew, and lose the focus."""
    front_end = FrontEnd(kernel)
    counted: list[str] = []

    def stop_after_some_time(message: dict[str, Any]) -> None:
        front_end.on_message(message)
        shown = message["content"].get("data", {}).get("text/plain", "")
        if "Retry now" in front_end.seen and "retry 1 of 4 in" in shown:
            counted.append(shown)
            if len(counted) == 3:
                kernel.interrupt()

    ran = kernel.run(cell, on_message=stop_after_some_time)

    assert len(set(counted)) == 3
    assert "interrupt button" in str(ran.updates[1:3])
    assert "interrupt button" not in ran.updates[-2]
    states = [each["data"].get("state", {}) for each in ran.contents("comm_msg")]
    assert sum("is_shown" in state for state in states) == 1


def test_where_clicks_do_not_get_through_there_are_no_buttons(kernel: Kernel, cell: str) -> None:
    """The countdown is a plain one to its end."""
    front_end = FrontEnd(kernel, passes=False)

    def stop_late(message: dict[str, Any]) -> None:
        front_end.on_message(message)
        left_s = re.search(r"in (\d+) s", str(message["content"]))
        if left_s is not None and int(left_s[1]) < 60 - PATIENCE_S:
            kernel.interrupt()

    ran = kernel.run(cell, on_message=stop_late)

    assert widget_messages(ran)
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


def see(waits: Waits, event: Event) -> None:
    """Take in an event as a view does."""
    waits.see(event)
    waits.tick()


def test_buttons_come_when_the_front_end_is_heard(waits: Waits) -> None:
    see(waits, a_wait(60))
    buttons = receive(waits, {})
    assert (buttons.is_shown, waits.marker) == (False, buttons.marker)
    assert waits.words_beside("Slow down.") == f"Slow down. {HOW_TO_STOP}"

    receive(waits, {"type": "here"})
    see(waits, a_wait(58))

    assert (buttons.is_shown, buttons.now_text) == (True, "Retry now")
    assert waits.words_beside("Slow down.") == "Slow down."


def test_what_ends_a_wait_is_there_while_it_lasts(waits: Waits) -> None:
    """The button "Stop" alone is there before and after."""
    see(waits, a_wait(60))
    buttons = receive(waits, {"type": "here"})
    seen = []
    for event in (
        a_wait(59),
        a_wait(0),
        Throttled("pace", 1, 9),
        Throttled("pace", 10, 0),
        Accepted(),
    ):
        see(waits, event)
        seen.append(buttons.now_text)
    assert seen == ["Retry now", "", "Send now", "", ""]


def test_a_request_that_lasts_has_buttons(waits: Waits, clock: FakeClock) -> None:
    see(waits, Accepted())
    clock.sleep(2.4)
    waits.tick()
    assert waits.marker == ""
    clock.sleep(0.2)
    waits.tick()
    assert waits.marker.startswith("llm-wait-")


def test_a_click_on_retry_now_asks(waits: Waits, control: Control) -> None:
    see(waits, a_wait(60))

    receive(waits, {"type": "now"})

    assert control.retrying_now


@pytest.mark.parametrize("content", [{}, {"type": "other"}, "text", None, ["now"]])
def test_other_messages_are_ignored(waits: Waits, control: Control, content: object) -> None:
    see(waits, a_wait(60))

    buttons = receive(waits, content)

    assert not control.retrying_now
    assert not buttons.heard


def test_a_front_end_that_is_not_heard_in_time_is_tried_once_more(
    waits: Waits, clock: FakeClock
) -> None:
    """It may have been busy; heard of neither time, it is not tried again."""
    for buttons in ("once", "twice"):
        see(waits, a_wait(60))
        clock.sleep(PATIENCE_S - 0.1)
        see(waits, a_wait(55))
        assert waits.marker, buttons
        clock.sleep(0.1)
        see(waits, a_wait(54))

    for remaining_s in (53, 52):
        see(waits, a_wait(remaining_s))
        assert waits.marker == ""


def test_a_short_wait_has_no_buttons(waits: Waits) -> None:
    see(waits, a_wait(2.4))

    assert waits.marker == ""


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
