"""What Anthropic has beside what is played: general knowledge.

It is answered with "not played". Anything else that is not played, Anthropic does not know either.
"""

from __future__ import annotations

from typing import Final

from ops.sandbox.paths import Paths

PATHS: Final = Paths(
    "POST /v1/messages/count_tokens",
    "GET,POST /v1/messages/batches",
    "DELETE,GET /v1/messages/batches/:id",
    "POST /v1/messages/batches/:id/cancel",
    "GET /v1/messages/batches/:id/results",
    "GET /v1/models",
    "GET /v1/models/:id",
    "GET,POST /v1/files",
    "DELETE,GET /v1/files/:id",
    "GET /v1/files/:id/content",
    "POST /v1/complete",
    "DELETE,GET,POST /v1/organizations/*",
    "GET,POST /v1/skills",
    "DELETE,GET,POST /v1/skills/*",
)
#: Refused unless they are empty or off: each would change the answer.
PARAMETERS: Final = frozenset({
    "container", "context_management", "mcp_servers", "output_config", "service_tier",
    "stop_sequences", "stream", "thinking", "tool_choice", "tools",
})  # fmt: skip
#: Types of content block beside `text`.
BLOCKS: Final = frozenset({
    "container_upload", "document", "image", "mcp_tool_result", "mcp_tool_use",
    "redacted_thinking", "search_result", "server_tool_use", "thinking", "tool_result",
    "tool_use", "web_search_tool_result",
})  # fmt: skip
