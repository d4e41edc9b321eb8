//! `serverkit openapi`: the document that clients are generated from.

use std::{io::Write, process::ExitCode};

pub fn print() -> ExitCode {
    match std::io::stdout().lock().write_all(api::document().as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}
