#![no_main]
#[path = "../doors.rs"]
mod all;
#[path = "../../tests/it/doors.rs"]
mod doors;
#[path = "../../tests/it/support/mod.rs"]
mod support;
#[path = "../../tests/it/tui_driver.rs"]
mod tui_driver;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| all::enter(doors::Door::Header, bytes));
