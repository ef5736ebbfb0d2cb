//! One answer to a scrape, metric by metric.

use std::fmt;
use std::sync::atomic::AtomicU64;

use debridfs_base::LatencyCounts;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::list::{METRICS, MetricInfo};

/// Labels of one series. Values are names of the program's own or of the configuration, never names
/// of files or of anything else from outside, which have no bound.
pub(super) type Labels = Vec<(&'static str, String)>;

#[derive(Debug, Default)]
pub(super) struct Page {
    registry: Registry,
}

impl Page {
    pub(super) fn info(name: &str) -> &'static MetricInfo {
        METRICS
            .iter()
            .find(|metric| metric.name == name)
            .unwrap_or(&METRICS[0])
    }

    /// Registers `name` with one value per label set; the kind follows from the name.
    pub(super) fn put(&mut self, name: &str, values: Vec<(Labels, f64)>) {
        let info = Self::info(name);
        if let Some(stem) = info.name.strip_suffix("_total") {
            let family = Family::<Labels, Counter<f64, AtomicU64>>::default();
            for (labels, value) in values {
                family.get_or_create(&labels).inc_by(value);
            }
            self.registry.register(stem, info.help, family);
        } else {
            let family = Family::<Labels, Gauge<f64, AtomicU64>>::default();
            for (labels, value) in values {
                family.get_or_create(&labels).set(value);
            }
            self.registry.register(info.name, info.help, family);
        }
    }

    /// As [`Page::put`], for a metric without labels.
    pub(super) fn one(&mut self, name: &str, value: f64) {
        let info = Self::info(name);
        if let Some(stem) = info.name.strip_suffix("_total") {
            let counter = Counter::<f64, AtomicU64>::default();
            counter.inc_by(value);
            self.registry.register(stem, info.help, counter);
        } else {
            let gauge = Gauge::<f64, AtomicU64>::default();
            gauge.set(value);
            self.registry.register(info.name, info.help, gauge);
        }
    }

    /// Registers the histogram `name`, with the counts of each label set.
    pub(super) fn histogram(&mut self, name: &str, values: Vec<(Labels, LatencyCounts)>) {
        let info = Self::info(name);
        self.registry
            .register_collector(Box::new(Histogram { info, values }));
    }

    /// All of it as OpenMetrics text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = text::encode(&mut text, &self.registry);
        text
    }
}

/// Histograms whose counts come as they are: those of the library count for themselves.
#[derive(Debug)]
struct Histogram {
    info: &'static MetricInfo,
    values: Vec<(Labels, LatencyCounts)>,
}

impl Collector for Histogram {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let (name, help) = (self.info.name, format!("{}.", self.info.help));
        let mut metric = encoder.encode_descriptor(name, &help, None, MetricType::Histogram)?;
        for (labels, counts) in &self.values {
            let (seconds, count) = (counts.seconds, counts.count());
            let mut series = metric.encode_family(labels)?;
            series.encode_histogram::<NoLabelSet>(seconds, count, &counts.buckets, None)?;
        }
        Ok(())
    }
}
