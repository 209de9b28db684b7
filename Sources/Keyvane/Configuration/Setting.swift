// Keyvane
// SPDX-License-Identifier: Apache-2.0

// Settings of every role: command line over KEYVANE_* environment over YAML file over defaults.
// Flows through: text from those four places to typed values; a bad one stops the start with the key's name and the remedy.
// Owner: a role's command reads its settings once; libraries get plain structs and never see the environment.
// Must hold: every key is listed here once and in docs/configuration.md; a secret's value is in no error and no log.

/// Who reads settings.
package enum RoleKind: String, CaseIterable, Sendable {
    case api, gateway, balancer
}

extension [RoleKind] {
    static var instances: [RoleKind] { [.api, .gateway] }
}

/// One configuration key.
package struct Setting: Hashable, Sendable {
    /// camelCase in the YAML file; `KEYVANE_` and UPPER_SNAKE in the environment.
    package let key: String
    package let kind: SettingKind
    /// What is used when nobody sets it; nil where there is none.
    package let fallback: String?
    package let roles: [RoleKind]
    /// An API or gateway takes another value while it runs.
    package let isReloadable: Bool
    let isSecret: Bool
    package let summary: String

    init(
        _ key: String,
        _ kind: SettingKind,
        fallback: String? = nil,
        of roles: [RoleKind] = RoleKind.allCases,
        isReloadable: Bool = false,
        isSecret: Bool = false,
        _ summary: String
    ) {
        self.key = key
        self.kind = kind
        self.fallback = fallback
        self.roles = roles
        self.isReloadable = isReloadable
        self.isSecret = isSecret
        self.summary = summary
    }

    package var variable: String {
        "KEYVANE_" + key.map { $0.isUppercase ? "_\($0)" : $0.uppercased() }.joined()
    }

    static let listen = Setting(
        "listen",
        .address,
        "address to listen on: HOST:PORT, :PORT or unix:/PATH"
    )
    static let tlsCertificate = Setting(
        "tlsCertificate",
        .file,
        of: .instances,
        isReloadable: true,
        "PEM file with the certificate of an API or gateway and its chain; with it they speak TLS only"
    )
    static let tlsKey = Setting(
        "tlsKey",
        .file,
        of: .instances,
        isReloadable: true,
        "PEM file with its key, without a password; default: the file of tlsCertificate"
    )
    static let tlsClientCa = Setting(
        "tlsClientCa",
        .file,
        of: .instances,
        isReloadable: true,
        "PEM file of authorities; every client must show a certificate of one of them"
    )
    static let name = Setting(
        "name",
        .text,
        "the instance's name in logs, watch frames and the registry"
    )
    static let postgres = Setting(
        "postgres",
        .postgres,
        of: .instances,
        isSecret: true,
        "PostgreSQL URL, several hosts allowed: postgres://user:password@host:5432/database"
    )
    static let databaseTimeout = Setting(
        "databaseTimeout",
        .duration(1...60),
        fallback: "5s",
        of: .instances,
        "how long a request waits for PostgreSQL before it is answered 503; 1s to 60s"
    )
    static let redis = Setting(
        "redis",
        .redis,
        fallback: "redis://127.0.0.1:6379",
        isSecret: true,
        "Redis URL: redis://user:password@host:6379/0; rediss, redis+sentinel and redis+cluster: operations.md"
    )
    static let masterKeys = Setting(
        "masterKeys",
        .masterKeys,
        of: .instances,
        isSecret: true,
        "master keys id:base64,id:base64 (32 bytes each); the first wraps, all unwrap"
    )
    static let masterKeysFile = Setting(
        "masterKeysFile",
        .file,
        of: .instances,
        "file with the master keys, separated by commas or lines, instead of masterKeys"
    )
    static let rootToken = Setting(
        "rootToken",
        .token(32),
        of: .instances,
        isSecret: true,
        "first token, with every permission; at least 32 characters"
    )
    static let cluster = Setting(
        "cluster",
        .text,
        fallback: "keyvane",
        "prefix of registry keys and channels but change-notifier"
    )
    static let advertise = Setting(
        "advertise",
        .address,
        of: .instances,
        "HOST:PORT that others reach this instance at"
    )
    static let changeChannel = Setting(
        "changeChannel",
        .text,
        fallback: "change-notifier",
        of: .instances,
        "Redis channel of changes"
    )
    static let drainDelay = Setting(
        "drainDelay",
        .duration(0...30),
        fallback: "6s",
        of: [.api],
        isReloadable: true,
        "how long an API goes on serving after SIGTERM while it reports draining"
    )
    static let maximumBody = Setting(
        "maximumBody",
        .number(of: "bytes"),
        fallback: "1048576",
        of: [.api],
        isReloadable: true,
        "bytes of a request's body at most"
    )
    static let maximumImport = Setting(
        "maximumImport",
        .number(of: "bytes"),
        fallback: "10485760",
        of: [.api],
        isReloadable: true,
        "bytes of an imported document at most"
    )
    static let origins = Setting(
        "origins",
        .origins,
        of: .instances,
        isReloadable: true,
        "origins whose pages may use REST and watch, separated by commas; * for all; default: pages of the same host"
    )
    static let trustedProxies = Setting(
        "trustedProxies",
        .addressRanges,
        of: .instances,
        "balancers whose X-Forwarded-For names the client: addresses, 10.0.0.0/8 or unix:, separated by commas"
    )
    static let failedLogins = Setting(
        "failedLogins",
        .number(1...1_000_000, of: "per second"),
        fallback: "10",
        of: .instances,
        "wrong tokens a second from one address, twice as many at once; more are answered 429"
    )
    static let maximumConnections = Setting(
        "maximumConnections",
        .number(of: "connections"),
        of: [.gateway],
        isReloadable: true,
        "watching connections of a gateway at most; default: the descriptor limit less 256"
    )
    static let maximumConnectionsPerToken = Setting(
        "maximumConnectionsPerToken",
        .number(of: "connections"),
        of: [.gateway],
        isReloadable: true,
        "watching connections of one token at a gateway at most; default: no limit"
    )
    static let handshakeRate = Setting(
        "handshakeRate",
        .number(1...1_000_000, of: "per second"),
        of: [.gateway],
        isReloadable: true,
        "watches that may begin in a second at a gateway; default: no limit"
    )
    static let maximumMessage = Setting(
        "maximumMessage",
        .number(1...16_777_216, of: "bytes"),
        fallback: "65536",
        of: [.gateway],
        isReloadable: true,
        "bytes of a client's message at most"
    )
    static let maximumEnvironments = Setting(
        "maximumEnvironments",
        .number(1...10_000, of: "environments"),
        fallback: "128",
        of: [.gateway],
        isReloadable: true,
        "environments that one connection may watch"
    )
    static let messageRate = Setting(
        "messageRate",
        .number(1...60_000, of: "per second"),
        fallback: "100",
        of: [.gateway],
        isReloadable: true,
        "messages a second that a connection may send"
    )
    static let keepChanges = Setting(
        "keepChanges",
        .duration(86_400...Int(Int32.max)),
        of: [.api],
        isReloadable: true,
        "how long replaced changes are kept, such as 90d, at least 24h; default: for ever"
    )
    static let keepAudit = Setting(
        "keepAudit",
        .duration(86_400...Int(Int32.max)),
        of: [.api],
        isReloadable: true,
        "how long audit rows are kept, such as 365d, at least 24h; default: for ever"
    )
    static let loops = Setting(
        "loops",
        .number(1...1_024, of: "loops"),
        "event loops; default: the CPUs this process may use"
    )
    static let logLevel = Setting(
        "logLevel",
        .choice(["trace", "debug", "info", "notice", "warning", "error", "critical"]),
        fallback: "info",
        isReloadable: true,
        "the least urgent lines that are written"
    )
    static let logFormat = Setting(
        "logFormat",
        .choice(["json", "text"]),
        "lines of the log; default: text on a terminal, else json"
    )
    static let stickyKeys = Setting(
        "stickyKeys",
        .stickyKeys,
        of: [.balancer],
        isSecret: true,
        "keys of the balancer's cookies, base64 of 32 bytes each, separated by commas; the first signs, all verify"
    )
    static let accessLog = Setting(
        "accessLog",
        .choice(["json", "httplog", "off"]),
        fallback: "json",
        of: [.balancer],
        "the balancer's access log"
    )
    static let discover = Setting(
        "discover",
        .redis,
        of: [.balancer],
        isSecret: true,
        "Redis URL of the registry in which the balancer finds APIs and gateways; a file's discover uses redis without it"
    )
    static let admin = Setting(
        "admin",
        .address,
        fallback: "127.0.0.1:9100",
        of: [.balancer],
        "the balancer's admin listener"
    )

    package static let all: [Setting] = [
        listen, tlsCertificate, tlsKey, tlsClientCa, name, postgres, databaseTimeout, redis, masterKeys, masterKeysFile, rootToken, cluster,
        advertise, changeChannel,
        drainDelay, maximumBody, maximumImport, origins, trustedProxies, failedLogins, maximumConnections, maximumConnectionsPerToken,
        handshakeRate, maximumMessage,
        maximumEnvironments, messageRate, keepChanges, keepAudit, loops, logLevel, logFormat, stickyKeys, accessLog, discover, admin,
    ]
}
