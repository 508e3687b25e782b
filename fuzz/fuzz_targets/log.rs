#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| change_events_fuzz::log(input));
