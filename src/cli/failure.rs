//! What a command ends with when it does not succeed: a sentence, what to do next, and an exit code.

use crate::typed;
use client::{Address, Failure as Call};
use serde_json::{Value, json};
use std::{fmt, process::ExitCode};

pub type Result<T = (), E = Failure> = std::result::Result<T, E>;

/// The exit codes that scripts rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// It was tried and did not work.
    Failed = 1,
    /// The command or a value was wrong.
    Usage = 2,
    /// Not signed in, or not allowed.
    Denied = 3,
    /// No such thing.
    NotFound = 4,
    /// No panel answers.
    Unreachable = 5,
}

/// Why a command did not succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    pub code: Code,
    /// One sentence, without a full stop.
    pub sentence: String,
    /// What to do next.
    pub hint: Option<String>,
    /// What the panel said, for `--json`.
    pub problem: Option<Box<Value>>,
    /// Everything has been said already: only the exit code is left.
    pub quiet: bool,
    /// The exit code of something else, passed through.
    pub exit: Option<u8>,
}

impl Failure {
    fn new(code: Code, sentence: impl Into<String>) -> Failure {
        Failure {
            code,
            sentence: sentence.into(),
            hint: None,
            problem: None,
            quiet: false,
            exit: None,
        }
    }
    pub fn failed(sentence: impl Into<String>) -> Failure {
        Failure::new(Code::Failed, sentence)
    }
    pub fn usage(sentence: impl Into<String>) -> Failure {
        Failure::new(Code::Usage, sentence)
    }
    pub fn denied(sentence: impl Into<String>) -> Failure {
        Failure::new(Code::Denied, sentence)
    }
    pub fn not_found(sentence: impl Into<String>) -> Failure {
        Failure::new(Code::NotFound, sentence)
    }
    pub fn unreachable(sentence: impl Into<String>) -> Failure {
        Failure::new(Code::Unreachable, sentence)
    }
    /// Ends with this exit code, without a word.
    pub fn exit(code: u8) -> Failure {
        Failure {
            quiet: true,
            exit: Some(code),
            ..Failure::new(Code::Failed, "")
        }
    }
    pub fn hint(mut self, hint: impl Into<String>) -> Failure {
        self.hint = Some(hint.into());
        self
    }
    /// With the flags of the command line in the sentence, where that says the API's names of their values. What `--json` tells stays.
    pub fn spelt_as_typed(mut self, words: &[String]) -> Failure {
        for field in self.fields() {
            if let Some(flag) = typed::flag_of(&field, words) {
                self = self.calling(&field, &flag);
            }
        }
        self
    }
    /// With another name for a value of the API in the sentence.
    pub fn calling(mut self, field: &str, name: &str) -> Failure {
        if let Some(rest) = self.sentence.strip_prefix(&format!("{field}: ")) {
            self.sentence = format!("{name}: {rest}");
        }
        // Several wrong ones are told in brackets.
        if self.fields().len() > 1 {
            for before in ["(", "; "] {
                let (of_the_api, typed) = (format!("{before}{field}: "), format!("{before}{name}: "));
                self.sentence = self.sentence.replacen(&of_the_api, &typed, 1);
            }
        }
        self
    }
    /// Those that the panel found wrong.
    fn fields(&self) -> Vec<String> {
        let Some(problem) = &self.problem else { return Vec::new() };
        let several = problem["errors"].as_array().into_iter().flatten().map(|each| &each["field"]);
        let named = [&problem["field"]].into_iter().chain(several).filter_map(Value::as_str);
        let mut fields: Vec<String> = named.map(str::to_owned).collect();
        fields.sort();
        fields.dedup();
        fields
    }
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(self.exit.unwrap_or(self.code as u8))
    }
    /// For `--json`: what the panel said, or the same shape for what it never heard of.
    pub fn json(&self) -> Value {
        let mut value = self.problem.as_deref().cloned().unwrap_or_else(|| {
            let code = match self.code {
                Code::Failed => "failed",
                Code::Usage => "usage",
                Code::Denied => "unauthenticated",
                Code::NotFound => "not_found",
                Code::Unreachable => "unreachable",
            };
            json!({ "code": code, "detail": self.sentence })
        });
        if let (Some(hint), Some(object)) = (&self.hint, value.as_object_mut()) {
            object.insert("hint".to_owned(), json!(hint));
        }
        value
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)?;
        match &self.hint {
            Some(hint) => write!(f, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl From<Call> for Failure {
    fn from(call: Call) -> Failure {
        let sentence = call.to_string();
        match call {
            Call::Refused(problem) => {
                let code = match problem.code.as_str() {
                    "unauthenticated" | "second_factor_needed" | "forbidden" | "unconfirmed" | "unenrolled" => Code::Denied,
                    "not_found" => Code::NotFound,
                    _ => Code::Failed,
                };
                Failure {
                    hint: hint_for(&problem.code, &sentence, problem.request_id.as_deref()),
                    problem: serde_json::to_value(&problem).ok().map(Box::new),
                    ..Failure::new(code, sentence)
                }
            }
            Call::Unreachable { address, why } => Failure::unreachable(sentence).hint(match *address {
                Address::Socket(_) if why.contains("permission denied") => {
                    "run this as root, or as the user that runs the panel; or sign in with `serverkit login URL`"
                }
                Address::Socket(_) => {
                    "start the panel with `serverkit serve` or `systemctl start serverkit`, or name its data folder with --data"
                }
                Address::Web { .. } => "check the address, and that the panel runs and its port is open",
            }),
            Call::Untrusted { .. } => Failure::unreachable(sentence).hint(
                "if it is the panel's own certificate: on its machine, `serverkit cert authority > panel-ca.pem`; then give --ca panel-ca.pem here",
            ),
            Call::Odd(_) => Failure::failed(sentence).hint("the panel may be of another version; compare `serverkit --version` on both sides"),
            Call::Invalid(_) => Failure::usage(sentence),
        }
    }
}

fn hint_for(code: &str, sentence: &str, request: Option<&str>) -> Option<String> {
    match code {
        "unauthenticated" => Some("sign in with `serverkit login URL`, or set SERVERKIT_URL and SERVERKIT_TOKEN".to_owned()),
        "forbidden" if sentence.contains("token with the scope") => {
            Some("make a token that reaches further: serverkit token create NAME --scope SCOPE".to_owned())
        }
        "forbidden" => Some("`serverkit whoami` shows your role; an administrator can change it".to_owned()),
        "internal" => request.map(|id| format!("look for the request {id} in the panel's log")),
        "unavailable" => Some("`serverkit doctor` says what is wrong with the machine".to_owned()),
        "stale" => Some("somebody else changed it meanwhile; try again".to_owned()),
        _ => None,
    }
}

impl From<std::io::Error> for Failure {
    /// Of writing to standard output: whoever read it has gone, which is no failure worth a word.
    fn from(error: std::io::Error) -> Failure {
        if error.kind() == std::io::ErrorKind::BrokenPipe {
            Failure::exit(0)
        } else {
            Failure::failed(format!("cannot write: {error}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use client::Problem;

    #[test]
    fn refusals_have_their_exit_codes() {
        for (status, code, expected) in [
            (401, "unauthenticated", Code::Denied),
            (403, "forbidden", Code::Denied),
            (404, "not_found", Code::NotFound),
            (422, "invalid", Code::Failed),
            (409, "taken", Code::Failed),
            (503, "unavailable", Code::Failed),
            (500, "internal", Code::Failed),
        ] {
            let problem = Problem {
                status,
                code: code.to_owned(),
                detail: "why".to_owned(),
                ..Problem::default()
            };
            let failure = Failure::from(Call::Refused(Box::new(problem)));
            assert_eq!((failure.code, failure.sentence.as_str()), (expected, "why"), "{code}");
        }
    }

    #[test]
    fn wrong_values_are_called_as_they_were_typed() {
        let problem = Problem {
            status: 422,
            code: "invalid".to_owned(),
            detail: "minutes: must be between 1 and 60".to_owned(),
            field: Some("minutes".to_owned()),
            ..Problem::default()
        };
        let refused = || Failure::from(Call::Refused(Box::new(problem.clone())));
        let words = ["freeze", "add", "--for", "0h"].map(str::to_owned);
        let typed = refused().spelt_as_typed(&words);
        assert_eq!(typed.sentence, "--for: must be between 1 and 60");
        assert_eq!(typed.json(), refused().json(), "programs read the API's name");
        assert_eq!(refused().spelt_as_typed(&words[..2]), refused());
        assert_eq!(refused().calling("minutes", "a.env").sentence, "a.env: must be between 1 and 60");
        assert_eq!(refused().calling("text", "a.env"), refused());
    }

    #[test]
    fn a_missing_panel_says_how_to_start_it() {
        let failure = Failure::from(Call::Unreachable {
            address: Box::new(Address::Socket("/var/lib/serverkit/panel.sock".into())),
            why: "no such file or directory".to_owned(),
        });
        assert_eq!(failure.code, Code::Unreachable);
        assert!(failure.to_string().contains("serverkit serve"), "{failure}");
    }

    #[test]
    fn json_failures_have_a_code_and_a_sentence() {
        assert_eq!(
            Failure::usage("no").hint("do").json(),
            json!({"code": "usage", "detail": "no", "hint": "do"})
        );
    }
}
