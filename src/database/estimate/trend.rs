//! Least-squares lines, and the rates that may be derived from them.
//!
//! Invariant: this is the only definition of slope and fit.

/// Least number of points for a line.
const POINTS_MIN: usize = 8;
/// Least R² for a rate.
pub const FIT_MIN: f64 = 0.5;
/// A rate per second needs at least a second of data, a rate per hour at least a minute: a larger
/// extrapolation would be a guess.
const SECOND_NS: u64 = 1_000_000_000;
const MINUTE_NS: u64 = 60 * SECOND_NS;

/// A least-squares line.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Trend {
    /// The slope, in y per x.
    pub slope: f64,
    /// R²: the share of the variance that the line explains, 0 to 1; 0 if the points do not vary.
    pub fit: f64,
}

/// The line through points (x, y); `None` for fewer than eight points, or if all have the same x.
///
/// ```
/// use rheaper::database::estimate::trend;
///
/// let line = trend::through((0..10).map(|x| (f64::from(x), 2.0 * f64::from(x) + 1.0)));
/// assert_eq!(line.map(|line| (line.slope, line.fit)), Some((2.0, 1.0)));
/// assert_eq!(trend::through((0..7).map(|x| (f64::from(x), 0.0))), None);
/// ```
pub fn through(points: impl Iterator<Item = (f64, f64)> + Clone) -> Option<Trend> {
    let (count, sum_x, sum_y) = points
        .clone()
        .fold((0_usize, 0.0, 0.0), |(count, xs, ys), (x, y)| (count + 1, xs + x, ys + y));
    if count < POINTS_MIN {
        return None;
    }
    let (mean_x, mean_y) = (sum_x / count as f64, sum_y / count as f64);
    let (mut xx, mut xy, mut yy) = (0.0, 0.0, 0.0);
    for (x, y) in points {
        let (x, y) = (x - mean_x, y - mean_y);
        xx += x * x;
        xy += x * y;
        yy += y * y;
    }
    if xx == 0.0 {
        return None;
    }
    let fit = if yy > 0.0 { (xy * xy / (xx * yy)).min(1.0) } else { 0.0 };
    Some(Trend { slope: xy / xx, fit })
}

/// The unit of a rate over `stretch_ns` nanoseconds: its nanoseconds and its name. `None` if that is
/// too short, or the fit too poor.
pub fn rate_unit(stretch_ns: u64, fit: f64) -> Option<(u64, &'static str)> {
    match stretch_ns {
        _ if fit < FIT_MIN => None,
        MINUTE_NS.. => Some((60 * MINUTE_NS, "per hour")),
        SECOND_NS.. => Some((SECOND_NS, "per second")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::database::estimate::trend::{rate_unit, through};

    #[test]
    fn a_flat_curve_has_no_fit_and_noise_little() {
        let flat = through((0..20).map(|x| (f64::from(x), 5.0))).unwrap();
        assert_eq!((flat.slope, flat.fit), (0.0, 0.0));
        let noise = through((0..100).map(|x| (f64::from(x), f64::from(x * 7919 % 101)))).unwrap();
        assert!(noise.fit < 0.1, "{noise:?}");
        assert_eq!(through([(1.0, 2.0); 9].into_iter()), None);
    }

    #[test]
    fn short_stretches_have_no_rate() {
        let unit = |seconds: f64, fit| rate_unit((seconds * 1e9) as u64, fit).map(|unit| unit.1);
        assert_eq!(unit(0.002, 1.0), None);
        assert_eq!(unit(0.999, 1.0), None);
        assert_eq!(unit(1.0, 1.0), Some("per second"));
        assert_eq!(unit(59.9, 0.9), Some("per second"));
        assert_eq!(unit(60.0, 0.5), Some("per hour"));
        assert_eq!(unit(6000.0, 0.49), None);
    }
}
