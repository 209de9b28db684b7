// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Foundation
import Reactor
import TestSupport
import Testing

extension ClusterSuite {
    /// The commands of operators, from making a workspace to revoking a token.
    @Suite struct CommandTests {
        @Test func aDayOfAnOperator() async throws {
            try await withCluster { cluster in
                let shell = try Operator(cluster)
                try await hierarchy(shell)
                try await entries(shell)
                try await history(shell)
                try await documents(shell)
                try await tokens(shell)
                try await logins(shell)
            }
        }

        private func hierarchy(_ shell: Operator) async throws {
            try await shell.keyvane("workspace", "create", "acme", "--name", "Acme")
            try await shell.keyvane("project", "create", "acme/web")
            for name in ["production", "staging", "old"] { try await shell.keyvane("environment", "create", "acme/web/\(name)") }
            #expect(try await shell.keyvane("workspace", "list").contains("acme  Acme"))
            #expect(try await shell.keyvane("environment", "list", "acme/web", "--json").contains("\"slug\" : \"staging\""))
            try await shell.keyvane("environment", "create", "acme/api/production", "--parents")
            #expect(
                try await shell.keyvane("environment", "create", "acme/api/production", "--parents", ends: 1).contains("already_exists")
            )
            // Nobody is there to ask.
            #expect(try await shell.keyvane("environment", "delete", "acme/web/old", ends: 1).contains("--yes"))
            try await shell.keyvane("environment", "delete", "acme/web/old", "--yes")
            #expect(try await !shell.keyvane("environment", "list", "acme/web").contains("old"))
            #expect(try await shell.keyvane("project", "create", "Acme/web", ends: 2).contains("acme/web"))
        }

        private func entries(_ shell: Operator) async throws {
            #expect(try await shell.keyvane("set", "DB_HOST=one", "DB_PORT=5432") == "revision 2: DB_HOST, DB_PORT\n")
            #expect(try await shell.keyvane("set", "--secret", "API_KEY=@\(shell.write("key", "s3cret"))").contains("API_KEY"))
            let list = try await shell.keyvane("list")
            #expect(list.contains("DB_HOST") && list.contains("********") && !list.contains("s3cret"))
            #expect(try await shell.keyvane("list", "--reveal", "--search", "KEY").contains("s3cret"))
            #expect(try await shell.keyvane("get", "API_KEY") == "********\n")
            #expect(try await shell.keyvane("get", "API_KEY", "--reveal") == "s3cret\n")
            #expect(try await shell.keyvane("get", "NONE", ends: 1).contains("not_found"))
            #expect(try await shell.keyvane("rename", "DB_PORT", "DATABASE_PORT").contains("was DB_PORT"))
            try await shell.keyvane("disable", "DATABASE_PORT")
            #expect(try await shell.keyvane("list").contains("disabled"))
            #expect(try await !shell.keyvane("export").contains("DATABASE_PORT"))
            try await shell.keyvane("enable", "DATABASE_PORT")
            #expect(try await shell.keyvane("unset", "DATABASE_PORT", "NONE").contains("-DATABASE_PORT"))
            try await shell.keyvane("set", "PLAIN=text")
            try await shell.keyvane("seal", "PLAIN")
            #expect(try await shell.keyvane("get", "PLAIN") == "********\n")
        }

        private func history(_ shell: Operator) async throws {
            try await shell.keyvane("set", "DB_HOST=two")
            let versions = try await shell.keyvane("history", "DB_HOST")
            #expect(versions.contains("one") && versions.contains("two"))
            #expect(try await !shell.keyvane("history", "API_KEY").contains("s3cret"))
            #expect(try await shell.keyvane("history", "--limit", "1").contains("two"))
            #expect(try await shell.keyvane("history", "--limit", "201", ends: 2).contains("1 to 200"))
            let all = try await shell.keyvane("history", "--limit", "200")
            #expect(all.contains("API_KEY") && !all.contains("s3cret"))
            #expect(try await shell.keyvane("history", "--limit", "200", "--reveal").contains("s3cret"))
            #expect(try await shell.keyvane("diff") == "~ DB_HOST: one -> two\n")
            #expect(try await shell.keyvane("rollback", "DB_HOST", "--version", "1").contains("DB_HOST is what it was"))
            #expect(try await shell.keyvane("get", "DB_HOST") == "one\n")
            #expect(try await shell.keyvane("rollback", "--revision", "2").contains("-API_KEY"))
            #expect(try await shell.keyvane("rollback", "DB_HOST", ends: 2).contains("--version"))
            #expect(try await shell.keyvane("diff", "0", "2").contains("+ DB_HOST=one"))
        }

        private func documents(_ shell: Operator) async throws {
            let lines =
                (0..<200).map { "NAME_\($0)=\"value \($0) # not a comment\"" } + ["export QUOTED='single $HOME'", "STRIPE_KEY=sk_live_1"]
            let file = try shell.write(".env.production", lines.joined(separator: "\n") + "\n")
            let preview = try await shell.keyvane("import", file, "--secrets", "*_KEY", "--dry-run")
            #expect(preview.contains("+ NAME_199") && preview.contains("202 added, 0 changed, 0 removed"))
            #expect(try await !shell.keyvane("list").contains("NAME_0"))
            #expect(try await shell.keyvane("import", file, "--secrets", "*_KEY").contains("and 192 more"))
            #expect(try await shell.keyvane("get", "NAME_7") == "value 7 # not a comment\n")
            #expect(try await shell.keyvane("get", "STRIPE_KEY") == "********\n")
            #expect(try await shell.keyvane("import", file, "--secrets", "*_KEY").hasPrefix("nothing changed"))
            let broken = try shell.write("broken.env", "GOOD=1\nBAD NAME=2\n")
            let refused = try await shell.keyvane("import", broken, ends: 1)
            #expect(refused.contains("line 2") || refused.contains("2:"), "\(refused)")
            #expect(try await shell.keyvane("get", "GOOD", ends: 1).contains("not_found"))
            let few = try shell.write("few.json", "{\"DB_HOST\":\"three\"}")
            #expect(try await shell.keyvane("import", few, "--mode", "replace", ends: 1).contains("--yes"))
            try await shell.keyvane("import", few, "--mode", "replace", "--yes")
            #expect(try await shell.keyvane("export", "--format", "shell").contains("DB_HOST='three'"))
            try await shell.keyvane("set", "FEATURE_CART=on", "-e", "acme/web/staging")
            #expect(try await shell.keyvane("diff", "--against", "acme/web/staging").contains("+ FEATURE_CART=on"))
            #expect(try await shell.keyvane("promote", "--from", "acme/web/staging", "--names", "FEATURE_*").contains("FEATURE_CART"))
            let template = try shell.write("t.template", "host {{ DB_HOST|required }} {{ NONE|default:\"none\" }}\n")
            #expect(try await shell.keyvane("render", template) == "host three none\n")
            let output = "\(shell.home)/t.conf"
            try await shell.keyvane("export", "-o", output)
            #expect(try FileManager.default.attributesOfItem(atPath: output)[.posixPermissions] as? Int == 0o600)
        }

        private func tokens(_ shell: Operator) async throws {
            let made = try await shell.keyvane(
                "token",
                "create",
                "--grant",
                "acme/web/production:read",
                "--description",
                "reader",
                "--expires",
                "1h"
            )
            let token = try #require(made.split(separator: "\n").first { $0.hasPrefix("kv_") }.map(String.init))
            let id = String(token.dropFirst(3).prefix(8))
            #expect(try await shell.keyvane("token", "list").contains("acme/web/production:read"))
            #expect(try await shell.keyvane("set", "A=b", ends: 1, with: ["KEYVANE_TOKEN": token]).contains("not_granted"))
            try await shell.keyvane("token", "revoke", id)
            #expect(try await shell.keyvane("get", "DB_HOST", ends: 1, with: ["KEYVANE_TOKEN": token]).contains("invalid_token"))
            #expect(try await shell.keyvane("token", "create", "--grant", "acme:everything", ends: 2).contains("read_secrets"))
        }

        private func logins(_ shell: Operator) async throws {
            let (url, token) = (try shell.cluster.state.url, try shell.cluster.state.token)
            let none = ["KEYVANE_URL": "", "KEYVANE_TOKEN": ""]
            #expect(try await shell.keyvane("get", "DB_HOST", ends: 2, with: none).contains("keyvane login"))
            let program = DevProcess.program
            let script = "printf '%s\\n' '\(token)' | '\(program)' login '\(url)' && '\(program)' get DB_HOST && '\(program)' context"
            let login = try await SpawnedCommand.run(
                ["env", "HOME=\(shell.home)", "KEYVANE_ENVIRONMENT=\(Cluster.environmentPath)", "sh", "-c", script]
            )
            #expect(login.contains("Signed in to \(url)") && login.contains("\nthree\n") && login.contains("keyvane login"))
            #expect(!login.contains(token))
            // The saved token is for that server and no other.
            let elsewhere = try await shell.keyvane("get", "DB_HOST", "--url", "http://127.0.0.1:9", ends: 2, with: none)
            #expect(elsewhere.contains("no token for http://127.0.0.1:9"))
            try await shell.keyvane("logout", with: none)
            #expect(try await shell.keyvane("get", "DB_HOST", ends: 2, with: none).contains("keyvane login"))
        }
    }
}
