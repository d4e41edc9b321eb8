//! Who listens on a port. Sources: `/proc/net/tcp`, `/proc/net/tcp6`, and the open files of all processes.

use std::{collections::HashSet, fs};

/// A process that listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// `None` when the process cannot be seen, as without root.
    pub pid: Option<u32>,
    pub name: String,
}

/// Who listens on `port`, on any address; `None` when nobody does.
pub fn holder(port: u16) -> Option<Holder> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"].map(|path| fs::read_to_string(path).unwrap_or_default());
    let sockets: HashSet<u64> = tables.iter().flat_map(|table| listening(table, port)).collect();
    if sockets.is_empty() {
        return None;
    }
    let unseen = Holder {
        pid: None,
        name: "another process".into(),
    };
    Some(process_with(&sockets).unwrap_or(unseen))
}

/// Inodes of the sockets that listen on `port`, from the kernel's table: the 2nd column is `address:port` in
/// hexadecimal, the 4th the state (0A listens), the 10th the inode.
fn listening(table: &str, port: u16) -> Vec<u64> {
    let of_line = |line: &str| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = columns.get(1)?.rsplit_once(':')?;
        let is_it = u16::from_str_radix(local_port, 16).ok()? == port && *columns.get(3)? == "0A";
        is_it.then(|| columns.get(9)?.parse().ok()).flatten()
    };
    table.lines().skip(1).filter_map(of_line).collect()
}

fn process_with(sockets: &HashSet<u64>) -> Option<Holder> {
    for process in fs::read_dir("/proc").ok()?.flatten() {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        let Ok(files) = fs::read_dir(process.path().join("fd")) else {
            continue;
        };
        let has_it = files.flatten().any(|file| {
            let target = fs::read_link(file.path()).unwrap_or_default();
            let inode = target
                .to_str()
                .and_then(|target| target.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            inode.is_some_and(|inode| sockets.contains(&inode))
        });
        if has_it {
            let name = fs::read_to_string(process.path().join("comm")).unwrap_or_default();
            return Some(Holder {
                pid: Some(pid),
                name: name.trim().to_owned(),
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0000000000000000 100 0 0 10 0
   1: 0100007F:0050 0100007F:9C40 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0000000000000000 100 0 0 10 0
   2: 0100007F:01BB 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0000000000000000 100 0 0 10 0
";
        assert_eq!(listening(table, 80), [4711]);
        assert_eq!(listening(table, 443), [4713]);
        assert!(listening(table, 8080).is_empty());
    }

    #[test]
    fn holders_are_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it is bound").port();
        assert_eq!(holder(port).expect("it is held").pid, Some(std::process::id()));
        drop(listener);
        assert_eq!(holder(port), None);
    }
}
