# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""What must hold of the Kubernetes manifests: their schemas, and that whatever one names the other has."""

import json
import os
import re
from functools import cache
from pathlib import Path

import kubernetes_validate
import yaml

FOLDER = "docker/kubernetes/"
# The oldest and the newest that are promised.
VERSIONS = ("1.30", "1.37")
PROBES = {"startupProbe": {"/livez"}, "livenessProbe": {"/livez"}, "readinessProbe": {"/readyz"}}


def objects(files):
    """As `kubectl apply -k` would send them, but for the hashes in names; and the faults of getting there."""
    kustomization, faults, found = yaml.safe_load(files[FOLDER + "kustomization.yaml"]), [], []
    for name in kustomization["resources"]:
        if FOLDER + name not in files:
            faults.append(f"kustomization.yaml: {name} isn't there")
            continue
        found += [(name, each) for each in yaml.safe_load_all(files[FOLDER + name]) if each]
    used = set(kustomization["resources"]) | {"kustomization.yaml"} | {
        each for generator in kustomization.get("configMapGenerator", []) for each in generator["files"]
    }
    for path in files:
        if path.startswith(FOLDER) and "/" not in path[len(FOLDER):] and path[len(FOLDER):] not in used:
            faults.append(f"kustomization.yaml doesn't name {path[len(FOLDER):]}")
    return found, kustomization, faults


@cache
def _schema_fault(text, version):
    try:
        kubernetes_validate.validate(json.loads(text), version, strict=True)
    except kubernetes_validate.ValidationError as error:
        return f"{'/'.join(map(str, error.path))}: {error.message[:160]}"
    except (kubernetes_validate.SchemaNotFoundError, KeyError) as error:
        return getattr(error, "message", repr(error))
    return None


def faults(files, facts, made):
    found, kustomization, result = objects(files)
    for name, each in found:
        for version in VERSIONS:
            if fault := _schema_fault(json.dumps(each, sort_keys=True), version):
                result.append(f"schema {version}: {name}: {fault}")
    if result:
        return result
    every = [each for _, each in found]
    names = [(each["kind"], each["metadata"]["name"]) for each in every]
    result += [f"there are two {kind}s {name}" for kind, name in sorted({each for each in names if names.count(each) > 1})]
    pods = [(each, each["spec"]["template"]) for each in every if each["kind"] in ("Deployment", "Job")]
    for owner, pod in pods:
        label = f"{owner['kind']} {owner['metadata']['name']}"
        result += [f"{label}: {fault}" for fault in _pod_faults(owner, pod, facts)]
        result += [f"{label}: {fault}" for fault in _reference_faults(pod["spec"], every, kustomization, made, facts)]
        images = {each["name"] for each in kustomization["images"]}
        result += [f"{label}: kustomization.yaml doesn't say where {each['image']} is" for each in pod["spec"]["containers"] if each["image"] not in images]
    for each in every:
        label = f"{each['kind']} {each['metadata']['name']}"
        result += [f"{label}: {fault}" for fault in _selection_faults(each, pods)]
    return [*result, *_autoscaler_faults(every, files, facts), *_policy_faults(every)]


# MARK: Pods


def _pod_faults(owner, pod, facts):
    spec = pod["spec"]
    if owner["kind"] == "Deployment" and not _matches(owner["spec"]["selector"], pod["metadata"]["labels"]):
        yield "its selector doesn't match its own pods"
    if spec.get("automountServiceAccountToken") is not False:
        yield "is given a token for the cluster that it doesn't need"
    if spec.get("enableServiceLinks") is not False:
        yield "gets variables of every Service, some of which look like settings"
    context = spec.get("securityContext", {})
    if context.get("runAsNonRoot") is not True or context.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "may run as root, or without seccomp"
    for container in spec["containers"]:
        own = container.get("securityContext", {})
        if own.get("readOnlyRootFilesystem") is not True or own.get("allowPrivilegeEscalation") is not False or own.get("capabilities") != {"drop": ["ALL"]}:
            yield f"{container['name']}: isn't confined"
        resources = container.get("resources", {})
        if not {"cpu", "memory"} <= set(resources.get("requests", {})) or "memory" not in resources.get("limits", {}):
            yield f"{container['name']}: without requests or a limit of memory"
        if container["args"][0] != owner["metadata"]["name"]:
            yield f"{container['name']}: runs the role {container['args'][0]}"
        ports = {each["name"]: each["containerPort"] for each in container.get("ports", [])}
        for probe, paths in PROBES.items():
            if owner["kind"] == "Job":
                continue
            asked = container.get(probe, {}).get("httpGet")
            if asked is None or asked["path"] not in paths or asked["port"] not in ports:
                yield f"{container['name']}: {probe} must ask {' or '.join(paths)} on a port that is there"
        if owner["kind"] == "Deployment":
            before = container.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
            grace = spec.get("terminationGracePeriodSeconds", 30)
            if grace <= int(before[1]) + facts.end:
                yield f"terminationGracePeriodSeconds {grace} isn't above preStop {before[1]} s and drain {facts.end} s"
            if before == ["sleep", "0"]:
                yield f"{container['name']}: no preStop"
        mounted = {each["name"] for each in container.get("volumeMounts", [])}
        volumes = {each["name"] for each in spec.get("volumes", [])}
        for name in mounted ^ volumes:
            yield f"volume {name} is " + ("not there" if name in mounted else "not mounted")


def contents(every, kustomization, made):
    """(kind, name) -> keys of every ConfigMap and Secret, generated ones included."""
    settings, secret_files = made
    keys = {(each["kind"], each["metadata"]["name"]): set(each.get("data", {})) for each in every if each["kind"] in ("ConfigMap", "Secret")}
    for kind, field in (("ConfigMap", "configMapGenerator"), ("Secret", "secretGenerator")):
        for generator in kustomization.get(field, []):
            files = {Path(each).name for each in generator.get("files", [])}
            if kind == "Secret":
                files &= secret_files
            keys[(kind, generator["name"])] = files | (set(settings) if generator.get("envs") == ["secrets/keyvane.env"] else set())
    return keys


def _reference_faults(spec, every, kustomization, made, facts):
    keys = contents(every, kustomization, made)
    for container in spec["containers"]:
        variables = []
        for each in container.get("envFrom", []):
            source = ("ConfigMap", each["configMapRef"]["name"])
            if source not in keys:
                yield f"there is no ConfigMap {source[1]}"
            variables += sorted(keys.get(source, ()))
        for each in container.get("env", []):
            for name in re.findall(r"\$\((\w+)\)", each.get("value", "")):
                if name not in variables:
                    yield f"{each['name']}: $({name}) isn't set before it"
            variables.append(each["name"])
            for field, kind in (("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")):
                wanted = each.get("valueFrom", {}).get(field)
                if wanted and wanted["key"] not in keys.get((kind, wanted["name"]), ()):
                    yield f"{each['name']}: {kind} {wanted['name']} has no {wanted['key']}"
            if re.search(r"POSTGRES|KEYS|TOKEN|REDIS", each["name"]) and "value" in each:
                yield f"{each['name']} is written out"
        for each in facts.unknown(variables):
            yield f"{each} is no setting; docs/configuration.md has them"
    for volume in spec.get("volumes", []):
        name = volume.get("configMap", {}).get("name") or volume.get("secret", {}).get("secretName")
        kind = "ConfigMap" if "configMap" in volume else "Secret"
        if not keys.get((kind, name)):
            yield f"volume {volume['name']}: there is no {kind} {name}"


# MARK: Who means whom


def _matches(selector, labels):
    for key, value in selector.get("matchLabels", {}).items():
        if labels.get(key) != value:
            return False
    for each in selector.get("matchExpressions", []):
        if each["operator"] != "In" or labels.get(each["key"]) not in each["values"]:
            return False
    return True


def _chosen(selector, pods):
    return [pod["spec"] for _, pod in pods if _matches(selector, pod["metadata"]["labels"])]


def _port_names(spec):
    return {each["name"] for container in spec["containers"] for each in container.get("ports", [])}


def _selection_faults(each, pods):
    kind, spec = each["kind"], each.get("spec", {})
    if kind == "Service":
        chosen = _chosen({"matchLabels": spec["selector"]}, pods)
        if not chosen:
            yield "its selector matches no pod"
        for port in spec["ports"]:
            if any(port["targetPort"] not in _port_names(one) for one in chosen):
                yield f"its pods have no port {port['targetPort']}"
    elif kind == "PodDisruptionBudget":
        if not _chosen(spec["selector"], pods):
            yield "its selector matches no pod"
    elif kind == "NetworkPolicy":
        chosen = _chosen(spec["podSelector"], pods)
        if not chosen:
            yield "its selector matches no pod"
        for rule in spec.get("ingress", []):
            for port in rule.get("ports", []):
                if isinstance(port["port"], str) and any(port["port"] not in _port_names(one) for one in chosen):
                    yield f"its pods have no port {port['port']}"
        for rule in spec.get("ingress", []) + spec.get("egress", []):
            for peer in rule.get("from", []) + rule.get("to", []):
                if "podSelector" in peer and not _chosen(peer["podSelector"], pods):
                    yield "lets in or out a pod that isn't there"


def _autoscaler_faults(every, files, facts):
    for each in every:
        if each["kind"] != "HorizontalPodAutoscaler":
            continue
        name = each["metadata"]["name"]
        target = next((one for one in every if (one["kind"], one["metadata"]["name"]) == ("Deployment", each["spec"]["scaleTargetRef"]["name"])), None)
        if target is None:
            yield f"HorizontalPodAutoscaler {name}: its Deployment isn't there"
        elif "replicas" in target["spec"]:
            yield f"HorizontalPodAutoscaler {name}: the Deployment has replicas, which every apply would bring back"
        rules = yaml.safe_load(files[FOLDER + "monitoring/prometheus-adapter.yaml"])["rules"]["custom"]
        for metric in each["spec"]["metrics"]:
            wanted = metric["pods"]["metric"]["name"]
            offered = {rule["name"]["as"]: rule["seriesQuery"].partition("{")[0] for rule in rules}
            if wanted not in offered:
                yield f"HorizontalPodAutoscaler {name}: prometheus-adapter.yaml doesn't offer {wanted}"
            elif offered[wanted] not in facts.metrics():
                yield f"HorizontalPodAutoscaler {name}: nothing exports {offered[wanted]}"
            most = next(one["data"]["KEYVANE_MAXIMUM_CONNECTIONS"] for one in every if one["kind"] == "ConfigMap")
            if int(metric["pods"]["target"]["averageValue"]) * 1.25 > int(most):
                yield f"HorizontalPodAutoscaler {name}: aims too close at KEYVANE_MAXIMUM_CONNECTIONS"
        down = each["spec"]["behavior"]["scaleDown"]
        grace = target["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] if target else 0
        if any(policy["type"] != "Pods" or policy["value"] != 1 or policy["periodSeconds"] <= grace for policy in down["policies"]):
            yield f"HorizontalPodAutoscaler {name}: takes gateways away faster than they drain ({grace} s)"


def _policy_faults(every):
    denies = [one for one in every if one["kind"] == "NetworkPolicy" and one["spec"]["podSelector"] == {}
              and not one["spec"].get("ingress") and not one["spec"].get("egress") and set(one["spec"]["policyTypes"]) == {"Ingress", "Egress"}]
    if not denies:
        yield "NetworkPolicy: what no policy names is allowed; there must be one that denies everything"
    budgets = {one["metadata"]["name"] for one in every if one["kind"] == "PodDisruptionBudget"}
    for one in every:
        if one["kind"] == "Deployment" and one["metadata"]["name"] not in budgets:
            yield f"Deployment {one['metadata']['name']}: no PodDisruptionBudget"


# MARK: In effect


def pods_in_effect(files, settings, secrets, work):
    """(name, arguments, environment, mounts) of each Deployment's container, as a node would start it."""
    found, _, _ = objects(files)
    every = [each for _, each in found]
    data = {each["metadata"]["name"]: each["data"] for each in every if each["kind"] == "ConfigMap"}
    sources = {"balancer": [("balancer.yaml", files[FOLDER + "balancer.yaml"])]}
    sources["balancer-admin"] = [(path.name, path.read_text()) for path in secrets.iterdir()]
    for each in every:
        if each["kind"] != "Deployment":
            continue
        spec = each["spec"]["template"]["spec"]
        container, values = spec["containers"][0], {}
        for source in container.get("envFrom", []):
            values |= data[source["configMapRef"]["name"]]
        for variable in container["env"]:
            origin = variable.get("valueFrom", {})
            if "secretKeyRef" in origin:
                value = settings[origin["secretKeyRef"]["key"]]
            elif "configMapKeyRef" in origin:
                value = data[origin["configMapKeyRef"]["name"]][origin["configMapKeyRef"]["key"]]
            elif "fieldRef" in origin:
                value = {"metadata.name": f"{container['name']}-5d4f8", "status.podIP": "10.1.2.3"}[origin["fieldRef"]["fieldPath"]]
            else:
                value = re.sub(r"\$\((\w+)\)", lambda match: values[match[1]], variable["value"])
            values[variable["name"]] = value
        places = {one["name"]: one["mountPath"] for one in container.get("volumeMounts", [])}
        mounts = []
        for volume in spec.get("volumes", []):
            kind = volume.get("secret") or volume["configMap"]
            folder = work / f"volume-{volume['name']}"
            _fill(folder, sources[kind.get("secretName") or kind["name"]], kind.get("defaultMode", 0o644), spec["securityContext"].get("fsGroup"))
            mounts.append((folder, places[volume["name"]]))
        yield container["name"], container["args"], values, mounts


def _fill(folder, contents, mode, group):
    """As the kubelet does: root's files, in the pod's group where it has one."""
    folder.mkdir()
    for name, text in contents:
        path = folder / name
        path.write_text(text)
        path.chmod(mode)
        os.chown(path, 0, group or 0)
