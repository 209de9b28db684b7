// Keyvane
// SPDX-License-Identifier: Apache-2.0

import CUV
import Glibc

/// How a child process ended.
package enum ChildExit: Hashable, Sendable, CustomStringConvertible {
    case code(Int32)
    case signal(Int32)

    package var description: String {
        switch self {
        case .code(let code): "exit code \(code)"
        case .signal(let number): "signal \(number)"
        }
    }
}

/// A process started from a loop, which also reaps it. Confined to the loop; the loop keeps it until it has ended.
///
/// It shares our standard output and error, has no standard input, and is the leader of its own process group, so that a Ctrl-C at the
/// terminal reaches only us.
package final class ChildProcess {
    private let process = UnsafeMutablePointer<uv_process_t>.allocate(capacity: 1)
    private var ended: ((ChildExit) -> Void)?
    package private(set) var identifier: Int32 = 0

    private init(_ ended: @escaping (ChildExit) -> Void) {
        self.ended = ended
    }

    deinit { process.deallocate() }

    /// Starts `arguments[0]` (looked up in PATH) with exactly this environment. `ended` runs once, when it has ended and is reaped.
    ///
    /// - Throws: `connect_refused` (no such file), `permission_denied` and others of the kernel's.
    package static func spawn(
        _ arguments: [String],
        environment: [String: String],
        on loop: Loop,
        ended: @escaping (ChildExit) -> Void
    ) throws(ReactorError) -> ChildProcess {
        loop.assertCurrent()
        let child = ChildProcess(ended)
        let variables = environment.map { "\($0.key)=\($0.value)" }
        let status = withCStrings(arguments) { arguments in
            withCStrings(variables) { variables in
                var stdio = [inherited(nil), inherited(1), inherited(2)]
                return stdio.withUnsafeMutableBufferPointer { stdio in
                    var options = uv_process_options_t()
                    options.file = arguments[0].map { UnsafePointer($0) }
                    options.args = arguments
                    options.env = variables
                    options.flags = UV_PROCESS_DETACHED.rawValue
                    options.stdio = stdio.baseAddress
                    options.stdio_count = Int32(stdio.count)
                    options.exit_cb = { process, code, signal in ChildProcess.exited(process, code: code, signal: signal) }
                    return uv_spawn(loop.uv, child.process, &options)
                }
            }
        }
        child.process.pointee.data = Unmanaged.passRetained(child).toOpaque()
        guard status == 0 else {
            // A failed spawn leaves an initialised handle that must be closed all the same.
            child.ended = nil
            child.close()
            throw ReactorError.system("start \(arguments.first ?? "nothing")", errno: -status)
        }
        child.identifier = child.process.pointee.pid
        return child
    }

    /// Does nothing once the process has ended: its number may belong to another by then.
    package func signal(_ number: Int32) {
        guard ended != nil else { return }
        uv_process_kill(process, number)
    }

    private static func exited(_ process: UnsafeMutablePointer<uv_process_t>?, code: Int64, signal: Int32) {
        guard let data = process?.pointee.data else { return }
        let child = Unmanaged<ChildProcess>.fromOpaque(data).takeUnretainedValue()
        let ended = exchange(&child.ended, with: nil)
        child.close()
        ended?(signal == 0 ? .code(Int32(truncatingIfNeeded: code)) : .signal(signal))
    }

    private func close() {
        UnsafeMutableRawPointer(process).withMemoryRebound(to: uv_handle_t.self, capacity: 1) { handle in
            uv_close(handle) { handle in
                guard let data = handle?.pointee.data else { return }
                Unmanaged<ChildProcess>.fromOpaque(data).release()
            }
        }
    }

    private static func inherited(_ descriptor: Int32?) -> uv_stdio_container_t {
        var container = uv_stdio_container_t()
        container.flags = descriptor == nil ? UV_IGNORE : UV_INHERIT_FD
        if let descriptor { container.data.fd = descriptor }
        return container
    }

    private static func withCStrings<Value>(
        _ strings: [String],
        _ body: (UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>) -> Value
    ) -> Value {
        var copies: [UnsafeMutablePointer<CChar>?] = strings.map { strdup($0) } + [nil]
        defer { for copy in copies { free(copy) } }
        return copies.withUnsafeMutableBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("the list ends with nil, so it is never empty") }
            return body(base)
        }
    }
}
