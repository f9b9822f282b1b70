//! A table in a file: rows are collected by column, and written as a row group when there are enough.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use parquet::{
    basic::{Compression, ConvertedType, Encoding, LogicalType, Repetition, Type as Physical, ZstdLevel},
    column::writer::ColumnWriter,
    data_type::ByteArray,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::types::{ColumnPath, Type, TypePtr},
};

use crate::output::NewFile;

/// Number of rows that are kept in memory.
const ROWS: usize = 1 << 18;

/// The type of a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Numbers that repeat, as sizes do.
    Number,
    /// Numbers that differ from row to row, as times do.
    Counter,
    Text,
    Flag,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// Whether it may be null.
    pub(super) is_optional: bool,
}

impl Column {
    /// Creates a column without nulls.
    pub(super) const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_optional: false }
    }

    /// Creates a column with nulls.
    pub(super) const fn optional(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, is_optional: true }
    }

    fn to_type(self) -> Result<TypePtr> {
        let (physical, logical) = match self.kind {
            Kind::Number | Kind::Counter => (Physical::INT64, None),
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
            Kind::Flag => (Physical::BOOLEAN, None),
        };
        let converted = if logical.is_some() { ConvertedType::UTF8 } else { ConvertedType::NONE };
        let repetition = if self.is_optional { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let column = Type::primitive_type_builder(self.name, physical)
            .with_repetition(repetition)
            .with_converted_type(converted)
            .with_logical_type(logical);
        Ok(Arc::new(column.build()?))
    }
}

/// A value in a row.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    Null,
    Number(u64),
    Text(ByteArray),
    Flag(bool),
}

impl Cell {
    /// Returns a text; null if it is empty, which means unknown.
    pub(super) fn known(text: &str) -> Self {
        if text.is_empty() { Self::Null } else { text.into() }
    }
}

impl From<u64> for Cell {
    fn from(number: u64) -> Self {
        Self::Number(number)
    }
}

impl From<u32> for Cell {
    fn from(number: u32) -> Self {
        Self::Number(number.into())
    }
}

impl From<usize> for Cell {
    fn from(number: usize) -> Self {
        Self::Number(number as u64)
    }
}

impl From<bool> for Cell {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl<T: Into<Self>> From<Option<T>> for Cell {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, T::into)
    }
}

/// The values of a column that have not been written.
struct Values {
    column: Column,
    numbers: Vec<i64>,
    texts: Vec<ByteArray>,
    flags: Vec<bool>,
    /// Of an optional column: 1 for each value, 0 for each null.
    levels: Vec<i16>,
}

impl Values {
    fn new(column: Column) -> Self {
        Self { column, numbers: Vec::new(), texts: Vec::new(), flags: Vec::new(), levels: Vec::new() }
    }

    fn push(&mut self, cell: Cell) -> Result<()> {
        let Column { name, kind, is_optional } = self.column;
        let is_null = matches!(cell, Cell::Null);
        match (cell, kind) {
            (Cell::Null, _) if is_optional => {}
            (Cell::Number(number), Kind::Number | Kind::Counter) => {
                let signed = i64::try_from(number);
                self.numbers
                    .push(signed.with_context(|| format!("{name}: {number} is too large for Parquet"))?);
            }
            (Cell::Text(text), Kind::Text) => self.texts.push(text),
            (Cell::Flag(flag), Kind::Flag) => self.flags.push(flag),
            (cell, _) => anyhow::bail!("{name}: {cell:?} is no value of the column"),
        }
        if is_optional {
            self.levels.push(i16::from(!is_null));
        }
        Ok(())
    }

    /// Writes and forgets the values.
    fn write(&mut self, writer: &mut ColumnWriter<'_>) -> Result<()> {
        let levels = self.column.is_optional.then_some(&self.levels[..]);
        match writer {
            ColumnWriter::Int64ColumnWriter(writer) => writer.write_batch(&self.numbers, levels, None)?,
            ColumnWriter::ByteArrayColumnWriter(writer) => writer.write_batch(&self.texts, levels, None)?,
            ColumnWriter::BoolColumnWriter(writer) => writer.write_batch(&self.flags, levels, None)?,
            _ => anyhow::bail!("{}: the column has another type", self.column.name),
        };
        self.numbers.clear();
        self.texts.clear();
        self.flags.clear();
        self.levels.clear();
        Ok(())
    }
}

/// A table that is being written.
pub(super) struct Table {
    writer: SerializedFileWriter<NewFile>,
    columns: Vec<Values>,
    rows: usize,
}

impl Table {
    /// Begins a table with these columns. `about` goes into the file's own metadata.
    pub(super) fn new(file: NewFile, columns: &[Column], about: &[(&str, String)]) -> Result<Self> {
        let fields = columns.iter().map(|column| column.to_type()).collect::<Result<_>>()?;
        let schema = Type::group_type_builder("schema").with_fields(fields).build()?;
        let about =
            about.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone())).collect();
        let mut properties = WriterProperties::builder()
            .set_created_by(concat!("millpond version ", env!("CARGO_PKG_VERSION")).to_owned())
            .set_key_value_metadata(Some(about))
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
            .set_statistics_enabled(EnabledStatistics::Chunk);
        for column in columns.iter().filter(|column| column.kind == Kind::Counter) {
            let path = ColumnPath::from(column.name);
            properties = properties
                .set_column_dictionary_enabled(path.clone(), false)
                .set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
        }
        let writer = SerializedFileWriter::new(file, Arc::new(schema), Arc::new(properties.build()))?;
        Ok(Self { writer, columns: columns.iter().map(|&column| Values::new(column)).collect(), rows: 0 })
    }

    /// Adds a row.
    pub(super) fn row<const N: usize>(&mut self, cells: [Cell; N]) -> Result<()> {
        ensure!(N == self.columns.len(), "a row has {N} values for {} columns", self.columns.len());
        for (values, cell) in self.columns.iter_mut().zip(cells) {
            values.push(cell)?;
        }
        self.rows += 1;
        if self.rows == ROWS { self.write() } else { Ok(()) }
    }

    /// Writes the rows that were collected.
    fn write(&mut self) -> Result<()> {
        let mut group = self.writer.next_row_group()?;
        for values in &mut self.columns {
            let mut column = group.next_column()?.context("the file has fewer columns")?;
            values.write(column.untyped())?;
            column.close()?;
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }

    /// Completes and returns the file.
    pub(super) fn finish(mut self) -> Result<NewFile> {
        if self.rows > 0 {
            self.write()?;
        }
        Ok(self.writer.into_inner()?)
    }
}
