//! Answers every request with its path: a program whose build is a compiler's work.

use std::env::var;

fn main() {
    let at = format!("{}:{}", var("HOST").unwrap(), var("PORT").unwrap());
    let server = tiny_http::Server::http(at).unwrap();
    for request in server.incoming_requests() {
        let words = format!("hello from rust at {}", request.url());
        request.respond(tiny_http::Response::from_string(words)).ok();
    }
}
