//! Names of files and directories, in commands and replies. Servers have their own ideas of paths; what is
//! here is no more than what RFC 959 and RFC 1123 say, and whoever asks has to live with `None`.

/// The directory that a reply to PWD names (RFC 959, appendix II): between the first quotes, those within
/// it doubled. `None` if it is not absolute.
pub fn scan_257(line: &[u8]) -> Option<Vec<u8>> {
    let start = memchr::memchr(b'"', line)? + 1;
    let mut path = Vec::new();
    let mut rest = line.get(start..)?.iter().copied().peekable();
    while let Some(byte) = rest.next() {
        if byte == b'"' && rest.next_if_eq(&b'"').is_none() {
            return is_absolute(&path).then_some(path);
        }
        path.push(byte);
    }
    None
}

/// The name that a server has chosen for STOU (RFC 1123 §4.1.2.9): `150 FILE: name`.
pub fn scan_unique_name(line: &[u8]) -> Option<&[u8]> {
    const MARK: &[u8] = b"FILE: ";
    let start = line.windows(MARK.len()).position(|at| at == MARK)? + MARK.len();
    line.get(start..).filter(|name| !name.is_empty())
}

/// Whether a path begins at the root.
pub fn is_absolute(path: &[u8]) -> bool {
    path.first() == Some(&b'/')
}

/// What `path` is called from the root, if it is said in `directory`; `None` if that can not be known:
/// `~` is somebody's home, and a backslash may be a separator, or not.
///
/// Nothing is made shorter: `..` behind a symbolic link leads where only the server knows.
pub fn absolute(directory: Option<&[u8]>, path: &[u8]) -> Option<Vec<u8>> {
    let is_plain = !path.is_empty() && path.first() != Some(&b'~') && !path.contains(&b'\\');
    if !is_plain || is_absolute(path) {
        return is_plain.then(|| path.to_vec());
    }
    let mut whole = directory?.to_vec();
    if !whole.ends_with(b"/") {
        whole.push(b'/');
    }
    whole.extend_from_slice(path);
    Some(whole)
}

/// The directory that `directory` is in. It must have no symbolic link at its end: a server's own answer to
/// PWD has none.
pub fn parent(directory: &[u8]) -> Vec<u8> {
    let trimmed = directory.strip_suffix(b"/").unwrap_or(directory);
    let end = memchr::memrchr(b'/', trimmed).unwrap_or(0);
    // The root is its own parent.
    trimmed.get(..end.max(1)).unwrap_or(b"/").to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reply_to_pwd_names_the_directory_in_quotes() {
        for (line, path) in [
            (&b"257 \"/in\" is the current directory"[..], Some("/in")),
            (b"257 \"/\"", Some("/")),
            (b"257 \"/a \"\"b\"\"\" is it", Some("/a \"b\"")),
            (b"257 Current directory is \"/x/y\"", Some("/x/y")),
            (b"257 \"in\" created", None),
            (b"257 /in", None),
            (b"257 \"/in", None),
            (b"257 \"/in\"\"", None),
            (b"257 \"\"", None),
        ] {
            let found = scan_257(line);
            let text = line.escape_ascii();
            assert_eq!(found.as_deref(), path.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn the_name_that_the_server_chose_is_found() {
        let found = scan_unique_name(b"150 FILE: report.1");
        assert_eq!(found, Some(&b"report.1"[..]));
        for line in [&b"150 FILE: "[..], b"150 FILE:x", b"150 go on", b""] {
            assert_eq!(scan_unique_name(line), None);
        }
    }

    #[test]
    fn a_path_is_absolute_only_where_that_is_certain() {
        for (directory, path, is) in [
            (Some("/in"), "a b", Some("/in/a b")),
            (Some("/"), "a", Some("/a")),
            (Some("/in"), "/out/a", Some("/out/a")),
            (Some("/in"), "../a", Some("/in/../a")),
            (None, "/out/a", Some("/out/a")),
            (None, "a", None),
            (Some("/in"), "~joe/a", None),
            (Some("/in"), "~", None),
            (Some("/in"), "\\out\\a", None),
            (Some("/in"), "", None),
        ] {
            let found = absolute(directory.map(str::as_bytes), path.as_bytes());
            assert_eq!(found.as_deref(), is.map(str::as_bytes), "{path}");
        }
    }

    #[test]
    fn the_parent_is_one_up_and_never_above_the_root() {
        for (directory, is) in [("/a/b", "/a"), ("/a/b/", "/a"), ("/a", "/"), ("/", "/")] {
            assert_eq!(parent(directory.as_bytes()), is.as_bytes(), "{directory}");
        }
    }
}
