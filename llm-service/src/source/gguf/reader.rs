//! Reads the header of a GGUF file: counts, metadata, the table of tensors. Whatever the bytes are, it neither panics nor
//! makes room for what is not there.

use std::{
    fs::File,
    io::{BufReader, ErrorKind, Read as _},
    path::Path,
};

use super::SourceError;

/// The tensor types that candle 0.10 reads: number, name, numbers in a block, bytes of a block.
const TYPES: [(u32, &str, u64, u64); 15] = [
    (0, "F32", 1, 4),
    (1, "F16", 1, 2),
    (2, "Q4_0", 32, 18),
    (3, "Q4_1", 32, 20),
    (6, "Q5_0", 32, 22),
    (7, "Q5_1", 32, 24),
    (8, "Q8_0", 32, 34),
    (9, "Q8_1", 32, 36),
    (10, "Q2_K", 256, 84),
    (11, "Q3_K", 256, 110),
    (12, "Q4_K", 256, 144),
    (13, "Q5_K", 256, 176),
    (14, "Q6_K", 256, 210),
    (15, "Q8_K", 256, 292),
    (30, "BF16", 1, 2),
];

/// Names of types that candle does not read, so that the sentence can say more than a number.
const FOREIGN_TYPES: [(u32, &str); 11] = [
    (16, "IQ2_XXS"),
    (17, "IQ2_XS"),
    (18, "IQ3_XXS"),
    (19, "IQ1_S"),
    (20, "IQ4_NL"),
    (21, "IQ3_S"),
    (22, "IQ2_S"),
    (23, "IQ4_XS"),
    (29, "IQ1_M"),
    (34, "TQ1_0"),
    (39, "MXFP4"),
];

/// More than any tensor has; a larger number is no number of dimensions.
const MOST_DIMENSIONS: u32 = 8;

/// Longer names of keys, tensors and architectures than this are no names.
const LONGEST_NAME: u64 = 65_536;

pub struct Header {
    /// `general.architecture`.
    pub architecture: Option<String>,
    /// `split.count`: over how many files the model is spread.
    pub parts: u64,
    /// How many tokens the vocabulary has.
    pub tokens: u64,
    pub tensors: Vec<Tensor>,
    /// The file's size.
    pub bytes: u64,
    /// Where the last tensor ends.
    pub end: u64,
}

pub struct Tensor {
    pub name: String,
    /// How many.
    pub numbers: u64,
    /// In the file.
    pub bytes: u64,
    pub quantized: bool,
}

/// A value of the metadata, of which only some are of interest.
enum Value {
    Number(u64),
    Text(String),
    List(u64),
    Other,
}

/// Reads a header from its beginning to its end, and no further.
pub struct Reader<'a> {
    path: &'a Path,
    file: BufReader<File>,
    bytes: u64,
    place: u64,
    /// The first version of the format counts in 32 bits instead of 64.
    narrow: bool,
}

impl<'a> Reader<'a> {
    pub fn open(path: &'a Path) -> Result<Self, SourceError> {
        let unreadable = |cause| SourceError::Unreadable {
            path: path.to_owned(),
            cause,
        };
        let file = File::open(path).map_err(unreadable)?;
        let bytes = file.metadata().map_err(unreadable)?.len();
        Ok(Self {
            path,
            file: BufReader::with_capacity(1 << 16, file),
            bytes,
            place: 0,
            narrow: false,
        })
    }

    pub fn header(mut self) -> Result<Header, SourceError> {
        match self.take::<4>() {
            Ok(magic) if &magic == b"GGUF" => {}
            Ok(magic) if &magic == b"vers" => {
                return Err(SourceError::Pointer(self.path.to_owned()));
            }
            Err(fault @ SourceError::Unreadable { .. }) => return Err(fault),
            _ => return Err(SourceError::NotGguf(self.path.to_owned())),
        }
        let version = self.u32()?;
        if !(1..=3).contains(&version) {
            return Err(self.damaged(format!("it says that its format has the version {version}")));
        }
        self.narrow = version == 1;
        let tensors = self.count()?;
        let facts = self.count()?;

        let (mut architecture, mut parts, mut tokens, mut alignment) = (None, 1, 0, 32);
        for _ in 0..facts {
            let key = self.name()?;
            let kind = self.u32()?;
            match (key.as_str(), self.value(kind, 0)?) {
                ("general.architecture", Value::Text(text)) => architecture = Some(text),
                ("general.alignment", Value::Number(number)) if number > 0 => alignment = number,
                ("split.count", Value::Number(number)) => parts = number,
                ("tokenizer.ggml.tokens", Value::List(length)) => tokens = length,
                _ => {}
            }
        }
        let mut found = Vec::new();
        let mut end = 0;
        for _ in 0..tensors {
            let (tensor, offset) = self.tensor()?;
            end = end.max(offset.saturating_add(tensor.bytes));
            found.push(tensor);
        }
        let begin = self.place.div_ceil(alignment).saturating_mul(alignment);
        Ok(Header {
            architecture,
            parts,
            tokens,
            tensors: found,
            bytes: self.bytes,
            end: begin.saturating_add(end),
        })
    }

    /// An entry of the table of tensors, and how far behind the header it lies.
    fn tensor(&mut self) -> Result<(Tensor, u64), SourceError> {
        let name = self.name()?;
        let dimensions = self.u32()?;
        if dimensions > MOST_DIMENSIONS {
            return Err(self.damaged(format!("it has a tensor of {dimensions} dimensions")));
        }
        let mut numbers = 1_u64;
        for _ in 0..dimensions {
            numbers = numbers.saturating_mul(self.count()?);
        }
        let kind = self.u32()?;
        let offset = self.u64()?;
        let Some((_, _, block, size)) = TYPES.iter().find(|known| known.0 == kind) else {
            let foreign = FOREIGN_TYPES.iter().find(|foreign| foreign.0 == kind);
            return Err(SourceError::Quantization {
                path: self.path.to_owned(),
                kind: foreign.map_or_else(|| kind.to_string(), |(_, name)| (*name).to_owned()),
                known: TYPES.map(|known| known.1).join(", "),
            });
        };
        let bytes = numbers.div_ceil(*block).saturating_mul(*size);
        Ok((
            Tensor {
                name,
                numbers,
                bytes,
                quantized: *block > 1,
            },
            offset,
        ))
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Value, SourceError> {
        Ok(match kind {
            0 | 1 | 7 => Value::Number(u64::from(self.take::<1>()?[0])),
            2 | 3 => Value::Number(u64::from(u16::from_le_bytes(self.take()?))),
            4 | 5 => Value::Number(u64::from(self.u32()?)),
            6 => self.skip(4)?,
            8 => {
                let length = self.count()?;
                if length > LONGEST_NAME {
                    self.skip(length)?
                } else {
                    Value::Text(self.text(length)?)
                }
            }
            9 => {
                let kind = self.u32()?;
                let length = self.count()?;
                match kind {
                    0 | 1 | 7 => self.skip(length)?,
                    2 | 3 => self.skip(length.saturating_mul(2))?,
                    4..=6 => self.skip(length.saturating_mul(4))?,
                    10..=12 => self.skip(length.saturating_mul(8))?,
                    8 => {
                        for _ in 0..length {
                            let bytes = self.count()?;
                            self.skip(bytes)?;
                        }
                        Value::Other
                    }
                    // No model has lists of lists; a file that nests them for ever would end this program.
                    9 if depth < 2 => {
                        for _ in 0..length {
                            self.value(9, depth + 1)?;
                        }
                        Value::Other
                    }
                    _ => {
                        return Err(
                            self.damaged(format!("it has a list of values of the type {kind}"))
                        );
                    }
                };
                Value::List(length)
            }
            10 | 11 => Value::Number(self.u64()?),
            12 => self.skip(8)?,
            _ => return Err(self.damaged(format!("it has a value of the type {kind}"))),
        })
    }

    fn name(&mut self) -> Result<String, SourceError> {
        let length = self.count()?;
        if length > LONGEST_NAME && self.place.saturating_add(length) <= self.bytes {
            return Err(self.damaged(format!("it has a name of {length} bytes")));
        }
        self.text(length)
    }

    fn text(&mut self, length: u64) -> Result<String, SourceError> {
        self.reach(length)?;
        let mut text = vec![0; usize::try_from(length).unwrap_or(usize::MAX)];
        self.file
            .read_exact(&mut text)
            .map_err(|cause| self.unreadable(cause))?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }

    /// A number of things, or the length of one.
    fn count(&mut self) -> Result<u64, SourceError> {
        if self.narrow {
            Ok(u64::from(self.u32()?))
        } else {
            self.u64()
        }
    }

    fn u32(&mut self) -> Result<u32, SourceError> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    fn u64(&mut self) -> Result<u64, SourceError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn take<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], SourceError> {
        self.reach(LENGTH as u64)?;
        let mut bytes = [0; LENGTH];
        self.file
            .read_exact(&mut bytes)
            .map_err(|cause| self.unreadable(cause))?;
        Ok(bytes)
    }

    fn skip(&mut self, length: u64) -> Result<Value, SourceError> {
        self.reach(length)?;
        let length = i64::try_from(length).unwrap_or(i64::MAX);
        self.file
            .seek_relative(length)
            .map_err(|cause| self.unreadable(cause))?;
        Ok(Value::Other)
    }

    /// Counts bytes as read. What would lie behind the end of the file is not there, so nothing is ever made room for
    /// that the file does not hold.
    fn reach(&mut self, length: u64) -> Result<(), SourceError> {
        let needed = self.place.saturating_add(length);
        if needed > self.bytes {
            return Err(SourceError::Truncated {
                path: self.path.to_owned(),
                bytes: self.bytes,
                needed,
            });
        }
        self.place = needed;
        Ok(())
    }

    fn unreadable(&self, cause: std::io::Error) -> SourceError {
        if cause.kind() == ErrorKind::UnexpectedEof {
            // Somebody shortens it at this moment.
            return SourceError::Truncated {
                path: self.path.to_owned(),
                bytes: self.bytes,
                needed: self.place,
            };
        }
        SourceError::Unreadable {
            path: self.path.to_owned(),
            cause,
        }
    }

    fn damaged(&self, what: String) -> SourceError {
        SourceError::Damaged {
            path: self.path.to_owned(),
            what,
        }
    }
}
