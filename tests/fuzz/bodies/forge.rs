//! Makes bytes look like files of a log: magics and checksums become right, all else stays as it is. So a reader gets to see
//! frames whose fields nobody wrote.

/// What is made right.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Forge {
    pub(crate) log_id: u64,
    /// Frames continue each other.
    pub(crate) chained: bool,
    /// What frames hold is what their headers say.
    pub(crate) filled: bool,
}

const KINDS: [u8; 4] = *b"RCSF";

fn word(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn set(bytes: &mut [u8], at: usize, field: &[u8]) {
    bytes[at..at + field.len()].copy_from_slice(field);
}

impl Forge {
    /// A segment or checkpoint of this name.
    pub(crate) fn file(self, name: &str, bytes: &mut Vec<u8>) {
        let (digits, magic) = match name.split_once('.') {
            Some((digits, "log")) => (digits, b"chgsegm\n"),
            Some((digits, "checkpoint")) => (digits, b"chgckpt\n"),
            _ => return self.mark(bytes),
        };
        let Ok(position) = digits.parse::<u64>() else { return };
        if bytes.len() < 40 {
            bytes.resize(40, 0);
        }
        set(bytes, 0, magic);
        set(bytes, 8, &[1, 0, 0, 0, 0, 0, 0, 0]);
        set(bytes, 16, &self.log_id.to_le_bytes());
        set(bytes, 24, &position.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..36]);
        set(bytes, 36, &crc.to_le_bytes());
        let seed = crc32c::crc32c_append(crc32c::crc32c(&self.log_id.to_le_bytes()), &position.to_le_bytes());
        let first = if magic == b"chgckpt\n" { 0 } else { position };
        self.frames(seed, (first, crc), bytes);
    }

    fn frames(self, seed: u32, (mut next, mut crc): (u64, u32), bytes: &mut [u8]) {
        let mut at = 40;
        while at + 40 <= bytes.len() && bytes[at] != 0 {
            let (header, payload) = bytes[at..].split_at_mut(40);
            set(header, 0, b"chg");
            header[3] = KINDS[usize::from(header[3]) % 4];
            let mut length = word(header, 4) as usize;
            if header[7] & 0x80 == 0 {
                length = (length & 0xff).min(payload.len());
                set(header, 4, &u32::try_from(length).unwrap().to_le_bytes());
            }
            let held = length.min(payload.len());
            let payload = &mut payload[..held];
            if self.chained {
                set(header, 8, &next.to_le_bytes());
                set(header, 20, &crc.to_le_bytes());
            }
            if self.filled {
                let count = fill(header[3], payload);
                set(header, 16, &count.to_le_bytes());
            }
            set(header, 32, &crc32c::crc32c(payload).to_le_bytes());
            crc = crc32c::crc32c_append(seed, &header[..36]);
            set(header, 36, &crc.to_le_bytes());
            next = u64::from_le_bytes(header[8..16].try_into().unwrap()).saturating_add(u64::from(word(header, 16)));
            if let (b'S', [fields @ .., _, _, _, _]) = (header[3], &*payload)
                && let Ok(resume) = fields.try_into()
            {
                (next, crc) = (u64::from_le_bytes(resume), word(payload, 8));
            }
            at += 40 + payload.len();
        }
    }

    /// A high-water mark.
    fn mark(self, bytes: &mut Vec<u8>) {
        if bytes.len() < 52 {
            bytes.resize(52, 0);
        }
        set(bytes, 0, b"chghwm1\n");
        set(bytes, 16, &self.log_id.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..48]);
        set(bytes, 48, &crc.to_le_bytes());
    }
}

/// Makes the lengths of records those that fill the payload; how many there are.
fn fill(kind: u8, payload: &mut [u8]) -> u32 {
    let prefix = match kind {
        b'R' => 4,
        b'C' => 12,
        _ => return 0,
    };
    let (mut at, mut count) = (0, 0);
    while at + prefix <= payload.len() {
        let left = payload.len() - at - prefix;
        let length = (usize::from(payload[at + prefix - 4]) % 16).min(left);
        // What is too short for another record belongs to this one.
        let length = if left - length < prefix { left } else { length };
        set(payload, at + prefix - 4, &u32::try_from(length).unwrap().to_le_bytes());
        at += prefix + length;
        count += 1;
    }
    count
}
