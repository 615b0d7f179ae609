//! A chart of stacked bars over time, as SVG.

use crate::log::time;
use crate::tally::Timeline;
use crate::text::thousands;
use jiff::Timestamp;
use std::fmt::{self, Display};

const WIDTH: f64 = 960.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;
/// The minimum height of one series in a bar, so that a few requests among many are visible.
const MIN_HEIGHT: f64 = 1.5;
const MAX_TIME_TICKS: u64 = 8;
const MAX_COUNT_TICKS: u64 = 5;
const SECOND_NS: u64 = 1_000_000_000;
const DAY_NS: u64 = 86_400 * SECOND_NS;

/// One data series, with its own color in the bars.
#[derive(Clone, Copy, Debug)]
pub struct Series {
    /// The CSS class that sets its color.
    pub class: &'static str,
    /// Its label.
    pub label: &'static str,
}

/// A chart of stacked bars.
#[derive(Debug)]
pub struct Chart<'c> {
    /// An id that is unique on the page.
    pub id: String,
    /// A short title, escaped.
    pub title: String,
    /// The height of the drawing, in SVG units. The width is 960.
    pub height: f64,
    /// The series, from the bottom of the stack up.
    pub series: &'c [Series],
    /// For each time bucket, the count of each series.
    pub bars: Vec<Vec<u64>>,
    /// The times of the bars.
    pub timeline: &'c Timeline,
}

impl Display for Chart<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.legend(f)?;
        let (id, height) = (&self.id, self.height);
        writeln!(
            f,
            "<div class=\"scroll\"><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-labelledby=\"{id}-title {id}-desc\">"
        )?;
        writeln!(f, "<title id=\"{id}-title\">{}</title>", self.title)?;
        writeln!(f, "<desc id=\"{id}-desc\">{}</desc>", self.description())?;
        let step = count_step(self.tallest());
        let top = self.tallest().div_ceil(step) * step;
        self.count_axis(f, step, top)?;
        self.time_axis(f)?;
        self.stacks(f, top)?;
        writeln!(f, "</svg></div>")
    }
}

impl Chart<'_> {
    fn tallest(&self) -> u64 {
        self.bars.iter().map(|bar| bar.iter().sum()).max().unwrap_or(0).max(1)
    }

    fn description(&self) -> String {
        let sums = self.series.iter().enumerate().map(|(index, series)| {
            let sum: u64 = self.bars.iter().map(|bar| bar[index]).sum();
            format!("{} {}", thousands(sum), series.label)
        });
        let sums = sums.collect::<Vec<_>>().join(", ");
        let width = time::span(self.timeline.width_ns);
        format!("Stacked bars, one per {width}. Total: {sums}.")
    }

    fn legend(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<ul class=\"legend\">")?;
        for series in self.series {
            write!(f, "<li class=\"{}\">{}</li>", series.class, series.label)?;
        }
        writeln!(
            f,
            "<li class=\"unit\">requests per {}</li></ul>",
            time::span(self.timeline.width_ns)
        )
    }

    fn baseline(&self) -> f64 {
        self.height - BOTTOM
    }

    fn y(&self, count: u64, top: u64) -> f64 {
        self.baseline() - (self.baseline() - TOP) * count as f64 / top as f64
    }

    fn count_axis(&self, f: &mut fmt::Formatter<'_>, step: u64, top: u64) -> fmt::Result {
        for count in (0..=top / step).map(|tick| tick * step) {
            let y = self.y(count, top);
            let class = if count == 0 { "baseline" } else { "grid" };
            writeln!(
                f,
                "<line class=\"{class}\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>",
                WIDTH - RIGHT
            )?;
            let (x, y) = (LEFT - 8.0, y + 4.0);
            writeln!(
                f,
                "<text class=\"count\" x=\"{x}\" y=\"{y:.1}\">{}</text>",
                thousands(count)
            )?;
        }
        Ok(())
    }

    fn time_axis(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Timeline { start_ns, width_ns, .. } = *self.timeline;
        let end_ns = start_ns.saturating_add(width_ns.saturating_mul(self.bars.len() as u64));
        let step = time_step(end_ns - start_ns, width_ns);
        let mut tick_ns = start_ns.div_ceil(step) * step;
        while tick_ns < end_ns {
            let share = (tick_ns - start_ns) as f64 / (end_ns - start_ns) as f64;
            let x = LEFT + (WIDTH - LEFT - RIGHT) * share;
            let baseline = self.baseline();
            writeln!(
                f,
                "<line class=\"tick\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{baseline}\" y2=\"{}\"/>",
                baseline + 5.0
            )?;
            let label = time_label(tick_ns, step);
            // A label too close to the right edge would be cut off.
            if x < WIDTH - RIGHT - 20.0 {
                writeln!(
                    f,
                    "<text class=\"time\" x=\"{x:.1}\" y=\"{}\">{label}</text>",
                    baseline + 19.0
                )?;
            }
            tick_ns = tick_ns.saturating_add(step);
        }
        let x = LEFT + (WIDTH - LEFT - RIGHT) / 2.0;
        writeln!(f, "<text class=\"axis\" x=\"{x}\" y=\"{}\">time (UTC)</text>", self.height - 6.0)
    }

    fn stacks(&self, f: &mut fmt::Formatter<'_>, top: u64) -> fmt::Result {
        let slot = (WIDTH - LEFT - RIGHT) / self.bars.len().max(1) as f64;
        let gap = (slot * 0.18).min(2.0);
        let width = (slot - gap).min(64.0);
        for (index, bar) in self.bars.iter().enumerate() {
            if bar.iter().all(|count| *count == 0) {
                continue;
            }
            let slot_left = LEFT + slot * index as f64;
            let left = slot_left + (slot - width) / 2.0;
            write!(f, "<g><title>{}</title>", self.tooltip(index, bar))?;
            write!(
                f,
                "<rect class=\"hover\" x=\"{slot_left:.2}\" y=\"{TOP}\" width=\"{slot:.2}\" height=\"{:.2}\"/>",
                self.baseline() - TOP
            )?;
            let mut base = 0;
            for (series, count) in self.series.iter().zip(bar).filter(|(_, count)| **count > 0) {
                let low = self.y(base, top);
                let high = self.y(base + count, top).min(low - MIN_HEIGHT);
                base += count;
                write!(
                    f,
                    "<rect class=\"{}\" x=\"{left:.2}\" y=\"{high:.2}\" width=\"{width:.2}\" height=\"{:.2}\"/>",
                    series.class,
                    low - high
                )?;
            }
            writeln!(f, "</g>")?;
        }
        Ok(())
    }

    /// The tooltip of a bar.
    fn tooltip(&self, index: usize, bar: &[u64]) -> String {
        let start = self.timeline.start_ns + self.timeline.width_ns * index as u64;
        let counts = self
            .series
            .iter()
            .zip(bar)
            .map(|(series, count)| format!("{} {}", thousands(*count), series.label));
        format!("{}: {}", time::rfc3339(start), counts.collect::<Vec<_>>().join(", "))
    }
}

/// The distance between ticks on the count axis: 1, 2 or 5 times a power of ten.
fn count_step(tallest: u64) -> u64 {
    let mut step = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            let step = step.saturating_mul(factor);
            if tallest.div_ceil(step) <= MAX_COUNT_TICKS {
                return step;
            }
        }
        step = step.saturating_mul(10);
    }
}

/// The distance between ticks on the time axis: if possible a round length of time, such as 5 minutes or
/// 1 day.
fn time_step(span_ns: u64, bucket_ns: u64) -> u64 {
    const STEPS_S: [u64; 17] = [
        1, 5, 10, 30, 60, 300, 600, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800,
        604_800, 2_592_000,
    ];
    let fits = |step: &u64| span_ns / step <= MAX_TIME_TICKS;
    let steps =
        STEPS_S.iter().map(|step| step * SECOND_NS).filter(|step| *step >= bucket_ns.min(DAY_NS));
    let few = [bucket_ns].into_iter().filter(|step| *step < SECOND_NS);
    few.chain(steps).find(fits).unwrap_or(span_ns.div_ceil(MAX_TIME_TICKS).max(1))
}

/// The label of a tick, as precise as the distance between ticks needs.
fn time_label(unix_ns: u64, step: u64) -> impl Display {
    let format = match step {
        ..SECOND_NS => "%H:%M:%S%.3f",
        SECOND_NS..60_000_000_000 => "%H:%M:%S",
        60_000_000_000..DAY_NS if unix_ns.is_multiple_of(DAY_NS) => "%-d %b",
        60_000_000_000..DAY_NS => "%H:%M",
        _ => "%-d %b %Y",
    };
    let instant = Timestamp::from_nanosecond(i128::from(unix_ns)).unwrap_or(Timestamp::MAX);
    instant.strftime(format)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tick_distances_are_round_and_give_few_ticks() {
        let steps = [1, 5, 6, 40, 99, 2_400, 1_000_000].map(count_step);
        assert_eq!(steps, [1, 1, 2, 10, 20, 500, 200_000]);
        assert_eq!(count_step(u64::MAX) % 10, 0);
        assert_eq!(time_step(DAY_NS, 900 * SECOND_NS), 10_800 * SECOND_NS);
        assert_eq!(time_step(4 * DAY_NS, 3_600 * SECOND_NS), 43_200 * SECOND_NS);
        assert_eq!(time_step(SECOND_NS, SECOND_NS), SECOND_NS);
    }

    #[test]
    fn every_time_span_has_ticks() {
        let mut span_ns = 1_u64;
        while let Some(longer) = span_ns.checked_mul(3) {
            let step = time_step(span_ns, (span_ns / 96).max(1));
            assert!(step > 0 && span_ns / step <= MAX_TIME_TICKS, "{span_ns}");
            span_ns = longer;
        }
    }
}
