use proptest::prelude::*;

use super::*;

const MAX: usize = 4096;

fn line(text: &[u8]) -> Frame {
    Frame::Line(Line {
        text: Bytes::copy_from_slice(text),
        interrupt: false,
    })
}

fn interrupted(text: &[u8]) -> Frame {
    Frame::Line(Line {
        text: Bytes::copy_from_slice(text),
        interrupt: true,
    })
}

/// All frames up to the first runaway.
fn drain(framer: &mut Framer, found: &mut Vec<Frame>) {
    while let Some(frame) = framer.next_frame() {
        let is_runaway = frame == Frame::Runaway;
        if !is_runaway || found.last() != Some(&Frame::Runaway) {
            found.push(frame);
        }
        if is_runaway {
            break;
        }
    }
}

fn frames_of(mut framer: Framer, portions: &[&[u8]]) -> Vec<Frame> {
    let mut found = Vec::new();
    for portion in portions {
        if let Some(line) = framer.whole_line(portion) {
            found.push(Frame::Line(line));
            continue;
        }
        framer.push(portion);
        drain(&mut framer, &mut found);
    }
    found
}

fn commands(bytes: &[u8]) -> Vec<Frame> {
    let whole = frames_of(Framer::commands(MAX), &[bytes]);
    let singly: Vec<&[u8]> = bytes.chunks(1).collect();
    assert_eq!(whole, frames_of(Framer::commands(MAX), &singly));
    whole
}

fn holds_heap(framer: &Framer) -> bool {
    framer.begun.is_some()
}

fn holds_bytes(framer: &Framer) -> bool {
    let of = |begun: &Begun| begun.input.capacity() + begun.line.capacity();
    framer.begun.as_ref().is_some_and(|begun| of(begun) > 0)
}

#[test]
fn f1_f2_items_1_and_2_lines_end_in_crlf_or_lf_wherever_reads_end() {
    assert_eq!(commands(b"PASV\n"), [line(b"PASV")]);
    assert_eq!(
        commands(b"NOOP\nDELE x\r\n\r\n\n"),
        [line(b"NOOP"), line(b"DELE x"), line(b""), line(b"")]
    );
    let portions: [&[u8]; 4] = [b"US", b"ER a\r", b"\nPASS b\r\nPW", b"D\r\n"];
    assert_eq!(
        frames_of(Framer::commands(MAX), &portions),
        [line(b"USER a"), line(b"PASS b"), line(b"PWD")]
    );
}

#[test]
fn f3_items_3_to_11_nul_and_inner_cr_stay_in_a_command() {
    assert_eq!(commands(b"MKD a\r\0b\r\n"), [line(b"MKD a\r\0b")]);
    assert_eq!(commands(b"PASV\0\r\n"), [line(b"PASV\0")]);
    assert_eq!(commands(b"\rPASV\r\r\n"), [line(b"\rPASV\r")]);
}

#[test]
fn r10_item_83_nul_is_dropped_from_replies() {
    let bytes = b"22\x000 a\x00\r\x00\n\x00\n";
    assert_eq!(
        frames_of(Framer::replies(MAX), &[bytes]),
        [line(b"220 a"), line(b"")]
    );
}

#[test]
fn r10_a_cr_that_ends_no_line_is_dropped_from_replies() {
    // Python's ftplib would read two replies here.
    let bytes = b"250 a\r226 b\r\n\r220\r\r\r\n\r\n";
    assert_eq!(
        frames_of(Framer::replies(MAX), &[bytes]),
        [line(b"250 a226 b"), line(b"220"), line(b"")]
    );
}

#[test]
fn f7_item_16_overlong_line_is_refused_once_and_the_next_is_read() {
    let fits = [vec![b'A'; MAX - 2], b"\r\nNOOP\r\n".to_vec()].concat();
    assert_eq!(commands(&fits), [line(&[b'A'; MAX - 2]), line(b"NOOP")]);
    for excess in [1, 2, 3, 60_000] {
        for end in ["\r\n", "\n"] {
            let bytes = [&vec![b'A'; MAX - 2 + excess], end.as_bytes(), b"NOOP\r\n"].concat();
            assert_eq!(commands(&bytes), [Frame::TooLong, line(b"NOOP")]);
        }
    }
}

#[test]
fn f7_item_17_a_stream_without_line_end_is_given_up() {
    let bytes = vec![b'A'; 70_000];
    assert_eq!(commands(&bytes), [Frame::TooLong, Frame::Runaway]);
    let mut framer = Framer::commands(MAX);
    framer.push(&bytes);
    assert_eq!(framer.next_frame(), Some(Frame::TooLong));
    for _ in 0..3 {
        assert_eq!(framer.next_frame(), Some(Frame::Runaway));
        framer.push(b"NOOP\r\n");
        assert_eq!(framer.buffered(), 0);
    }
    assert!(!holds_bytes(&framer));
}

#[test]
fn f7_a_line_limit_over_64_kib_moves_the_runaway_limit() {
    let bytes = [vec![b'A'; 100_000], b"\r\n".to_vec()].concat();
    let frames = frames_of(Framer::replies(100_002), &[&bytes]);
    assert_eq!(frames, [line(&bytes[..100_000])]);
}

#[test]
fn f9_item_59_doubled_iac_stays_doubled() {
    assert_eq!(
        commands(b"RETR a\xff\xffb\r\n\xff\xff\n"),
        [line(b"RETR a\xff\xffb"), line(b"\xff\xff")]
    );
}

#[test]
fn f8_iac_that_begins_no_telnet_command_passes() {
    assert_eq!(
        commands(b"RETR \xffa\xef\xff\r\nNOOP\n"),
        [line(b"RETR \xffa\xef\xff"), line(b"NOOP")]
    );
}

#[test]
fn t2_item_57_options_are_refused_and_refusals_ignored() {
    assert_eq!(
        commands(b"\xff\xfb\x01NO\xff\xfd\x06OP\xff\xfc\x01\xff\xfe\n\r\n"),
        [
            Frame::Telnet([0xff, 0xfe, 1]),
            Frame::Telnet([0xff, 0xfc, 6]),
            line(b"NOOP")
        ]
    );
}

#[test]
fn t2_commands_and_subnegotiations_are_stripped() {
    let bytes =
        b"\xff\xf1N\xff\xf9O\xff\xfa\x18\x00\n\xff\xff\xff\x01x\xff\xf0OP\xff\xf0\r\xff\xf1\n";
    assert_eq!(commands(bytes), [line(b"NOOP")]);
}

#[test]
fn t2_item_58_a_long_subnegotiation_is_given_up() {
    let fits = [&b"\xff\xfa"[..], &[b'x'; 256], b"\xff\xf0NOOP\r\n"].concat();
    assert_eq!(commands(&fits), [line(b"NOOP")]);
    let too_long = [&b"\xff\xfa"[..], &[b'x'; 257], b"\xff\xf0NOOP\r\n"].concat();
    assert_eq!(commands(&too_long), [Frame::Runaway]);
    let escapes = [&b"\xff\xfa"[..], &[0xff; 258], b"\xff\xf0NOOP\r\n"].concat();
    assert_eq!(commands(&escapes), [Frame::Runaway]);
}

#[test]
fn t2_more_than_64_requests_between_two_lines_are_given_up() {
    let requests = |count| b"\xff\xfb\x01".repeat(count);
    let lines = [requests(64), b"\n".to_vec(), requests(64), b"\n".to_vec()].concat();
    let frames = commands(&lines);
    assert_eq!(frames.len(), 130);
    assert!(!frames.contains(&Frame::Runaway));
    let frames = commands(&requests(65));
    assert_eq!(frames.len(), 65);
    assert_eq!(frames.last(), Some(&Frame::Runaway));
}

#[test]
fn t3_telnet_before_a_reply_is_stripped() {
    let portions: [&[u8]; 2] = [b"\xff\xfe\x01\xff", b"\xfc\x06220 ready\r\n"];
    assert_eq!(
        frames_of(Framer::replies(MAX), &portions),
        [line(b"220 ready")]
    );
}

#[test]
fn t4_t6_items_54_to_56_each_way_to_abort_is_one_line() {
    let encodings: [(&[u8], Frame); 4] = [
        (b"ABOR\r\n", line(b"ABOR")),
        (b"\xff\xf4\xff\xf2ABOR\r\n", interrupted(b"ABOR")),
        (b"\xff\xf4ABOR\r\n", interrupted(b"ABOR")),
        (b"AB\xff\xf2OR\r\n", interrupted(b"ABOR")),
    ];
    for (bytes, frame) in encodings {
        let after = [bytes, b"NOOP\r\n"].concat();
        assert_eq!(commands(&after), [frame, line(b"NOOP")]);
    }
    let overlong = [b"\xff\xf4", &[b'A'; MAX][..], b"\nNOOP\n"].concat();
    assert_eq!(commands(&overlong), [Frame::TooLong, line(b"NOOP")]);
}

#[test]
fn o2_an_unfinished_line_is_known() {
    let unfinished: [&[u8]; 6] = [
        b"N",
        b"NOOP\r\nN",
        b"\xff",
        b"\xff\xfb",
        b"\xff\xfa\x01",
        &[b'A'; MAX + 1],
    ];
    for bytes in unfinished {
        let mut framer = Framer::commands(MAX);
        framer.push(bytes);
        drain(&mut framer, &mut Vec::new());
        assert!(framer.is_mid_line());
        framer.push(b"\xff\xf0\n\n");
        drain(&mut framer, &mut Vec::new());
        assert!(!framer.is_mid_line());
    }
}

#[test]
fn x2_bytes_after_a_line_are_counted_as_buffered() {
    let mut framer = Framer::commands(MAX);
    framer.push(b"AUTH TLS\r\nUSER x\r\n");
    assert_eq!(framer.next_frame(), Some(line(b"AUTH TLS")));
    assert_eq!(framer.buffered(), 8);
    assert_eq!(framer.next_frame(), Some(line(b"USER x")));
    assert_eq!(framer.buffered(), 0);
    framer.push(b"N\xff");
    assert_eq!(framer.next_frame(), None);
    assert_eq!(framer.buffered(), 2);
}

#[test]
fn between_lines_a_framer_is_small_and_holds_no_heap() {
    assert!(size_of::<Framer>() <= 24, "{}", size_of::<Framer>());
    let fragments: [&[u8]; 5] = [
        b"NOOP\r\n",
        b"USER a\r\nPASS b\r\n",
        b"NO\xff\xf1OP\r\n",
        b"\xff\xfb\x01\r\n",
        b"\r\n",
    ];
    for bytes in fragments {
        for size in [1, 3, 100] {
            let mut framer = Framer::commands(MAX);
            for portion in bytes.chunks(size) {
                framer.push(portion);
                drain(&mut framer, &mut Vec::new());
            }
            assert!(!holds_heap(&framer));
        }
    }
}

#[test]
fn nothing_is_held_once_the_last_line_has_been_taken() {
    let mut framer = Framer::commands(MAX);
    framer.push(b"USER a\r\nPASS b\r\n");
    let lines = [framer.next_frame(), framer.next_frame()];
    assert_eq!(lines, [Some(line(b"USER a")), Some(line(b"PASS b"))]);
    assert!(!holds_heap(&framer));
}

#[test]
fn whole_lines_share_the_storage_they_arrived_in() {
    let mut framer = Framer::commands(MAX);
    framer.push(b"USER a\r\nPASS b\r\n");
    let start = framer.begun.as_ref().unwrap().input.as_ptr();
    let Some(Frame::Line(first)) = framer.next_frame() else {
        panic!("a line");
    };
    let Some(Frame::Line(second)) = framer.next_frame() else {
        panic!("a line");
    };
    assert_eq!(first.text.as_ptr(), start);
    assert_eq!(second.text.as_ptr(), start.wrapping_add(8));
}

#[test]
fn a_whole_line_is_taken_only_where_nothing_else_is_to_be_done() {
    let text = |bytes: &[u8], framer: Framer| framer.whole_line(bytes).map(|line| line.text);
    assert_eq!(text(b"NOOP\r\n", Framer::commands(8)), Some("NOOP".into()));
    assert_eq!(text(b"NOOP\n", Framer::commands(8)), Some("NOOP".into()));
    assert_eq!(
        text(b"a\rb\0\n", Framer::commands(8)),
        Some("a\rb\0".into())
    );
    for bytes in ["NOOP", "NOOP\r\n\n", "a\nb", "", "EIGHT 8\n"] {
        assert_eq!(
            text(bytes.as_bytes(), Framer::commands(8)),
            None,
            "{bytes:?}"
        );
    }
    assert_eq!(text(b"\xff\xf1\n", Framer::commands(8)), None);
    for bytes in [b"a\rb\n", b"a\0b\n"] {
        assert_eq!(text(bytes, Framer::replies(8)), None);
    }
    let mut framer = Framer::commands(8);
    framer.push(b"NO");
    assert_eq!(framer.next_frame(), None);
    assert_eq!(text(b"OP\n", framer), None);
}

/// Bytes that mean something to a framer, in proportions that reach its limits.
fn stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => proptest::collection::vec(
            proptest::sample::select(b"A \r\n\0\xff\xfa\xfb\xfd\xf0\xf2\xf4\x01".to_vec()),
            0..12,
        ),
        2 => Just(b"NOOP\r\n".to_vec()),
        1 => proptest::collection::vec(any::<u8>(), 0..20),
        1 => (0..40_usize).prop_map(|count| b"\xff\xfd\x01".repeat(count)),
        1 => (0..300_usize).prop_map(|count| [b"\xff\xfa", &vec![b's'; count][..]].concat()),
        1 => (0..40_000_usize).prop_map(|count| vec![b'A'; count]),
        1 => (0..20_000_usize).prop_map(|count| b"\xff\xf1".repeat(count)),
    ];
    proptest::collection::vec(piece, 0..12).prop_map(|pieces| pieces.concat())
}

fn chunked(mut bytes: &[u8], sizes: &[usize]) -> Vec<Vec<u8>> {
    let mut portions = Vec::new();
    for &size in sizes.iter().cycle() {
        if bytes.is_empty() {
            break;
        }
        let (portion, rest) = bytes.split_at(size.min(bytes.len()));
        portions.push(portion.to_vec());
        bytes = rest;
    }
    portions
}

proptest! {
    #[test]
    fn f1_any_portions_of_the_same_bytes_give_the_same_frames(
        bytes in stream(),
        sizes in proptest::collection::vec(1..5000_usize, 1..6),
        small in proptest::collection::vec(1..5_usize, 1..6),
        max in prop_oneof![0..40_usize, Just(MAX), 60_000..80_000_usize],
        is_reply in any::<bool>(),
    ) {
        let framer = || if is_reply { Framer::replies(max) } else { Framer::commands(max) };
        let whole = frames_of(framer(), &[&bytes]);
        for sizes in [sizes, small] {
            let portions = chunked(&bytes, &sizes);
            let portions: Vec<&[u8]> = portions.iter().map(Vec::as_slice).collect();
            prop_assert_eq!(&frames_of(framer(), &portions), &whole);
        }
    }

    #[test]
    fn no_line_has_an_lf_or_is_longer_than_allowed(bytes in stream(), max in 2..5000_usize) {
        for frame in frames_of(Framer::replies(max), &[&bytes]) {
            if let Frame::Line(line) = frame {
                prop_assert!(line.text.len() + CRLF_BYTES <= max);
                prop_assert!(!line.text.contains(&LF));
                prop_assert!(!line.text.contains(&NUL));
            }
        }
    }
}
