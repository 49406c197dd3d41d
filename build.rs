//! Selects the stack walker of the target as one `cfg`, `walks_with_framehop`.
//!
//! `RUSTFLAGS="--cfg rheaper_portable_walk"` forces the portable walker, for tests. With
//! `RHEAPER_TEST_GUARDS` set, safeguards can be disabled at run time, for mutation tests.

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=RHEAPER_TEST_GUARDS");
    println!("cargo::rustc-check-cfg=cfg(rheaper_guards)");
    if std::env::var_os("RHEAPER_TEST_GUARDS").is_some() {
        println!(
            "cargo::warning=safeguards can be disabled in this build, which is for tests only"
        );
        println!("cargo::rustc-cfg=rheaper_guards");
    }
    println!("cargo::rustc-check-cfg=cfg(walks_with_framehop)");
    let var = |name: &str| std::env::var(name).unwrap_or_default();
    let has_framehop = var("CARGO_CFG_TARGET_OS") == "linux"
        && var("CARGO_CFG_TARGET_ARCH") == "x86_64"
        && ["gnu", "musl"].contains(&&*var("CARGO_CFG_TARGET_ENV"));
    let is_forced_off = std::env::var_os("CARGO_CFG_RHEAPER_PORTABLE_WALK").is_some();
    if has_framehop && !is_forced_off {
        println!("cargo::rustc-cfg=walks_with_framehop");
    }
}
