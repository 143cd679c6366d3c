"""The default client of another language places an order: it offers HTTP/2 by an upgrade with every request."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path
from typing import Final

from sagakit.app.server import Server, listen
from tests.postgres import Server as Postgres
from tests.unit.api.served import headers, order_body, served

SOURCE: Final = """
import java.net.URI;
import java.net.http.*;

public class PlaceOrder {
    public static void main(String[] args) throws Exception {
        HttpClient client = HttpClient.newHttpClient();
        for (int attempt = 0; attempt < 2; attempt++) {
            HttpRequest request = HttpRequest.newBuilder(URI.create(args[0]))
                .header("Authorization", args[1])
                .header("Idempotency-Key", "java")
                .header("Content-Type", "application/json")
                .POST(HttpRequest.BodyPublishers.ofString(args[2]))
                .build();
            HttpResponse<String> answer = client.send(request, HttpResponse.BodyHandlers.ofString());
            System.out.println(answer.statusCode() + " " + answer.body());
        }
    }
}
"""


async def test_javas_default_client_places_an_order(tmp_path: Path, postgres: Postgres) -> None:
    java = shutil.which("java")
    assert java, "this test runs a Java source file: install a JDK, of version 11 or later"
    source = tmp_path / "PlaceOrder.java"
    source.write_text(SOURCE)
    async with served("order", postgres.database("order"), http_port=0) as this:
        server, sock = Server(this.app, this.service_process.settings), listen(this.service_process.settings)
        server.task = asyncio.create_task(server.serve(sockets=[sock]))
        try:
            url = f"http://127.0.0.1:{sock.getsockname()[1]}/orders"
            command = [java, str(source), url, headers()["Authorization"], json.dumps(order_body())]
            done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, timeout=120)
        finally:
            await server.finish()
        told = [line.split(" ", 1) for line in done.stdout.splitlines()]
        assert [status for status, _ in told] == ["202", "202"], done
        placed = {json.loads(body)["order_id"] for _, body in told}
        assert placed == {one["order_id"] for one in (await this.get("/orders")).json()["items"]}
