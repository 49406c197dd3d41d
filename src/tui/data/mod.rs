//! Time axis, filters and histograms: the data model of the views.

pub mod column_filter;
pub mod histogram;
pub mod time_sql;
pub mod filter;
pub mod time_axis;
