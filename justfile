# Shortcuts; `just` lists them.

_list:
    @just --list

# everything that CI runs
ci:
    .ci/run

# the tests
test *args:
    cargo test {{ args }}

# lints of each feature set
lint:
    cargo fmt --check
    cargo clippy --all-targets --locked -- -D warnings
    cargo clippy --no-default-features --features collector --locked -- -D warnings
    cargo clippy --no-default-features --features cli --locked -- -D warnings

# accept the explorer's screens as they are drawn now, in snapshots and documents
screens:
    INSTA_UPDATE=always RHEAPER_BLESS=1 cargo test --test it tui::screens tui::themes

# instructions per event against the kept result
instructions:
    benches/peers/instructions --check 1

# the two commands of the README in a new Debian root (needs root and debootstrap)
fresh-root:
    tests/fresh-root

# a leaky service, recorded and opened
demo:
    cargo run --release -- demo
