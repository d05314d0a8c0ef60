"""OpenAPI in, a readable page out: every operation, its fields and its errors, without a script and without a CDN."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
html { color-scheme: light dark }
code, pre { font-family: ui-monospace, monospace; font-size: .9em }
pre { overflow: auto; padding: .5rem; border: 1px solid #8885 }
details { border: 1px solid #8885; border-radius: .4rem; padding: .4rem .7rem; margin: .4rem 0 }
summary { cursor: pointer } .verb { display: inline-block; min-width: 4.5rem; font-weight: 700 }
table { border-collapse: collapse } td, th { text-align: left; padding: .1rem .8rem .1rem 0; vertical-align: top }
"""


def docs_routes(app: FastAPI) -> list[BaseRoute]:
    """`/docs` and its style sheet."""

    async def docs(_request: Request) -> Response:
        return HTMLResponse(_page(app.openapi()), headers={"Cache-Control": "no-cache"})

    async def style(_request: Request) -> Response:
        return Response(_STYLE, media_type="text/css")

    return [Route("/docs", docs), Route("/docs/style.css", style)]


def _page(schema: dict[str, Any]) -> str:
    info = schema["info"]
    parts = [
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<title>{escape(info["title"])} API</title><link rel="stylesheet" href="/docs/style.css"></head><body>'
        f"<h1>{escape(info['title'])} API {escape(info['version'])}</h1><p>{escape(info['description'])}</p>"
        '<p>Machine-readable: <a href="/openapi.json">openapi.json</a></p>'
    ]
    for tag in schema["tags"]:
        parts.append(f"<h2>{escape(tag['name'])}</h2><p>{escape(tag['description'])}</p>")
        for path, verbs in schema["paths"].items():
            parts += [
                _operation(schema, path, verb, operation)
                for verb, operation in verbs.items()
                if tag["name"] in operation.get("tags", ())
            ]
    return "".join(parts) + "</body></html>"


def _operation(schema: dict[str, Any], path: str, verb: str, operation: dict[str, Any]) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(one['name'])}</code></td><td>{escape(one['in'])}</td>"
        f"<td>{escape(one.get('description', ''))}</td></tr>"
        for one in operation.get("parameters", ())
    )
    answers = "".join(
        f"<tr><td><code>{escape(status)}</code></td><td>{escape(one['description'])}</td></tr>"
        for status, one in operation["responses"].items()
    )
    example = _example(schema, operation)
    return (
        f'<details><summary><span class="verb">{verb.upper()}</span> <code>{escape(path)}</code> '
        f"{escape(operation['summary'])}</summary>"
        + (f"<h3>Asks</h3><table>{rows}</table>" if rows else "")
        + (f"<h3>Example</h3><pre>{escape(_curl(path, verb, example))}</pre>" if example or verb != "get" else "")
        + f"<h3>Answers</h3><table>{answers}</table></details>"
    )


def _example(schema: dict[str, Any], operation: dict[str, Any]) -> Any:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    if "example" in content:
        return content["example"]
    body = content.get("schema", {})
    named = [body, *body.get("anyOf", ())]
    for one in named:
        name = str(one.get("$ref", "")).rpartition("/")[2]
        examples = schema["components"]["schemas"].get(name, {}).get("examples")
        if examples:
            return examples[0]
    return None


def _curl(path: str, verb: str, example: Any) -> str:
    import json

    command = f"curl -X {verb.upper()} http://127.0.0.1:8080{path}"
    if example is None:
        return command
    return f"{command} \\\n  -H 'Content-Type: application/json' \\\n  -d '{json.dumps(example)}'"
