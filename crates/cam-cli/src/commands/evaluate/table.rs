//! The numbers of all images: summaries, ranks, files, tables.

use crate::report::console::{Console, heading};
use crate::report::failure::Failure;
use crate::report::json_path::JsonPath;
use crate::run::interrupt;
use crate::run::manifest::MeasuredLine;
use burn_cam::Method;
use burn_cam::draw;
use burn_cam::metrics::{
    Better, Measured, MeasuredImage, Measurement, Metric, MetricInfo, Summary, ranking, summarize,
};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// What was measured of one class of an image, as the manifest has it.
#[derive(Serialize, Deserialize)]
pub struct Question {
    class: Option<usize>,
    label: String,
    /// What the truth calls it.
    truth: Option<String>,
    confidence: f64,
    maps: Vec<MapValues>,
}

/// What was measured of one map.
#[derive(Serialize, Deserialize)]
struct MapValues {
    method: String,
    layer: String,
    values: Vec<Value>,
}

/// One value.
#[derive(Clone, Serialize, Deserialize)]
struct Value {
    metric: String,
    value: Option<f64>,
    /// Why there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// What the value of many images is made of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parts: Vec<f32>,
}

impl Question {
    pub fn new(image: &MeasuredImage, truth: Option<String>) -> Self {
        let value = |measured: &Measured| {
            let (value, reason, parts) = match &measured.result {
                // JSON has no NaN: a stage without a value.
                Ok(found) => (
                    Some(found.value),
                    None,
                    found.parts.iter().map(|part| if part.is_finite() { *part } else { 0.0 }).collect(),
                ),
                Err(reason) => (None, Some(reason.to_string()), Vec::new()),
            };
            Value { metric: measured.metric.name.into(), value, reason, parts }
        };
        let maps = image.maps.iter().map(|map| MapValues {
            method: map.method.name.into(),
            layer: map.layer.clone(),
            values: map.measured.iter().map(value).collect(),
        });
        let mut maps: Vec<MapValues> = maps.collect();
        maps.sort_by_key(|map| is_baseline(&map.method));
        let (class, label, confidence) = (image.class, image.label.clone(), image.confidence);
        Self { class, label, truth, confidence, maps }
    }

    /// Returns what a line of a manifest has; of a line that was changed by hand nothing.
    pub fn of(line: &MeasuredLine) -> Vec<Self> {
        Deserialize::deserialize(&line.measured).unwrap_or_default()
    }

    pub fn class(&self) -> Option<usize> {
        self.class
    }

    pub fn label(&self) -> &str {
        &self.label
    }

    /// Returns the values of a metric: method, layer, value.
    pub fn values_of(&self, metric: &str) -> impl Iterator<Item = (&str, &str, f64)> {
        self.maps.iter().filter_map(move |map| {
            let value = map.values.iter().find(|value| value.metric == metric)?.value?;
            Some((map.method.as_str(), map.layer.as_str(), value))
        })
    }
}

/// Returns whether a method is a baseline, which stands below the others.
pub fn is_baseline(method: &str) -> bool {
    burn_cam::metrics::baselines().iter().any(|baseline| baseline.name() == method)
}

/// A method at a layer: a row of the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    pub method: String,
    pub layer: String,
}

/// The summaries of one metric, one for each row.
pub struct Column {
    pub metric: MetricInfo,
    pub summaries: Vec<Summary>,
    pub ranks: Vec<Option<usize>>,
    /// The mean curve of each row, of metrics that have one.
    pub curves: Vec<Vec<f64>>,
}

/// The summaries of an evaluation.
pub struct Table {
    pub rows: Vec<Row>,
    pub columns: Vec<Column>,
    pub images: usize,
}

/// How a file of values is read, one image at a time: in the order of their names, whatever the order in which they were measured.
pub type Lines<'l> =
    dyn Fn() -> Result<Box<dyn Iterator<Item = Result<MeasuredLine, Failure>> + 'l>, Failure> + 'l;

impl Table {
    /// Summarizes what was measured, one metric at a time, so that the curves of all are not in memory together.
    pub fn new(lines: &Lines<'_>, metrics: &[&'static dyn Metric], seed: u64) -> Result<Self, Failure> {
        let (mut rows, mut columns, mut images) = (Vec::new(), Vec::new(), 0);
        for metric in metrics {
            let mut found: Vec<(String, usize, Vec<Question>)> = Vec::new();
            for line in lines()? {
                let line = line?;
                let mut questions = Question::of(&line);
                for question in &mut questions {
                    for map in &mut question.maps {
                        map.values.retain(|value| value.metric == metric.name());
                    }
                }
                found.push((line.input.display().to_string(), line.part.place, questions));
            }
            found.sort_by(|a, b| (&a.0, a.1).cmp(&(&b.0, b.1)));
            images = found.len();
            let mut values: Vec<Vec<(usize, Option<Measurement>)>> = vec![Vec::new(); rows.len()];
            for (image, (.., questions)) in found.into_iter().enumerate() {
                for map in questions.into_iter().flat_map(|question| question.maps) {
                    let row = Row { method: map.method, layer: map.layer };
                    let place = rows.iter().position(|known| *known == row).unwrap_or_else(|| {
                        rows.push(row);
                        values.push(Vec::new());
                        rows.len() - 1
                    });
                    let value =
                        map.values.into_iter().next().and_then(|found| {
                            found.value.map(|value| Measurement { value, parts: found.parts })
                        });
                    values[place].push((image, value));
                }
            }
            let summaries: Vec<Summary> =
                values.iter().map(|values| summarize(*metric, values, seed)).collect();
            let ranks = ranking(
                metric.info().better,
                &summaries.iter().map(|summary| summary.value).collect::<Vec<_>>(),
            );
            let curves = values.iter().map(|values| mean_curve(values)).collect();
            columns.push(Column { metric: metric.info(), summaries, ranks, curves });
        }
        Ok(Self { rows, columns, images })
    }

    /// Writes all summaries, one in each row.
    pub fn write_csv(&self, path: &Path) -> Result<(), Failure> {
        #[derive(Serialize)]
        struct Cell<'a> {
            method: &'a str,
            layer: &'a str,
            metric: &'a str,
            group: String,
            better: &'a str,
            value: Option<f64>,
            low: Option<f64>,
            high: Option<f64>,
            rank: Option<usize>,
            count: usize,
            missing: usize,
        }
        let mut writer = csv::Writer::from_writer(Vec::new());
        for (place, Row { method, layer }) in self.rows.iter().enumerate() {
            for Column { metric, summaries, ranks, .. } in &self.columns {
                let summary = &summaries[place];
                let cell = Cell {
                    method,
                    layer,
                    metric: metric.name,
                    group: metric.group.to_string(),
                    better: if metric.better == Better::Higher { "higher" } else { "lower" },
                    value: summary.value,
                    low: summary.interval.map(|interval| interval.low),
                    high: summary.interval.map(|interval| interval.high),
                    rank: ranks[place],
                    count: summary.count,
                    missing: summary.missing,
                };
                writer.serialize(cell).map_err(|error| unwritable(path, &error))?;
            }
        }
        let bytes = writer.into_inner().map_err(|error| unwritable(path, &error))?;
        Ok(interrupt::whole(|| draw::write(path, &bytes))?)
    }

    /// Prints a table for each group of metrics, a few metrics beside each other.
    pub fn print(&self, console: &Console) -> Result<(), Failure> {
        const BESIDE: usize = 3;
        let name = |row: &Row| match self.rows.iter().filter(|other| other.method == row.method).count() {
            1 => row.method.clone(),
            _ => format!("{} at {}", row.method, row.layer),
        };
        let names: Vec<String> = self.rows.iter().map(name).collect();
        let longest = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
        for group in self.columns.chunk_by(|a, b| a.metric.group == b.metric.group) {
            for columns in group.chunks(BESIDE) {
                let mut line = format!("{:longest$}", columns[0].metric.group);
                for column in columns {
                    line += &format!(
                        "   {:>29}",
                        format!("{} {}", column.metric.name, column.metric.better.arrow())
                    );
                }
                console.result(heading(line.trim_end()))?;
                for (place, name) in names.iter().enumerate() {
                    let cells = columns.iter().map(|column| format!("   {}", cell(column, place)));
                    let line = format!("{name:longest$}{}", cells.collect::<String>());
                    console.result(line.trim_end())?;
                }
            }
        }
        Ok(())
    }
}

/// Returns the mean of curves of one length; nothing of longer lists, which are no curves.
fn mean_curve(values: &[(usize, Option<Measurement>)]) -> Vec<f64> {
    const LONGEST: usize = 101;
    let curves: Vec<&[f32]> =
        values.iter().filter_map(|(_, value)| Some(value.as_ref()?.parts.as_slice())).collect();
    let length = curves.first().map_or(0, |curve| curve.len());
    if length > LONGEST || curves.iter().any(|curve| curve.len() != length) {
        return Vec::new();
    }
    let mean =
        |step: usize| curves.iter().map(|curve| f64::from(curve[step])).sum::<f64>() / curves.len() as f64;
    (0..length).map(mean).collect()
}

/// Returns a value, its interval and its rank, as wide as any other.
fn cell(column: &Column, place: usize) -> String {
    let summary = &column.summaries[place];
    let Some(value) = summary.value else { return format!("{:>29}", "none") };
    let interval = summary
        .interval
        .map_or_else(String::new, |interval| format!("{:.3} .. {:.3}", interval.low, interval.high));
    let rank = column.ranks[place].map_or_else(String::new, |rank| format!("#{rank}"));
    let missing = if summary.missing > 0 { "*" } else { "" };
    format!("{:>7}{missing:1} {interval:>16} {rank:>3}", format!("{value:.3}"))
}

/// Writes each value in a line of JSON, and in a row of CSV.
pub fn write_values(lines: &Lines<'_>, json: &Path, table: &Path) -> Result<(), Failure> {
    #[derive(Serialize)]
    struct Line<'a> {
        image: &'a JsonPath,
        class: Option<usize>,
        label: &'a str,
        truth: Option<&'a str>,
        confidence: f64,
        method: &'a str,
        layer: &'a str,
        #[serde(flatten)]
        value: &'a Value,
    }
    #[derive(Serialize)]
    struct Cell<'a>(
        String,
        Option<usize>,
        &'a str,
        Option<&'a str>,
        &'a str,
        &'a str,
        &'a str,
        Option<f64>,
        Option<&'a str>,
    );
    let mut found: Vec<MeasuredLine> = lines()?.collect::<Result<_, _>>()?;
    found.sort_by_key(|line| (line.input.to_path_buf(), line.part.place));
    let failed = |path: &Path| {
        let path = path.to_path_buf();
        move |error: std::io::Error| Failure::Output { path, reason: error.to_string() }
    };
    let folder = json.parent().unwrap_or(Path::new("."));
    let mut text = tempfile::NamedTempFile::new_in(folder).map_err(failed(json))?;
    let rows = tempfile::NamedTempFile::new_in(folder).map_err(failed(table))?;
    let mut writer = csv::Writer::from_writer(&rows);
    let heads = ["image", "class", "label", "truth", "method", "layer", "metric", "value", "reason"];
    writer.write_record(heads).map_err(|error| unwritable(table, &error))?;
    for line in &found {
        for Question { class, label, truth, confidence, maps } in Question::of(line) {
            for MapValues { method, layer, values } in &maps {
                for value in values {
                    let (image, truth) = (&line.input, truth.as_deref());
                    let (label, confidence) = (label.as_str(), confidence);
                    let one = Line { image, class, label, truth, confidence, method, layer, value };
                    serde_json::to_writer(&mut text, &one).map_err(|error| unwritable(json, &error))?;
                    std::io::Write::write_all(&mut text, b"\n").map_err(failed(json))?;
                    let reason = value.reason.as_deref();
                    let image = image.display().to_string();
                    let cell =
                        Cell(image, class, label, truth, method, layer, &value.metric, value.value, reason);
                    writer.serialize(cell).map_err(|error| unwritable(table, &error))?;
                }
            }
        }
    }
    writer.flush().map_err(failed(table))?;
    drop(writer);
    let kept = |file: tempfile::NamedTempFile, path: &Path| {
        interrupt::whole(|| file.persist(path)).map(|_| ()).map_err(|error| unwritable(path, &error.error))
    };
    kept(text, json)?;
    kept(rows, table)
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> Failure {
    Failure::Output { path: path.into(), reason: error.to_string() }
}
