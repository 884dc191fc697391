//! Charts of an evaluation, as SVG: bars with intervals, curves, one group of metrics against another.

use super::table::{Column, Row, Table, is_baseline};
use crate::report::failure::Failure;
use crate::run::interrupt;
use burn_cam::draw;
use burn_cam::metrics::{Better, Group};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Colors that all eyes tell apart (Okabe and Ito, 2008), and how lines are dashed when they are used up.
const COLORS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000"];
const DASHES: [&str; 4] = ["none", "6 3", "2 2", "8 3 2 3"];

/// The height of a line of text and of a bar.
const LINE: f64 = 18.0;

/// Writes the charts that the metrics have something for, and returns where.
pub fn write(table: &Table, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let charts = [("bars.svg", bars(table)), ("curves.svg", curves(table)), ("plane.svg", plane(table))];
    let mut written = Vec::new();
    for (name, chart) in charts {
        if let Some(text) = chart {
            let path = folder.join(name);
            interrupt::whole(|| draw::write(&path, text.as_bytes()))?;
            written.push(path);
        }
    }
    Ok(written)
}

/// A drawing under way.
struct Svg(String);

impl Svg {
    fn new(width: f64, height: f64) -> Self {
        let head = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width:.0}\" height=\"{height:.0}\" viewBox=\"0 0 {width:.0} {height:.0}\" \
             font-family=\"sans-serif\" font-size=\"12\"><rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n"
        );
        Self(head)
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        let _ = writeln!(self.0, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>");
    }

    fn line(&mut self, [x0, y0, x1, y1]: [f64; 4], color: &str) {
        let _ = writeln!(
            self.0,
            "<line x1=\"{x0:.1}\" y1=\"{y0:.1}\" x2=\"{x1:.1}\" y2=\"{y1:.1}\" stroke=\"{color}\"/>"
        );
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = writeln!(self.0, "{element}");
    }

    fn end(mut self) -> String {
        self.0 += "</svg>\n";
        self.0
    }
}

/// Returns the name of a row: of a method that is measured at several layers with its layer.
fn name(table: &Table, row: &Row) -> String {
    match table.rows.iter().filter(|other| other.method == row.method).count() {
        1 => row.method.clone(),
        _ => format!("{} at {}", row.method, row.layer),
    }
}

/// A panel for each metric: a bar for each method with its interval.
fn bars(table: &Table) -> Option<String> {
    const PANEL: f64 = 260.0;
    const ACROSS: usize = 3;
    let names: Vec<String> = table.rows.iter().map(|row| name(table, row)).collect();
    let columns: Vec<&Column> = table
        .columns
        .iter()
        .filter(|column| column.summaries.iter().any(|one| one.value.is_some()))
        .collect();
    if columns.is_empty() {
        return None;
    }
    let left = 20.0 + 7.0 * names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    let height = LINE * (names.len() + 3) as f64;
    let rows = columns.len().div_ceil(ACROSS);
    let mut svg =
        Svg::new(left + (PANEL + 30.0) * ACROSS.min(columns.len()) as f64, height * rows as f64 + 10.0);
    for (place, column) in columns.iter().enumerate() {
        let (x, top) = (left + (PANEL + 30.0) * (place % ACROSS) as f64, height * (place / ACROSS) as f64);
        let ends = column.summaries.iter().flat_map(|one| {
            let interval = one.interval.map(|interval| [interval.low, interval.high]);
            one.value.into_iter().chain(interval.into_iter().flatten())
        });
        let (low, high) = ends.fold((0.0f64, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
        let range = if high > low { high - low } else { 1.0 };
        let at = |value: f64| x + PANEL * (value - low) / range;
        let metric = column.metric;
        svg.text(x, top + LINE, "start", &format!("{} {}", metric.title, metric.better.arrow()));
        svg.text(at(low), top + height - LINE * 0.6, "start", &short(low));
        svg.text(at(high), top + height - LINE * 0.6, "end", &short(high));
        for (row, summary) in column.summaries.iter().enumerate() {
            let y = top + LINE * (row as f64 + 1.4);
            if place % ACROSS == 0 {
                svg.text(left - 6.0, y + LINE * 0.7, "end", &names[row]);
            }
            let Some(value) = summary.value else { continue };
            let color = if is_baseline(&table.rows[row].method) { "#999999" } else { COLORS[0] };
            let (from, to) = (at(value.min(0.0)), at(value.max(0.0)));
            svg.add(format_args!(
                "<rect x=\"{from:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{color}\"/>",
                y + 2.0,
                to - from,
                LINE - 4.0
            ));
            if let Some(interval) = summary.interval {
                let middle = y + LINE / 2.0;
                svg.line([at(interval.low), middle, at(interval.high), middle], "#000000");
                for end in [interval.low, interval.high] {
                    svg.line([at(end), middle - 3.0, at(end), middle + 3.0], "#000000");
                }
            }
        }
        svg.line([at(0.0), top + LINE * 1.4, at(0.0), top + LINE * (names.len() as f64 + 1.4)], "#000000");
    }
    Some(svg.end())
}

/// The mean curves of insertion and deletion.
fn curves(table: &Table) -> Option<String> {
    const SIDE: f64 = 300.0;
    let is_curve = |column: &&Column| ["insertion", "deletion"].contains(&column.metric.name);
    let columns: Vec<&Column> = table.columns.iter().filter(is_curve).collect();
    if columns.is_empty() {
        return None;
    }
    let names: Vec<String> = table.rows.iter().map(|row| name(table, row)).collect();
    let legend = 60.0 + 7.0 * names.iter().map(|name| name.chars().count()).max().unwrap_or(0) as f64;
    let height = (SIDE + 70.0).max(LINE * (names.len() + 2) as f64);
    let mut svg = Svg::new((SIDE + 60.0) * columns.len() as f64 + legend, height);
    let all = || columns.iter().flat_map(|column| column.curves.iter().flatten());
    let most = all().copied().fold(0.0f64, f64::max).max(1e-6);
    for (place, column) in columns.iter().enumerate() {
        let (x, y) = (45.0 + (SIDE + 60.0) * place as f64, 30.0);
        svg.text(x, y - 10.0, "start", &format!("{} {}", column.metric.title, column.metric.better.arrow()));
        svg.line([x, y, x, y + SIDE], "#000000");
        svg.line([x, y + SIDE, x + SIDE, y + SIDE], "#000000");
        svg.text(x - 5.0, y + 10.0, "end", &short(most));
        svg.text(x - 5.0, y + SIDE, "end", "0");
        let what =
            if column.metric.better == Better::Higher { "pixels put in, %" } else { "pixels taken away, %" };
        svg.text(x, y + SIDE + LINE, "start", "0");
        svg.text(x + SIDE / 2.0, y + SIDE + LINE, "middle", what);
        svg.text(x + SIDE, y + SIDE + LINE, "end", "100");
        for (row, curve) in column.curves.iter().enumerate().filter(|(_, curve)| curve.len() > 1) {
            let point = |(step, value): (usize, &f64)| {
                format!(
                    "{:.1},{:.1}",
                    x + SIDE * step as f64 / (curve.len() - 1) as f64,
                    y + SIDE * (1.0 - value / most)
                )
            };
            let points: Vec<String> = curve.iter().enumerate().map(point).collect();
            svg.add(format_args!(
                "<polyline points=\"{}\" fill=\"none\" stroke-width=\"1.5\" {}/>",
                points.join(" "),
                stroke(&table.rows[row], row)
            ));
        }
    }
    for (row, name) in names.iter().enumerate() {
        let (x, y) = ((SIDE + 60.0) * columns.len() as f64 + 10.0, 30.0 + LINE * row as f64);
        svg.add(format_args!(
            "<line x1=\"{x:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" stroke-width=\"1.5\" {}/>",
            x + 28.0,
            stroke(&table.rows[row], row)
        ));
        svg.text(x + 34.0, y + 4.0, "start", name);
    }
    Some(svg.end())
}

/// Returns the color and the dashes of a row.
fn stroke(row: &Row, place: usize) -> String {
    let (color, dashes) = match is_baseline(&row.method) {
        true => ("#999999", DASHES[place % DASHES.len()]),
        false => (COLORS[place % COLORS.len()], DASHES[place / COLORS.len() % DASHES.len()]),
    };
    format!("stroke=\"{color}\" stroke-dasharray=\"{dashes}\"")
}

/// Faithfulness against localization: the first metric of each that has values.
fn plane(table: &Table) -> Option<String> {
    const SIDE: f64 = 420.0;
    const MARGIN: f64 = 70.0;
    const FAITHFUL: [&str; 4] = ["road", "insertion", "deletion", "average-drop"];
    const LOCAL: [&str; 4] = ["energy", "pointing", "pxap", "iou"];
    let first = |names: [&str; 4], group: Group| {
        let has_values = |column: &&Column| {
            column.metric.group == group
                && column.summaries.iter().filter(|one| one.value.is_some()).count() > 1
        };
        let named = names.iter().find_map(|name| {
            table.columns.iter().filter(has_values).find(|column| column.metric.name == *name)
        });
        named.or_else(|| table.columns.iter().find(has_values))
    };
    let (down, across) = (first(FAITHFUL, Group::Faithfulness)?, first(LOCAL, Group::Localization)?);
    let mut svg = Svg::new(SIDE + 2.0 * MARGIN + 60.0, SIDE + 2.0 * MARGIN);
    let range = |column: &Column| {
        let values = column.summaries.iter().filter_map(|one| one.value);
        let (low, high) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (low.min(value), high.max(value)));
        let pad = 0.06 * (high - low).max(1e-9);
        (low - pad, high + pad)
    };
    let ((x0, x1), (y0, y1)) = (range(across), range(down));
    svg.add(format_args!(
        "<rect x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"none\" stroke=\"#000000\"/>"
    ));
    svg.text(
        MARGIN,
        MARGIN - 12.0,
        "start",
        &format!("{} {}", down.metric.title, down.metric.better.arrow()),
    );
    svg.text(
        MARGIN + SIDE,
        MARGIN + SIDE + 36.0,
        "end",
        &format!("{} {}", across.metric.title, across.metric.better.arrow()),
    );
    for (value, x) in [(x0, MARGIN), (x1, MARGIN + SIDE)] {
        svg.text(x, MARGIN + SIDE + LINE, "middle", &short(value));
    }
    for (value, y) in [(y1, MARGIN + 4.0), (y0, MARGIN + SIDE)] {
        svg.text(MARGIN - 6.0, y, "end", &short(value));
    }
    let mut taken: Vec<[f64; 2]> = Vec::new();
    for (row, (one, other)) in across.summaries.iter().zip(&down.summaries).enumerate() {
        let (Some(value), Some(height)) = (one.value, other.value) else { continue };
        let x = MARGIN + SIDE * (value - x0) / (x1 - x0);
        let y = MARGIN + SIDE * (1.0 - (height - y0) / (y1 - y0));
        let color = if is_baseline(&table.rows[row].method) { "#999999" } else { COLORS[0] };
        svg.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"{color}\"/>"));
        // Names that would cover each other move down.
        let mut label = [x + 7.0, y + 4.0];
        while taken
            .iter()
            .any(|other| (other[0] - label[0]).abs() < 90.0 && (other[1] - label[1]).abs() < 12.0)
        {
            label[1] += 12.0;
        }
        taken.push(label);
        // Near the right side, names stand before their points.
        let (x, anchor) = if x > MARGIN + 0.8 * SIDE { (x - 7.0, "end") } else { (label[0], "start") };
        svg.text(x, label[1], anchor, &name(table, &table.rows[row]));
    }
    Some(svg.end())
}

fn short(value: f64) -> String {
    let text = format!("{value:.2}");
    if text == "-0.00" { "0.00".into() } else { text }
}
