//! Bytes as they come, cut into lines that can be kept: no newline, UTF-8, 16 KiB at most.

/// Bytes of a line; the rest of a longer one is dropped.
pub const LONGEST: usize = 16 << 10;

/// One stream's unfinished line.
#[derive(Debug, Default)]
pub struct LineBuffer {
    line: Vec<u8>,
    /// The last byte was a carriage return: what follows overwrites the line, as on a terminal.
    is_returned: bool,
}

impl LineBuffer {
    /// Adds `bytes` and answers the lines that they finish.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        for byte in bytes {
            match byte {
                b'\n' => lines.push(self.finish()),
                b'\r' => self.is_returned = true,
                _ => {
                    if std::mem::take(&mut self.is_returned) {
                        self.line.clear();
                    }
                    if self.line.len() < LONGEST {
                        self.line.push(*byte);
                    }
                }
            }
        }
        lines
    }

    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// The unfinished line, if there is any.
    pub fn rest(&mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.finish())
    }

    fn finish(&mut self) -> String {
        self.is_returned = false;
        let line = std::mem::take(&mut self.line);
        let mut text = String::from_utf8_lossy(&line).into_owned();
        if line.len() == LONGEST {
            let whole = text.trim_end_matches('\u{fffd}').len();
            text.truncate(whole);
        }
        while text.len() > LONGEST {
            text.pop();
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut() {
        let check = |input: &[&[u8]], expected: &[&str], rest: Option<&str>| {
            let mut buffer = LineBuffer::default();
            let lines: Vec<String> = input.iter().flat_map(|bytes| buffer.push(bytes)).collect();
            assert_eq!(lines, expected, "{input:?}");
            assert_eq!(buffer.rest().as_deref(), rest, "{input:?}");
        };
        check(&[b"one\ntwo\n"], &["one", "two"], None);
        check(&[b"on", b"e\n", b"tw"], &["one"], Some("tw"));
        check(&[b"\n\n"], &["", ""], None);
        check(&[b"dos\r\nunix\n"], &["dos", "unix"], None);
        check(&[b"10 %\r", b"50 %\r", b"100 %\n"], &["100 %"], None);
        check(&[b"a\xffb\n"], &["a\u{fffd}b"], None);
        check(&["gr".as_bytes(), &[0xc3], &[0xbc, b'n', b'\n']], &["grün"], None);
    }

    #[test]
    fn long_lines_lose_their_end() {
        let mut buffer = LineBuffer::default();
        let long = "é".repeat(LONGEST);
        assert!(buffer.push(b"x").is_empty());
        assert!(buffer.push(long.as_bytes()).is_empty());
        let lines = buffer.push(b"\nnext\n");
        assert_eq!(lines.len(), 2);
        assert!(lines[0].len() <= LONGEST && lines[0].len() > LONGEST - 4 && lines[0].ends_with('é'));
        assert_eq!(lines[1], "next");

        let lines = buffer.push(&[vec![0xff; LONGEST * 2], b"\n".to_vec()].concat());
        assert!(lines[0].len() <= LONGEST);
    }
}
