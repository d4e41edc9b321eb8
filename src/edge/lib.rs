//! The edge: what stands between the internet and the apps of one server.
//!
//! It listens on the HTTP, HTTPS and panel ports, picks the certificate by SNI and the app by host, and passes
//! requests on. What it should do comes as one [`types::EdgeConfig`]; the edge builds all of it, checks it, and swaps
//! it in, so a bad one changes nothing and requests under way end as they began.
//!
//! The sessions, that is the parsing and framing of HTTP on both sides, are pingora's. The loop around them is our
//! own, for three reasons: an answer in words for every failure, limits that hold before the first hook of pingora's
//! proxy would run, and speed (no channels, no task and no shared pool for a request without a body).
//!
//! - `edge` starts and stops threads; each has its own runtime, connections and upstream pool, and nothing in the
//!   edge waits for the rest of the program. So a stuck panel or engine does not stop the apps.
//! - `listen` binds ports and says who holds one that is taken.
//! - `connection` is a socket with a write buffer, and the watch that closes it when it is idle or slow.
//! - `serve` runs the connections, `decide` says what a request gets, `forward` passes it to an app, `h2c` over HTTP/2.
//! - `quic` is HTTP/3, in front of the same path; `quic_socket` lets two edges share its socket.
//! - `considered` is for sites with rules or a policy: `policy` is the gate, with `auth` and `limits`; `shape` changes
//!   answers, with `compress` and `cache`; `balance`, `health` and `canary` choose the upstream. `registry` keeps their
//!   state over swaps.
//! - `sleeping` holds requests for an app that sleeps until it is awake.
//! - `cookies` keeps those of the panel from apps.
//! - `gate` says who may reach the panel itself, by address.
//! - `streams` passes on ports without HTTP, `passthrough` TLS that is not ended here (`hello` reads its name), and
//!   `proxy_protocol` tells and hears who a connection is from.
//! - `table` is a built configuration; `tls` the certificates in it.
//! - `answers` are the edge's own pages, `access_log` and `traffic` what it tells about its work.

mod access_log;
mod answers;
mod auth;
mod balance;
mod cache;
mod canary;
mod compress;
mod connection;
mod considered;
mod cookies;
mod decide;
mod edge;
mod fetch;
mod forward;
mod gate;
mod h2c;
mod headers;
#[doc(hidden)]
pub mod heads;
mod health;
pub mod hello;
mod limits;
mod listen;
mod passthrough;
mod policy;
pub mod proxy_protocol;
mod quic;
mod quic_socket;
mod registry;
mod serve;
mod shape;
mod sleeping;
mod split;
mod streams;
mod table;
mod tally;
mod tls;
mod traffic;
mod upstream;
mod worker;

pub use edge::{Edge, SharedSockets};
pub use headers::CLIENT_HEADER;
pub use listen::{Bound, Listeners, PortSocket};
pub use quic_socket::QuicSocket;
pub use streams::FlowSocket;
