# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""Faults that people make, each put into a copy: the check must name every one of them, or it proves nothing."""

COMPOSE, DOCKERFILE, IGNORE = "docker/compose.yaml", "docker/Dockerfile", ".dockerignore"
KUBERNETES = "docker/kubernetes/"

# file, what stands there, what is put instead, what the check has to say
MUTATIONS = [
    (COMPOSE, "stop_grace_period: 45s", "stop_grace_periode: 45s", "schema"),
    (COMPOSE, "stop_grace_period: 45s", "stop_grace_period: 30s", "isn't above the 35 s"),
    (COMPOSE, "  read_only: true\n", "", "isn't read_only"),
    (COMPOSE, "cap_drop: [ALL]", "cap_drop: [NET_RAW]", "keeps capabilities"),
    (COMPOSE, '["no-new-privileges:true"]', "[]", "may gain privileges"),
    (COMPOSE, "${GRAFANA_PASSWORD:?run docker/make-secrets first}", "${GRAFANA_PASSWORD:-admin}", "must stop the start"),
    (COMPOSE, "${KEYVANE_STICKY_KEYS:?run docker/make-secrets first}", "c2VjcmV0", "is written out"),
    (COMPOSE, "${KEYVANE_STICKY_KEYS:?", "${KEYVANE_COOKIE_KEYS:?", "doesn't make it"),
    (COMPOSE, "KEYVANE_ROOT_TOKEN: $", "KEYVANE_ROOTTOKEN: $", "is no setting"),
    (COMPOSE, '"127.0.0.1:${GRAFANA_PORT:-3000}:3000"', '"${GRAFANA_PORT:-3000}:3000"', "beyond this host"),
    (COMPOSE, "    restart: \"no\"\n", "", "started again and again"),
    (COMPOSE, "postgres: { condition: service_healthy }", "postgresql: { condition: service_healthy }", "isn't there"),
    (COMPOSE, "./balancer.yaml:/etc", "./balancer.yml:/etc", "doesn't exist"),
    (COMPOSE, "{ file: ./secrets/balancer.key }", "{ file: ./secrets/balancer.pem }", "doesn't make its file"),
    (COMPOSE, "deploy: { replicas: 3 }", "deploy: { replicas: 3 }\n    container_name: gateway", "can't be scaled"),
    (COMPOSE, "    secrets: [balancer-ca.pem, prometheus-password]\n", "", "isn't mounted"),
    (DOCKERFILE, 'ENTRYPOINT ["keyvane"]', "ENTRYPOINT keyvane", "exec form"),
    (DOCKERFILE, "USER 10001:10001", "USER keyvane", "two numbers"),
    (DOCKERFILE, "STOPSIGNAL SIGTERM\n", "", "no STOPSIGNAL"),
    (DOCKERFILE, "KEYVANE_LOG_FORMAT=json", "KEYVANE_LOGFORMAT=json", "is no setting"),
    (DOCKERFILE, "COPY Package.* ./\n", "COPY . .\n", "fetched again"),
    (DOCKERFILE, "RUN strip", "STRIP", "isn't understood"),
    (IGNORE, "\n*\n", "\n", "would be sent"),
    (IGNORE, "!docker/healthcheck\n", "", "would be missing"),
    (KUBERNETES + "gateway.yaml", "minReadySeconds", "minimumReadySeconds", "schema"),
    (KUBERNETES + "gateway.yaml", "terminationGracePeriodSeconds: 60", "terminationGracePeriodSeconds: 40", "isn't above preStop"),
    (KUBERNETES + "gateway.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "isn't confined"),
    (KUBERNETES + "gateway.yaml", "livenessProbe: { httpGet: { path: /livez", "livenessProbe: { httpGet: { path: /readyz", "must ask /livez"),
    (KUBERNETES + "gateway.yaml", "name: http, containerPort", "name: web, containerPort", "on a port that is there"),
    (KUBERNETES + "gateway.yaml", "key: KEYVANE_POSTGRES }", "key: POSTGRES }", "has no POSTGRES"),
    (KUBERNETES + "gateway.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "doesn't need"),
    (KUBERNETES + "gateway.yaml", "  minReadySeconds: 10\n", "  minReadySeconds: 10\n  replicas: 3\n", "every apply would bring back"),
    (KUBERNETES + "gateway.yaml", "name: KEYVANE_ADVERTISE", "name: KEYVANE_ADDRESS", "is no setting"),
    (KUBERNETES + "api.yaml", "  clusterIP: None\n  selector: { app.kubernetes.io/name: keyvane, app.kubernetes.io/component: api }",
     "  clusterIP: None\n  selector: { app.kubernetes.io/name: keyvane, app.kubernetes.io/component: apis }", "matches no pod"),
    (KUBERNETES + "api.yaml", "targetPort: http", "targetPort: web", "have no port web"),
    (KUBERNETES + "api.yaml", "kind: PodDisruptionBudget\nmetadata:\n  name: api", "kind: PodDisruptionBudget\nmetadata:\n  name: apis", "no PodDisruptionBudget"),
    (KUBERNETES + "balancer-deployment.yaml", "configMap: { name: balancer }", "configMap: { name: balancer-file }", "there is no ConfigMap"),
    (KUBERNETES + "balancer-deployment.yaml", 'command: [sleep, "15"]', 'command: [sleep, "45"]', "isn't above preStop 45 s"),
    (KUBERNETES + "autoscaler.yaml", "name: gateway_connections", "name: gateway_sockets", "doesn't offer"),
    (KUBERNETES + "autoscaler.yaml", "kind: Deployment, name: gateway", "kind: Deployment, name: gateways", "Deployment isn't there"),
    (KUBERNETES + "autoscaler.yaml", "value: 1, periodSeconds: 180", "value: 1, periodSeconds: 30", "faster than they drain"),
    (KUBERNETES + "autoscaler.yaml", 'averageValue: "10000"', 'averageValue: "20000"', "too close"),
    (KUBERNETES + "monitoring/prometheus-adapter.yaml", "seriesQuery: gateway_connections{", "seriesQuery: gateway_sockets{", "nothing exports"),
    (KUBERNETES + "network.yaml", "policyTypes: [Ingress, Egress]\n---", "policyTypes: [Ingress]\n---", "denies everything"),
    (KUBERNETES + "network.yaml", "port: admin", "port: metrics", "have no port metrics"),
    (KUBERNETES + "kustomization.yaml", "  - network.yaml\n", "", "doesn't name network.yaml"),
]


def survivors(files, check):
    """Mutations that the check doesn't name, each with what it said instead."""
    for path, old, new, wanted in MUTATIONS:
        if old not in files[path]:
            yield f"{path}: the self-test's '{old.strip()[:60]}' isn't there any more; bring mutations.py up to date"
            continue
        found = check(files | {path: files[path].replace(old, new)})
        if not any(wanted in fault for fault in found):
            yield f"{path}: '{new.strip()[:60]}' instead of '{old.strip()[:60]}' is not noticed; said: {found[:3]}"
