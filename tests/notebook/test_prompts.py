"""What a cell's body becomes on its way to the model: variables, files, and what is refused."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING, Any

import pytest
from model_server import Answer, ModelServer, Refuse

from openhands_llm_magic.llm.conversations import text_of

if TYPE_CHECKING:
    from kernel import Kernel

PNG = b"\x89PNG\r\n\x1a\n rest"
PDF = b"%PDF-1.7 rest"
FILES = {"picture": base64.b64encode(PNG).decode(), "PDF": base64.b64encode(PDF).decode()}


@pytest.fixture
def at(kernel: Kernel, model_server: ModelServer) -> str:
    """The options that send a cell's prompt to the test server."""
    kernel.run("key, n, rows = 'sk-of-the-test', 7, ['first', '{n}']")
    return f"--base-url {model_server.openai_base} --api-key $key"


@pytest.fixture
def server(kernel: Kernel, model_server: ModelServer) -> ModelServer:
    """The test server, which the session's settings name."""
    kernel.run(f"%llm_config base_url={model_server.openai_base}\nkey = 'sk-of-the-test'")
    kernel.run("%llm_config api_key=$key")
    return model_server


def content(server: ModelServer) -> Any:
    return server.received[-1].body["messages"][-1]["content"]


def test_variables_are_put_in_and_other_braces_stay(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    body = 'Sum {n} and {rows[1]}: {{n}} {"json": {}} {unknown} \\frac{1}{2}'
    ran = kernel.run(f"%%llm -m openai/test {at}\n{body}")
    assert ran.error is None
    assert content(model_server) == 'Sum 7 and {n}: {n} {"json": {}} {unknown} \\frac{1}{2}'
    kernel.run(f"%llm -m openai/test {at} Sum {{n}}")
    assert content(model_server) == "Sum 7"


def test_raw_puts_in_nothing(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    kernel.run(f"%%llm --raw -m openai/test {at}\nSum {{n}} {{{{n}}}}")
    assert content(model_server) == "Sum {n} {{n}}"


def test_the_cells_before_can_be_named(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    number = kernel.run("6 * 7").contents("execute_input")[0]["execution_count"]
    kernel.run(f"%%llm -m openai/test {at}\n{{In[{number}]}} is {{Out[{number}]}}")
    assert content(model_server) == "6 * 7 is 42"


def test_names_of_ipython_are_no_variables(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    kernel.run(f"%%llm -m openai/test {at}\n{{exit}} {{get_ipython}} {{_ih}} {{__name__}}")
    assert content(model_server) == "{exit} {get_ipython} {_ih} {__name__}"


def test_what_was_cut_is_noted_below_the_answer(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    model_server.script(Answer("Short."))
    kernel.run("long = 'x' * 5000")
    ran = kernel.run(f"%%llm -m openai/test --max-message-chars 1000 {at}\n{{long}}")
    assert content(model_server).startswith("x" * 1000 + "\n… (cut: 1,000 of 5,000 characters)")
    assert "{long} was cut to 1,000 of 5,000 chars" in ran.outputs[0]["text/plain"]


def test_files_go_with_the_prompt(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    kernel.run(f"import pathlib; pathlib.Path('a b.txt').write_text('the file')\npng = {PNG!r}")
    ran = kernel.run(f"%%llm -m openai/gpt-4o {at} -a 'a b.txt' -a png\nDescribe.")
    assert ran.error is None
    text, image, question = content(model_server)
    assert text["text"] == "a b.txt:\n\n```\nthe file\n```\n\n"
    assert image["image_url"]["url"].endswith(base64.b64encode(PNG).decode())
    assert question["text"] == "Describe."


def test_a_long_file_is_marked_for_a_model_that_caches_by_marks(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    kernel.run("book = 'Call me Ishmael. ' * 500")
    cell = f"%%llm -m litellm_proxy/anthropic/claude-sonnet-4-20250514 {at} -s 'Be brief.' -a book"
    assert kernel.run(f"{cell}\nWho tells it?").error is None
    book, question = content(model_server)
    assert book["cache_control"] == {"type": "ephemeral"}
    assert question == {"type": "text", "text": "Who tells it?"}
    assert "cache_control" in str(model_server.received[-1].body["messages"][0])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ("-m openai/gpt-4o --disable-vision -a png", "png is a picture, and disable_vision is on"),
        ("-m openai/gpt-3.5-turbo -a png", "png is a picture, and openai/gpt-3.5-turbo takes none"),
        ("-m openai/gpt-3.5-turbo -a png", "`--no-disable-vision` sends them all the same"),
        ("-m openai/gpt-3.5-turbo -a pdf", "pdf is a PDF, and openai/gpt-3.5-turbo takes none"),
        ("-m openai/gpt-4o -a missing.png", "-a missing.png: there is no such file or folder"),
        ("-m openai/gpt-4o --schema n -f code", "--schema and -f code exclude each other"),
        ("-m openai/gpt-4o -o 1x", "--out takes a variable's name, not '1x'"),
        ("-m openai/gpt-4o -o x:cost", "or as x:data"),
    ],
)
def test_what_cannot_be_sent_is_one_line_and_nothing_is_sent(
    kernel: Kernel, model_server: ModelServer, at: str, options: str, told: str
) -> None:
    kernel.run(f"png, pdf = {PNG!r}, {PDF!r}")
    ran = kernel.run(f"%%llm {at} {options}\nDescribe.")
    assert ran.error is not None
    assert ran.error.startswith("UsageError: ")
    assert told in ran.error
    assert len(ran.error.splitlines()) == 1
    assert model_server.count == 0


def test_pictures_go_to_a_model_that_is_said_to_see(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    kernel.run(f"png, pdf = {PNG!r}, {PDF!r}")
    sees = f"%%llm {at} --no-disable-vision -m openai/gpt-3.5-turbo"
    assert kernel.run(f"{sees} -a png -a pdf\nDescribe.").error is None
    assert [form["type"] for form in content(model_server)] == ["image_url", "file", "text"]
    kernel.run("%llm_config disable_vision=false")
    assert kernel.run(f"%%llm {at} -m openai/gpt-3.5-turbo -a png\nDescribe.").error is None


@pytest.mark.parametrize(
    ("options", "left_out", "text"),
    [
        (
            "openai/gpt-3.5-turbo",
            ["picture", "PDF"],
            "(a picture was here)\n\n(a PDF was here)\n\n",
        ),
        ("openai/gpt-4o --disable-vision", ["picture"], "(a picture was here)\n\n"),
        ("openai/gpt-4o", [], ""),
    ],
)
def test_files_of_earlier_turns_go_to_models_that_take_them(
    kernel: Kernel, server: ModelServer, options: str, left_out: list[str], text: str
) -> None:
    """Others get words in their place, and the person is told; nothing is lost for good."""
    kernel.run(f"png, pdf = {PNG!r}, {PDF!r}")
    kernel.run("%%llm -m openai/gpt-4o --chat files -a png -a pdf\nDescribe.")
    ran = kernel.run(f"%%llm -m {options} --chat files\nGo on.")
    earlier = server.received[-1].body["messages"][0]["content"]
    taken = [kind for kind, data in FILES.items() if data in str(earlier)]
    assert taken == [kind for kind in FILES if kind not in left_out]
    assert text in (earlier if isinstance(earlier, str) else text_of(earlier))
    told = [kind for kind in FILES if f"the {kind}s of earlier turns" in str(ran.outputs)]
    assert told == left_out
    again = kernel.run("%%llm -m openai/gpt-4o --chat files\nAgain.")
    assert "earlier turns" not in str(again.outputs)
    assert FILES["picture"] in str(server.received[-1].body["messages"][0])


def test_a_prompt_of_empty_variables_is_empty(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    ran = kernel.run(f"empty = ''\nget_ipython().run_cell_magic('llm', '{at}', '{{empty}} ')")
    assert "UsageError: the prompt is empty once its variables are put in." in str(ran.error)
    assert model_server.count == 0


def test_a_name_of_a_startup_file_counts_once_it_is_redefined(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """As `%who` has it, which lists it then."""
    kernel.run("rate = 1.5\nget_ipython().user_ns_hidden['rate'] = rate")
    kernel.run(f"%%llm -m openai/test {at}\n{{rate}}")
    assert content(model_server) == "{rate}"
    kernel.run("rate = 2.5")
    kernel.run(f"%%llm -m openai/test {at}\n{{rate}}")
    assert content(model_server) == "2.5"
    kernel.run("del get_ipython().user_ns_hidden['rate']")


def test_an_exception_is_the_same_from_run_to_run(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """Cells have their names in it, and not those of files that hold the kernel's process."""
    failing = kernel.run("try:\n    {}['key']\nexcept KeyError as error:\n    caught = error")
    number = failing.contents("execute_input")[0]["execution_count"]
    told = (
        f'Traceback (most recent call last):\n  File "Cell In[{number}]", line 2, in <module>\n'
        "    {}['key']\n    ~~^^^^^^^\nKeyError: 'key'\n"
    )
    kernel.run(f"%%llm -m openai/test {at} -a caught\nWhy? {{caught}}")
    assert content(model_server) == f"caught:\n\n```\n{told}\n```\n\nWhy? {told}"


def test_the_text_alone_can_be_stored(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    model_server.script(Answer("Short."))
    kernel.run(f"%%llm -m openai/test {at} -o said:text\nSay it.")
    assert kernel.run("print(repr(said))").stdout == "'Short.'\n"
    sent = kernel.run("print(_.messages)").stdout
    assert sent == "[{'role': 'user', 'content': 'Say it.'}]\n"


def test_reasoning_is_folded_up(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    """Above the answer, and in the reply; it is no part of its text."""
    model_server.script(Answer("So be it.", reasoning="Let me *think*. sk-of-the-test"))
    ran = kernel.run(f"%%llm -m openai/test {at}\nWell?")
    thought, shown = ran.outputs
    assert (thought["text/plain"], shown["text/plain"]) == ("", "So be it.")
    assert thought["text/html"].startswith("<details><summary>Reasoning</summary>")
    assert "<em>think</em>" in thought["text/html"]
    assert "sk-of-the-test" not in ran.everything
    assert kernel.run("print(_.reasoning)").stdout == "Let me *think*. **********\n"


def said(server: ModelServer) -> list[tuple[str, str]]:
    """Return the role and text of each message that was sent last."""
    return [(each["role"], each["content"]) for each in server.received[-1].body["messages"]]


def test_a_cell_stands_alone_unless_it_goes_on(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    model_server.script(Answer("First."), Answer("Second."), Answer("Third."))
    cell = f"%%llm -m openai/test {at}"
    kernel.run(f"{cell}\nOne")
    kernel.run(f"{cell} -c -s 'Be brief.'\nTwo")
    earlier = [("user", "One"), ("assistant", "First.")]
    assert said(model_server) == [("system", "Be brief."), *earlier, ("user", "Two")]
    kernel.run(f"{cell} -c\nThree")
    assert said(model_server) == [
        *earlier,
        ("user", "Two"),
        ("assistant", "Second."),
        ("user", "Three"),
    ]
    kernel.run(f"{cell}\nFour")
    assert said(model_server) == [("user", "Four")]


def test_chats_with_names_go_on_side_by_side(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    cell = f"%%llm -m openai/test {at}"
    for name, body in (("a", "A1"), ("b", "B1"), ("a", "A2")):
        kernel.run(f"{cell} --chat {name}\n{body}")
    texts = [text for role, text in said(model_server) if role == "user"]
    assert texts == ["A1", "A2"]
    assert kernel.run("%llm_chat").stdout == "a  2 turns  A2\nb  1 turn  B1\n"
    shown = kernel.run("%llm_chat a").outputs[0]["text/plain"]
    assert shown.count("> A1") == shown.count("> A2") == 1
    kernel.run("%llm_chat --export a chat.md")
    assert "> A2\n\nHello" in kernel.run("print(open('chat.md').read())").stdout
    mode = kernel.run("import os; print(oct(os.stat('chat.md').st_mode & 0o777))").stdout
    assert mode == "0o600\n", "prompts and answers are the person's own"
    assert "Name a new file" in str(kernel.run("%llm_chat --export a chat.md").error)
    assert kernel.run("%llm_chat --forget a").stdout == "a is forgotten.\n"
    assert "there is no conversation 'a'" in str(kernel.run("%llm_chat a").error)
    assert kernel.run("%llm_chat --forget\n%llm_chat").stdout.endswith(
        "There is no conversation yet: `%%llm --chat NAME` begins one.\n"
    )


def test_a_code_block_that_an_answer_leaves_open_ends_there(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    model_server.script(Answer("```\nleft open"), Answer("After"))
    for body in ("One", "Two"):
        kernel.run(f"%%llm -m openai/test {at} --chat a\n{body}")
    assert kernel.run("%llm_chat a").outputs[0]["text/html"].count("<blockquote") == 2


@pytest.mark.parametrize("forget", ["--forget", "--forget c"])
def test_what_is_forgotten_is_not_gone_on_from(
    kernel: Kernel, model_server: ModelServer, at: str, forget: str
) -> None:
    """Nor is what had gone on from it."""
    kernel.run(f"%%llm -m openai/test {at} --chat c\nOne")
    kernel.run(f"%%llm -m openai/test {at} -c\nTwo")
    kernel.run(f"%llm_chat {forget}")
    kernel.run(f"%%llm -m openai/test {at} -c\nThree")
    assert said(model_server) == [("user", "Three")]


def test_a_failed_prompt_is_no_turn(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    model_server.script(Answer("First."), Refuse(400), Answer("Third."))
    for body in ("One", "Two", "Three"):
        kernel.run(f"%%llm -m openai/test {at} --chat failing\n{body}")
    assert said(model_server) == [("user", "One"), ("assistant", "First."), ("user", "Three")]


def test_the_oldest_turns_go_when_they_do_not_fit(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    model_server.script(Answer("Short."))
    for body in ("old " * 300, "new", "now"):
        cell = f"%%llm -m openai/test {at} --chat long --max-input-tokens 200\n{body}"
        ran = kernel.run(cell)
    assert [text for role, text in said(model_server) if role == "user"] == ["new", "now"]
    assert "1 older turn left out, to fit into 200 tokens" in ran.outputs[0]["text/plain"]


@pytest.mark.parametrize(
    "case",
    [
        ("json", 'Sure:\n```json\n{"a": [1]}\n```', 'class="mi">1', {"a": [1]}),
        ("code", "Try:\n```python\nx = 1\n```\nDone.", 'class="highlight"', "x = 1"),
        ("text", "**not bold**", "**not bold**", None),
        ("math", "$$\nE = mc^2\n$$", "llm-math", None),
        ("math", "E = mc^2", "llm-math", None),
        ("math", "The formula is $x$.", '<p dir="auto">The formula is <span', None),
        (
            "html",
            "<h2 onclick='x()' class='llm-math'>Hi</h2><script>1</script>",
            "<h2>Hi</h2>",
            None,
        ),
        ("markdown", "**bold**", "<strong>bold</strong>", None),
    ],
)
def test_formats(
    kernel: Kernel,
    model_server: ModelServer,
    at: str,
    case: tuple[str, str, str, object],
) -> None:
    form, answer, shown, data = case
    model_server.script(Answer(answer))
    ran = kernel.run(f"%%llm -m openai/test {at} -f {form} -o stored:data\nShow it.")
    assert ran.error is None
    html = ran.outputs[0]["text/html"]
    assert shown in html
    assert "script" not in html
    assert "onclick" not in html
    assert kernel.run(f"print(stored, _.text == {answer!r})").stdout == f"{data} True\n"
    assert kernel.run("_").outputs[0]["text/html"] == html


def test_code_goes_into_a_new_cell_and_is_not_run(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    model_server.script(Answer("```python\nran = True\n```"))
    ran = kernel.run(f"%%llm -m openai/test {at} -f code\nWrite it.")
    inputs = [each for each in ran.reply["payload"] if each["source"] == "set_next_input"]
    assert [(each["text"], each["replace"]) for each in inputs] == [("ran = True", False)]
    assert "NameError" in str(kernel.run("ran").error)


def test_prose_in_place_of_json_is_kept(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    """And paid for once; one line says so."""
    model_server.script(Answer("I would rather not."))
    ran = kernel.run(f"%%llm -m openai/test {at} -f json\nShow it.")
    assert ran.error is not None
    assert ran.error.startswith("FormatError: the answer is no JSON: 'I would rather not.'")
    assert ran.outputs[0]["text/plain"] == "I would rather not."
    assert kernel.run("print(_.text)").stdout == "I would rather not.\n"
    assert model_server.count == 1


SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


def test_a_schema_holds_the_answer(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    """What does not fit is sent back once; one output stands at the end, and says so."""
    model_server.script(Answer("Seven."), Answer('{"n": 7}'))
    kernel.run(f"form = {SCHEMA}")
    ran = kernel.run(f"%%llm -m openai/test {at} --schema form -o number:data\nHow many?")
    assert ran.error is None
    [shown] = ran.outputs
    assert 'class="mi">7' in shown["text/html"]
    assert shown["text/plain"].endswith(
        "asked once more, as the answer did not fit (it is no JSON)"
    )
    assert "Seven" not in shown["text/plain"]  # in the HTML it stays, paler
    assert kernel.run("print(number)").stdout == "{'n': 7}\n"
    terminal = model_server.count
    model_server.script(Answer("Seven."), Answer('{"n": 7}'))
    written = kernel.run(f"%%llm -m openai/test {at} --schema form\nHow many?", "console").terminal
    assert written.startswith(
        "Seven.\n(the answer did not fit (it is no JSON); asking once more)\n"
    )
    assert model_server.count == terminal + 2


def test_a_schema_as_a_class_gives_an_instance(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    kernel.run("import pydantic\nclass Number(pydantic.BaseModel):\n    n: int")
    model_server.script(Answer('{"n": "7"}'))
    kernel.run(f"%%llm -m openai/test {at} --schema Number -o number:data\nHow many?")
    assert kernel.run("print(repr(number))").stdout == "Number(n=7)\n"


def test_a_misfit_is_kept_and_is_one_line(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    model_server.script(Answer("Seven."), Answer("I said seven."))
    kernel.run(f"form = {SCHEMA}")
    ran = kernel.run(f"%%llm -m openai/test {at} --schema form\nHow many?")
    assert ran.error is not None
    assert ran.error.startswith("FormatError: the answer is no JSON: 'I said seven.'")
    assert len(ran.error.splitlines()) == 1
    assert kernel.run("print(_.text)").stdout == "I said seven.\n"


def test_a_schema_that_is_none_is_refused_and_nothing_is_sent(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    ran = kernel.run(f"%%llm -m openai/test {at} --schema n\nHow many?")
    assert "--schema n: it takes a pydantic class or a JSON schema" in str(ran.error)
    ran = kernel.run(f"%%llm -m openai/test {at} --schema missing\nHow many?")
    assert "there is no variable missing" in str(ran.error)
    assert model_server.count == 0


def test_a_dry_run_shows_the_request_and_sends_nothing(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """With variables put in, the key masked, and what it would cost."""
    options = f"--dry-run -m openai/gpt-4o {at} -s 'Be brief.' --max-output-tokens 1000"
    ran = kernel.run(f"%%llm {options}\nSum {{n}} and sk-of-the-test.")
    assert ran.error is None
    [shown] = ran.outputs
    text = shown["text/plain"]
    assert text.startswith(f"To {model_server.openai_base}/")
    assert "authorization: **********" in text.lower()
    assert '"content": "Sum 7 and **********."' in text
    assert '"max_completion_tokens": 1000' in text
    assert "1,000 tokens of the answer cost $0.01, and there are no more." in text
    assert text.endswith("Nothing was sent.")
    assert "sk-of-the-test" not in str(ran.outputs)
    assert not ran.contents("execute_result")
    assert model_server.count == 0


def test_a_dry_run_shows_what_openhands_would_send(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """0.41 with a temperature that nobody set, the SDK with headers and an effort."""
    ran = kernel.run(f"%%llm --dry-run --as openhands -m openai/test {at}\nSum {{n}}.")
    text = ran.outputs[0]["text/plain"]
    assert '"content": "Sum 7."' in text
    assert '"temperature": 0.0' in text
    assert '"max_completion_tokens": 4096' in text
    assert "OpenHands 0.41 would send this, and with it instructions and tools of its own" in text
    assert text.endswith("Nothing was sent.")
    ran = kernel.run(f"%%llm --dry-run --as openhands-sdk -m openai/test {at}\nSum {{n}}.")
    text = ran.outputs[0]["text/plain"]
    assert '"text": "Sum 7."' in text
    assert '"reasoning_effort": "high"' in text
    assert "X-Title: OpenHands" in text
    assert "temperature" not in text
    assert "sk-of-the-test" not in str(ran.outputs)
    assert model_server.count == 0


def test_a_dry_run_says_where_openhands_would_send_nothing(kernel: Kernel) -> None:
    ran = kernel.run("%llm --dry-run --as openhands -m openhands/claude-sonnet-4-5 Hello")
    assert ran.error is None
    assert ran.outputs[0]["text/plain"] == (
        "OpenHands 0.41 would fail: neither it nor the LiteLLM 1.72 of its image knows openhands/."
    )
    ran = kernel.run("%llm --as openhands -m openai/test Hello")
    assert "--as goes with --dry-run" in str(ran.error)


def test_a_dry_run_needs_no_key_and_names_no_price_that_is_not_known(kernel: Kernel) -> None:
    ran = kernel.run("%llm --dry-run -m groq/unheard-of Hello")
    assert ran.error is None
    text = ran.outputs[0]["text/plain"]
    assert "unheard-of" in text
    assert "the price is not known" in text
    assert text.startswith("To https://api.groq.com/openai/v1")
    assert "It would be refused: there is no key, as in GROQ_API_KEY." in text


def test_a_dry_run_shows_no_secret_of_an_address(kernel: Kernel) -> None:
    kernel.run("key = 'sk-of-the-test'")
    address = "http://someone:s3cret-pass@127.0.0.1:1/v1?token=abcdef"
    ran = kernel.run(f"%llm --dry-run -m openai/test --base-url {address} --api-key $key Hello")
    [shown] = ran.outputs
    assert "127.0.0.1:1" in shown["text/plain"]
    assert not {"s3cret", "abcdef", "sk-of"} & set(re.findall("s3cret|abcdef|sk-of", str(shown)))


def test_a_dry_run_of_a_model_of_nobody_is_one_line(kernel: Kernel) -> None:
    ran = kernel.run("%llm --dry-run -m nosuch/model Hello")
    assert ran.error is not None
    assert ran.error.startswith("ModelNotFoundError: the model nosuch/model is not known")
    assert len(ran.error.splitlines()) == 1


def test_a_cell_with_cache_is_paid_for_once(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """Its files can be committed: with replay, the notebook runs without a server or a key."""
    model_server.script(Answer("Forty-two.", usage=(7, 2)))
    cell = "%%llm -m openai/gpt-4o {} --cache\nWhat is six times seven?"
    first = kernel.run(cell.format(at))
    again = kernel.run(cell.format(at))
    assert model_server.count == 1
    assert again.outputs == first.outputs
    assert kernel.run("print(_.attempts, _.usage.prompt_tokens)").stdout == "0 7\n"
    files = "import pathlib; print([f.read_text() for f in pathlib.Path('llm_answers').iterdir()])"
    assert "Forty-two." in kernel.run(files).stdout
    assert "sk-of-the-test" not in kernel.run(files).stdout
    kernel.run("%llm_config cache=replay")
    options = f"--base-url {model_server.openai_base}"
    replayed = kernel.run(f"%%llm -m openai/gpt-4o {options}\nWhat is six times seven?")
    assert replayed.outputs == first.outputs
    missed = kernel.run(f"%%llm -m openai/gpt-4o {options}\nWhat is six times eight?")
    assert missed.error is not None
    assert missed.error.startswith("NotStoredError: no answer to this prompt is stored")
    assert len(missed.error.splitlines()) == 1
    assert model_server.count == 1


def test_one_cell_is_asked_anew(kernel: Kernel, model_server: ModelServer, at: str) -> None:
    """`--no-cache` neither takes a stored answer nor keeps one."""
    model_server.script(Answer("One."), Answer("Two."))
    cell = f"%%llm -m openai/test {at} {{}} -o r:text\nWhich one?"
    said = "print(r)"
    kernel.run("%llm_config cache=on")
    for option, text in (("", "One."), ("--no-cache", "Two."), ("", "One.")):
        assert kernel.run(cell.format(option)).error is None
        assert kernel.run(said).stdout == f"{text}\n"
    assert model_server.count == 2


def test_a_flag_within_a_prompt_is_refused(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    """A dry run that sends would be the worst; `--` before a prompt sends it as it is."""
    ran = kernel.run(f"%llm -m openai/test {at} What is it? --dry-run")
    assert "--dry-run stands within the prompt: options come before it" in str(ran.error)
    assert model_server.count == 0
    kernel.run(f"%llm -m openai/test {at} -- What does --dry-run do?")
    assert content(model_server) == "What does --dry-run do?"


def test_a_functions_own_variables_are_put_in(
    kernel: Kernel, model_server: ModelServer, at: str
) -> None:
    line = f"%llm -m openai/test {at} Tell {{n}} {{word}} {{rows[0]}}"
    kernel.run(f"def ask(n, word):\n    reply = {line}\n    return reply")
    assert kernel.run("ask('inner', 'this')").error is None
    assert content(model_server) == "Tell inner this first"


@pytest.mark.parametrize("flag", ["--cache", "--no-cache"])
def test_a_flag_does_not_lift_a_replay(
    kernel: Kernel, model_server: ModelServer, at: str, flag: str
) -> None:
    """In CI nothing is sent, whatever cells were written with."""
    kernel.run("%llm_config cache=replay")
    ran = kernel.run(f"%%llm -m openai/test {at} {flag}\nNever asked.")
    assert "NotStoredError" in str(ran.error)
    assert model_server.count == 0


def test_a_dry_run_says_whether_the_answer_is_stored(kernel: Kernel, at: str) -> None:
    kernel.run("%llm_config cache=replay")
    cell = f"%%llm -m openai/test {at} --cache"
    [shown] = kernel.run(f"{cell} --dry-run\nNever asked.").outputs
    assert "not stored: with cache=replay the cell would fail" in shown["text/plain"]
    kernel.run("%llm_config cache=on")
    kernel.run(f"{cell}\nAsked once.")
    [shown] = kernel.run(f"{cell} --dry-run\nAsked once.").outputs
    assert "Its answer is stored: the cell would show that, at no cost." in shown["text/plain"]
