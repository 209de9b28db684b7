// Keyvane
// SPDX-License-Identifier: Apache-2.0

import Telemetry
import Testing

@Suite("Redaction")
struct RedactionTests {
    @Test(
        "takes credentials out of a URL and leaves the rest",
        arguments: [
            ("/v1/watch?environment=a/b/c&access_token=kv_secret", "/v1/watch?environment=a/b/c&access_token=-"),
            ("/v1/watch?access_token=kv_secret&since=5#top", "/v1/watch?access_token=-&since=5#top"),
            ("/v1/watch?access%5Ftoken=kv_secret", "/v1/watch?access%5Ftoken=-"),
            ("/v1/watch?ACCESS_TOKEN=kv_secret&access_token=again", "/v1/watch?ACCESS_TOKEN=-&access_token=-"),
            ("/v1/watch?my_access_token=5&x", "/v1/watch?my_access_token=5&x"),
            ("/v1/watch?access_token=", "/v1/watch?access_token=-"),
            ("/v1/%zz?%=1&%4", "/v1/%zz?%=1&%4"),
            ("postgres://user:pa55@db:5432/keyvane", "postgres://user:-@db:5432/keyvane"),
            ("postgres://user@db/keyvane?sslmode=require&password=pa55", "postgres://user@db/keyvane?sslmode=require&password=-"),
            ("postgres://u:p@a:1,b:2/db", "postgres://u:-@a:1,b:2/db"),
            ("redis://:p@ss@host:6379/0", "redis://:-@host:6379/0"),
            ("redis://:pa/ss?w@host:6379/0", "redis://:-@host:6379/0"),
            ("http://host:8080/a@b", "http://host:8080/a@b"),
            ("https://me:pa55@host/x?access_token=t", "https://me:-@host/x?access_token=-"),
            ("/plain", "/plain"), ("", ""), ("?", "?"),
        ]
    )
    func url(given: String, redacted: String) {
        #expect(Redaction.url(given) == redacted)
    }
}
