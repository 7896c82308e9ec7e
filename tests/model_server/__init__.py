"""A loopback server that plays any model provider, as a script tells it to.

It speaks the dialects of OpenAI (and Azure), Anthropic, Gemini, Ollama and Bedrock, chosen by the
path, and streams or not as the request asks. It logs every request with its time::

    with ModelServer() as server:
        server.script(Refuse(429, {"retry-after": "7"}), Answer("Hello"))
        ...  # call the model at server.base_for("groq")
        assert server.count == 2
"""

from model_server.handler import Received
from model_server.server import LITELLM_MODELS, ModelServer
from model_server.steps import Answer, Cut, Hang, Raw, Refuse, Step, asks, paced
from openhands_llm_magic.llm.practice.wire import Call

__all__ = [
    "LITELLM_MODELS",
    "Answer",
    "Call",
    "Cut",
    "Hang",
    "ModelServer",
    "Raw",
    "Received",
    "Refuse",
    "Step",
    "asks",
    "paced",
]
