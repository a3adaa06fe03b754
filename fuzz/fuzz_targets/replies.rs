//! See `ftplb::fuzz::replies` for what must hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| ftplb::fuzz::replies::check(data));
