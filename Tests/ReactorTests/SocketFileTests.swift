// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

/// The files of Unix sockets that listen.
@Suite struct SocketFileTests {
    private static func withPath(_ body: (String) throws -> Void) throws {
        let folder = try TemporaryFolder("kv-socket")
        defer { folder.remove() }
        try body(folder.path + "/x.sock")
    }

    private static func open(_ path: String, isShared: Bool = false, mode: UInt32? = nil) throws -> ListenSocket {
        try ListenSocket.open(Endpoint(unix: path), isShared: isShared, mode: mode)[0]
    }

    private static func inode(_ path: String) -> UInt {
        var status = stat()
        return lstat(path, &status) == 0 ? status.st_ino : 0
    }

    private static func folder(of path: String) throws -> [String] {
        try FileManager.default.contentsOfDirectory(atPath: (path as NSString).deletingLastPathComponent)
    }

    /// Somebody listens there.
    private static func answers(_ path: String) -> Bool {
        (try? RawSocket(path: path)) != nil
    }

    @Test func itComesWithItsModeAndGoesWithItsSocket() throws {
        try Self.withPath { path in
            var socket: ListenSocket? = try Self.open(path, mode: 0o660)
            #expect(socket?.address == .unix(path))
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o660)
            #expect(try Self.folder(of: path) == ["x.sock"])
            socket = nil
            #expect(try Self.folder(of: path).isEmpty)
        }
    }

    @Test func aSuccessorsFileIsNotRemoved() throws {
        try Self.withPath { path in
            var first: ListenSocket? = try Self.open(path, isShared: true)
            #expect(first != nil)
            let before = Self.inode(path)
            var second: ListenSocket? = try Self.open(path, isShared: true, mode: 0o660)
            let after = Self.inode(path)
            #expect(second != nil && before != after && Self.answers(path))
            first = nil
            #expect(Self.inode(path) == after && Self.answers(path))
            second = nil
            #expect(try Self.folder(of: path).isEmpty)
        }
    }

    @Test func aLiveOneIsRefusedAndADeadOneReplaced() throws {
        try Self.withPath { path in
            let live = try Self.open(path)
            let error = #expect(throws: ReactorError.self) { _ = try Self.open(path) }
            #expect(error?.code == .addressInUse && error?.message.contains(path) == true)
            withExtendedLifetime(live) {}
        }
        try Self.withPath { path in
            // As a process leaves it that is killed.
            do {
                let killed = try Self.open(path)
                #expect(link(path, path + ".kept") == 0)
                withExtendedLifetime(killed) {}
            }
            #expect(rename(path + ".kept", path) == 0)
            #expect(!Self.answers(path))
            let next = try Self.open(path)
            #expect(Self.answers(path))
            withExtendedLifetime(next) {}
        }
    }

    @Test func nothingElseIsReplaced() throws {
        for isShared in [false, true] {
            try Self.withPath { path in
                try "a note".write(toFile: path, atomically: true, encoding: .utf8)
                let error = #expect(throws: ReactorError.self) { _ = try Self.open(path, isShared: isShared) }
                #expect(error?.code == .addressInvalid && error?.message.contains("no socket stands there; remove it") == true)
                #expect(try String(contentsOfFile: path, encoding: .utf8) == "a note")
                #expect(try Self.folder(of: path) == ["x.sock"])
            }
        }
        let error = #expect(throws: ReactorError.self) { _ = try Self.open("/no/such/folder/x.sock") }
        #expect(error?.message.contains("/no/such/folder/x.sock: No such file or directory") == true)
    }

    @Test func thereIsRoomForTheNameThatItIsBoundWith() throws {
        let folder = try TemporaryFolder("kv-socket")
        defer { folder.remove() }
        let fill = ListenSocket.longestPath - folder.path.utf8.count - 1
        let longest = "\(folder.path)/\(String(repeating: "x", count: fill))"
        let socket = try Self.open(longest)
        #expect(Self.answers(longest))
        withExtendedLifetime(socket) {}
        for path in [longest + "x", ""] {
            let error = #expect(throws: ReactorError.self) { _ = try Self.open(path) }
            #expect(error?.code == .addressInvalid && error?.message.contains("has 1 to 99 bytes, not \(path.utf8.count)") == true)
        }
    }
}
