//! What is told of a dump, in words.

use std::collections::BTreeMap;

use crate::base::report::{Card, Cell, Fact};
use crate::base::{Name, Size};
use crate::image::Kind;
use crate::view::info::{EXTRAS, Info};

/// `1 pipe with data`, `2 pipes with data`.
pub(super) fn plural(count: usize, one: &str) -> String {
    match (count, one.split_once(' ')) {
        (1, _) => format!("1 {one}"),
        (_, Some((first, rest))) if rest.starts_with("with") => format!("{count} {first}s {rest}"),
        _ => format!("{count} {one}s"),
    }
}

impl Card for Info {
    fn facts(&self) -> Vec<Fact> {
        let mut facts = Vec::new();
        let mut fact = |name: &'static str, values: Vec<Cell>| {
            if !values.is_empty() {
                facts.push(Fact { name, values });
            }
        };
        fact("Checkpoint", vec![Cell::text(crate::base::name::harmless(&self.path))]);
        fact("Kind", vec![Cell::text(self.kind())]);
        if let Some(container) = &self.container {
            let writer =
                container.writer.as_ref().map(|writer| format!(", by {}", crate::base::name::harmless(writer)));
            let text = format!("version {}, dump {}{}", container.version, container.dump, writer.unwrap_or_default());
            fact("Format", vec![Cell::text(text)]);
        }
        if let Some(root) = &self.root {
            let mut text = format!("{} {}", root.pid, root.comm);
            if let Some(exe) = &root.exe {
                text.push_str(&format!(", {exe}"));
            }
            fact("Root task", vec![Cell::text(text)]);
        }
        fact("Tasks", vec![Cell::text(self.count())]);
        fact("Memory", self.memory());
        let files: usize = self.files.values().sum();
        if files > 0 {
            fact("Open files", vec![Cell::text(format_args!("{files}: {}", by_count(&self.files)))]);
        }
        if !self.namespaces.is_empty() {
            let own: Vec<&str> = self.namespaces.keys().map(|kind| kind.name()).collect();
            fact("Own namespaces", vec![Cell::text(own.join(", "))]);
        }
        let extra = |(_, key, one): &(Kind, &str, &str)| Some(plural(*self.extras.get(key)?, one));
        let extras: Vec<String> = EXTRAS.iter().filter_map(extra).collect();
        if !extras.is_empty() {
            fact("Also in it", vec![Cell::text(extras.join(", "))]);
        }
        fact("Features", self.features().into_iter().map(Cell::text).collect());
        if let Some(stats) = &self.stats {
            let ms = |time: u32| f64::from(time) / 1000.0;
            fact(
                "Dumping",
                vec![
                    Cell::text(format_args!(
                        "{:.1} ms to freeze, {:.1} ms frozen",
                        ms(stats.freezing_time),
                        ms(stats.frozen_time)
                    )),
                    Cell::text(format_args!(
                        "{:.1} ms to take memory, {:.1} ms to write it",
                        ms(stats.memdump_time),
                        ms(stats.memwrite_time)
                    )),
                    Cell::text(format_args!(
                        "{} pages scanned, {} written, {} left to the parent",
                        stats.pages_scanned, stats.pages_written, stats.pages_skipped_parent
                    )),
                ],
            );
        }
        let others = match self.other_files {
            0 => String::new(),
            others => format!(" and {}", plural(others, "other file")),
        };
        let text = format!("{}{others}, {} in all", plural(self.images, "image"), Size(self.bytes));
        fact("Files", vec![Cell::text(text)]);
        fact("Warnings", self.warnings.iter().map(|text| Cell::Odd(text.clone().into())).collect());
        facts
    }
}

impl Info {
    fn kind(&self) -> String {
        let mut words = Vec::new();
        words.push(if self.is_pre_dump { "pre-dump (memory alone)" } else { "dump" }.to_owned());
        words.extend(self.image_version.map(|version| format!("images {version}")));
        if let Some(root) = &self.root {
            words.extend(root.arch.map(str::to_owned));
            words.extend(root.compat.then(|| "32-bit root task".to_owned()));
        }
        words.join(", ")
    }

    fn count(&self) -> String {
        let mut text = plural(self.tasks, "task");
        if let Some(threads) = self.threads {
            text.push_str(&format!(", {}", plural(threads, "thread")));
        }
        if self.zombies > 0 {
            text.push_str(&format!(", {}", plural(self.zombies, "zombie")));
        }
        text
    }

    fn memory(&self) -> Vec<Cell> {
        let memory = &self.memory;
        let mut cells = vec![Cell::text(format_args!(
            "{} in {}: {}, {}",
            Size(memory.bytes),
            plural(memory.files, "file"),
            plural(memory.pagemaps, "task"),
            plural(memory.shared_pagemaps, "shared object")
        ))];
        if memory.parents > 0 {
            cells.push(Cell::text(format_args!("an increment of {} before it", plural(memory.parents, "dump"))));
        }
        cells
    }

    fn features(&self) -> Vec<String> {
        let mut features = Vec::new();
        let Some(inventory) = &self.inventory else { return features };
        features.extend(inventory.compress.map(|method| match inventory.compress_block_size {
            Some(size) => format!("compressed with {method}, blocks of {size} bytes"),
            None => format!("compressed with {method}"),
        }));
        features.extend(inventory.lsm.map(|lsm| format!("labels of {lsm}")));
        features.extend(inventory.pre_dump_mode.filter(|_| self.is_pre_dump).map(|mode| format!("taken by {mode}")));
        features.extend(inventory.tcp_close.then(|| "TCP connections closed".to_owned()));
        if inventory.network_lock != "iptables" {
            features.push(format!("network locked by {}", inventory.network_lock));
        }
        if let Some(plugins) = inventory.plugins.as_ref().filter(|plugins| !plugins.is_empty()) {
            let names: Vec<String> = plugins.iter().map(Name::to_string).collect();
            features.push(format!("needs plugins {}", names.join(", ")));
        }
        features
    }
}

/// `12 reg, 3 pipe`, the most frequent first.
fn by_count(counts: &BTreeMap<String, usize>) -> String {
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let words: Vec<String> = sorted.into_iter().map(|(name, count)| format!("{count} {name}")).collect();
    words.join(", ")
}
