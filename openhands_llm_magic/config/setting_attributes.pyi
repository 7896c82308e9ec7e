"""The type of each setting's value: `make docs` writes this file from the declarations."""

from typing import Any

from openhands_llm_magic.config.secret import Secret

class SettingAttributes:
    """The settings as attributes, for editors and type checkers."""

    __slots__ = ()

    model: str
    """The model, with its provider in front, as in openai/gpt-4o."""
    api_key: Secret | None
    """The provider's API key; it is masked wherever it would show."""
    base_url: str | None
    """The address of the model's server, when it is not the provider's own."""
    api_version: str | None
    """The version of the provider's API, which Azure asks for."""
    num_retries: int
    """How many times a prompt is sent again after a passing failure."""
    retry_min_wait: int
    """Seconds to wait before the first retry."""
    retry_max_wait: int
    """Seconds that no wait between retries goes beyond."""
    retry_multiplier: float
    """How many times as long as the wait before it each further wait is."""
    retry_after_limit: float
    """Seconds; a server that asks for a longer wait than this makes the prompt fail."""
    deadline: float | None
    """Seconds from a prompt's beginning after which it is not sent again."""
    requests_per_minute: float | None
    """Requests a minute that a model is sent at most, one by one at even distances."""
    tokens_per_minute: float | None
    """Tokens a minute, of prompts and answers, that a model is asked for at most."""
    timeout: int | None
    """Seconds after which a request without an answer fails."""
    temperature: float
    """How freely the model chooses its words, from 0 (least) to 2."""
    top_p: float
    """The share of the likeliest words that the model chooses from, from 0 to 1."""
    top_k: float | None
    """How many of the likeliest words the model chooses from; OpenAI's models refuse it."""
    seed: int | None
    """A number that makes a model repeat its answers, as far as it can."""
    max_output_tokens: int | None
    """Tokens that an answer is cut off at."""
    reasoning_effort: str
    """How long a reasoning model thinks: low, medium, high or none."""
    footer: str
    """Whether a line under each answer tells its model, tokens, cost and seconds."""
    custom_llm_provider: str | None
    """LiteLLM's name of the provider, when the model's name does not tell it."""
    drop_params: bool
    """Whether settings that the model does not take are left out instead of refused."""
    modify_params: bool
    """Whether LiteLLM may change a request that the provider would refuse."""
    completion_kwargs: dict[str, Any] | None
    """Further keyword arguments of LiteLLM's completion, which come before all others."""
    aliases: dict[str, Any] | None
    """Short names of models, each with the model that it stands for, as in -m fast."""
    aws_access_key_id: Secret | None
    """The access key ID for models at Amazon; it is masked wherever it would show."""
    aws_secret_access_key: Secret | None
    """The secret access key for models at Amazon; it is masked wherever it would show."""
    aws_region_name: str | None
    """The region of Amazon's servers, as in us-east-1."""
    vertex_project: str | None
    """The project at Google Cloud that pays for models at Vertex AI."""
    vertex_location: str | None
    """The region of Vertex AI's servers, as in us-central1."""
    openrouter_site_url: str
    """The site that OpenRouter is told the requests come from."""
    openrouter_app_name: str
    """The application that OpenRouter is told the requests come from."""
    ollama_base_url: str | None
    """The address of Ollama's server, which OpenHands only lists models from."""
    safety_settings: list[dict[str, str]] | None
    """What Gemini and Mistral shall block, as their category and threshold."""
    input_cost_per_token: float | None
    """US dollars for a token of the prompt, when LiteLLM's price is not right."""
    output_cost_per_token: float | None
    """US dollars for a token of the answer, when LiteLLM's price is not right."""
    cache: str
    """Whether answers are kept as files and taken from them: off, on, or replay alone."""
    max_budget_per_task: float | None
    """US dollars that this session spends at most, and OpenHands on a task; 0 is no limit."""
    budget_per_day: float | None
    """US dollars that all kernels spend at most from midnight to midnight."""
    budget_per_month: float | None
    """US dollars that all kernels spend at most in a calendar month."""
    ledger: str | None
    """The file that keeps what each request has cost, or off; none is the usual place."""
    ledger_days: float
    """Days after which what a request has cost is forgotten."""
    embedding_model: str | None
    """The model that turns text into vectors."""
    embedding_deployment_name: str | None
    """The name of the embedding model's deployment on Azure."""
    embedding_base_url: str | None
    """The address of the embedding model's server."""
    max_message_chars: int
    """Characters that a longer value put into a prompt is cut to."""
    mcp_timeout: float
    """Seconds that an MCP server has to start, and to answer each call."""
    max_input_tokens: int | None
    """Tokens that a prompt has room for; none takes what the model is known for."""
    disable_vision: bool | None
    """Whether no pictures are sent; false sends them also to models not known to see."""
    caching_prompt: bool
    """Whether the provider is asked to cache the beginning of a prompt."""
    native_tool_calling: bool | None
    """Whether OpenHands uses the model's own tool calls; none leaves it to the model."""
    custom_tokenizer: str | None
    """The tokenizer that OpenHands counts tokens with."""
    disable_stop_word: bool
    """Whether OpenHands sends no stop words."""
    for_routing: bool
    """Whether OpenHands uses this model only to route to."""
    correct_num: int
    """How many times OpenHands' draft editor may correct itself."""
    log_completions: bool
    """Whether OpenHands logs every completion."""
    log_completions_folder: str | None
    """The folder of the log of completions; without one OpenHands takes its own."""
    language: str | None
    """The language of messages, help and the panel; none takes the system's."""
