//! Plots as SVG text: bars and lines; it knows numbers and names, not what they mean.

use super::{add, escape};

/// One horizontal bar, with a thin line between its ends.
pub(super) struct Bar {
    pub(super) name: String,
    pub(super) value: f64,
    pub(super) ends: (f64, f64),
    pub(super) text: String,
    pub(super) is_ours: bool,
}

/// Points that are joined, from left to right.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
}

/// From zero, all to one scale.
pub(super) fn bars(title: &str, bars: &[Bar]) -> String {
    let most = bars.iter().map(|bar| bar.ends.1.max(bar.value)).fold(0.0, f64::max);
    if most <= 0.0 || !most.is_finite() {
        return String::new();
    }
    let scale = (WIDTH - NAMES - VALUES) / most;
    let mut svg = open(title, BAR_STEP * float(bars.len()) + 2.0 * MARGIN);
    for (index, bar) in bars.iter().enumerate() {
        let top = MARGIN + BAR_STEP * float(index);
        let middle = top + BAR_HEIGHT / 2.0;
        let color = if bar.is_ours { OURS } else { OTHERS };
        let (end, left, right) =
            (bar.value * scale, NAMES + bar.ends.0 * scale, NAMES + bar.ends.1 * scale);
        let (name, text) = (escape(&bar.name), escape(&bar.text));
        let base = middle + 4.0;
        add(
            &mut svg,
            format_args!(
                "<text x=\"{:.1}\" y=\"{base:.1}\" text-anchor=\"end\">{name}</text>\
                 <rect x=\"{NAMES:.1}\" y=\"{top:.1}\" width=\"{end:.1}\" height=\"{BAR_HEIGHT:.1}\" fill=\"{color}\"/>\
                 <line x1=\"{left:.1}\" y1=\"{middle:.1}\" x2=\"{right:.1}\" y2=\"{middle:.1}\" stroke=\"#222\"/>\
                 <text x=\"{:.1}\" y=\"{base:.1}\">{text}</text>\n",
                NAMES - 8.0,
                right.max(NAMES + end) + 8.0
            ),
        );
    }
    svg.push_str("</svg>\n");
    svg
}

/// Lines over one pair of axes, each in a colour of its own, with their names beside them.
pub(super) fn lines(frame: &Frame<'_>, lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let Some(place) = frame.places(all()) else { return String::new() };
    let mut svg = open(frame.title, LINES_HEIGHT);
    let (foot, far) = (2.0 * MARGIN + PLOT_HEIGHT, NAMES + PLOT_WIDTH);
    add(
        &mut svg,
        format_args!(
            "<path d=\"M{NAMES:.1} {:.1} V{foot:.1} H{far:.1}\" fill=\"none\" stroke=\"#888\"/>\
             <text x=\"{far:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\
             <text x=\"{NAMES:.1}\" y=\"{MARGIN:.1}\">{}</text>\n",
            2.0 * MARGIN,
            foot + 2.0 * MARGIN,
            escape(frame.across),
            escape(frame.title)
        ),
    );
    frame.add_marks(&mut svg, all(), &place);
    for (index, line) in lines.iter().enumerate() {
        let color = COLORS[index % COLORS.len()];
        let places: Vec<(f64, f64)> = line.points.iter().map(&place).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let (path, name) = (path.join(" L"), escape(&line.name));
        let (key, base) = (far + 2.0 * MARGIN, 3.0 * MARGIN + KEY_STEP * float(index));
        add(
            &mut svg,
            format_args!(
                "<path d=\"M{path}\" fill=\"none\" stroke=\"{color}\" stroke-width=\"2\"/>\
                 <rect x=\"{key:.1}\" y=\"{:.1}\" width=\"10\" height=\"10\" fill=\"{color}\"/>\
                 <text x=\"{:.1}\" y=\"{base:.1}\">{name}</text>\n",
                base - 9.0,
                key + 16.0
            ),
        );
        for ((x, y), (at, value)) in places.iter().zip(&line.points) {
            add(
                &mut svg,
                format_args!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{color}\">\
                     <title>{name}: {} at {}</title></circle>\n",
                    short(*value),
                    short(*at)
                ),
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// What stands around lines.
pub(super) struct Frame<'a> {
    pub(super) title: &'a str,
    pub(super) across: &'a str,
    /// Otherwise both axes begin at zero.
    pub(super) is_logarithmic: bool,
}

impl Frame<'_> {
    /// Where a point is drawn; None where nothing can be.
    fn places<'p>(
        &self,
        points: impl Iterator<Item = &'p (f64, f64)> + Clone,
    ) -> Option<impl Fn(&(f64, f64)) -> (f64, f64)> {
        let is_logarithmic = self.is_logarithmic;
        let scaled = move |value: f64| if is_logarithmic { value.ln() } else { value };
        let ends = |part: fn(&(f64, f64)) -> f64| {
            let values = points.clone().map(part).map(scaled);
            let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
            for value in values {
                (low, high) = (low.min(value), high.max(value));
            }
            // One value alone still gets a place.
            let low = if is_logarithmic { low - 0.1 } else { low.min(0.0) };
            (low.is_finite() && high.is_finite() && high > low).then_some((low, high))
        };
        let (across, up) = (ends(|point| point.0)?, ends(|point| point.1)?);
        Some(move |point: &(f64, f64)| {
            let share = |value: f64, (low, high): (f64, f64)| (scaled(value) - low) / (high - low);
            let (x, y) = (share(point.0, across), share(point.1, up));
            (NAMES + x * PLOT_WIDTH, 2.0 * MARGIN + (1.0 - y) * PLOT_HEIGHT)
        })
    }

    /// The values below and beside the axes: of each place across, and of the most and the least.
    fn add_marks<'p>(
        &self,
        svg: &mut String,
        points: impl Iterator<Item = &'p (f64, f64)>,
        place: &impl Fn(&(f64, f64)) -> (f64, f64),
    ) {
        let mut points: Vec<&(f64, f64)> = points.collect();
        points.sort_by(|one, other| one.0.total_cmp(&other.0));
        let mut free = 0.0;
        for point in &points {
            let (x, _) = place(point);
            if x >= free {
                let (base, text) = (3.0 * MARGIN + PLOT_HEIGHT, short(point.0));
                add(
                    svg,
                    format_args!(
                        "<text x=\"{x:.1}\" y=\"{base:.1}\" text-anchor=\"middle\">{text}</text>\n"
                    ),
                );
                free = x + MARK_ROOM;
            }
        }
        points.sort_by(|one, other| one.1.total_cmp(&other.1));
        for point in [points.first(), points.last()].into_iter().flatten() {
            let ((_, y), text) = (place(point), short(point.1));
            add(
                svg,
                format_args!(
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{text}</text>\n",
                    NAMES - 8.0,
                    y + 4.0
                ),
            );
        }
    }
}

/// With as many digits as a plot needs.
fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 1e6 => format!("{:.1}M", value / 1e6),
        large if large >= 1e4 => format!("{:.0}k", value / 1e3),
        large if large >= 100.0 => format!("{value:.0}"),
        _ => format!("{value:.2}"),
    }
}

fn open(title: &str, height: f64) -> String {
    let title = escape(title);
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH:.0} {height:.0}\" \
         width=\"{WIDTH:.0}\" height=\"{height:.0}\" role=\"img\" aria-label=\"{title}\">\
         <title>{title}</title>\n"
    )
}

#[expect(clippy::cast_precision_loss, reason = "a plot has few bars")]
fn float(number: usize) -> f64 {
    number as f64
}

/// Of the drawing, in its own units, as everything below.
const WIDTH: f64 = 900.0;
const NAMES: f64 = 140.0;
/// Room for the text at the end of the longest bar.
const VALUES: f64 = 110.0;
const BAR_STEP: f64 = 26.0;
const BAR_HEIGHT: f64 = 18.0;
const LINES_HEIGHT: f64 = 300.0;
const PLOT_HEIGHT: f64 = LINES_HEIGHT - 6.0 * MARGIN;
const PLOT_WIDTH: f64 = WIDTH * 0.55;
const KEY_STEP: f64 = 18.0;
/// Between the middles of two texts below an axis.
const MARK_ROOM: f64 = 48.0;
const MARGIN: f64 = 14.0;
const OURS: &str = "#2a7";
const OTHERS: &str = "#9ab";
const COLORS: [&str; 8] = [OURS, "#c52", "#36c", "#a3a", "#987", "#e9a", "#09a", "#444"];

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(name: &str, value: f64) -> Bar {
        let ends = (value / 2.0, value * 2.0);
        Bar { name: name.to_owned(), value, ends, text: "<1>".to_owned(), is_ours: true }
    }

    #[test]
    fn the_longest_bar_with_its_text_fits_and_names_are_escaped() {
        let svg = bars("a & b", &[bar("<one>", 1.0), bar("two", 4.0)]);
        assert!(svg.contains("&lt;one&gt;") && svg.contains("a &amp; b"), "{svg}");
        assert!(!svg.contains("<one>") && !svg.contains("<1>"), "{svg}");
        // The longest line ends where the room for its text begins.
        assert!(svg.contains(&format!("x2=\"{:.1}\"", WIDTH - VALUES)), "{svg}");
        assert_eq!(svg.matches("<rect").count(), 2);
    }

    #[test]
    fn nothing_and_nonsense_are_not_plotted() {
        assert_eq!(bars("", &[]), "");
        assert_eq!(bars("", &[bar("", f64::INFINITY)]), "");
        let empty = Line { name: String::new(), points: Vec::new() };
        assert_eq!(lines(&frame(false), &[empty]), "");
        let nonsense = Line { name: String::new(), points: vec![(0.0, 1.0), (1.0, 2.0)] };
        assert_eq!(lines(&frame(true), &[nonsense]), "", "zero has no logarithm");
    }

    fn frame(is_logarithmic: bool) -> Frame<'static> {
        Frame { title: "t", across: "streams", is_logarithmic }
    }

    #[test]
    fn every_point_of_every_line_is_marked() {
        let line =
            |name: &str| Line { name: name.to_owned(), points: vec![(1.0, 10.0), (2.0, 20.0)] };
        for is_logarithmic in [false, true] {
            let svg = lines(&frame(is_logarithmic), &[line("<n>"), line("other")]);
            assert_eq!(svg.matches("<circle").count(), 4);
            assert!(svg.contains("&lt;n&gt;") && svg.contains("other"), "{svg}");
            assert!(!svg.contains("NaN"), "{svg}");
        }
    }
}
