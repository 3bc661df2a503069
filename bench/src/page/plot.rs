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

/// With both axes from zero.
pub(super) fn lines(title: &str, across: &str, lines: &[Line]) -> String {
    let all = || lines.iter().flat_map(|line| &line.points);
    let right = all().map(|point| point.0).fold(0.0, f64::max);
    let top = all().map(|point| point.1).fold(0.0, f64::max);
    if !(right > 0.0 && top > 0.0 && right.is_finite() && top.is_finite()) {
        return String::new();
    }
    let (width, height) = (WIDTH / 2.0 - NAMES - MARGIN, LINES_HEIGHT - 4.0 * MARGIN);
    let place = |point: &(f64, f64)| {
        (NAMES + point.0 / right * width, 2.0 * MARGIN + (1.0 - point.1 / top) * height)
    };
    let mut svg = open(title, LINES_HEIGHT);
    let (foot, far) = (2.0 * MARGIN + height, NAMES + width);
    add(
        &mut svg,
        format_args!(
            "<path d=\"M{NAMES:.1} {:.1} V{foot:.1} H{far:.1}\" fill=\"none\" stroke=\"#888\"/>\
             <text x=\"{far:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>\n",
            2.0 * MARGIN,
            foot + 2.0 * MARGIN,
            escape(across)
        ),
    );
    for line in lines {
        let places: Vec<(f64, f64)> = line.points.iter().map(place).collect();
        let path: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1} {y:.1}")).collect();
        let path = path.join(" L");
        add(
            &mut svg,
            format_args!(
                "<path d=\"M{path}\" fill=\"none\" stroke=\"{OURS}\" stroke-width=\"2\"/>"
            ),
        );
        for ((x, y), (at, value)) in places.iter().zip(&line.points) {
            add(
                &mut svg,
                format_args!(
                    "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{OURS}\"/>\
                     <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{value:.0}</text>\
                     <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{at:.0}</text>\n",
                    y - 8.0,
                    foot + MARGIN
                ),
            );
        }
        let name = escape(&line.name);
        add(&mut svg, format_args!("<text x=\"{NAMES:.1}\" y=\"{MARGIN:.1}\">{name}</text>\n"));
    }
    svg.push_str("</svg>\n");
    svg
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
const LINES_HEIGHT: f64 = 260.0;
const MARGIN: f64 = 14.0;
const OURS: &str = "#2a7";
const OTHERS: &str = "#9ab";

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
        assert_eq!(lines("", "", &[empty]), "");
    }

    #[test]
    fn every_point_of_a_line_is_marked() {
        let line = Line { name: "<n>".to_owned(), points: vec![(1.0, 10.0), (2.0, 20.0)] };
        let svg = lines("t", "streams", &[line]);
        assert_eq!(svg.matches("<circle").count(), 2);
        assert!(svg.contains("&lt;n&gt;"), "{svg}");
    }
}
