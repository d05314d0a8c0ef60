"""The page's files, the docs, the security headers, and the routes about the gateway itself."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest
from starlette.applications import Starlette

from gateway.http.page import page_routes
from loopai.telemetry import METRICS
from streams.topics import DRIFT_ALERTS
from tests.gateway.support import Running, drift, until


def site(folder: Path) -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app=Starlette(routes=page_routes(folder)))
    return httpx2.AsyncClient(transport=transport, base_url="http://page")


async def test_a_checkout_without_a_build_says_how_to_build(tmp_path: Path) -> None:
    async with site(tmp_path / "none") as page:
        answer = await page.get("/")
        assert answer.status_code == 200
        assert "not built yet" in answer.text
        assert (await page.get("/assets/x.js")).status_code == 404


async def test_built_files_are_served_and_only_they(tmp_path: Path) -> None:
    static = tmp_path / "static"
    (static / "assets").mkdir(parents=True)
    (static / "index.html").write_text("<p>the page</p>")
    (static / "favicon.svg").write_text("<svg/>")
    (static / "assets" / "index-abc123.js").write_text("1")
    (tmp_path / "secret.txt").write_text("secret")
    async with site(static) as page:
        for path in ("/", "/loops", "/loops/spam-filter/programs/2", "/rollouts/x", "/events"):
            answer = await page.get(path)
            assert "the page" in answer.text, path
            assert answer.headers["cache-control"] == "no-cache"
        asset = await page.get("/assets/index-abc123.js")
        assert "immutable" in asset.headers["cache-control"]
        assert (await page.get("/favicon.svg")).headers["content-type"].startswith("image/svg+xml")
        for path in ("/secret.txt", "/..%2fsecret.txt", "/assets/..%2f..%2fsecret.txt", "/%2e%2e/secret.txt", "/x"):
            answer = await page.get(path)
            assert answer.status_code == 404, path


@pytest.mark.parametrize("path", ["/", "/docs", "/livez", "/api/v1/overview", "/api/v1/nothing", "/metrics"])
async def test_every_answer_has_the_security_headers(client: httpx2.AsyncClient, path: str) -> None:
    headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cross-origin-opener-policy"] == "same-origin"
    assert "server" not in headers
    if path.startswith("/api/"):
        assert headers["cache-control"] == "no-store"


async def test_the_docs_need_neither_a_script_nor_another_host(client: httpx2.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "<script" not in page
    assert "style=" not in page
    assert "https://" not in page
    assert "/api/v1/loop-apps/{app}/rollouts/current/{verb}" in page
    assert (await client.get("/docs/style.css")).headers["content-type"].startswith("text/css")


async def test_it_says_whether_it_lives_and_is_ready(gateway: Running, client: httpx2.AsyncClient) -> None:
    assert (await client.get("/livez")).json() == {"status": "ok"}
    assert (await client.get("/readyz")).json() == {"status": "ok"}
    verbose = (await client.get("/readyz?verbose")).json()
    assert verbose["checks"] == {"stream": "ok", "store": "ok"}
    assert (await client.get("/version")).json()["version"]
    async with gateway.store._engine.connect() as connection:
        await connection.exec_driver_sql("DROP TABLE counters")
        await connection.commit()
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert "store" in answer.json()["detail"]
    assert (await client.get("/livez")).status_code == 200
    assert (await client.get("/metrics")).status_code == 200


async def test_metrics_have_the_names_of_the_catalogue(gateway: Running, client: httpx2.AsyncClient, app: str) -> None:
    await gateway.publish(DRIFT_ALERTS, drift("d1", score=0.31))
    await until(lambda: gateway.parts.hub.cursor == 2)
    await client.get("/api/v1/nothing")
    text = (await client.get("/metrics")).text
    names = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    assert names <= {metric.name for metric in METRICS}
    assert 'loopai_alerts_open{severity="warning"} 1.0' in text
    assert 'loopai_drift_score{detector="adwin",loop="spam-filter"} 0.31' in text
    assert 'route="/api/v1/loop-apps"' in text
    assert 'route="unmatched"' in text
    assert "_created" not in text
