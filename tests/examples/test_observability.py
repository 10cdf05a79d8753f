"""`examples/observability`: each metric that it names is there, each command of it exists, each rule fires when it should."""

from __future__ import annotations

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from prometheus_client import generate_latest

from reconciler.cli import main
from reconciler.serve.http import application
from reconciler.serve.metrics import Metrics

from .harness import EXAMPLES

HERE = EXAMPLES / "observability"
PROMTOOL = shutil.which("promtool")


def exposed() -> set[str]:
    """The names of the samples that a controller exposes."""
    metrics = Metrics("1")
    names: set[str] = set()
    for family in metrics.registry.collect():
        endings = {"counter": ("_total",), "info": ("_info",), "histogram": ("_bucket", "_sum", "_count")}
        names |= {family.name + end for end in endings.get(family.type, ("",))}
    return names


@pytest.mark.parametrize("file", ["alerts.yaml", "dashboard.json"])
def test_each_metric_that_is_asked_for_is_exposed(file: str) -> None:
    named = set(re.findall(r"\breconciler_\w+", (HERE / file).read_text(encoding="utf-8")))
    assert len(named) >= 8
    assert named <= exposed()


def test_the_dashboard_is_one() -> None:
    board = json.loads((HERE / "dashboard.json").read_text(encoding="utf-8"))
    ids = [each["id"] for each in board["panels"]]
    assert len(ids) == len(set(ids)) >= 12
    assert all(target["expr"] for each in board["panels"] for target in each["targets"])
    assert {each["name"] for each in board["templating"]["list"]} == {"datasource", "fleet", "env"}


def parsed(words: list[str]) -> dict[str, Any]:
    """The options of a command, as click reads them."""
    command = main.cli.get_command(click.Context(main.cli), words[0])
    assert command is not None
    return command.make_context(words[0], words[1:], parent=click.Context(main.cli)).params


def test_the_commands_are_those_of_this_version_and_the_probes_ask_what_is_served() -> None:
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str  # type: ignore[assignment, method-assign]  # keys of a unit keep their case
    unit.read(HERE / "reconciler-watch.service")
    assert parsed(shlex.split(unit["Service"]["ExecStart"])[1:])["listen"] == "127.0.0.1:9464"
    pod = yaml.safe_load((HERE / "kubernetes.yaml").read_text(encoding="utf-8"))["spec"]
    assert pod["replicas"] == 2
    (container,) = pod["template"]["spec"]["containers"]
    assert parsed(container["args"])["listen"] == "0.0.0.0:9464"
    paths = {route.path for route in application(None, None).routes}  # type: ignore[arg-type, attr-defined]
    probes = {container[f"{each}Probe"]["httpGet"]["path"] for each in ("liveness", "readiness")}
    assert probes == {"/livez", "/readyz"}
    assert probes <= paths
    image = (HERE / "Dockerfile").read_text(encoding="utf-8")
    (last,) = re.findall(r"^CMD (.*)$", image, re.MULTILINE)
    assert parsed(json.loads(last))["listen"] == "0.0.0.0:9464"
    assert "USER reconciler" in image.splitlines()[-2]


@pytest.mark.skipif(PROMTOOL is None, reason="promtool (Debian: prometheus) is not installed")
def test_prometheus_takes_the_rules_and_the_metrics(tmp_path: Path) -> None:
    assert PROMTOOL is not None
    shutil.copy(HERE / "alerts.yaml", tmp_path)
    shutil.copy(Path(__file__).with_name("alerts_test.yaml"), tmp_path)
    for words in (["check", "rules", "alerts.yaml"], ["test", "rules", "alerts_test.yaml"]):
        done = subprocess.run([PROMTOOL, *words], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
    metrics = generate_latest(Metrics("1").registry)
    done = subprocess.run([PROMTOOL, "check", "metrics"], input=metrics, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
