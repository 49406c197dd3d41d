#![no_main]
#[path = "../doors.rs"]
mod all;
#[path = "../../tests/it/synthetic/mod.rs"]
mod synthetic;
mod recording {
    #[path = "../../../tests/it/recording/untrusted_inputs.rs"]
    pub mod untrusted_inputs;
}
mod tui {
    #[path = "../../../tests/it/tui/driver.rs"]
    pub mod driver;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| all::enter(recording::untrusted_inputs::Door::Keys, bytes));
