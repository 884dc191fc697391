//! The pickle format of Python, read without anything being run: objects are their classes, arguments and contents, by name.
//!
//! <https://github.com/python/cpython/blob/main/Lib/pickletools.py> describes all operations; those of protocols 0 to 5 are read. The
//! code is our own: burn-store's reader ends at the first object of PyTorch that it has no form for, wherever in a file it is.
//!
//! Values are in one list and refer to one another by their places in it, so that neither a deep value nor a circular one can overflow
//! the stack. A byte of a pickle can make a value of a hundred: what values take is counted, and limited.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::{BufRead, Read};
use std::sync::Arc;

/// The most bytes that the values of a pickle may take. A tensor takes some 2,500.
const MEMORY: usize = 128 << 20;

/// The place of a value.
pub type Id = usize;

/// A value of Python.
#[derive(Debug, PartialEq)]
pub enum Value {
    None,
    Bool(bool),
    Int(i64),
    Text(String),
    /// A class or a function: `torch._utils._rebuild_tensor_v2`.
    Global(Arc<str>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Object(Box<Object>),
    /// What is stored elsewhere, by its persistent id.
    Persistent(Id),
    /// A number, bytes, or anything else that says nothing of tensors.
    Other,
}

impl Value {
    /// Returns about how many bytes it takes, with the room that lists keep for more.
    fn size(&self) -> usize {
        let contents = match self {
            Self::Text(text) => text.len(),
            Self::Global(name) => name.len(),
            Self::Tuple(items) | Self::List(items) => size_of_val(&items[..]),
            Self::Dict(items) => size_of_val(&items[..]),
            Self::Object(_) => size_of::<Object>(),
            _ => 0,
        };
        2 * size_of::<Self>() + contents
    }
}

/// What a class or a function was called to make.
#[derive(Debug, PartialEq)]
pub struct Object {
    /// The name of the class or function.
    pub class: Arc<str>,
    /// The place of the arguments.
    pub args: Option<Id>,
    /// What was added to it as to a list.
    pub list: Vec<Id>,
    /// What was added to it as to a dictionary.
    pub items: Vec<(Id, Id)>,
    /// The attributes that were set.
    pub state: Option<Id>,
}

impl Object {
    /// Returns what a class makes of arguments.
    pub fn new(class: Arc<str>, args: Id) -> Self {
        Self { class, args: Some(args), list: Vec::new(), items: Vec::new(), state: None }
    }
}

/// The values of a pickle.
pub struct Values {
    values: Vec<Value>,
    pub root: Id,
}

impl Values {
    /// Returns how many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    pub fn get(&self, id: Id) -> &Value {
        &self.values[id]
    }

    /// Returns a key of a dictionary as a part of a tensor's name.
    pub fn key(&self, id: Id) -> Option<Cow<'_, str>> {
        match self.get(id) {
            Value::Text(text) => Some(text.into()),
            Value::Int(number) => Some(number.to_string().into()),
            _ => None,
        }
    }

    /// Returns the items of a tuple or a list.
    pub fn sequence(&self, id: Id) -> &[Id] {
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => items,
            _ => &[],
        }
    }

    /// Returns the entries of a dictionary, or of an object that is one.
    pub fn entries(&self, id: Id) -> &[(Id, Id)] {
        match self.get(id) {
            Value::Dict(items) => items,
            Value::Object(object) => &object.items,
            _ => &[],
        }
    }

    /// Returns the value that a dictionary has for a name.
    pub fn entry(&self, dict: Id, name: &str) -> Option<Id> {
        let is_named = |key: Id| matches!(self.get(key), Value::Text(text) if text == name);
        self.entries(dict).iter().find(|(key, _)| is_named(*key)).map(|(_, value)| *value)
    }

    /// Returns the names of all classes and functions.
    pub fn globals(&self) -> impl Iterator<Item = &str> {
        self.values.iter().filter_map(|value| match value {
            Value::Global(name) => Some(&**name),
            _ => None,
        })
    }
}

/// Reads one pickle, of at most this many bytes.
pub fn read(reader: &mut impl BufRead, most: u64) -> Result<Values, String> {
    let mut machine = Machine {
        reader,
        left: most,
        memory: MEMORY,
        values: Vec::new(),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
    };
    while machine.step()? {}
    let root = machine.pop()?;
    Ok(Values { values: machine.values, root })
}

struct Machine<'r, R> {
    reader: &'r mut R,
    /// The bytes that may still be read.
    left: u64,
    /// The bytes that values may still take.
    memory: usize,
    values: Vec<Value>,
    stack: Vec<Id>,
    /// Heights of the stack.
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
}

impl<R: BufRead> Machine<'_, R> {
    /// Runs one operation; returns whether there are more.
    fn step(&mut self) -> Result<bool, String> {
        let [operation] = self.bytes()?;
        match operation {
            b'.' => return Ok(false),
            b'(' => {
                self.take(2 * size_of::<usize>())?;
                self.marks.push(self.stack.len());
            }
            b'0' => {
                // A mark is on the stack too, in Python's.
                if self.marks.last() == Some(&self.stack.len()) {
                    self.marks.pop();
                } else {
                    self.pop()?;
                }
            }
            b'1' => drop(self.popped_to_mark()?),
            b'2' => {
                let top = self.top()?;
                self.stacked(top)?;
            }
            b'N' => self.push(Value::None)?,
            0x88 | 0x89 => self.push(Value::Bool(operation == 0x88))?,
            b'J' => self.signed(4)?,
            b'K' => self.unsigned(1)?,
            b'M' => self.unsigned(2)?,
            b'I' | b'L' => self.decimal()?,
            0x8a | 0x8b => {
                let length = self.number(if operation == 0x8a { 1 } else { 4 })?;
                match length {
                    0..=8 => self.signed(length as usize)?,
                    _ => self.skipped(length)?,
                }
            }
            b'F' => {
                self.line()?;
                self.push(Value::Other)?;
            }
            b'G' => self.skipped(8)?,
            b'S' | b'V' => {
                let line = self.line()?;
                self.push(Value::Text(line.trim_matches(['\'', '"']).into()))?;
            }
            b'U' | 0x8c => self.text(1)?,
            b'T' | b'X' => self.text(4)?,
            0x8d => self.text(8)?,
            b'C' => self.skipped_of(1)?,
            b'B' => self.skipped_of(4)?,
            0x8e | 0x96 => self.skipped_of(8)?,
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.push(Value::Global(format!("{module}.{name}").into()))?;
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let global = match (&self.values[module], &self.values[name]) {
                    (Value::Text(module), Value::Text(name)) => format!("{module}.{name}"),
                    _ => return Err("a class has no name".into()),
                };
                self.push(Value::Global(global.into()))?;
            }
            b')' => self.push(Value::Tuple(Vec::new()))?,
            0x85..=0x87 => {
                let count = usize::from(operation - 0x84);
                let start = self.stack.len().checked_sub(count).ok_or("it takes more than there is")?;
                let items = self.stack.split_off(start);
                self.push(Value::Tuple(items))?;
            }
            b't' => {
                let items = self.popped_to_mark()?;
                self.push(Value::Tuple(items))?;
            }
            b']' | 0x8f => self.push(Value::List(Vec::new()))?,
            b'l' | 0x91 => {
                let items = self.popped_to_mark()?;
                self.push(Value::List(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' | 0x90 => {
                let items = self.popped_to_mark()?;
                self.append(items)?;
            }
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'd' => {
                let items = self.popped_to_mark()?;
                self.push(Value::Dict(pairs(&items)))?;
            }
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.set(vec![(key, value)])?;
            }
            b'u' => {
                let items = self.popped_to_mark()?;
                self.set(pairs(&items))?;
            }
            b'R' | 0x81 => {
                let (args, class) = (self.pop()?, self.pop()?);
                self.called(class, args)?;
            }
            0x92 => {
                let (_, args, class) = (self.pop()?, self.pop()?, self.pop()?);
                self.called(class, args)?;
            }
            b'i' => {
                let (module, name) = (self.line()?, self.line()?);
                let args = self.popped_to_mark()?;
                let args = self.add(Value::Tuple(args))?;
                let class = self.add(Value::Global(format!("{module}.{name}").into()))?;
                self.called(class, args)?;
            }
            b'o' => {
                let mut items = self.popped_to_mark()?;
                if items.is_empty() {
                    return Err("an object has no class".into());
                }
                let class = items.remove(0);
                let args = self.add(Value::Tuple(items))?;
                self.called(class, args)?;
            }
            b'b' => {
                let state = self.pop()?;
                let object = self.top()?;
                if let Value::Object(object) = &mut self.values[object] {
                    object.state = Some(state);
                }
            }
            b'P' => {
                let id = self.line()?;
                let id = self.add(Value::Text(id))?;
                self.push(Value::Persistent(id))?;
            }
            b'Q' => {
                let id = self.pop()?;
                self.push(Value::Persistent(id))?;
            }
            b'g' => {
                let place = self.line()?.parse().map_err(|_| "a number is expected")?;
                self.remembered(place)?;
            }
            b'h' => self.number(1).and_then(|place| self.remembered(place))?,
            b'j' => self.number(4).and_then(|place| self.remembered(place))?,
            b'p' => {
                let place = self.line()?.parse().map_err(|_| "a number is expected")?;
                self.remember(place)?;
            }
            b'q' => self.number(1).and_then(|place| self.remember(place))?,
            b'r' => self.number(4).and_then(|place| self.remember(place))?,
            0x94 => self.remember(self.memo.len() as u64)?,
            0x80 => drop(self.bytes::<1>()?),
            0x95 => drop(self.bytes::<8>()?),
            0x82..=0x84 => {
                self.number([1, 2, 4][usize::from(operation - 0x82)])?;
                self.push(Value::Other)?;
            }
            0x97 => self.push(Value::Other)?,
            0x98 => {}
            other => return Err(format!("it has an unknown operation, {other:#04x}")),
        }
        Ok(true)
    }

    /// Counts bytes that values take.
    fn take(&mut self, bytes: usize) -> Result<(), String> {
        let left = self.memory.checked_sub(bytes);
        self.memory = left.ok_or("its table of tensors takes more memory than that of any checkpoint")?;
        Ok(())
    }

    fn add(&mut self, value: Value) -> Result<Id, String> {
        self.take(value.size())?;
        self.values.push(value);
        Ok(self.values.len() - 1)
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        let id = self.add(value)?;
        self.stacked(id)
    }

    fn stacked(&mut self, id: Id) -> Result<(), String> {
        self.take(2 * size_of::<Id>())?;
        self.stack.push(id);
        Ok(())
    }

    fn pop(&mut self) -> Result<Id, String> {
        self.stack.pop().ok_or_else(|| "it takes more than there is".into())
    }

    fn top(&self) -> Result<Id, String> {
        self.stack.last().copied().ok_or_else(|| "it takes more than there is".into())
    }

    fn popped_to_mark(&mut self) -> Result<Vec<Id>, String> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len());
        Ok(self.stack.split_off(mark.ok_or("a mark is missing")?))
    }

    fn append(&mut self, items: Vec<Id>) -> Result<(), String> {
        self.take(2 * size_of_val(&items[..]))?;
        let list = self.top()?;
        match &mut self.values[list] {
            Value::List(list) => list.extend(items),
            Value::Object(object) => object.list.extend(items),
            _ => {}
        }
        Ok(())
    }

    fn set(&mut self, items: Vec<(Id, Id)>) -> Result<(), String> {
        self.take(2 * size_of_val(&items[..]))?;
        let dict = self.top()?;
        match &mut self.values[dict] {
            Value::Dict(dict) => dict.extend(items),
            Value::Object(object) => object.items.extend(items),
            _ => {}
        }
        Ok(())
    }

    fn called(&mut self, class: Id, args: Id) -> Result<(), String> {
        let class = match &self.values[class] {
            Value::Global(name) => Arc::clone(name),
            _ => "".into(),
        };
        self.push(Value::Object(Box::new(Object::new(class, args))))
    }

    fn remembered(&mut self, place: u64) -> Result<(), String> {
        let id = *self.memo.get(&place).ok_or("it refers to what is not there")?;
        self.stacked(id)
    }

    fn remember(&mut self, place: u64) -> Result<(), String> {
        let top = self.top()?;
        if self.memo.insert(place, top).is_none() {
            self.take(4 * size_of::<(u64, Id)>())?;
        }
        Ok(())
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N], String> {
        self.spend(N as u64)?;
        let mut bytes = [0; N];
        self.reader.read_exact(&mut bytes).map_err(|e| e.to_string())?;
        Ok(bytes)
    }

    fn spend(&mut self, count: u64) -> Result<(), String> {
        self.left = self
            .left
            .checked_sub(count)
            .ok_or("its table of tensors is longer than that of any checkpoint")?;
        Ok(())
    }

    /// Reads a number of so many bytes, the lowest first.
    fn number(&mut self, size: usize) -> Result<u64, String> {
        let mut number = 0;
        for place in 0..size {
            let [byte] = self.bytes()?;
            number |= u64::from(byte) << (8 * place);
        }
        Ok(number)
    }

    fn unsigned(&mut self, size: usize) -> Result<(), String> {
        let number = self.number(size)?;
        self.push(Value::Int(number as i64))
    }

    fn signed(&mut self, size: usize) -> Result<(), String> {
        let number = self.number(size)? as i64;
        let unused = 64 - 8 * size as u32;
        self.push(Value::Int(if size == 0 { 0 } else { number << unused >> unused }))
    }

    /// Reads a number in digits, or a truth value as protocol 0 writes it.
    fn decimal(&mut self) -> Result<(), String> {
        let line = self.line()?;
        let value = match line.as_str() {
            "00" => Value::Bool(false),
            "01" => Value::Bool(true),
            digits => digits.trim_end_matches('L').parse().map_or(Value::Other, Value::Int),
        };
        self.push(value)
    }

    fn line(&mut self) -> Result<String, String> {
        let mut line = Vec::new();
        let read = Read::take(&mut *self.reader, self.left).read_until(b'\n', &mut line);
        self.spend(read.map_err(|e| e.to_string())? as u64)?;
        match line.pop() {
            Some(b'\n') => String::from_utf8(line).map_err(|_| "its text is not UTF-8".into()),
            _ => Err("it is cut short".into()),
        }
    }

    /// Reads text whose length is a number of so many bytes.
    fn text(&mut self, size: usize) -> Result<(), String> {
        let length = self.number(size)?;
        self.spend(length)?;
        let mut text = Vec::new();
        let read = Read::take(&mut *self.reader, length).read_to_end(&mut text);
        if read.map_err(|e| e.to_string())? as u64 != length {
            return Err("it is cut short".into());
        }
        let text =
            String::from_utf8(text).unwrap_or_else(|bytes| String::from_utf8_lossy(bytes.as_bytes()).into());
        self.push(Value::Text(text))
    }

    /// Skips bytes whose number is a number of so many bytes.
    fn skipped_of(&mut self, size: usize) -> Result<(), String> {
        let length = self.number(size)?;
        self.skipped(length)
    }

    fn skipped(&mut self, length: u64) -> Result<(), String> {
        let mut rest = Read::take(&mut *self.reader, length);
        match std::io::copy(&mut rest, &mut std::io::sink()) {
            Ok(skipped) if skipped == length => self.push(Value::Other),
            Ok(_) => Err("it is cut short".into()),
            Err(error) => Err(error.to_string()),
        }
    }
}

fn pairs(items: &[Id]) -> Vec<(Id, Id)> {
    let (pairs, _) = items.as_chunks::<2>();
    pairs.iter().map(|[key, value]| (*key, *value)).collect()
}
