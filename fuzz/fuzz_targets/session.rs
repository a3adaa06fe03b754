//! See `ftplb::fuzz::session` for what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ftplb::fuzz::session::check(data));
