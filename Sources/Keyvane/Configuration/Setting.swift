// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Settings of every role: command line over KEYVANE_* environment over YAML file over defaults.
// Flows through: text from those four places to typed values; a bad one stops the start with the key's name and the remedy.
// Owner: a role's command reads its settings once; libraries get plain structs and never see the environment.
// Must hold: every key is listed here once and in docs/configuration.md; a secret's value is in no error and no log.

/// One configuration key.
package struct Setting: Hashable, Sendable {
    /// camelCase in the YAML file; `KEYVANE_` and UPPER_SNAKE in the environment.
    package let key: String
    /// What is used when nobody sets it; nil where there is none.
    package let fallback: String?
    package let summary: String
    var isSecret = false

    package var variable: String {
        "KEYVANE_" + key.map { $0.isUppercase ? "_\($0)" : $0.uppercased() }.joined()
    }

    static let listen = Setting(key: "listen", fallback: nil, summary: "address to listen on: HOST:PORT, :PORT or unix:/PATH")
    static let tlsCertificate = Setting(
        key: "tlsCertificate",
        fallback: nil,
        summary: "PEM file with the certificate of an API or gateway and its chain; with it they speak TLS only"
    )
    static let tlsKey = Setting(
        key: "tlsKey",
        fallback: nil,
        summary: "PEM file with its key, without a password; default: the file of tlsCertificate"
    )
    static let tlsClientCa = Setting(
        key: "tlsClientCa",
        fallback: nil,
        summary: "PEM file of authorities; every client must show a certificate of one of them"
    )
    static let name = Setting(key: "name", fallback: nil, summary: "the instance's name in logs, watch frames and the registry")
    static let postgres = Setting(
        key: "postgres",
        fallback: nil,
        summary: "PostgreSQL URL, several hosts allowed: postgres://user:password@host:5432/database",
        isSecret: true
    )
    static let databaseTimeout = Setting(
        key: "databaseTimeout",
        fallback: "5s",
        summary: "how long a request waits for PostgreSQL before it is answered 503; 1s to 60s"
    )
    static let redis = Setting(
        key: "redis",
        fallback: "redis://127.0.0.1:6379",
        summary: "Redis URL: redis://user:password@host:6379/0; rediss, redis+sentinel and redis+cluster: operations.md",
        isSecret: true
    )
    static let masterKeys = Setting(
        key: "masterKeys",
        fallback: nil,
        summary: "master keys id:base64,id:base64 (32 bytes each); the first wraps, all unwrap",
        isSecret: true
    )
    static let masterKeysFile = Setting(
        key: "masterKeysFile",
        fallback: nil,
        summary: "file with the master keys, separated by commas or lines, instead of masterKeys"
    )
    static let rootToken = Setting(
        key: "rootToken",
        fallback: nil,
        summary: "first token, with every permission; at least 32 characters",
        isSecret: true
    )
    static let cluster = Setting(key: "cluster", fallback: "keyvane", summary: "prefix of registry keys and channels but change-notifier")
    static let advertise = Setting(key: "advertise", fallback: nil, summary: "HOST:PORT that others reach this instance at")
    static let changeChannel = Setting(key: "changeChannel", fallback: "change-notifier", summary: "Redis channel of changes")
    static let drainDelay = Setting(
        key: "drainDelay",
        fallback: "6s",
        summary: "how long an API goes on serving after SIGTERM while it reports draining"
    )
    static let maximumBody = Setting(key: "maximumBody", fallback: "1048576", summary: "bytes of a request's body at most")
    static let maximumImport = Setting(key: "maximumImport", fallback: "10485760", summary: "bytes of an imported document at most")
    static let origins = Setting(
        key: "origins",
        fallback: nil,
        summary: "origins whose pages may use REST and watch, separated by commas; * for all; default: pages of the same host"
    )
    static let maximumConnections = Setting(
        key: "maximumConnections",
        fallback: nil,
        summary: "watching connections of a gateway at most; default: the descriptor limit less 256"
    )
    static let maximumConnectionsPerToken = Setting(
        key: "maximumConnectionsPerToken",
        fallback: nil,
        summary: "watching connections of one token at a gateway at most; default: no limit"
    )
    static let handshakeRate = Setting(
        key: "handshakeRate",
        fallback: nil,
        summary: "watches that may begin in a second at a gateway; default: no limit"
    )
    static let maximumMessage = Setting(key: "maximumMessage", fallback: "65536", summary: "bytes of a client's message at most")
    static let maximumEnvironments = Setting(
        key: "maximumEnvironments",
        fallback: "128",
        summary: "environments that one connection may watch"
    )
    static let messageRate = Setting(key: "messageRate", fallback: "100", summary: "messages a second that a connection may send")
    static let keepChanges = Setting(
        key: "keepChanges",
        fallback: nil,
        summary: "how long replaced changes are kept, such as 90d, at least 24h; default: for ever"
    )
    static let keepAudit = Setting(
        key: "keepAudit",
        fallback: nil,
        summary: "how long audit rows are kept, such as 365d, at least 24h; default: for ever"
    )
    static let loops = Setting(key: "loops", fallback: nil, summary: "event loops; default: the CPUs this process may use")
    static let logLevel = Setting(key: "logLevel", fallback: "info", summary: "trace, debug, info, notice, warning, error or critical")
    static let logFormat = Setting(key: "logFormat", fallback: nil, summary: "json or text; default: text on a terminal, else json")
    static let stickyKeys = Setting(
        key: "stickyKeys",
        fallback: nil,
        summary: "keys of the balancer's cookies, base64 of 32 bytes each, separated by commas; the first signs, all verify",
        isSecret: true
    )
    static let accessLog = Setting(key: "accessLog", fallback: "json", summary: "the balancer's access log: json, httplog or off")
    static let discover = Setting(
        key: "discover",
        fallback: nil,
        summary: "Redis URL of the registry in which the balancer finds APIs and gateways; a file's discover uses redis without it",
        isSecret: true
    )
    static let admin = Setting(key: "admin", fallback: "127.0.0.1:9100", summary: "the balancer's admin listener")

    package static let all: [Setting] = [
        listen, tlsCertificate, tlsKey, tlsClientCa, name, postgres, databaseTimeout, redis, masterKeys, masterKeysFile, rootToken, cluster,
        advertise, changeChannel,
        drainDelay, maximumBody, maximumImport, origins, maximumConnections, maximumConnectionsPerToken, handshakeRate, maximumMessage,
        maximumEnvironments, messageRate, keepChanges, keepAudit, loops, logLevel, logFormat, stickyKeys, accessLog, discover, admin,
    ]
}
