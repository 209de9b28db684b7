# Keyvane
# SPDX-License-Identifier: Apache-2.0

"""systemd's part towards a process: its environment, its socket, its ear, its signals."""

import os
import signal
import socket
import sys


class Service:
    def __init__(self, name, command, environment, folder, filter, passed=None):
        self.name = name
        self.heard = []
        path = f"{folder}/{name}.notify"
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(path)
        self.ear.settimeout(30)
        self.log = f"{folder}/{name}.log"
        self.pid = os.fork()
        if self.pid == 0:
            try:
                become(command, environment | {"NOTIFY_SOCKET": path}, self.log, filter, passed)
            except BaseException as error:
                print(f"{name}: {error}", file=sys.stderr)
            os._exit(127)

    def until(self, line, times=1):
        while sum(line in message.split("\n") for message in self.heard) < times:
            try:
                self.heard.append(self.ear.recv(4096).decode())
            except TimeoutError:
                sys.exit(f"check-units: {self.name} did not say {line}; it said {self.heard}, and its log:\n{open(self.log).read()[-3000:]}")

    def reload(self):
        os.kill(self.pid, signal.SIGHUP)
        self.until("RELOADING=1")
        self.until("READY=1", times=2)

    def stop(self):
        os.kill(self.pid, signal.SIGTERM)
        self.until("STOPPING=1")
        status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        if status:
            sys.exit(f"check-units: {self.name} ended with {status}; its log:\n{open(self.log).read()[-3000:]}")


def become(command, environment, log, filter, passed):
    os.dup2(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), 2)
    if passed:
        # One above first: the number may be 3 already, and then it would stay closed on exec.
        os.dup2(os.dup(passed.fileno()), 3, inheritable=True)
        environment = environment | {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1", "LISTEN_FDNAMES": "clients"}
    filter.load()
    os.execve(command[0], command, environment)
