//! How many bytes a server says that a file has, in the reply that begins its transfer: vsftpd, ProFTPD and all that come
//! from BSD's ftpd end their 150 by `(1234 bytes)`. Others say nothing.

/// The number of bytes that a line of a reply names. Nothing is decided by it: a file may have any name.
pub fn scan_extent(line: &[u8]) -> Option<u64> {
    let open = line.iter().rposition(|byte| *byte == b'(')?;
    let inside = line.get(open + 1..)?;
    let digits = { inside.iter() }
        .position(|byte| !byte.is_ascii_digit())
        .and_then(|end| inside.split_at_checked(end));
    let (digits, rest) = digits?;
    let is_bytes = rest.starts_with(b" bytes)") || rest.starts_with(b" byte)");
    let number = std::str::from_utf8(digits).ok().filter(|_| is_bytes)?;
    number.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::scan_extent;

    #[test]
    fn the_number_of_bytes_is_read_as_servers_write_it() {
        for (line, expected) in [
            (
                "150 Opening BINARY mode data connection for big (67108864 bytes).",
                Some(67_108_864),
            ),
            (
                "150 Opening ASCII mode data connection for a (1 byte)",
                Some(1),
            ),
            ("150 for x (2 bytes) (34 bytes)", Some(34)),
            ("150 Opening data connection", None),
            ("150 File status okay (about to open)", None),
            ("150 x ( bytes)", None),
            ("150 x (12 kbytes)", None),
            ("150 x (12", None),
            ("150 x (99999999999999999999999 bytes)", None),
        ] {
            assert_eq!(scan_extent(line.as_bytes()), expected, "{line}");
        }
    }
}
