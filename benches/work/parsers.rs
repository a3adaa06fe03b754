//! What a control connection costs: framing, parsing, the search for a passive port, relaying a reply.

use std::hint::black_box;

use bytes::Bytes;
use ftplb::ftp::line::{Frame, Framer};
use ftplb::ftp::reply::Replies;
use ftplb::ftp::{command, endpoint};

use super::Work;

pub(super) fn all() -> Vec<Work> {
    let numbers = b"1,".repeat(4096);
    let delimiters = b"|".repeat(8192);
    let framer = Framer::commands(4096);
    let mut one_line = Replies::new(10_000, 1 << 20);
    vec![
        framing("framing: 64 commands, 1 byte a read", 1),
        framing("framing: 64 commands, 64 bytes a read", 64),
        framing("framing: 64 commands, one read", usize::MAX),
        Work::new("framing: a command that is a read", move || {
            black_box(
                framer
                    .whole_line(black_box(b"RETR report.txt\r\n"))
                    .is_some(),
            );
        }),
        command("command: USER anonymous", b"USER anonymous"),
        command("command: pasv", b"pasv"),
        command("command: SITE CHMOD", b"SITE CHMOD 644 report.txt"),
        Work::new("argument: PORT", || {
            black_box(endpoint::parse_port(black_box(b"192,0,2,17,200,10")).is_ok());
        }),
        Work::new("argument: EPRT", || {
            black_box(endpoint::parse_eprt(black_box(b"|2|2001:db8::17|51210|")).is_ok());
        }),
        Work::new("scan: 227", || {
            let reply = b"227 Entering Passive Mode (192,0,2,17,200,10).";
            black_box(endpoint::scan_227(black_box(reply)).is_some());
        }),
        Work::new("scan: 229", || {
            let reply = b"229 Entering Extended Passive Mode (|||51210|)";
            black_box(endpoint::scan_229(black_box(reply)).is_some());
        }),
        Work::new("scan: 227, 8 KiB of numbers", move || {
            black_box(endpoint::scan_227(black_box(&numbers)).is_some());
        }),
        Work::new("scan: 229, 8 KiB of delimiters", move || {
            black_box(endpoint::scan_229(black_box(&delimiters)).is_some());
        }),
        listing(),
        Work::new("relay: a reply of one line", move || {
            let line = Bytes::from_static(b"226 Transfer complete.");
            black_box(one_line.read(line).is_ok());
        }),
    ]
}

fn framing(name: &'static str, portion_bytes: usize) -> Work {
    let block = b"TYPE I\r\nCWD /incoming/2024\r\nPASV\r\nSTOR scan-000017.tif\r\n".repeat(16);
    let portion_bytes = portion_bytes.min(block.len());
    Work::new(name, move || {
        let mut framer = Framer::commands(4096);
        let mut lines = 0;
        for portion in block.chunks(portion_bytes) {
            framer.push(black_box(portion));
            while let Some(Frame::Line(line)) = framer.next_frame() {
                black_box(line);
                lines += 1;
            }
        }
        assert_eq!(lines, 64);
    })
}

fn command(name: &'static str, line: &'static [u8]) -> Work {
    Work::new(name, || {
        black_box(command::parse(black_box(line)).is_ok());
    })
}

fn listing() -> Work {
    let inner = b"-rw-r--r-- 1 ftp ftp 1048576 Jan 01 00:00 file.bin\r\n".repeat(100);
    let reply = [b"213-Status follows\r\n", &inner[..], b"213 End\r\n"].concat();
    Work::new("relay: a reply of 102 lines", move || {
        let mut framer = Framer::replies(8192);
        let mut replies = Replies::new(10_000, 1 << 20);
        framer.push(black_box(&reply));
        while let Some(Frame::Line(line)) = framer.next_frame() {
            black_box(replies.read(line.text).is_ok());
        }
    })
}
