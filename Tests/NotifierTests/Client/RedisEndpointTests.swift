// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Notifier
import TestSupport
import Testing

@Suite("A Redis URL")
struct RedisEndpointTests {
    @Test(
        "is read",
        arguments: [
            ("redis://", "redis://127.0.0.1:6379/0"),
            ("redis://cache", "redis://cache:6379/0"),
            ("redis://cache:7000/3", "redis://cache:7000/3"),
            ("REDIS://[::1]:7000", "redis://[::1]:7000/0"),
            ("redis://[::1]", "redis://[::1]:6379/0"),
            ("redis://cache?db=5", "redis://cache:6379/5"),
            ("redis://:secret@cache/1", "redis://:***@cache:6379/1"),
            ("redis://app:s%40cr%3At@cache:1", "redis://app:***@cache:1/0"),
            ("redis://app:with@sign@cache:1", "redis://app:***@cache:1/0"),
            ("unix:///run/redis.sock", "redis+unix:///run/redis.sock?db=0"),
            ("redis+unix://:secret@/run/redis.sock?db=2", "redis+unix://:***@/run/redis.sock?db=2"),
            ("rediss://app:s%3Fcret@cache/2", "rediss://app:***@cache:6379/2"),
            ("REDISS://cache:6380?db=4", "rediss://cache:6380/4"),
            ("redis+sentinel://a,b:7000,[::1]/main", "redis+sentinel://a:26379,b:7000,[::1]:26379/main/0"),
            (
                "redis+sentinel://app:secret@a/my%2Fmain/3?sentinel_user=watch&sentinel_password=s%40cret",
                "redis+sentinel://app:***@a:26379/my/main/3"
            ),
            ("redis+sentinel://a/main?sentinel_password=secret", "redis+sentinel://a:26379/main/0"),
            ("rediss+sentinel://:secret@a/main", "rediss+sentinel://:***@a:26379/main/0"),
            ("redis+cluster://a,b:7000", "redis+cluster://a:6379,b:7000"),
            ("redis+cluster://:secret@a/", "redis+cluster://:***@a:6379"),
            ("rediss+cluster://app:secret@[::1]:7000", "rediss+cluster://app:***@[::1]:7000"),
        ]
    )
    func reads(url: String, shown: String) throws {
        #expect(try RedisEndpoint(parsing: url).description == shown)
    }

    @Test(
        "is refused without repeating it",
        arguments: [
            "", "cache:6379", "http://cache", "redis://cache:0", "redis://cache:99999", "redis://cache:x", "redis://cache/one",
            "redis://cache/-1", "redis://hunter2@cache", "redis://:hunter2%4@cache", "redis://:hunter2%ff@cache",
            "redis://:hunter2%00@cache",
            "redis://:hunter2@cache?tls=1", "redis://:hunter2?@cache", "redis://:hun?ter2=hunter2@cache", "redis://a,b", "redis://::1:6379",
            "redis://:hunter2@ca che", "unix://relative", "unix:///",
            "redis+sentinel://a", "redis+sentinel://a/", "redis+sentinel://a,/main", "redis+sentinel://a/main/x", "redis+sentinel:///main",
            "redis+sentinel://a/main?sentinel_user=app", "redis+sentinel://a/main?sentinel_password=", "redis+sentinel://a/main?db=1",
            "redis+cluster://", "redis+cluster://a,,b", "redis+cluster://a/1", "redis+cluster://a?db=1",
            "rediss://:hunter2@cache?ca=/nonexistent/ca.pem", "rediss://cache?certificate=/x.pem", "rediss://cache?key=/x.pem",
            "unix:///run/redis.sock?ca=/x.pem", "rediss+unix:///run/redis.sock",
        ]
    )
    func refuses(url: String) {
        let error = #expect(throws: NotifierError.self) { try RedisEndpoint(parsing: url) }
        #expect(error?.code == .urlInvalid)
        #expect(error?.description.contains("hunter2") == false)
    }

    @Test(
        "names the option that it doesn't know",
        arguments: [
            ("redis://a?tls=1", "'tls'"), ("redis://a?ca=/x.pem", "'ca'"), ("rediss://a?db=1&verify=no", "'verify'"),
            ("rediss+cluster://a?sentinel_user=b", "'sentinel_user'"), ("redis+sentinel://a/main?timeout=1", "'timeout'"),
        ]
    )
    func unknownOption(url: String, name: String) {
        let error = #expect(throws: NotifierError.self) { try RedisEndpoint(parsing: url) }
        #expect(error?.message.contains("unknown option \(name)") == true)
    }

    @Test("tells which file of TLS can't be used")
    func files() async throws {
        try await withCertificates { certificates in
            let (certificate, key) = (certificates.certificate(.client), certificates.key(.client))
            let endpoint = try RedisEndpoint(parsing: "rediss://a?ca=\(certificates.authority)&certificate=\(certificate)&key=\(key)")
            #expect(endpoint.description == "rediss://a:6379/0")
            for (query, reason) in [
                ("ca=\(certificates.missing)", "trusted certificates"), ("certificate=\(certificate)", "needs its key"),
                ("certificate=\(certificate)&key=\(certificates.key(.server))", "key"),
            ] {
                let error = #expect(throws: NotifierError.self) { try RedisEndpoint(parsing: "rediss+cluster://a?\(query)") }
                #expect(error?.message.contains(reason) == true)
            }
        }
    }

    @Test("never shows its password, however it is printed")
    func hidesPassword() throws {
        let endpoint = try RedisEndpoint(parsing: "redis+sentinel://app:hunter2@cache/main/1?sentinel_password=hunter2")
        var dumped = ""
        dump(endpoint, to: &dumped)
        var configuration = ""
        dump(NotifierConfiguration(endpoint: endpoint), to: &configuration)
        for text in ["\(endpoint)", String(reflecting: endpoint), dumped, configuration, "\(NotifierConfiguration(endpoint: endpoint))"] {
            #expect(!text.contains("hunter2"))
        }
    }
}
