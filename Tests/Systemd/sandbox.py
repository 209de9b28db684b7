# Keyvane
# SPDX-License-Identifier: Apache-2.0

"""What systemd would make of a unit's lines with seccomp(2), but stricter: a forbidden call kills instead of failing."""

import ctypes
import errno
import os
import socket

KILL, ALLOW, ERRNO = 0x80000000, 0x7FFF0000, 0x00050000
EQUAL, MASKED_EQUAL = 4, 7
WRITE, EXECUTE = 2, 4
# CLONE_NEWNS, CGROUP, UTS, IPC, USER, PID, NET and TIME.
NAMESPACES = 0x7E020080


class Argument(ctypes.Structure):
    _fields_ = [("index", ctypes.c_uint), ("operator", ctypes.c_int), ("a", ctypes.c_uint64), ("b", ctypes.c_uint64)]


class Filter:
    """Made before the fork, loaded after it by the process that becomes the program."""

    def __init__(self, unit):
        self.library = ctypes.CDLL("libseccomp.so.2", use_errno=True)
        self.library.seccomp_init.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.library.seccomp_init(ctypes.c_uint32(KILL)))
        special = {"socket", "clone", "clone3", "mmap", "mprotect", "pkey_mprotect", "unshare", "setns"}
        for name in unit.system_calls() - special:
            self.rule(ALLOW, name)
        assert unit.one("RestrictNamespaces") == "yes" and unit.one("MemoryDenyWriteExecute") == "yes"
        # Its flags are in memory, where a filter can't look; the C library then takes the old call.
        self.rule(ERRNO | errno.ENOSYS, "clone3")
        self.rule(ALLOW, "clone", Argument(0, MASKED_EQUAL, NAMESPACES, 0))
        for bits in (0, WRITE, EXECUTE):
            self.rule(ALLOW, "mmap", Argument(2, MASKED_EQUAL, WRITE | EXECUTE, bits))
        self.rule(ALLOW, "mprotect", Argument(2, MASKED_EQUAL, EXECUTE, 0))
        families = {getattr(socket, name) for name in unit.one("RestrictAddressFamilies").split()}
        for family in range(64):
            action = ALLOW if family in families else ERRNO | errno.EAFNOSUPPORT
            self.rule(action, "socket", Argument(0, EQUAL, family, 0))

    def rule(self, action, name, *arguments):
        number = self.library.seccomp_syscall_resolve_name(name.encode())
        # Of another architecture, or newer than the library.
        if number < 0:
            return
        array = (Argument * len(arguments))(*arguments)
        status = self.library.seccomp_rule_add_array(self.context, ctypes.c_uint32(action), number, len(arguments), array)
        if status:
            raise OSError(-status, f"seccomp rule for {name}: {os.strerror(-status)}")

    def load(self):
        status = self.library.seccomp_load(self.context)
        if status:
            raise OSError(-status, os.strerror(-status))
