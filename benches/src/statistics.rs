//! Medians, percentiles, and the time that is covered by intervals.

use std::time::{Duration, Instant};

/// The middle value; of an even number, the upper of the two.
pub(crate) fn median(values: impl IntoIterator<Item = Duration>) -> Duration {
    percentile(values, 50)
}

/// The value that so many of a hundred do not exceed, as measured and not interpolated.
pub(crate) fn percentile(values: impl IntoIterator<Item = Duration>, percent: usize) -> Duration {
    let mut values: Vec<_> = values.into_iter().collect();
    values.sort();
    let index = (values.len() * percent / 100).min(values.len().saturating_sub(1));
    values.get(index).copied().unwrap_or_default()
}

/// How much of the time between two instants lies in at least one of the intervals.
pub(crate) fn covered(
    intervals: impl IntoIterator<Item = (Instant, Instant)>,
    from: Instant,
    until: Instant,
) -> Duration {
    let clip = |(began, ended): (Instant, Instant)| (began.max(from), ended.min(until));
    let mut intervals: Vec<_> =
        intervals.into_iter().map(clip).filter(|(began, ended)| began < ended).collect();
    intervals.sort();
    let (mut covered, mut reached) = (Duration::ZERO, from);
    for (began, ended) in intervals {
        covered += ended.saturating_duration_since(began.max(reached));
        reached = reached.max(ended);
    }
    covered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_measured_values() {
        let values = || (1..=1000).rev().map(Duration::from_micros);
        assert_eq!(median(values()), Duration::from_micros(501));
        assert_eq!(percentile(values(), 99), Duration::from_micros(991));
        assert_eq!(percentile(values(), 100), Duration::from_micros(1000));
        assert_eq!(median([]), Duration::ZERO);
    }

    #[test]
    fn time_that_several_intervals_cover_counts_once() {
        let start = Instant::now();
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        for (intervals, expected) in [
            (vec![], 0),
            (vec![(20, 30), (10, 15)], 15),
            (vec![(10, 20), (15, 40), (16, 18)], 30),
            (vec![(0, 12), (95, 200), (200, 300)], 7),
        ] {
            let found =
                covered(intervals.iter().map(|(began, ended)| (at(*began), at(*ended))), at(10), at(100));
            assert_eq!(found, Duration::from_millis(expected), "{intervals:?}");
        }
    }
}
