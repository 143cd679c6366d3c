"""Rules, alerts, runbooks, dashboards and the list of metrics agree with one another and with the code."""

import json
import re
import runpy
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from quartet_stack.docker import environment
from quartet_stack.docker.compose import COMPOSE_FILE
from quartet_stack.errors import StackError
from quartet_stack.layout import REPOSITORY, layout
from quartet_stack.servers import prometheus
from tests.contracts import observability

FOLDER = REPOSITORY / "infra" / "observability"
RULES = sorted((FOLDER / "prometheus" / "rules").glob("*.yml"))
TESTS = FOLDER / "prometheus" / "tests" / "alerts.yml"
FROM_PROMETHEUS = {"up"}  # besides what services expose


@pytest.fixture(scope="module")
def promtool() -> Path:
    try:
        return prometheus.programs(layout({}), print)[1]
    except StackError as error:
        pytest.fail(f"promtool cannot be had, so no rule is tested: {error}")


def rules() -> list[dict[str, Any]]:
    return [rule for path in RULES for group in yaml.safe_load(path.read_text())["groups"] for rule in group["rules"]]


def alerts() -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


def queries() -> list[str]:
    documents = (json.loads(path.read_text()) for path in (FOLDER / "grafana" / "dashboards").glob("*.json"))
    return [target["expr"] for one in documents for panel in one["panels"] for target in panel["targets"]]


def run(promtool: Path, *words: str) -> str:
    done = subprocess.run([promtool, *words], cwd=TESTS.parent, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_each_alert_fires_for_its_cause_and_is_silent_without_it(promtool: Path) -> None:
    assert "SUCCESS" in run(promtool, "test", "rules", TESTS.name)
    fired = {
        one["alertname"]: [case["alertname"] for case in test["alert_rule_test"]].count(one["alertname"])
        for test in yaml.safe_load(TESTS.read_text())["tests"]
        for one in test["alert_rule_test"]
        if one["exp_alerts"]
    }
    assert fired.keys() == alerts().keys()


def test_a_wrong_rule_is_found(promtool: Path, tmp_path: Path) -> None:
    for path in RULES:
        text = path.read_text().replace(
            "saga:unsettled_oldest_seconds:max > 60", "saga:unsettled_oldest_seconds:max > 600"
        )
        (tmp_path / "rules").mkdir(exist_ok=True)
        (tmp_path / "rules" / path.name).write_text(text)
    (tmp_path / "tests").mkdir()
    (tmp_path / "tests" / TESTS.name).write_text(TESTS.read_text())
    command = [promtool, "test", "rules", TESTS.name]
    done = subprocess.run(command, cwd=tmp_path / "tests", capture_output=True, text=True, timeout=300)
    assert done.returncode != 0
    assert "OrdersDoNotSettle" in done.stdout + done.stderr


def test_spans_reach_tempo_and_grafana_knows_where_everything_is() -> None:
    collector = yaml.safe_load((FOLDER / "collector.yml").read_text())
    tempo = yaml.safe_load((FOLDER / "tempo.yml").read_text())
    port = environment.COLLECTOR.rpartition(":")[2]
    for receiver in (collector["receivers"]["otlp"], tempo["distributor"]["receivers"]["otlp"]):
        assert receiver["protocols"]["http"]["endpoint"] == f"0.0.0.0:{port}"
    assert collector["exporters"]["otlphttp"]["endpoint"] == f"http://tempo:{port}"
    assert collector["service"]["pipelines"]["traces"]["exporters"] == ["otlphttp"]
    given = yaml.safe_load((FOLDER / "grafana" / "provisioning" / "datasources" / "prometheus.yml").read_text())
    sources = {one["uid"]: one for one in given["datasources"]}
    assert sources["tempo"]["url"] == f"http://tempo:{tempo['server']['http_listen_port']}"
    assert sources["prometheus"]["jsonData"]["exemplarTraceIdDestinations"][0]["datasourceUid"] == "tempo"
    compose = yaml.safe_load(COMPOSE_FILE.read_text())["services"]
    shown = {name for name, one in compose.items() if one.get("profiles") == ["observability"]}
    assert shown == {"prometheus", "collector", "tempo", "grafana"}
    for name in shown:
        mounted = (volume.split(":") for volume in compose[name]["volumes"])
        paths = {target: REPOSITORY / source for source, target, *_ in mounted if source.startswith("./")}
        assert all(path.exists() for path in paths.values())
        words = " ".join(map(str, compose[name].get("command", ())))
        assert all(file in words for file in paths if file.endswith(".yml"))


def test_the_configuration_is_valid(promtool: Path) -> None:
    run(promtool, "check", "config", str(FOLDER / "prometheus" / "prometheus.yml"))


def test_the_queries_of_the_dashboards_are_valid(promtool: Path, tmp_path: Path) -> None:
    made = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries())]
    (tmp_path / "queries.yml").write_text(json.dumps({"groups": [{"name": "dashboards", "rules": made}]}))
    run(promtool, "check", "rules", str(tmp_path / "queries.yml"))


def test_the_dashboards_are_those_that_the_script_writes() -> None:
    script = runpy.run_path(str(FOLDER / "dashboards.py"))
    found = {path.name: path.read_text() for path in script["FOLDER"].iterdir()}
    assert found == {f"{one.name}.json": script["text_of"](one) for one in script["DASHBOARDS"]}


@pytest.mark.parametrize("path", sorted((FOLDER / "grafana" / "dashboards").glob("*.json")), ids=lambda path: path.stem)
def test_a_dashboard_has_the_shape_that_grafana_reads(path: Path) -> None:
    board = json.loads(path.read_text())
    assert board["uid"] == f"quartet-{path.stem}"
    numbers = [panel["id"] for panel in board["panels"]]
    assert len(set(numbers)) == len(numbers) > 0
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        place, (source, *_) = panel["gridPos"], [target["datasource"] for target in panel["targets"]]
        cells = {(place["x"] + x, place["y"] + y) for x in range(place["w"]) for y in range(place["h"])}
        assert not taken & cells
        assert all(0 <= x < 24 for x, _ in cells)
        taken |= cells
        assert source == panel["datasource"] == {"type": "prometheus", "uid": "prometheus"}
        assert panel["type"] == "timeseries"
        assert {target["refId"] for target in panel["targets"]} == {"A"}


def test_rules_and_dashboards_name_only_metrics_that_exist() -> None:
    exposed = {one.name for one in observability.metrics()}
    series = exposed | {
        f"{one.name}_{end}"
        for one in observability.metrics()
        for end in ("bucket", "sum", "count")
        if one.kind == "histogram"
    }
    known = series | FROM_PROMETHEUS | {rule["record"] for rule in rules() if "record" in rule}
    for query in (*queries(), *(rule["expr"] for rule in rules())):
        bare = re.sub(r'"[^"]*"|\{[^}]*\}|\[[^]]*\]|\b(by|ignoring|on|group_left|without) \([^)]*\)', " ", query)
        words = set(re.findall(r"[a-z_]+[:_][a-z0-9_:]+", bare)) - {"histogram_quantile", "group_left"}
        assert words <= known, words - known


def test_each_alert_has_a_runbook_page_that_names_it_and_is_linked() -> None:
    listed = (REPOSITORY / "docs" / "observability.md").read_text()
    navigation = (REPOSITORY / "mkdocs.yml").read_text()
    for name, alert in alerts().items():
        page = REPOSITORY / alert["annotations"]["runbook"]
        assert f"`{name}`" in page.read_text(), name
        assert f"`{name}`" in listed
        assert f"runbooks/{page.name}" in listed
        assert f"docs/runbooks/{page.name}" in navigation
    named = {REPOSITORY / alert["annotations"]["runbook"] for alert in alerts().values()}
    assert named == set((REPOSITORY / "docs" / "runbooks").glob("*.md"))


def test_the_page_lists_the_metrics_and_spans_of_the_code() -> None:
    page = observability.PAGE.read_text()
    assert observability.written(page) == page, "python -m tests.contracts.observability"
