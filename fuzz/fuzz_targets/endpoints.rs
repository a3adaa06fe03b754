//! See `ftplb::fuzz::endpoints` for what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ftplb::fuzz::endpoints::check(data));
