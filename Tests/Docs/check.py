# Keyvane
# SPDX-License-Identifier: Apache-2.0
"""Whether the documents are true where a machine can tell: links and their anchors lead somewhere, and printed answers of scripts/simulate are its answers."""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# Alerts lead to runbooks.
RUNBOOK = re.compile(r"(docs/\w+\.md)(#[\w-]+)")


def anchors(path):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower().replace("`", "")).replace(" ", "-") for heading in headings}


def faults_of_link(source, link):
    target, _, anchor = link.partition("#")
    if re.match(r"[a-z]+:", target):
        return
    path = (source.parent / target).resolve() if target else source
    if not path.exists():
        yield f"{source.relative_to(ROOT)}: {link} leads nowhere"
    elif anchor and path.suffix == ".md" and anchor not in anchors(path):
        yield f"{source.relative_to(ROOT)}: {link} has no such heading"


def faults():
    documents = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    for document in documents:
        text = document.read_text()
        prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.MULTILINE | re.DOTALL)
        for link in LINK.findall(prose):
            yield from faults_of_link(document, link)
        for command, printed in re.findall(r"^```\n\$ (scripts/simulate[^\n]*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
            answer = subprocess.run(command.split(), cwd=ROOT, capture_output=True, text=True).stdout
            if answer.strip() != printed.strip():
                yield f"{document.relative_to(ROOT)}: `{command}` prints something else now"
    for file in sorted((ROOT / "docker").glob("**/*.y*ml")):
        for path, anchor in RUNBOOK.findall(file.read_text()):
            yield from (f"{file.relative_to(ROOT)}: {fault}" for fault in faults_of_link(ROOT / "README.md", path + anchor))


found = list(faults())
print("\n".join(found), end="\n" if found else "")
sys.exit(1 if found else 0)
