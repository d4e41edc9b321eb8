//! What holds of every input, however wrong: of each parser that reads what the network says before anybody is trusted,
//! and of route matching. `tests/fuzz/run.sh` gives them to libFuzzer; each run of the tests tries some thousands of
//! inputs.
//!
//! Not here: HTTP/1, HTTP/2, TLS and DNS messages, which libraries read (pingora, h2, rustls, hickory); ranges, which the
//! edge passes on unread.
#![allow(clippy::panic)]

mod edges;
mod forms;
mod paths;
#[cfg(test)]
mod tests;

/// One parser.
pub struct Target {
    pub name: &'static str,
    /// Panics when something does not hold.
    pub run: fn(&[u8]),
    /// Where to begin.
    pub seeds: &'static [&'static [u8]],
}

pub const TARGETS: &[Target] = &[
    Target {
        name: "hello",
        run: edges::hello,
        seeds: &[
            b"\x16\x03\x01\0\x40\x01\0\0\x3c\x03\x03",
            b"\x16\x03\x01\x00\x4d\x01\x00\x00\x49\x03\x0300000000000000000000000000000000\x00\x00\x02\x13\x01\x01\x00\x00\x1e\x00\x00\x00\x0b\x00\x09\x00\x00\x06a.test\x00\x0b\x00\x0b\x00\x0b",
        ],
    },
    Target {
        name: "proxy_protocol",
        run: edges::proxy_protocol,
        seeds: &[
            b"PROXY TCP4 203.0.113.9 127.0.0.1 4000 80\r\n",
            b"PROXY UNKNOWN\r\n",
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\x01\x02\x03\x04\x05\x06\x07\x08\x01\xbb\x01\xbb",
            b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0",
        ],
    },
    Target {
        name: "answer_head",
        run: edges::answer_head,
        seeds: &[
            b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\nx: y\r\n\r\nabc",
            b"HTTP/1.1 304 Not Modified\r\netag: \"a\"\r\n\r\n",
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        ],
    },
    Target {
        name: "headers",
        run: edges::headers,
        seeds: &[
            b"Host: A.test:80\nCookie: a=b; place=1\nCache-Control: max-age=5, no-cache=\"x\"\nETag: W/\"a\"\nIf-None-Match: \"a\", *",
            b"Transfer-Encoding: chunked\nContent-Length: 3\nX-Forwarded-For: [2001:db8::1]:80, 1.2.3.4",
            b"Last-Modified: Thu, 01 Jan 1970 00:00:10 GMT\nIf-Modified-Since: Thu, 01 Jan 1970 00:00:10 GMT\nAccept-Encoding: br;q=0.5, *;q=0",
        ],
    },
    Target {
        name: "paths",
        run: paths::paths,
        seeds: &[b"/a/%2e%2e/b//c%00%5c?x=/../y", b"/\xc3\xa4/./x"],
    },
    Target {
        name: "routes",
        run: paths::routes,
        seeds: &[b"a.b\n/a/%2e%2e/c/d?x=//evil.test", b"x\n/c/\\evil.test"],
    },
    Target {
        name: "names",
        run: paths::names,
        seeds: &[b"*.blog.example.com", b"tcp/5432", b"X-Own-Header"],
    },
    Target {
        name: "rules",
        run: forms::rules,
        seeds: &[
            br#"{"id":"rul_00000000000000000000000001","name":"a","matches":{"path":{"kind":"prefix","path":"/a"}},"action":{"kind":"split","parts":[{"weight":1},{"weight":2}]}}"#,
            br#"{"id":"rul_00000000000000000000000001","name":"a","matches":{},"action":{"kind":"Redirect","pattern":"^/(.*)$","to":"https://{host}/$1","status":308}}"#,
        ],
    },
    Target {
        name: "webhooks",
        run: forms::webhooks,
        seeds: &[
            b"x-github-event: push\nx-hub-signature-256: sha256=00\ncontent-type: application/json\n\n{\"ref\":\"refs/heads/main\",\"after\":\"a\",\"commits\":[{\"added\":[\"a\"]}]}",
            b"x-gitlab-event: Push Hook\nx-gitlab-token: x\n\n{\"object_kind\":\"push\",\"ref\":\"refs/tags/v1\"}",
            b"x-event-key: repo:push\n\n{\"push\":{\"changes\":[{\"new\":{\"name\":\"main\",\"type\":\"branch\",\"target\":{\"hash\":\"a\"}}}]}}",
            b"x-github-event: push\ncontent-type: application/x-www-form-urlencoded\n\npayload=%7B%7D",
        ],
    },
    Target {
        name: "compose",
        run: forms::compose,
        seeds: &[
            b"services:\n  web:\n    image: nginx:${TAG:-1}\n    ports: ['80:80']\n    volumes: [data:/d]\n    depends_on: {db: {condition: service_healthy}}\n  db: {image: postgres, healthcheck: {test: [CMD, x], interval: 1m30s}}\nvolumes: {data: }\n",
            b"x: &a {b: 1}\nservices: {a: {<<: *a, image: b, deploy: {resources: {limits: {memory: 1.5g, cpus: '0.5'}}}}}\n",
        ],
    },
    Target {
        name: "templates",
        run: forms::templates,
        seeds: &[b"name: a\ntitle: A\n", b"- x\n- {y: z}\n"],
    },
    Target {
        name: "certificates",
        run: forms::certificates,
        seeds: &[
            b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        ],
    },
];
