# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What must hold of compose.yaml, the Dockerfile and .dockerignore, and of what Prometheus and Grafana are told of them."""

import json
import re
import tempfile
from importlib.resources import files as package_files
from pathlib import Path

import jsonschema
import yaml

import compose
import dockerfile

OURS = ("api", "gateway", "balancer", "migrate")
SECRET = re.compile(r"(PASSWORD|KEYS|TOKEN|POSTGRES|REDIS)$")


def schema():
    vendored = package_files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    document = json.loads(vendored.read_text())
    return jsonschema.validators.validator_for(document)(document)


def compose_faults(files, facts, made, validator):
    text = files["docker/compose.yaml"]
    project = compose.load(text)
    faults = [f"schema: {'/'.join(map(str, each.absolute_path))}: {each.message[:160]}" for each in validator.iter_errors(project)]
    if faults:
        return faults
    settings, secret_files = made
    for name, operator, word in compose.variables(text):
        if SECRET.search(name):
            if operator != ":?" or not word:
                faults.append(f"${{{name}}}: a secret without a value must stop the start with a message: ${{{name}:?…}}")
            if name not in settings:
                faults.append(f"${{{name}}}: docker/make-secrets doesn't make it")
        elif operator != ":-":
            faults.append(f"${{{name}}}: has no default")
    services = project["services"]
    for name, service in services.items():
        faults += [f"{name}: {each}" for each in _service_faults(name, service, project, facts, secret_files)]
        for other, condition in service.get("depends_on", {}).items():
            faults += [f"{name}: {each}" for each in _dependency_faults(services, other, condition["condition"])]
    for name, count in (("api", 2), ("gateway", 3)):
        if services.get(name, {}).get("deploy", {}).get("replicas") != count:
            faults.append(f"{name}: {count} of them")
        if "container_name" in services.get(name, {}) or services.get(name, {}).get("ports"):
            faults.append(f"{name}: a fixed name or port can't be scaled")
    return [*faults, *_monitoring_faults(files, project)]


def _service_faults(name, service, project, facts, secret_files):
    if service.get("read_only") is not True:
        yield "its root isn't read_only"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add"):
        yield "keeps capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield "may gain privileges"
    for key, value in service.get("environment", {}).items():
        if SECRET.search(key) and "${" not in str(value) and "$$" not in str(value):
            yield f"{key} is written out"
    for each in facts.unknown(service.get("environment", {})):
        yield f"{each} is no setting; docs/configuration.md has them"
    for port in service.get("ports", []):
        if name != "balancer" and not port.startswith("127.0.0.1:"):
            yield f"port {port} is published beyond this host"
    for secret in service.get("secrets", []):
        if secret not in project.get("secrets", {}):
            yield f"there is no secret {secret}"
        elif Path(project["secrets"][secret]["file"]).name not in secret_files:
            yield f"secret {secret}: docker/make-secrets doesn't make its file"
    for network in service.get("networks", []):
        if network not in project.get("networks", {}):
            yield f"there is no network {network}"
    for source, _ in compose.mounts({"secrets": {}}, service | {"secrets": []}, facts.root / "docker"):
        if not source.exists():
            yield f"{source.relative_to(facts.root)} doesn't exist"
    for volume in service.get("volumes", []):
        source = volume.split(":")[0]
        if not source.startswith(".") and source not in project.get("volumes", {}):
            yield f"there is no volume {source}"
    if name in OURS:
        if compose.seconds(service.get("stop_grace_period", "10s")) <= facts.end:
            yield f"stop_grace_period isn't above the {facts.end} s that a process allows itself to drain"
        if service.get("init") or service.get("privileged") or service.get("user"):
            yield "the image says who runs it, and how"
        if name != "migrate" and "test" not in service.get("healthcheck", {}):
            yield "has no health check"
    elif name in ("postgres", "redis") and "test" not in service.get("healthcheck", {}):
        yield "has no health check"


def _dependency_faults(services, other, condition):
    if other not in services:
        yield f"depends on {other}, which isn't there"
    elif condition == "service_healthy" and "test" not in services[other].get("healthcheck", {}):
        yield f"waits for {other}'s health, which nothing checks"
    elif condition == "service_completed_successfully" and services[other].get("restart") != "no":
        yield f"waits for the end of {other}, which is started again and again"


def _monitoring_faults(files, project):
    services, faults = project["services"], []
    prometheus = services.get("prometheus", {})
    targets = [volume.split(":")[1] for volume in prometheus.get("volumes", [])]
    settings = yaml.safe_load(files.get("docker/prometheus/prometheus.yml", "{}"))
    for rule in settings.get("rule_files", []):
        if f"/etc/prometheus/{Path(rule).name}" not in targets:
            faults.append(f"prometheus: {rule} isn't mounted")
    for job in settings.get("scrape_configs", []):
        for place in (job.get("tls_config", {}).get("ca_file"), job.get("basic_auth", {}).get("password_file")):
            if place and (not place.startswith("/run/secrets/") or Path(place).name not in prometheus.get("secrets", [])):
                faults.append(f"prometheus: job {job['job_name']} wants {place}, which isn't mounted")
        for discovery in job.get("dns_sd_configs", []):
            for name in discovery["names"]:
                if name not in services:
                    faults.append(f"prometheus: job {job['job_name']}: there is no service {name}")
                elif discovery["port"] != (9100 if name == "balancer" else 8080):
                    faults.append(f"prometheus: job {job['job_name']}: {name} doesn't listen on {discovery['port']}")
    mounted = [volume.split(":")[1] for volume in services.get("grafana", {}).get("volumes", [])]
    for path, text in files.items():
        if not path.startswith("docker/grafana/provisioning/"):
            continue
        document = yaml.safe_load(text)
        for source in document.get("datasources", []):
            host, _, port = source["url"].split("//")[1].partition(":")
            if host not in services or not any(each.endswith(f":{port}") for each in services[host].get("ports", [])):
                faults.append(f"{path}: nothing listens at {source['url']}")
        for provider in document.get("providers", []):
            if provider["options"]["path"] not in mounted:
                faults.append(f"{path}: {provider['options']['path']} isn't mounted")
    return faults


def image_faults(files, facts):
    try:
        stages = dockerfile.parse(files["docker/Dockerfile"])
    except dockerfile.Unreadable as error:
        return [str(error)]
    last, faults = stages[-1], []
    if not last.image.endswith("-slim"):
        faults.append("the last stage isn't a slim image")
    for name in ("ENTRYPOINT", "HEALTHCHECK", "STOPSIGNAL", "USER"):
        if last.last(name) is None:
            faults.append(f"no {name}")
    if not (entry := last.last("ENTRYPOINT")) or not entry.exec_form():
        faults.append("ENTRYPOINT isn't in exec form: a shell would be process 1 and keep signals to itself")
    if (stop := last.last("STOPSIGNAL")) and stop.text != "SIGTERM":
        faults.append(f"STOPSIGNAL {stop.text}: a role drains at SIGTERM")
    if not (user := last.last("USER")) or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", user.text):
        faults.append("USER must be two numbers that aren't root's: Kubernetes' runAsNonRoot can't tell by a name")
    for key in ("title", "description", "licenses", "version", "revision"):
        if f"org.opencontainers.image.{key}" not in last.labels():
            faults.append(f"no label {key}")
    faults += [f"{each} is no setting; docs/configuration.md has them" for each in facts.unknown(last.environment())]
    texts = [f"{each.name} {each.text}" for each in stages[0].instructions]
    resolve = next((at for at, text in enumerate(texts) if text.startswith("RUN swift package resolve")), None)
    sources = next((at for at, text in enumerate(texts) if "Sources" in text or text.startswith("COPY . ")), None)
    if resolve is None or sources is None or resolve > sources:
        faults.append("dependencies are fetched again at every change of a source: resolve them before COPY Sources")
    return [*faults, *_context_faults(files, facts)]


def _context_faults(files, facts):
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / ".dockerignore").write_text(files[".dockerignore"])
        context = dockerfile.Context(Path(folder))
    for path in (".git/config", ".build/release.yaml", "docker/.env", "docker/secrets/balancer.key", "docker/kubernetes/secrets/keyvane.env",
                 "Tests/OpenAPI/__pycache__/x.pyc", "docs/operations.md"):
        if context.has(path):
            yield f".dockerignore: {path} would be sent to the build"
    for path in ("Package.swift", "Sources/Keyvane/KeyvaneCommand.swift", "Tests/WireTests/x.swift", "docker/healthcheck"):
        if not context.has(path):
            yield f".dockerignore: {path} would be missing"
