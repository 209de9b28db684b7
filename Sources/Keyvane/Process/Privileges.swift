// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc

/// Giving up what a process that was started as root doesn't need once its ports are bound.
enum Privileges {
    /// Becomes `user` and `group`, for good; the user's own group where only the user is named. Files of ours that were made before go
    /// with us.
    ///
    /// - Throws: where it can't be done, or where anything of root is left.
    static func drop(user: String?, group: String?, handingOver files: [String]) throws(RunError) {
        guard user != nil || group != nil else { return }
        var newUser: uid_t?
        var newGroup: gid_t?
        if let user {
            guard let entry = getpwnam(user) else { throw RunError("user: there is no user '\(user)' on this system") }
            newUser = entry.pointee.pw_uid
            newGroup = entry.pointee.pw_gid
        }
        if let group {
            guard let entry = getgrnam(group) else { throw RunError("group: there is no group '\(group)' on this system") }
            newGroup = entry.pointee.gr_gid
        }
        let isThere =
            newUser.map { $0 == getuid() && $0 == geteuid() } ?? true && newGroup.map { $0 == getgid() && $0 == getegid() } ?? true
        if isThere, geteuid() != 0 { return }
        guard geteuid() == 0 else {
            throw RunError("user, group: only root can become somebody else; start this as '\(user ?? group ?? "")', or leave the keys out")
        }
        for file in files { lchown(file, newUser ?? uid_t.max, newGroup ?? gid_t.max) }
        // In this order: who is no root any more can't change groups.
        if let newGroup {
            var only = newGroup
            guard setgroups(1, &only) == 0, setgid(newGroup) == 0 else { throw failure("group") }
        }
        if let newUser { guard setuid(newUser) == 0 else { throw failure("user") } }
        guard let newUser, newUser != 0 else { return }
        // A way back would make all of this a pretence.
        guard getuid() == newUser, geteuid() == newUser, setuid(0) != 0, seteuid(0) != 0, getgid() == newGroup, getegid() == newGroup,
            newGroup == 0 || setgid(0) != 0, threads(areAll: newUser)
        else { throw RunError("user, group: the process still has root's rights; it ends here") }
    }

    /// Rights belong to threads; the C library changes those of all that it knows of.
    private static func threads(areAll user: uid_t) -> Bool {
        guard let threads = try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/task") else { return true }
        return threads.allSatisfy { thread in
            guard let status = try? String(contentsOfFile: "/proc/self/task/\(thread)/status", encoding: .utf8) else { return true }
            let line = status.split(separator: "\n").first { $0.hasPrefix("Uid:") }?.dropFirst(4) ?? ""
            return line.split(separator: "\t").allSatisfy { $0 == String(user) }
        }
    }

    private static func failure(_ key: String) -> RunError {
        RunError("\(key): this can't be changed: \(String(cString: strerror(errno)))")
    }
}
