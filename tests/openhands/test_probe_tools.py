"""The tools that probes offer a model are the real OpenHands' own, and are called as those are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from openhands.record import FORMS

from openhands_llm_magic.llm.probe import probes, schemas
from openhands_llm_magic.llm.probe.course import Turn

if TYPE_CHECKING:
    from openhands.real import OpenHands

OURS = dict(zip(FORMS, (schemas.FOR_0_41, schemas.FOR_SDK), strict=True))


def without_words(schema: Any) -> Any:
    """Leave out the descriptions of a schema, which are ours."""
    if isinstance(schema, list):
        return [without_words(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {key: value for key, value in schema.items() if not isinstance(value, str)}
    kept |= {key: schema[key] for key in ("name", "type") if isinstance(schema.get(key), str)}
    return {key: without_words(value) for key, value in kept.items() if value != []}


def test_names_parameters_and_what_is_required(openhands: OpenHands, name: str) -> None:
    """In OpenHands' own order."""
    real, stop = openhands.tools()
    assert without_words([*OURS[name]]) == without_words(real), openhands.version
    assert stop == [schemas.STOP_WORD]


CALL = "<function=execute_bash>\n<parameter=command>echo ready</parameter>\n"

TEXTS = {
    "as it is told": CALL,
    "with its end": CALL + "</function>",
    "words before": "I run it.\n\n" + CALL,
    "lines around the value": CALL.replace("echo ready", "\necho ready\n"),
    "without a line's end": CALL.replace("\n", ""),
    "another name": CALL.replace("execute_bash", "run"),
    "another parameter": CALL.replace("command", "cmd"),
    "one parameter too many": CALL + "<parameter=why>well</parameter>\n",
    "a parameter without end": CALL.removesuffix("</parameter>\n"),
    "no parameter": "<function=execute_bash>\n",
    "a value that is not allowed": CALL + "<parameter=is_input>maybe</parameter>\n",
    "words": "I would run it.",
    "a call in JSON": '<tool_call>{"name": "execute_bash"}</tool_call>',
}
"""What models write, as a server sends it that has kept to the stop word or not."""


@pytest.mark.parametrize("text", TEXTS)
def test_a_call_in_the_text_is_read_alike(openhands: OpenHands, name: str, text: str) -> None:
    """What the probe takes for a call is what OpenHands runs, and nothing else.

    The SDK reads some more.
    """
    [read] = openhands.read([TEXTS[text]], schemas.FOR_0_41)
    course = probes.written()
    next(course)
    with pytest.raises(StopIteration) as end:
        course.send(Turn(TEXTS[text]))
    is_well = not end.value.value.did
    runs = isinstance(read, list) and [
        (called, arguments["command"].strip()) for called, arguments in read
    ] == [("execute_bash", probes.ECHO)]
    assert runs or not is_well, read
    if name == "openhands":
        assert runs == is_well, (read, end.value.value.did)
