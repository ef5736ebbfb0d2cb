//! Fields of messages, by their numbers: as much of the format as strings, numbers and messages are.

/// A message's fields: number and what is in it, as bytes or as a number.
#[derive(Debug, Clone)]
pub struct Fields(Vec<(u64, Field)>);

#[derive(Debug, Clone)]
enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push((number as u8) | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

fn read_varint(bytes: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let (byte, rest) = bytes.split_first().expect("a number has an end");
        *bytes = rest;
        number |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

/// A field that holds a number, an enumeration or a yes.
pub fn number(tag: u64, number: u64) -> Vec<u8> {
    [varint(tag << 3), varint(number)].concat()
}

/// A field that holds a message, or bytes.
pub fn within(tag: u64, message: &[u8]) -> Vec<u8> {
    let length = varint(message.len() as u64);
    [varint((tag << 3) | 2), length, message.to_vec()].concat()
}

/// A field that holds text.
pub fn text(tag: u64, text: &str) -> Vec<u8> {
    within(tag, text.as_bytes())
}

impl Fields {
    /// All fields of a message.
    pub fn of(mut bytes: &[u8]) -> Self {
        let mut fields = Vec::new();
        while !bytes.is_empty() {
            let key = read_varint(&mut bytes);
            let field = match key & 7 {
                0 => Field::Number(read_varint(&mut bytes)),
                2 => {
                    let length = read_varint(&mut bytes) as usize;
                    let (inside, rest) = bytes.split_at(length);
                    bytes = rest;
                    Field::Bytes(inside.to_vec())
                }
                kind => panic!("no field of ours is of kind {kind}"),
            };
            fields.push((key >> 3, field));
        }
        Self(fields)
    }

    fn all(&self, tag: u64) -> impl Iterator<Item = &[u8]> {
        let fields = self.0.iter().filter(move |(number, _)| *number == tag);
        fields.map(|(_, field)| match field {
            Field::Bytes(bytes) => &**bytes,
            Field::Number(number) => panic!("{number} is not text or a message"),
        })
    }

    /// The messages in a field.
    pub fn messages(&self, tag: u64) -> Vec<Self> {
        self.all(tag).map(Self::of).collect()
    }

    /// The one message in a field.
    pub fn message(&self, tag: u64) -> Self {
        let mut messages = self.messages(tag);
        assert_eq!(messages.len(), 1, "field {tag}");
        messages.remove(0)
    }

    /// The texts in a field.
    pub fn texts(&self, tag: u64) -> Vec<String> {
        let texts = self.all(tag).map(|bytes| String::from_utf8(bytes.to_vec()));
        texts.map(|text| text.expect("UTF-8")).collect()
    }

    /// The number in a field; one that is not sent is 0.
    pub fn number(&self, tag: u64) -> u64 {
        let found = self.0.iter().find(|(number, _)| *number == tag);
        match found {
            Some((_, Field::Number(number))) => *number,
            Some((_, Field::Bytes(_))) => panic!("field {tag} is not a number"),
            None => 0,
        }
    }

    /// An entry of a map of texts.
    pub fn pair(&self) -> (String, String) {
        (self.texts(1).concat(), self.texts(2).concat())
    }
}
