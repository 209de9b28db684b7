# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""The Dockerfile's stages as folders: a clean Debian for each, and every RUN and COPY carried out in it.

Runs as root in mount and process namespaces of its own, all folders in a file system in memory, so that nothing is left when it ends.
"""

import json
import os
import re
import shutil
import subprocess
import threading
import time
from pathlib import Path

from dockerfile import Unreadable, substitute

# What swift:6.3-bookworm has besides the toolchain: Swift's own Dockerfile for Debian 12 installs these, with what they recommend; less
# here, so that what builds here builds there.
SWIFT_PACKAGES = (
    "binutils ca-certificates gcc git libcurl4-openssl-dev libedit-dev libicu-dev libncurses-dev libpython3-dev libsqlite3-dev "
    "libstdc++-12-dev libxml2-dev pkg-config tzdata uuid-dev"
).split()
DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Without documentation, as in Debian's slim images.
SLIM = """path-exclude /usr/share/doc/*
path-exclude /usr/share/man/*
path-exclude /usr/share/info/*
path-exclude /usr/share/locale/*
path-exclude /usr/share/lintian/*
"""


class Failed(Exception):
    pass


def run(command, log, **options):
    with open(log, "ab") as output:
        done = subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, **options)
    if done.returncode:
        tail = Path(log).read_text(errors="replace").splitlines()[-15:]
        raise Failed(f"{' '.join(map(str, command))[:300]}\n  exit code {done.returncode}\n    " + "\n    ".join(tail))


def mirrors():
    """(address, suite) of Debian 12 as this machine's apt has them; Debian's own without."""
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE)", "Created-By: Packages"], capture_output=True, text=True
    ).stdout
    suites = {"bookworm": None, "bookworm-updates": None, "bookworm-security": None}
    for line in listed.splitlines():
        address, _, suite = line.rpartition(" ")
        if suite in suites and "debian" in address:
            suites[suite] = suites[suite] or address.rstrip("/")
    suites["bookworm"] = suites["bookworm"] or "http://deb.debian.org/debian"
    suites["bookworm-updates"] = suites["bookworm-updates"] or suites["bookworm"]
    suites["bookworm-security"] = suites["bookworm-security"] or "http://deb.debian.org/debian-security"
    return [(address, suite) for suite, address in suites.items()]


class Build:
    """All stages of one Dockerfile. `products`: a checkout's .build, linked instead of `swift build`; None: everything as written."""

    def __init__(self, stages, context, work, products, say):
        self.stages, self.context, self.work, self.products, self.say = stages, context, work, products, say
        self.finished = {index: threading.Event() for index in range(len(stages))}
        self.faults = []
        self.toolchain = Path(shutil.which("swift") or "").resolve().parent.parent

    def folder(self, index):
        return self.work / f"stage{index}"

    def make_base(self):
        started, base = time.monotonic(), self.work / "base"
        sources = mirrors()
        log = self.work / "base.log"
        keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
        run(["debootstrap", "--variant=minbase", f"--keyring={keyring}", "bookworm", str(base), sources[0][0]], log)
        (base / "etc/apt/sources.list").write_text("".join(f"deb {address} {suite} main\n" for address, suite in sources))
        # In memory nothing outlives a crash anyway.
        (base / "etc/dpkg/dpkg.cfg.d/slim").write_text(SLIM + "force-unsafe-io\n")
        settings = subprocess.run(["apt-config", "dump"], capture_output=True, text=True).stdout
        kept = [line for line in settings.splitlines() if re.match(r"Acquire::(https?::Proxy|Check-Valid-Until|Languages)\b", line)]
        (base / "etc/apt/apt.conf.d/90machine").write_text("\n".join(kept) + "\n")
        shutil.copy("/etc/resolv.conf", base / "etc/resolv.conf")
        for index in range(len(self.stages)):
            subprocess.run(["cp", "-a", str(base), str(self.folder(index))], check=True)
            for name, kind in (("proc", "proc"), ("dev/pts", "devpts"), ("dev/shm", "tmpfs"), ("tmp", "tmpfs")):
                target = self.folder(index) / name
                target.mkdir(exist_ok=True)
                subprocess.run(["mount", "-t", kind, "none", str(target)], check=True)
        self.say(f"a clean Debian 12 by debootstrap, once for each stage ({time.monotonic() - started:.0f} s)")

    def carry_out(self):
        """Both stages at once, as BuildKit does; one waits for another where it copies from it."""
        def one(index):
            try:
                self._stage(index)
            except (Failed, Unreadable, OSError, subprocess.CalledProcessError) as error:
                self.faults.append(f"Dockerfile, stage {index + 1}: {error}")
            finally:
                self.finished[index].set()

        threads = [threading.Thread(target=one, args=(index,)) for index in range(len(self.stages))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    # MARK: One stage

    def _stage(self, index):
        stage, root = self.stages[index], self.folder(index)
        values, arguments, place = {"PATH": DEFAULT_PATH}, {}, "/"
        image = stage.image.partition(":")[0]
        if image == "swift":
            values["PATH"] = f"{self.toolchain}/bin:{DEFAULT_PATH}"
            self._swift_image(root)
        elif image != "debian":
            raise Unreadable(f"FROM {stage.image}: only swift and debian can be stood in for here")
        for each in stage.instructions:
            started = time.monotonic()
            if each.name == "ARG":
                key, _, value = each.text.partition("=")
                arguments[key] = value
            elif each.name == "ENV":
                values |= each.pairs(arguments | values)
            elif each.name == "WORKDIR":
                place = substitute(each.text, arguments | values)
                (root / place.lstrip("/")).mkdir(parents=True, exist_ok=True)
            elif each.name == "COPY":
                count = self._copy(index, each, place)
                self.say(f"line {each.line}: COPY {each.text}: {count} files")
            elif each.name == "RUN":
                if self.products and re.match(r"swift (package|build)\b", each.text):
                    if each.text.startswith("swift build"):
                        self._link(root, place, values)
                        self.say(f"line {each.line}: RUN {each.text}: the checkout's objects, linked so ({time.monotonic() - started:.0f} s)")
                    else:
                        self.say(f"line {each.line}: RUN {each.text}: left out without --build")
                    continue
                self._run(root, place, values | arguments, ["/bin/sh", "-c", each.text], f"stage{index}.log")
                self.say(f"line {each.line}: RUN {each.text[:72]} ({time.monotonic() - started:.0f} s)")

    def _run(self, root, place, values, command, log):
        environment = [f"{key}={value}" for key, value in ({"HOME": "/root", "DEBIAN_FRONTEND": "noninteractive"} | values).items()]
        environment += [f"{key}={value}" for key, value in os.environ.items() if key.lower() in ("http_proxy", "https_proxy", "no_proxy")]
        run(["chroot", str(root), "/usr/bin/env", "-i", "-C", place, *environment, *command], self.work / log)

    def _swift_image(self, root):
        started = time.monotonic()
        log = f"{root.name}.log"
        self._run(root, "/", {"PATH": DEFAULT_PATH}, ["apt-get", "update", "-q"], log)
        self._run(root, "/", {"PATH": DEFAULT_PATH}, ["apt-get", "install", "-q", "-y", "--no-install-recommends", *SWIFT_PACKAGES], log)
        self._bind(self.toolchain, root)
        # Where git is told of a copy of GitHub on this machine, the copy is there too.
        listed = subprocess.run(["git", "config", "--get-regexp", r"^url\..*\.insteadof$"], capture_output=True, text=True).stdout
        lines = ["[safe]\n\tdirectory = *\n"]
        for line in listed.splitlines():
            key, _, value = line.partition(" ")
            place = key[len("url."):-len(".insteadof")]
            lines.append(f'[url "{place}"]\n\tinsteadOf = {value}\n')
            if place.startswith("/") and not (root / place.lstrip("/")).exists():
                self._bind(Path(place), root)
        (root / "etc/gitconfig").write_text("".join(lines))
        self.say(f"swift:6.3-bookworm: its packages, this machine's toolchain read-only ({time.monotonic() - started:.0f} s)")

    def _bind(self, source, root):
        target = root / str(source).lstrip("/")
        target.mkdir(parents=True, exist_ok=True)
        subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
        subprocess.run(["mount", "-o", "remount,bind,ro", str(target)], check=True)

    def _link(self, root, place, values):
        """What `swift build --static-swift-stdlib` would leave, of objects that are there: SwiftPM's own arguments, with static libraries."""
        arguments = None
        for line in (self.products / "release.yaml").read_text().splitlines():
            if "keyvane.product/Objects.LinkFileList" in line and line.strip().startswith("args:"):
                arguments = json.loads(line.strip()[len("args:"):])
        if arguments is None:
            raise Failed("no release build of keyvane in .build; run scripts/build first, or use --build")
        # The linker leaves files beside the objects: they go to memory.
        self.overlay(self.products, root / str(self.products).lstrip("/"))
        output = f"{place}/.build/release/keyvane"
        (root / output.lstrip("/")).parent.mkdir(parents=True, exist_ok=True)
        arguments[arguments.index("-o") + 1] = output
        static = ["-static-stdlib", "-lCoreFoundation", "-l_FoundationICU", "-l_FoundationCollections", "-l_FoundationCShims"]
        self._run(root, place, values, [*arguments, *static], f"{root.name}.log")

    def overlay(self, source, target):
        target.mkdir(parents=True, exist_ok=True)
        upper, scratch = self.work / f"{target.name}.upper", self.work / f"{target.name}.scratch"
        upper.mkdir()
        scratch.mkdir()
        options = f"lowerdir={source},upperdir={upper},workdir={scratch}"
        subprocess.run(["mount", "-t", "overlay", "none", "-o", options, str(target)], check=True)

    def _copy(self, index, each, place):
        flags, rest = each.flags()
        *sources, target = rest.split()
        root = self.folder(index)
        into = root / os.path.normpath(os.path.join(place, target)).lstrip("/")
        if origin := flags.get("from"):
            number = next(at for at, stage in enumerate(self.stages) if stage.name == origin)
            self.finished[number].wait()
            into.parent.mkdir(parents=True, exist_ok=True)
            for source in sources:
                path = self.folder(number) / source.lstrip("/")
                if not path.exists():
                    raise Failed(f"line {each.line}: COPY --from={origin}: there is no {source}")
                shutil.copy2(path, into)
            return len(sources)
        count = 0
        for source in sources:
            files = self.context.files(source.rstrip("/"))
            if not files:
                raise Failed(f"line {each.line}: COPY {source}: nothing of that name is sent to the build; see .dockerignore")
            single = len(files) == 1 and files[0][0].name == Path(source).name and not target.endswith("/")
            for path, name in files:
                destination = into if single and not (self.context.root / source).is_dir() else into / name
                destination.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(path, destination, follow_symlinks=False)
                if mode := flags.get("chmod"):
                    destination.chmod(int(mode, 8))
                count += 1
        return count
