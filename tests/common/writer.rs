//! A writer of V1 images for tests. It shares no code with the reader, so that one mistake cannot cancel the other,
//! and it writes whatever it is told: odd images and broken ones too.

/// Appends a varint.
pub fn varint(out: &mut Vec<u8>, mut value: u64) {
    loop {
        let low = value & 127;
        value /= 128;
        if value == 0 {
            out.push(low as u8);
            return;
        }
        out.push(low as u8 + 128);
    }
}

/// A message, field by field, in the order given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(pub Vec<u8>);

/// A message without fields.
pub fn message() -> Message {
    Message::default()
}

impl Message {
    fn key(mut self, number: u32, wire_type: u64) -> Self {
        varint(&mut self.0, u64::from(number) * 8 + wire_type);
        self
    }

    /// uint32, uint64, bool, enum; int32 and int64 that are not negative.
    pub fn uint(self, number: u32, value: u64) -> Self {
        let mut this = self.key(number, 0);
        varint(&mut this.0, value);
        this
    }

    /// int32, int64: negative numbers take ten bytes.
    pub fn int(self, number: u32, value: i64) -> Self {
        self.uint(number, value.cast_unsigned())
    }

    /// sint32, sint64.
    pub fn sint(self, number: u32, value: i64) -> Self {
        let folded = if value < 0 { (value.unsigned_abs() - 1) * 2 + 1 } else { value.cast_unsigned() * 2 };
        self.uint(number, folded)
    }

    pub fn fixed32(self, number: u32, value: u32) -> Self {
        let mut this = self.key(number, 5);
        this.0.extend(value.to_le_bytes());
        this
    }

    pub fn fixed64(self, number: u32, value: u64) -> Self {
        let mut this = self.key(number, 1);
        this.0.extend(value.to_le_bytes());
        this
    }

    pub fn bytes(self, number: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.length(number, value.len() as u64).raw(value)
    }

    pub fn message(self, number: u32, value: &Message) -> Self {
        self.bytes(number, &value.0)
    }

    pub fn packed(self, number: u32, values: &[u64]) -> Self {
        let mut run = Vec::new();
        for value in values {
            varint(&mut run, *value);
        }
        self.bytes(number, run)
    }

    /// The key and the length of bytes that may not follow.
    pub fn length(self, number: u32, length: u64) -> Self {
        let mut this = self.key(number, 2);
        varint(&mut this.0, length);
        this
    }

    /// Bytes as they are.
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend(bytes.as_ref());
        self
    }
}

pub const COMMON: u32 = 0x5456_4319;
pub const SERVICE: u32 = 0x5510_5940;

/// The magic with this name, from the table.
pub fn magic(name: &str) -> u32 {
    let table = super::tables::magics();
    let row = table.rows().find(|row| row.get("name") == name);
    let value = row.unwrap_or_else(|| panic!("no magic {name}")).get("value_hex");
    u32::from_str_radix(&value[2..], 16).unwrap()
}

/// An image, word by word.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File(pub Vec<u8>);

impl File {
    /// As CRIU since v1.6 begins an image: the first word of its kind, and its magic.
    pub fn new(name: &str) -> Self {
        match name {
            "INVENTORY" => Self::v1_0(name),
            "STATS" | "IRMAP_CACHE" => Self::default().word(SERVICE).word(magic(name)),
            _ => Self::default().word(COMMON).word(magic(name)),
        }
    }

    /// As CRIU before v1.6 began an image: the magic alone.
    pub fn v1_0(name: &str) -> Self {
        Self::default().word(magic(name))
    }

    pub fn word(mut self, value: u32) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn long_word(mut self, value: u64) -> Self {
        self.0.extend(value.to_le_bytes());
        self
    }

    pub fn entry(self, message: &Message) -> Self {
        let size = message.0.len() as u32;
        self.word(size).raw(&message.0)
    }

    /// Bytes as they are: a payload, what is left of an image, garbage.
    pub fn raw(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend(bytes.as_ref());
        self
    }

    /// Bytes and zeros behind them up to a multiple of `to` bytes.
    pub fn padded(self, bytes: &[u8], to: usize) -> Self {
        let zeros = (to - bytes.len() % to) % to;
        self.raw(bytes).raw(vec![0; zeros])
    }

    /// One message of a System V queue.
    pub fn queued(self, mtype: u64, text: &[u8]) -> Self {
        self.entry(&message().uint(1, mtype).uint(2, text.len() as u64)).padded(text, 8)
    }

    /// The first bytes of it.
    pub fn cut(mut self, length: usize) -> Self {
        self.0.truncate(length);
        self
    }
}
