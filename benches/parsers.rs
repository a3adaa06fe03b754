//! What a control connection costs: framing, parsing, the search for a passive port, relaying a reply.

use std::hint::black_box;

use bytes::Bytes;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use ftplb::ftp::line::{Frame, Framer};
use ftplb::ftp::reply::Replies;
use ftplb::ftp::{command, endpoint};

fn framing(c: &mut Criterion) {
    let block = b"TYPE I\r\nCWD /incoming/2024\r\nPASV\r\nSTOR scan-000017.tif\r\n".repeat(16);
    let mut group = c.benchmark_group("framing");
    group.throughput(Throughput::Bytes(block.len() as u64));
    for portion_bytes in [1, 64, block.len()] {
        group.bench_function(format!("64 commands, {portion_bytes} bytes a read"), |b| {
            b.iter(|| {
                let mut framer = Framer::commands(4096);
                let mut lines = 0;
                for portion in block.chunks(portion_bytes) {
                    framer.push(black_box(portion));
                    while let Some(Frame::Line(line)) = framer.next_frame() {
                        black_box(line);
                        lines += 1;
                    }
                }
                lines
            });
        });
    }
    group.finish();
}

fn commands(c: &mut Criterion) {
    let lines = ["USER anonymous", "pasv", "SITE CHMOD 644 report.txt"];
    for line in lines {
        c.bench_function(&format!("command: {line}"), |b| {
            b.iter(|| black_box(command::parse(black_box(line.as_bytes())).is_ok()));
        });
    }
    c.bench_function("command argument: PORT", |b| {
        b.iter(|| endpoint::parse_port(black_box(b"192,0,2,17,200,10")));
    });
    c.bench_function("command argument: EPRT", |b| {
        b.iter(|| endpoint::parse_eprt(black_box(b"|2|2001:db8::17|51210|")));
    });
}

fn passive_replies(c: &mut Criterion) {
    c.bench_function("scan: 227", |b| {
        b.iter(|| endpoint::scan_227(black_box(b"227 Entering Passive Mode (192,0,2,17,200,10).")));
    });
    c.bench_function("scan: 229", |b| {
        b.iter(|| endpoint::scan_229(black_box(b"229 Entering Extended Passive Mode (|||51210|)")));
    });
    let hostile = b"1,".repeat(4096);
    c.bench_function("scan: 227, 8 KiB of numbers", |b| {
        b.iter(|| endpoint::scan_227(black_box(&hostile)));
    });
    let hostile = b"|".repeat(8192);
    c.bench_function("scan: 229, 8 KiB of delimiters", |b| {
        b.iter(|| endpoint::scan_229(black_box(&hostile)));
    });
}

fn reply_relay(c: &mut Criterion) {
    let inner = b"-rw-r--r-- 1 ftp ftp 1048576 Jan 01 00:00 file.bin\r\n".repeat(100);
    let reply = [b"213-Status follows\r\n", &inner[..], b"213 End\r\n"].concat();
    let mut group = c.benchmark_group("relay");
    group.throughput(Throughput::Bytes(reply.len() as u64));
    group.bench_function("reply of 102 lines", |b| {
        b.iter_batched(
            || (Framer::replies(8192), Replies::new(10_000, 1 << 20)),
            |(mut framer, mut replies)| {
                framer.push(black_box(&reply));
                while let Some(Frame::Line(line)) = framer.next_frame() {
                    black_box(replies.read(line.text).is_ok());
                }
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
    c.bench_function("relay: one line", |b| {
        let mut replies = Replies::new(10_000, 1 << 20);
        let line = Bytes::from_static(b"226 Transfer complete.");
        b.iter(|| black_box(replies.read(line.clone()).is_ok()));
    });
}

criterion_group!(benches, framing, commands, passive_replies, reply_relay);
criterion_main!(benches);
