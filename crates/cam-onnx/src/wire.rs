//! Reads protobuf messages. Nothing is copied: fields are slices of the file.
//!
//! Format: <https://protobuf.dev/programming-guides/encoding/>.

/// A fault of the encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("it ends within a field")]
    Truncated,
    #[error("a number has more than ten bytes")]
    LongNumber,
    #[error("a field has the unknown wire type {0}")]
    WireType(u8),
    #[error("field {0} has another type than in ONNX")]
    FieldType(u32),
    #[error("what it describes takes more memory than its length allows")]
    Memory,
    #[error("graphs are nested more than {MAX_DEPTH} deep")]
    Depth,
}

/// What the messages of a file may take in memory, in bytes, beside half of its length. The graph that is made of them takes as much
/// again, and lists take up to twice what is in them.
const MEMORY: usize = 32 << 20;
/// What a field takes in memory: a name, or a number.
const FIELD: usize = 64;
/// The maximum depth of nested graphs.
const MAX_DEPTH: usize = 16;

/// What may still be read of a file.
pub(crate) struct Budget {
    memory: usize,
    depth: usize,
}

impl Budget {
    /// - length: of the file, in bytes
    pub fn new(length: usize) -> Self {
        Self { memory: MEMORY + length / 2, depth: MAX_DEPTH }
    }

    /// Takes memory for something that is read.
    fn take(&mut self, bytes: usize) -> Result<(), Fault> {
        self.memory = self.memory.checked_sub(bytes).ok_or(Fault::Memory)?;
        Ok(())
    }

    /// Appends the numbers of a repeated field.
    pub fn push_ints(&mut self, field: Field<'_>, all: &mut Vec<i64>) -> Result<(), Fault> {
        let before = all.len();
        field.push_ints(all, self.memory / size_of::<i64>())?;
        self.take((all.len() - before) * size_of::<i64>())
    }

    /// Takes memory for a message, and returns it empty.
    pub fn message<T: Default>(&mut self) -> Result<T, Fault> {
        self.take(size_of::<T>())?;
        Ok(T::default())
    }

    /// Reads a nested graph.
    pub fn nested<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        self.depth = self.depth.checked_sub(1).ok_or(Fault::Depth)?;
        let result = read(self);
        self.depth += 1;
        result
    }
}

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
}

/// A field of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field<'a> {
    pub number: u32,
    value: Value<'a>,
}

impl<'a> Field<'a> {
    fn wrong_type(self) -> Fault {
        Fault::FieldType(self.number)
    }

    pub fn bytes(self) -> Result<&'a [u8], Fault> {
        match self.value {
            Value::Bytes(bytes) => Ok(bytes),
            _ => Err(self.wrong_type()),
        }
    }

    pub fn text(self) -> Result<String, Fault> {
        Ok(String::from_utf8_lossy(self.bytes()?).into_owned())
    }

    pub fn int(self) -> Result<i64, Fault> {
        match self.value {
            Value::Number(number) => Ok(number.cast_signed()),
            _ => Err(self.wrong_type()),
        }
    }

    pub fn float(self) -> Result<f32, Fault> {
        match self.value {
            Value::Fixed32(bytes) => Ok(f32::from_le_bytes(bytes)),
            _ => Err(self.wrong_type()),
        }
    }

    /// Appends the numbers of a repeated field, one or several packed ones, `most` at most.
    pub fn push_ints(self, all: &mut Vec<i64>, most: usize) -> Result<(), Fault> {
        let most = all.len().saturating_add(most);
        match self.value {
            Value::Number(number) => all.push(number.cast_signed()),
            Value::Bytes(mut packed) => {
                while !packed.is_empty() {
                    if all.len() >= most {
                        return Err(Fault::Memory);
                    }
                    all.push(varint(&mut packed)?.cast_signed());
                }
            }
            _ => return Err(self.wrong_type()),
        }
        Ok(())
    }

    /// Appends the numbers of a repeated field of single precision.
    pub fn push_floats(self, all: &mut Vec<f32>) -> Result<(), Fault> {
        match self.value {
            Value::Fixed32(bytes) => all.push(f32::from_le_bytes(bytes)),
            Value::Bytes(packed) => {
                let (numbers, []) = packed.as_chunks() else { return Err(Fault::Truncated) };
                all.extend(numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)));
            }
            _ => return Err(self.wrong_type()),
        }
        Ok(())
    }

    /// Appends the numbers of a repeated field of double precision.
    pub fn push_doubles(self, all: &mut Vec<f64>) -> Result<(), Fault> {
        match self.value {
            Value::Fixed64(bytes) => all.push(f64::from_le_bytes(bytes)),
            Value::Bytes(packed) => {
                let (numbers, []) = packed.as_chunks() else { return Err(Fault::Truncated) };
                all.extend(numbers.iter().map(|bytes| f64::from_le_bytes(*bytes)));
            }
            _ => return Err(self.wrong_type()),
        }
        Ok(())
    }
}

/// Calls `read` with each field of a message.
pub(crate) fn for_each_field<'a>(
    mut message: &'a [u8],
    budget: &mut Budget,
    mut read: impl FnMut(Field<'a>, &mut Budget) -> Result<(), Fault>,
) -> Result<(), Fault> {
    while !message.is_empty() {
        budget.take(FIELD)?;
        let key = varint(&mut message)?;
        let number = u32::try_from(key >> 3).unwrap_or(u32::MAX);
        let value = match key & 7 {
            0 => Value::Number(varint(&mut message)?),
            1 => Value::Fixed64(take(&mut message)?),
            2 => {
                let length = usize::try_from(varint(&mut message)?).map_err(|_| Fault::Truncated)?;
                let (bytes, rest) = message.split_at_checked(length).ok_or(Fault::Truncated)?;
                message = rest;
                Value::Bytes(bytes)
            }
            5 => Value::Fixed32(take(&mut message)?),
            other => return Err(Fault::WireType(other as u8)),
        };
        read(Field { number, value }, budget)?;
    }
    Ok(())
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (taken, rest) = bytes.split_first_chunk().ok_or(Fault::Truncated)?;
    *bytes = rest;
    Ok(*taken)
}

fn varint(bytes: &mut &[u8]) -> Result<u64, Fault> {
    let mut value = 0;
    for shift in (0..70).step_by(7) {
        let [byte] = take(bytes)?;
        value |= u64::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Fault::LongNumber)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_length_are_read() {
        for (bytes, number) in [(&[0x01][..], 1), (&[0x96, 0x01], 150), (&[0xff; 9], 0)] {
            let mut all = bytes;
            match varint(&mut all) {
                Ok(read) => assert_eq!(read, number),
                Err(fault) => assert_eq!(fault, Fault::Truncated),
            }
        }
        assert_eq!(varint(&mut &[0xff; 11][..]), Err(Fault::LongNumber));
        let minus_one = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(varint(&mut &minus_one[..]).map(u64::cast_signed), Ok(-1));
    }

    #[test]
    fn lengths_beyond_the_end_are_faults() {
        let read = |bytes: &[u8]| for_each_field(bytes, &mut Budget::new(bytes.len()), |_, _| Ok(()));
        assert_eq!(read(&[0x0a, 0x02, 0x61, 0x62]), Ok(()));
        assert_eq!(read(&[0x0a, 0x03, 0x61, 0x62]), Err(Fault::Truncated));
        assert_eq!(
            read(&[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
            Err(Fault::Truncated)
        );
        assert_eq!(read(&[0x0b]), Err(Fault::WireType(3)));
        assert_eq!(read(&vec![0x08; 2 * MEMORY / FIELD]), Ok(()));
        assert_eq!(read(&vec![0x08; 3 * MEMORY / FIELD]), Err(Fault::Memory));
    }

    #[test]
    fn packed_numbers_take_no_more_than_they_may() {
        let field = Field { number: 1, value: Value::Bytes(&[1; 1000]) };
        let (mut all, mut budget) = (Vec::new(), Budget { memory: 8000, depth: 0 });
        assert_eq!(budget.push_ints(field, &mut all), Ok(()));
        assert_eq!((all.len(), budget.memory), (1000, 0));
        assert_eq!(budget.push_ints(field, &mut all), Err(Fault::Memory));
    }
}
