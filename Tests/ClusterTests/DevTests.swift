// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Glibc
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    /// `keyvane dev` as a supervisor.
    @Suite struct DevTests {
        @Test func everyPartIsAProcessOfItsOwnAndTheStateFileNamesIt() async throws {
            try await withCluster(["--apis", "2", "--gateways", "3"]) { cluster in
                let state = try cluster.state
                #expect(state.apis.map(\.name) == ["api-1", "api-2"])
                #expect(state.gateways.map(\.name) == ["gateway-1", "gateway-2", "gateway-3"])
                let pids =
                    state.apis.map(\.pid) + state.gateways.map(\.pid)
                    + [state.balancer.pid, state.postgres.pid ?? 0, state.redis.pid ?? 0, cluster.process.pid]
                #expect(Set(pids).count == 9)
                #expect(pids.allSatisfy { kill($0, 0) == 0 })
                let mode = try FileManager.default.attributesOfItem(atPath: "\(cluster.folder)/state.json")[.posixPermissions] as? Int
                #expect(mode == 0o600)
                for instance in state.apis + state.gateways {
                    let answer = try await PlainHTTP(port: instance.port).call("GET", "/health")
                    #expect(answer.status == 200)
                    #expect(answer.text.contains("\"instance\":\"\(instance.name)\""))
                }
                let admin = try #require(URL(string: state.admin)?.port)
                let servers = try await PlainHTTP(port: UInt16(admin)).call("GET", "/v1/servers")
                for instance in state.apis + state.gateways { #expect(servers.text.contains("\"\(instance.name)\"")) }
            }
        }

        @Test func aDeadChildIsStartedAgainOnItsOldPort() async throws {
            try await withCluster { cluster in
                let before = try cluster.state
                kill(before.gateways[1].pid, SIGKILL)
                kill(before.apis[0].pid, SIGKILL)
                kill(try #require(before.redis.pid), SIGKILL)
                let after = try await eventually(within: .seconds(20), "new pids in the state file") { () -> Cluster.State? in
                    guard let state = try? cluster.state else { return nil }
                    let isNew =
                        state.gateways[1].pid != before.gateways[1].pid && state.apis[0].pid != before.apis[0].pid
                        && state.redis.pid != before.redis.pid
                    return isNew ? state : nil
                }
                #expect(after.gateways.map(\.address) == before.gateways.map(\.address))
                #expect(after.gateways[0].pid == before.gateways[0].pid)
                _ = try await eventually(within: .seconds(20), "both to be ready again") { () -> Bool? in
                    for port in [after.gateways[1].port, after.apis[0].port] {
                        guard (try? await PlainHTTP(port: port).call("GET", "/readyz"))?.status == 200 else { return nil }
                    }
                    return true
                }
            }
        }

        @Test func sigtermEndsEverythingAndTheDataStays() async throws {
            let folder = "/tmp/keyvane-tests-\(getpid())-stay"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            defer { removeData(folder) }
            let pids = Events<[Int32]>()
            try await withCluster(in: folder) { cluster in
                _ = try await cluster.createEnvironment()
                try await cluster.put("STAYS", "here")
                let state = try cluster.state
                pids.emit(
                    state.apis.map(\.pid) + state.gateways.map(\.pid) + [state.balancer.pid, state.postgres.pid ?? 0, state.redis.pid ?? 0]
                )
                cluster.process.signal(SIGTERM)
                let exit = try await cluster.process.exit(within: .seconds(40))
                #expect(exit == .code(0))
            }
            #expect(pids.all[0].allSatisfy { kill($0, 0) != 0 })
            try await withCluster(in: folder) { cluster in
                let answer = try await cluster.rest.call("GET", "\(Cluster.restPath)/variables/STAYS")
                #expect(answer.text.contains("\"value\":\"here\""))
            }
        }

        @Test func aDeletedDataFolderStartsAnewAlsoWithBlanksInItsPath() async throws {
            // PostgreSQL's files can lie elsewhere (root): a folder made again found the old ones, and had no password for them.
            let folder = "/tmp/keyvane tests \(getpid())"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let left = Events<String>()
            defer {
                removeData(folder)
                for path in left.all { try? FileManager.default.removeItem(atPath: path) }
            }
            try await withCluster(in: folder) { cluster in
                _ = try await cluster.createEnvironment()
                let redis = try RedisTap(cluster.state.redis.url)
                #expect(try redis.command("PING").hasPrefix("+PONG"))
            }
            let postgres = try? FileManager.default.destinationOfSymbolicLink(atPath: "\(folder)/data/postgres")
            if let postgres { left.emit(URL(fileURLWithPath: postgres).deletingLastPathComponent().path) }
            try FileManager.default.removeItem(atPath: "\(folder)/data")
            try await withCluster(in: folder) { cluster in
                let answer = try await cluster.rest.call("GET", "/v1/workspaces")
                #expect(answer.status == 200)
                #expect(answer.text.contains("\"items\":[]"))
            }
        }

        @Test func childrenEndWithDevAlsoAtItsKill() async throws {
            try await withCluster { cluster in
                let state = try cluster.state
                cluster.process.signal(SIGKILL)
                let pids =
                    state.apis.map(\.pid) + state.gateways.map(\.pid) + [state.balancer.pid, state.postgres.pid ?? 0, state.redis.pid ?? 0]
                _ = try await eventually(within: .seconds(20), "the end of every child") { () -> Bool? in
                    pids.allSatisfy { kill($0, 0) != 0 } ? true : nil
                }
            }
        }

        @Test func aSecondDevOnTheSameDataIsRefusedWithTheRemedy() async throws {
            try await withCluster { cluster in
                let second = try await DevProcess.run([
                    "dev", "--listen", "127.0.0.1:\(try freePort())", "--data", "\(cluster.folder)/data",
                ])
                #expect(second.exit == .code(2))
                #expect(second.output.contains("--data"))
            }
        }

        @Test func aTakenPortIsAnErrorThatNamesIt() async throws {
            let folder = "/tmp/keyvane-tests-\(getpid())-port"
            defer { removeData(folder) }
            try await withCluster { cluster in
                let port = try cluster.rest.port
                let second = try await DevProcess.run(["dev", "--listen", "127.0.0.1:\(port)", "--data", "\(folder)/data"])
                #expect(second.exit == .code(1))
                #expect(second.output.contains("127.0.0.1:\(port)"))
            }
        }
    }
}
