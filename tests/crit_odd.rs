//! crit 4.3 as the oracle, on images that nobody dumped: random messages of every kind, made from the fact tables, and
//! odd ones made by hand. What differs is listed in `differences`, with what each of the two says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::print_stderr
)]

mod common;

use common::oracle::{self, Crit};
use common::random::{self, Generator};
use common::rng::Rng;
use common::tables;
use common::writer::{COMMON, File, Message, message};
use icecore::object::json::{self, Form};
use icecore::{Image, Limits};

const WITHOUT_PAYLOADS: Form = Form { pretty: true, payloads: false, strict: false };

/// icecore's JSON, and how many warnings came with it.
fn decode(file: &File, form: Form) -> Result<(String, usize), String> {
    let image = Image::by_magic("x", file.0.clone().into(), Limits::default()).map_err(|error| error.to_string())?;
    let mut text = Vec::new();
    let mut warnings = 0;
    json::decode(&image, &form, &mut text, &mut |_| warnings += 1).map_err(|error| error.to_string())?;
    Ok((String::from_utf8(text).unwrap(), warnings))
}

fn encode(json: &str) -> Result<Vec<u8>, String> {
    let mut out = Vec::new();
    json::encode(json.as_bytes(), &Limits::default(), &mut out).map_err(|error| error.to_string())?;
    Ok(out)
}

fn text(answer: oracle::Answer) -> Result<String, String> {
    answer.map(|bytes| String::from_utf8(bytes).unwrap())
}

/// Kinds crit can read: their magic's name, their messages, whether they have one entry only.
fn readable() -> Vec<(&'static str, Vec<&'static str>, bool)> {
    let handled: Vec<&str> =
        tables::magics().rows().filter(|row| row.get("crit_handler") == "yes").map(|row| row.get("name")).collect();
    let table = tables::images();
    let mut kinds: Vec<(&str, Vec<&str>, bool)> = Vec::new();
    for row in table.rows().filter(|row| row.get("raw") == "no" && handled.contains(&row.get("magic"))) {
        if kinds.iter().all(|kind| kind.0 != row.get("magic")) {
            let messages =
                row.get("entry_messages").split(", then ").map(|name| name.split(['*', ' ']).next().unwrap()).collect();
            kinds.push((row.get("magic"), messages, row.get("cardinality").starts_with("single")));
        }
    }
    assert_eq!(kinds.len(), 65);
    kinds
}

/// Kinds whose non-empty payload crit's encode dies of.
const NOT_ENCODED: [&str; 2] = ["IPCNS_SHM", "BPFMAP_DATA"];

#[test]
fn random_images_of_every_kind() {
    const ROUNDS: u64 = 40;
    let Some(launcher) = oracle::crit() else { return };
    let generator = Generator::new();
    let kinds = readable();
    let (mut images, mut bytes, mut not_encoded) = (0, 0, 0);
    std::thread::scope(|scope| {
        let halves: Vec<_> = (0..2u64)
            .map(|half| {
                let (launcher, kinds, generator) = (&launcher, &kinds, &generator);
                scope.spawn(move || {
                    let mut crit = Crit::start(launcher);
                    let (mut images, mut bytes, mut not_encoded) = (0, 0, 0);
                    for round in (half..ROUNDS).step_by(2) {
                        for (number, (name, messages, single)) in kinds.iter().enumerate() {
                            let mut rng = Rng::new(round * 1000 + number as u64);
                            let file = random::image(generator, &mut rng, name, messages, *single);
                            images += 1;
                            bytes += file.0.len();
                            not_encoded += usize::from(!same(&mut crit, name, &file, round));
                        }
                    }
                    (images, bytes, not_encoded)
                })
            })
            .collect();
        for half in halves {
            let (some, length, dead) = half.join().unwrap();
            images += some;
            bytes += length;
            not_encoded += dead;
        }
    });
    eprintln!(
        "{images} random images of {} kinds, {bytes} bytes: equal; crit could not encode {not_encoded}",
        kinds.len()
    );
    assert_eq!(images, ROUNDS as usize * 65);
    assert!(not_encoded > 0 && not_encoded < ROUNDS as usize * 2, "{not_encoded}");
}

/// Both say the same of this image, all ways; false where crit could not encode it, as is known.
fn same(crit: &mut Crit, name: &str, file: &File, round: u64) -> bool {
    let theirs = crit.decode(&file.0);
    let mut encoded = true;
    for (form, theirs) in [(Form::COMPACT, theirs.compact), (Form::PRETTY, theirs.pretty)] {
        let (ours, warnings) = decode(file, form).unwrap_or_else(|error| panic!("{name} {round}: {error}"));
        assert_eq!(Ok(&ours), text(theirs).as_ref(), "{name} {round} {form:?}: icecore left, crit right");
        assert_eq!(warnings, 0);
        assert_eq!(decode(file, form.strict()), Ok((ours.clone(), 0)), "{name} {round}: strict");
        assert_eq!(encode(&ours).as_ref(), Ok(&file.0), "{name} {round} {form:?}: encoded back");
        match crit.encode(ours.as_bytes()) {
            Ok(bytes) => assert_eq!(bytes, file.0, "{name} {round} {form:?}: crit's encode"),
            Err(error) => {
                let known = NOT_ENCODED.contains(&name) && error.starts_with("TypeError");
                assert!(known, "{name} {round} {form:?}: crit's encode dies of {error}");
                encoded = false;
            }
        }
    }
    if name != "BPFMAP_DATA" {
        let theirs = text(crit.show_without_payloads(&file.0));
        assert_eq!(decode(file, WITHOUT_PAYLOADS).map(|(ours, _)| ours), theirs, "{name} {round} --nopl");
    }
    encoded
}

/// One entry of a kind, and what must be in both forms.
fn check(crit: &mut Crit, what: &str, file: &File, warnings: usize) -> (String, String) {
    let theirs = crit.decode(&file.0);
    let mut texts = Vec::new();
    for (form, theirs) in [(Form::COMPACT, theirs.compact), (Form::PRETTY, theirs.pretty)] {
        let ours = decode(file, form).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(Ok(&ours.0), text(theirs).as_ref(), "{what} {form:?}: icecore left, crit right");
        assert_eq!(ours.1, warnings, "{what}: warnings");
        texts.push(ours.0);
    }
    let pretty = texts.pop().unwrap();
    (texts.pop().unwrap(), pretty)
}

/// Canonical images with odd values: the same in both forms, and encoded back by both programs.
#[test]
fn odd_values() {
    let Some(launcher) = oracle::crit() else { return };
    let mut crit = Crit::start(&launcher);
    let generator = Generator::new();
    let with = |name: &str, number: u32, value: i64| generator.least_but(name, number, |out| out.int(number, value));
    let mut same = |what: &str, file: &File| {
        let (compact, pretty) = check(&mut crit, what, file, 0);
        for json in [&compact, &pretty] {
            assert_eq!(encode(json).as_ref(), Ok(&file.0), "{what}: encoded back from {json}");
        }
        (compact, pretty)
    };

    // every bit of every kind of flags, alone, all, none
    for bits in (0..32).map(|bit| 1i64 << bit).chain([0, 0xffff_ffff, 0x40022, 0x8005_0201]) {
        for field in 5..8 {
            let (_, pretty) = same("vma", &File::new("VMAS").entry(&with("vma_entry", field, bits)));
            assert!(pretty.contains("\"prot\": \"\"") || field == 5);
        }
        same("rfile.flags", &File::new("REG_FILES").entry(&with("reg_file_entry", 2, bits)));
        same("seals.flags", &File::new("MEMFD_INODE").entry(&with("memfd_inode_entry", 6, bits)));
        let page = with("pagemap_entry", 4, bits);
        same("pmap.flags", &File::new("PAGEMAP").entry(&message().uint(1, 1)).entry(&page));
        for field in 3..7 {
            same("dictionaries", &File::new("INETSK").entry(&with("inet_sk_entry", field, bits)));
        }
        same("dev", &File::new("MNTS").entry(&with("mnt_entry", 3, bits)));
        same("odev", &File::new("IRMAP_CACHE").entry(&with("irmap_cache_entry", 1, bits)));
    }
    for value in 0..140 {
        for field in 3..7 {
            same("dictionaries", &File::new("INETSK").entry(&with("inet_sk_entry", field, value)));
        }
        for field in 3..5 {
            same("dictionaries", &File::new("UNIXSK").entry(&with("unix_sk_entry", field, value)));
        }
    }
    for device in [65025, 266_338_305, 0xfff, 0x1000, 0xf_ffff, 0x10_0000, 0xdead_beef, 0x7fff_ffff] {
        same("dev", &File::new("MNTS").entry(&with("mnt_entry", 3, device)));
        same("odev", &File::new("IRMAP_CACHE").entry(&with("irmap_cache_entry", 1, device)));
    }

    // signed numbers and all 64-bit ends
    for value in [0i64, 1, -1, 127, -128, i64::from(i32::MAX), i64::from(i32::MIN)] {
        for field in 3..5 {
            same("int32", &File::new("FILE_LOCKS").entry(&with("file_lock_entry", field, value)));
        }
        let sint = generator.least_but("reg_file_entry", 7, |out| out.sint(7, value));
        same("sint32", &File::new("REG_FILES").entry(&sint));
    }
    for value in [0, 1, -1, i64::MAX, i64::MIN, 1 << 40, -(1 << 40)] {
        for field in 5..7 {
            same("int64", &File::new("FILE_LOCKS").entry(&with("file_lock_entry", field, value)));
        }
        let map = generator.least_but("vma_entry", 8, |out| out.sint(8, value));
        same("sint64", &File::new("VMAS").entry(&map));
        let file = File::new("PAGEMAP").entry(&message().uint(1, 1)).entry(&with("pagemap_entry", 1, value));
        same("uint64", &file);
    }

    // addresses of one and four words
    let socket = |words: &[u32]| {
        generator
            .least_but("inet_sk_entry", 11, |out| words.iter().fold(out, |out, word| out.uint(11, u64::from(*word))))
    };
    for (words, shown) in [
        (&[][..], ""),
        (&[16_777_343][..], "\"127.0.0.1\""),
        (&[0][..], "\"0.0.0.0\""),
        (&[0xffff_ffff][..], "\"255.255.255.255\""),
        (&[0, 0, 0, 0][..], "\"::\""),
        (&[0, 0, 0, 0x0100_0000][..], "\"::1\""),
        (&[0xb80d_0120, 0, 0, 0x0100_0000][..], "\"2001:db8::1\""),
        (&[0, 0, 0xffff_0000, 0x0100_007f][..], "\"::ffff:7f00:1\""),
        (&[0x0000_0100, 0x0000_0100, 0x0000_0100, 0x0000_0100][..], "\"1:0:1:0:1:0:1:0\""),
        (&[0x0100_0100, 0, 0x0100_0100, 0][..], "\"1:1::1:1:0:0\""),
        (&[0xffff_ffff; 4][..], "\"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff\""),
    ] {
        let file = File::new("INETSK").entry(&socket(words));
        let (_, pretty) = same(&format!("address {words:x?}"), &file);
        assert!(pretty.contains(shown), "{words:x?}: {pretty}");
        assert_eq!(pretty.contains("src_addr"), !words.is_empty());
    }
    let mut rng = Rng::new(7);
    for _ in 0..500 {
        let words: Vec<u32> =
            (0..4).map(|_| rng.next() as u32 & *rng.pick(&[0, 0xffff, 0xffff_0000, u32::MAX])).collect();
        same(&format!("address {words:x?}"), &File::new("INETSK").entry(&socket(&words)));
    }

    // strings and base64 of every length around the ends of groups and lines
    for length in 0..200 {
        let bytes: Vec<u8> = (0..length).map(|i| (i * 7) as u8).collect();
        same("base64", &File::new("TTY_DATA").entry(&message().uint(1, 1).bytes(2, &bytes)));
        same("payload", &File::new("PIPES_DATA").entry(&message().uint(1, 1).uint(2, length)).raw(&bytes));
    }
    for character in (0..0x300).chain([0x2028, 0xfffd, 0xffff, 0x1_0000, 0x10_ffff]).filter_map(char::from_u32) {
        let name = format!("a{character}b");
        same(
            "string",
            &File::new("EXT_FILES")
                .entry(&message().uint(1, 1).message(5, &generator.least("fown_entry")))
                .cut(0)
                .raw(&File::new("REMAP_FPATH").entry(&message().uint(1, 1).uint(2, 2)).0),
        );
        same("string", &File::new("UTSNS").entry(&message().bytes(1, &name).bytes(2, "")));
    }
}

/// Names of unix sockets: quoted-printable, which is lossless unless CR LF and LF mix.
#[test]
fn names_of_unix_sockets() {
    let Some(launcher) = oracle::crit() else { return };
    let mut crit = Crit::start(&launcher);
    let generator = Generator::new();
    let socket = |name: &[u8]| generator.least_but("unix_sk_entry", 11, |out| out.bytes(11, name));
    let mut names: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"named.sock\0".to_vec(),
        b"\0abs=\xc3\xa9 tail\0x ".to_vec(),
        vec![b'x'; 75],
        vec![b'x'; 76],
        vec![b'x'; 77],
        vec![b'x'; 100],
        vec![b'='; 30],
        b" ".to_vec(),
        b"a ".to_vec(),
        b"a\t".to_vec(),
        b".".to_vec(),
        b"..".to_vec(),
        b".\n.".to_vec(),
        b"a\n".to_vec(),
        b"a \nb".to_vec(),
        b"a\r\nb\r\n".to_vec(),
        b"\r".to_vec(),
        b"a\rb".to_vec(),
        b"\n\n".to_vec(),
        b"\x7f\xff".to_vec(),
    ];
    for length in 70..80 {
        for tail in [&b" "[..], b"=", b"\t", b"\xff", b" x", b".", b"\n"] {
            let mut name = vec![b'y'; length];
            name.extend(tail);
            names.push(name.clone());
            name.extend(b"end");
            names.push(name);
        }
    }
    let mut rng = Rng::new(3);
    let letters = [b'a', b'=', b' ', b'\t', b'.', b'\n', 0, 0xe9, b'\r'];
    for _ in 0..3000 {
        let length = rng.below(160);
        names.push((0..length).map(|_| *rng.pick(&letters[..8])).collect());
        let length = rng.below(12);
        names.push((0..length).map(|_| *rng.pick(&letters)).collect());
    }
    let (mut equal, mut kept) = (0, 0);
    for name in names {
        let file = File::new("UNIXSK").entry(&socket(&name));
        let theirs = crit.decode(&file.0);
        for (form, theirs) in [(Form::COMPACT, theirs.compact), (Form::PRETTY, theirs.pretty)] {
            let (ours, _) = decode(&file, form).unwrap();
            assert_eq!(encode(&ours).as_ref(), Ok(&file.0), "{name:?}: {ours}");
            let theirs = text(theirs).unwrap();
            if ours == theirs {
                equal += 1;
                continue;
            }
            // only where crit would not give the name back
            assert!(ours.contains("@bytes"), "{name:?}\n{ours}\n{theirs}");
            assert_ne!(crit.encode(theirs.as_bytes()).as_ref(), Ok(&file.0), "{name:?}");
            kept += 1;
        }
    }
    eprintln!("{equal} names as crit writes them, {kept} kept that crit would lose");
    assert!(equal > 3000 && kept > 10);
}

/// Not canonical, and yet the same for both: what protobuf merges, drops and takes.
#[test]
fn not_canonical() {
    let Some(launcher) = oracle::crit() else { return };
    let mut crit = Crit::start(&launcher);
    let generator = Generator::new();
    let fs = |entry: Message| File::new("FS").entry(&entry);
    let creds = generator.least("creds_entry");
    let least_reg = generator.least("reg_file_entry");
    let groups = [1u64, 300, 0xffff_ffff];
    let long_zero = [0x08, 0x80, 0x80, 0x80, 0x00];
    for (what, file, warnings) in [
        ("no entries", File::new("FS"), 0),
        ("an entry of no bytes", File::new("SECCOMP").entry(&message()), 0),
        ("the last of a field counts", fs(message().uint(1, 1).uint(2, 2).uint(1, 3)), 0),
        ("out of order", fs(message().uint(3, 1).uint(2, 2).uint(1, 3)), 0),
        ("long varints", fs(message().raw(long_zero).uint(2, 1)), 0),
        ("bits beyond 32", fs(message().uint(1, u64::MAX).uint(2, 1 << 32)), 0),
        ("a required field is missing", fs(message().uint(1, 1)), 1),
        ("all required fields are missing", fs(message()), 1),
        (
            "cut between fields, in an inner message",
            File::new("FILES").entry(&message().uint(1, 1).uint(2, 1).message(3, &message().uint(1, 1))),
            1,
        ),
        ("unpacked", File::new("CREDS").entry(&groups.iter().fold(creds.clone(), |m, v| m.uint(14, *v))), 0),
        ("packed", File::new("CREDS").entry(&creds.clone().packed(14, &groups)), 0),
        (
            "packed in pieces",
            File::new("CREDS").entry(&creds.clone().packed(14, &groups).uint(14, 7).packed(14, &[]).packed(14, &[8])),
            0,
        ),
        ("an empty run", File::new("CREDS").entry(&creds.packed(14, &[])), 0),
        (
            "a message in two pieces",
            File::new("FILES")
                .entry(&message().uint(1, 1).uint(2, 1).bytes(3, &least_reg.0[..4]).bytes(3, &least_reg.0[4..])),
            0,
        ),
        (
            "an int32 of five bytes",
            File::new("FILE_LOCKS").entry(&generator.least_but("file_lock_entry", 3, |out| out.uint(3, 0xffff_ffff))),
            0,
        ),
        ("bytes behind the only entry", fs(message().uint(1, 1).uint(2, 1)).entry(&message().uint(1, 2).uint(2, 2)), 0),
        (
            "a true beyond one",
            File::new("GHOST_FILE").entry(&generator.least_but("ghost_file_entry", 9, |out| out.uint(9, 2))),
            0,
        ),
    ] {
        let (compact, pretty) = check(&mut crit, what, &file, warnings);
        if warnings == 0 {
            // the same JSON again; the bytes are now canonical
            for json in [compact, pretty] {
                let bytes = encode(&json).unwrap_or_else(|error| panic!("{what}: {error}: {json}"));
                assert_eq!(crit.encode(json.as_bytes()), Ok(bytes.clone()), "{what}");
                assert_eq!(decode(&File(bytes), Form::COMPACT), decode(&file, Form::COMPACT), "{what}");
            }
        } else {
            assert!(decode(&file, Form::COMPACT.strict()).unwrap().1 > 0, "{what}: strict");
            assert!(encode(&compact).unwrap_err().contains("expected required field"), "{what}");
            assert!(crit.encode(compact.as_bytes()).unwrap_err().starts_with("EncodeError"), "{what}");
        }
    }
}

/// Every difference there may be: what crit says, and what icecore says.
#[test]
fn differences() {
    let Some(launcher) = oracle::crit() else { return };
    let mut crit = Crit::start(&launcher);
    let generator = Generator::new();
    let least = |name: &str| generator.least(name);
    let fs = message().uint(1, 1).uint(2, 2);
    let segment = message().message(1, &least("ipc_desc_entry")).uint(2, 8).uint(3, 1);
    let pipe = message().uint(1, 1).uint(2, 10);
    let inet = |words: &[u64]| {
        let socket = |out| words.iter().fold(out, |out: Message, word| out.uint(11, *word));
        File::new("INETSK").entry(&generator.least_but("inet_sk_entry", 11, socket))
    };
    // what crit and icecore say of each, in the compact form or (p) the pretty one: a part of the text, or `!` and a
    // part of the error; and whether icecore gives the bytes back
    let cases: [(&str, File, char, &str, &str, bool); 19] = [
        (
            "a field of a newer CRIU",
            File::new("FS").entry(&fs.clone().uint(9, 5)),
            'c',
            "\"root_id\": 2}",
            "\"@unknown\": \"SAU=\"",
            true,
        ),
        (
            "an enum number without a name",
            File::new("FILES").entry(&message().uint(1, 77).uint(2, 1)),
            'c',
            "{\"id\": 1}",
            "{\"type\": 77, \"id\": 1}",
            true,
        ),
        (
            "a string that is not UTF-8",
            File::new("UTSNS").entry(&message().bytes(1, b"\xff").bytes(2, "")),
            'c',
            r#""b'\\xff'""#,
            "{\"@bytes\": \"/w==\"}",
            true,
        ),
        (
            "v1.0",
            File::v1_0("FS").entry(&fs),
            'c',
            "{\"magic\": \"FS\", \"entries\"",
            "\"@first_word\": \"none\"",
            true,
        ),
        (
            "an inventory with a first word",
            File::default().word(COMMON).raw(&File::new("INVENTORY").0).entry(&message().uint(1, 2)),
            'c',
            "{\"magic\": \"INVENTORY\", \"entries\"",
            "\"@first_word\": \"common\"",
            true,
        ),
        (
            "an address of two words",
            inet(&[1, 2]),
            'p',
            "!IndexError",
            "\"src_addr\": [\n                1,\n                2\n            ]",
            true,
        ),
        ("an address of three words", inet(&[1, 2, 3]), 'p', "!IndexError", "3\n            ]", true),
        (
            "an address of five words",
            inet(&[0xb80d_0120, 0, 0, 0x0100_0000, 5]),
            'p',
            "\"2001:db8::1\"",
            "16777216,\n                5\n            ]",
            true,
        ),
        (
            "several segments in pagemaps",
            File::new("IPCNS_SHM").entry(&segment).entry(&segment),
            'c',
            "\"extra\": \"",
            "\"extra\": \"\"}, {\"desc\"",
            true,
        ),
        (
            "a kind without handler",
            File::new("PIDFD").entry(&least("pidfd_entry")),
            'c',
            "!No handler found for image with magic PIDFD",
            "{\"magic\": \"PIDFD\"",
            true,
        ),
        (
            "another",
            File::new("SIGNAL").entry(&message().bytes(1, [7; 128])),
            'c',
            "!No handler found for image with magic SIGNAL",
            "{\"magic\": \"SIGNAL\"",
            true,
        ),
        (
            "another",
            File::new("BINFMT_MISC").entry(&least("binfmt_misc_entry")),
            'c',
            "!No handler found for image with magic BINFMT_MISC",
            "{\"magic\": \"BINFMT_MISC\"",
            true,
        ),
        (
            "a payload that is cut",
            File::new("PIPES_DATA").entry(&pipe).raw("abc"),
            'c',
            "\"extra\": \"YWJj\\n\"",
            "!expected 10 bytes of payload behind the entry, found 3",
            false,
        ),
        (
            "an endless size",
            File::new("FS").word(u32::MAX).raw(&fs.0),
            'c',
            "\"root_id\": 2",
            "!expected an entry of 4294967295 bytes, found 4",
            false,
        ),
        (
            "a size cut short",
            File::new("FS").entry(&fs).raw([0, 0]),
            'c',
            "!error: unpack requires a buffer of 4 bytes",
            "!expected the size of an entry, 4 bytes, found 2",
            false,
        ),
        (
            "a wrong wire type",
            File::new("FS").entry(&fs.clone().bytes(3, "x")),
            'c',
            "\"root_id\": 2}",
            "!field umask: expected wire type 0 of fs_entry, found 2",
            false,
        ),
        (
            "a group",
            File::new("FS").entry(&fs.clone().raw([0x4b, 0x4c])),
            'c',
            "\"root_id\": 2}",
            "!expected wire type 0, 1, 2 or 5, found 3",
            false,
        ),
        (
            "no magic of an image",
            File::default().word(0x1122_3344),
            'c',
            "!MagicException",
            "!expected the magic of an image, found 0x11223344",
            false,
        ),
        (
            "no bytes",
            File::default(),
            'c',
            "!error: unpack requires a buffer of 4 bytes",
            "!expected a magic of 4 bytes, found 0",
            false,
        ),
    ];
    for (what, file, form, crits, icecores, back) in cases {
        let theirs = crit.decode(&file.0);
        let (form, theirs) = if form == 'p' { (Form::PRETTY, theirs.pretty) } else { (Form::COMPACT, theirs.compact) };
        let ours = decode(&file, form).map(|(text, _)| text);
        for (who, said, want) in [("crit", &text(theirs), crits), ("icecore", &ours, icecores)] {
            match (said, want.strip_prefix('!')) {
                (Ok(text), None) => assert!(text.contains(want), "{what}: {who} says {text}, not {want}"),
                (Err(error), Some(want)) => assert!(error.contains(want), "{what}: {who} says {error}, not {want}"),
                (said, _) => panic!("{what}: {who} says {said:?}, not {want}"),
            }
        }
        if back {
            assert_eq!(encode(&ours.unwrap()).as_ref(), Ok(&file.0), "{what}: encoded back");
        }
    }
    // and what crit's encode dies of
    let shm = r#"{"magic": "IPCNS_SHM", "entries": [{"desc": {"key": 1, "uid": 0, "gid": 0, "cuid": 0, "cgid": 0, "mode": 0, "id": 0}, "size": 3, "extra": "YWJj\n"}]}"#;
    assert!(crit.encode(shm.as_bytes()).unwrap_err().starts_with("TypeError"));
    assert!(encode(shm).unwrap().ends_with(b"abc\0"));
    let bpf = r#"{"magic": "BPFMAP_DATA", "entries": [{"map_id": 1, "keys_bytes": 1, "values_bytes": 2, "count": 1, "extra": "YWJj\n"}]}"#;
    assert!(crit.encode(bpf.as_bytes()).unwrap_err().starts_with("TypeError"));
    assert!(encode(bpf).unwrap().ends_with(b"abc"));
    let none = r#"{"magic": "CREDS", "entries": [{"uid": 0, "gid": 0, "euid": 0, "egid": 0, "suid": 0, "sgid": 0, "fsuid": 0, "fsgid": 0, "secbits": 0, "groups": []}]}"#;
    assert!(crit.encode(none.as_bytes()).unwrap_err().starts_with("IndexError"));
    assert_eq!(encode(none).unwrap(), File::new("CREDS").entry(&generator.least("creds_entry")).0);
    let map = File::new("BPFMAP_DATA").entry(&message().uint(1, 1).uint(2, 1).uint(3, 2).uint(4, 1)).raw("abc");
    assert!(crit.show_without_payloads(&map.0).unwrap_err().starts_with("AttributeError"));
    assert!(decode(&map, WITHOUT_PAYLOADS).unwrap().0.contains("\"extra\": \"... <3B>\""));
}

/// What crit's encode accepts, icecore's does, to the same bytes.
#[test]
fn encode_accepts_what_crit_accepts() {
    let Some(launcher) = oracle::crit() else { return };
    let mut crit = Crit::start(&launcher);
    let image = |magic: &str, entry: &str| format!("{{\"magic\": \"{magic}\", \"entries\": [{entry}]}}");
    for json in [
        image("FS", r#"{"cwd_id": "0x10", "root_id": "17", "umask": "0o22"}"#),
        image("FS", r#"{"umask": 18, "root_id": 2, "cwd_id": 1, "newer": {"a": [1, 2.5e3, null, "x"]}}"#),
        image("FS", "\n{ \"cwd_id\" :1 ,\t\"root_id\":2 }\r\n"),
        image("FS", r#"{"cwd_id": " 7 ", "root_id": "0b101", "umask": "1_000"}"#),
        r#"{"entries": [], "magic": "FS"}"#.to_owned(),
        r#"{"entries": [{"cwd_id": 1, "root_id": 2}], "more": 1, "magic": "FS"}"#.to_owned(),
        image("STATS", "{}"),
        image("IRMAP_CACHE", r#"{"dev": "254:1", "inode": 5, "path": "/x"}"#),
        image("UTSNS", r#"{"nodename": "\u00e9\ud83d\ude00\n\"\\\/", "domainname": ""}"#),
        image("TTY_DATA", r#"{"tty_id": 1, "data": "AAEC\nAwQF\n"}"#),
        image("PIPES_DATA", r#"{"pipe_id": 1, "bytes": 0, "extra": ""}"#),
        image(
            "VMAS",
            r#"{"start": "0x1", "end": "0x2", "pgoff": 0, "shmid": 0, "prot": "PROT_READ|0x8", "flags": "MAP_PRIVATE | 0x40000", "status": "", "fd": "-1"}"#,
        ),
    ] {
        let theirs = crit.encode(json.as_bytes()).unwrap_or_else(|error| panic!("{json}: crit says {error}"));
        assert_eq!(encode(&json), Ok(theirs), "{json}");
    }
    for json in [
        "",
        "{",
        "[]",
        "1",
        "{}",
        r#"{"magic": "FS"}"#,
        r#"{"entries": []}"#,
        r#"{"magic": "NO", "entries": []}"#,
        &image("FS", r#"{"cwd_id": 1}"#),
        &image("FS", r#"{"cwd_id": 4294967296, "root_id": 1}"#),
        &image("FS", r#"{"cwd_id": -1, "root_id": 1}"#),
        &image("FS", r#"{"cwd_id": "x", "root_id": 1}"#),
        &image("FS", r#"{"cwd_id": 1, "root_id": 1},"#),
        &image("FILES", r#"{"type": "NO", "id": 1}"#),
        &image(
            "VMAS",
            r#"{"start": 1, "end": 2, "pgoff": 0, "shmid": 0, "prot": "PROT_ALL", "flags": 0, "status": 0, "fd": -1}"#,
        ),
        &image(
            "IPCNS_SEM",
            r#"{"desc": {"key": 1, "uid": 0, "gid": 0, "cuid": 0, "cgid": 0, "mode": 0, "id": 0}, "nsems": 2, "extra": [1]}"#,
        ),
    ] {
        assert!(crit.encode(json.as_bytes()).is_err(), "crit takes {json}");
        assert!(encode(json).is_err(), "icecore takes {json}");
    }
}
