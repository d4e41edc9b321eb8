//! A program that serves until somebody asks it to die.

/// How it ends.
pub enum Death<'a> {
    /// It takes memory until it is killed.
    OutOfMemory,
    /// It prints these lines, in which `$NAME` stands for a variable's value, and exits with code 3.
    Saying(&'a [&'a str]),
}

/// An image of one Python program on port 8000. Once `/die` was asked for, it also dies whenever its container starts again.
pub struct Mortal {
    pub dockerfile: &'static str,
    /// What it answers stands in it as `b"…"`, once.
    pub program: String,
}

const DOCKERFILE: &str = "FROM python:3.11-slim\nCOPY app.py .\nEXPOSE 8000\nCMD [\"python3\", \"app.py\"]\n";

const PROGRAM: &str = r#"
import os, sys
from http.server import BaseHTTPRequestHandler, HTTPServer

ANSWER = b"WHAT-IT-ANSWERS"

HOW-IT-DIES

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/die":
            open("/tmp/dead", "w").close()
            die()
        self.send_response(200)
        self.send_header("content-length", str(len(ANSWER)))
        self.end_headers()
        self.wfile.write(ANSWER)
    def log_message(self, *_):
        pass

if os.path.exists("/tmp/dead"):
    die()
HTTPServer(("0.0.0.0", 8000), Handler).serve_forever()
"#;

const EATS: &str = r#"def die():
    kept = []
    while True:
        kept.append(b"x" * (8 << 20))"#;

const SAYS: &str = r#"def die():
    for line in WHAT-IT-SAYS:
        print(os.path.expandvars(line), file=sys.stderr, flush=True)
    os._exit(3)"#;

impl Mortal {
    /// `answer` is what every other path says: letters and digits.
    pub fn new(answer: &str, death: &Death<'_>) -> Mortal {
        let dies = match death {
            Death::OutOfMemory => EATS.to_owned(),
            // A list of texts in JSON is one in Python.
            Death::Saying(lines) => SAYS.replace("WHAT-IT-SAYS", &serde_json::json!(lines).to_string()),
        };
        Mortal {
            dockerfile: DOCKERFILE,
            program: PROGRAM.replace("WHAT-IT-ANSWERS", answer).replace("HOW-IT-DIES", &dies),
        }
    }
}
