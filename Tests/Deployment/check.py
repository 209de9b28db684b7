# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""check.py files REPOSITORY | check.py run REPOSITORY WORK [PRODUCTS]: see scripts/check-deployment."""

import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cluster
import compose_rules
import dockerfile
import files
import kubernetes_rules
import mutations
import scenario
import stages
from containers import Network

STARTED = time.monotonic()
URLS = ("postgres://keyvane:none@postgres.example:5432/keyvane", "redis://:none@redis.example:6379")


def say(text):
    print(f"{time.monotonic() - STARTED:5.0f} s  {text}", flush=True)


def check_files(repository):
    """Everything that can be seen without running anything."""
    facts, texts, validator = files.Repository(repository), files.read(repository), compose_rules.schema()
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other:
        made = files.made_secrets(repository, one)
        made_for_kubernetes = files.made_secrets(repository, other, "--kubernetes", *URLS)

    def faults_of(texts):
        return [
            *(f"compose.yaml: {each}" for each in compose_rules.compose_faults(texts, facts, made, validator)),
            *(f"Dockerfile: {each}" for each in compose_rules.image_faults(texts, facts)),
            *(f"kubernetes: {each}" for each in kubernetes_rules.faults(texts, facts, made_for_kubernetes)),
        ]

    faults = faults_of(texts)
    if not faults:
        services = len(compose_rules.compose.load(texts["docker/compose.yaml"])["services"])
        objects = len(kubernetes_rules.objects(texts)[0])
        say(f"compose.yaml: {services} services, by the schema of the Compose specification and {len(facts.variables)} known settings")
        say(f"kubernetes: {objects} objects, by the strict schemas of {' and '.join(kubernetes_rules.VERSIONS)}, and whatever they name is there")
        faults = [f"self-test: {each}" for each in mutations.survivors(texts, faults_of)]
        if not faults:
            say(f"self-test: {len(mutations.MUTATIONS)} faults put into copies, each found")
    return faults


def missing_libraries(root):
    listed = subprocess.run(["chroot", str(root), "ldd", "/usr/local/bin/keyvane"], capture_output=True, text=True)
    if listed.returncode:
        return [f"ldd: {listed.stderr.strip()}"]
    return [line.strip() for line in listed.stdout.splitlines() if "not found" in line]


def check_run(repository, work, products):
    """The Dockerfile line by line, then compose.yaml in effect."""
    parsed = dockerfile.parse((repository / "docker/Dockerfile").read_text())
    build = stages.Build(parsed, dockerfile.Context(repository), work, products, say)
    build.make_base()
    build.carry_out()
    if build.faults:
        return build.faults
    root = build.folder(len(parsed) - 1)
    if faults := missing_libraries(root):
        return faults
    # Could this have failed? Without one of the packages it does.
    image = cluster.image_of(parsed[-1], root, stages.DEFAULT_PATH)
    trial = work / "trial"
    build.overlay(root, trial)
    for library in trial.glob("usr/lib/*/libhiredis.so*"):
        library.unlink()
    if not missing_libraries(trial):
        return ["self-test: a library that is missing isn't noticed"]
    subprocess.run(["umount", str(trial)], check=True)
    size = sum(path.lstat().st_size for path in root.glob("usr/**/*") if path.is_file() and not path.is_symlink()) >> 20
    say(f"the image: {size} MB, no library is missing (and without libhiredis0.14 one would be)")
    network = Network(work)
    try:
        texts = files.read(repository)
        secrets = work / "kubernetes"
        settings, _ = files.made_secrets(repository, secrets, "--kubernetes", *URLS)
        cases = list(kubernetes_rules.pods_in_effect(texts, settings, secrets / "secrets", work))
        scenario.manifests_start(cases, image, work, network, say)
        scenario.play(repository, image, work, network, say)
    except (cluster.Broken, subprocess.SubprocessError, OSError) as error:
        return [f"in effect: {error}"]
    return []


def main(kind, repository, *rest):
    if kind == "files":
        faults = check_files(Path(repository))
    else:
        faults = check_run(Path(repository), Path(rest[0]), Path(rest[1]) if len(rest) > 1 else None)
    for each in faults:
        print(f"check-deployment: {each}", file=sys.stderr)
    sys.exit(1 if faults else 0)


main(*sys.argv[1:])
