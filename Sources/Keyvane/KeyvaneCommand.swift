// Keyvane
// SPDX-License-Identifier: Apache-2.0

import ArgumentParser
import Dispatch
import Glibc
import KeyvaneClient

/// `keyvane`: the roles, the cluster on one machine, and the tools of operators.
struct KeyvaneCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "keyvane",
        abstract: "Variables and secrets that reach every running instance of your application as they change.",
        discussion: """
            Start a whole cluster on this machine, then follow the three commands that it prints:

              keyvane dev
            """,
        groupedSubcommands: [
            CommandGroup(
                name: "Entries",
                subcommands: [
                    GetCommand.self, SetCommand.self, UnsetCommand.self, ListCommand.self, HistoryCommand.self, RollbackCommand.self,
                    RenameCommand.self,
                    DisableCommand.self, EnableCommand.self, SealCommand.self, DiffCommand.self, PromoteCommand.self, ImportCommand.self,
                    ExportCommand.self, WatchCommand.self,
                ]
            ),
            CommandGroup(name: "Applications", subcommands: [RunCommand.self, RenderCommand.self]),
            CommandGroup(
                name: "Access",
                subcommands: [
                    LoginCommand.self, LogoutCommand.self, ContextCommand.self, WorkspaceCommand.self, ProjectCommand.self,
                    EnvironmentCommand.self,
                    TokenCommand.self,
                ]
            ),
            CommandGroup(
                name: "Cluster",
                subcommands: [
                    DevCommand.self, APICommand.self, GatewayCommand.self, BalancerCommand.self, ServersCommand.self, MigrateCommand.self,
                    KeysCommand.self, BenchCommand.self, GuardCommand.self,
                ]
            ),
        ]
    )
}

@main enum Main {
    /// Not async: the runtime would end the first thread, and leave behind what glibc takes for no thread of ours any more. It would keep
    /// root's rights when the balancer gives them up.
    static func main() {
        let isOver = DispatchSemaphore(value: 0)
        // The first thread waits for it, and does nothing else.
        Task.detached {
            await run()
            isOver.signal()
        }
        isOver.wait()
    }

    /// Exit codes: 0, 1 (failed), 2 (usage). ArgumentParser's own 64 for usage is not what shell scripts expect.
    private static func run() async {
        acceptStopSignals()
        do {
            var command = try KeyvaneCommand.parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch let error as SettingsError {
            fail("keyvane: \(error)", code: 2)
        } catch let error as SettingsFaults {
            fail("keyvane: \(error)", code: 2)
        } catch let error as RunError {
            fail("keyvane: \(error)", code: 1)
        } catch let error as ClientError {
            fail("keyvane: \(error)", code: 1)
        } catch {
            let code = KeyvaneCommand.exitCode(for: error)
            let text = KeyvaneCommand.fullMessage(for: error)
            guard code != .success else {
                Terminal.line(text)
                return
            }
            fail(text, code: code == .validationFailure ? 2 : code.rawValue)
        }
    }

    /// Some parents start us with these blocked, and then no drain would ever begin.
    private static func acceptStopSignals() {
        var signals = sigset_t()
        sigemptyset(&signals)
        for number in [SIGTERM, SIGINT, SIGHUP, SIGCHLD] { sigaddset(&signals, number) }
        pthread_sigmask(SIG_UNBLOCK, &signals, nil)
    }

    private static func fail(_ text: String, code: Int32) {
        if !text.isEmpty { Terminal.note(text) }
        exit(code)
    }
}
