//! Loads: recording → pairing → symbols → SQLite.
