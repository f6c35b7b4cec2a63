//! Any bytes as an image. What is read one way is read all ways; what the check lets pass, prost decodes; JSON that
//! comes out goes in again and gives itself.
#![no_main]

use icecore::image::KINDS;
use icecore::object::json::{self, Form};
use icecore::{Entry, Error, Image, Limits};
use libfuzzer_sys::{Corpus, fuzz_target};
use rayon::iter::ParallelIterator;

/// Small enough that what they stop is met.
const LIMITS: Limits = Limits { memory: 8 << 20, depth: 100, files: 100, spool: 1 << 20, scan: 64 << 10, parents: 10 };

/// The first byte: 0 for a whole file, else the number of a kind, whose words are then put before the rest.
fn image(data: &[u8]) -> Option<Image> {
    let (&number, rest) = data.split_first()?;
    if number == 0 {
        return Image::by_magic("x", rest.to_vec().into(), LIMITS).ok();
    }
    let row = KINDS.get(usize::from(number) - 1)?;
    let mut bytes = Vec::new();
    if row.shape.is_framed() {
        bytes.extend(row.first_word.value().into_iter().flat_map(u32::to_le_bytes));
        bytes.extend(row.magic.to_le_bytes());
    }
    bytes.extend(rest);
    Image::of_kind("x", row.kind, 1, bytes.into(), LIMITS).ok()
}

fn placed(error: &Error) {
    assert_eq!(error.image(), Some("x"), "{error}");
    assert!(error.entry().is_some() && error.offset().is_some(), "{error}");
}

fn agree<T: icecore::object::Object>(entry: &Entry<'_>) {
    let checked = entry.check();
    if let Err(error) = &checked {
        placed(error);
    }
    match (checked, entry.decode::<T>()) {
        (Ok(()), Ok(_)) => {}
        // bits above 64, which protobuf drops and prost refuses
        (Ok(()), Err(error)) => assert!(error.what().contains("invalid varint"), "{error}"),
        (Err(ours), Err(error)) => assert_eq!(ours.to_string(), error.to_string()),
        (Err(error), Ok(_)) => panic!("decoded, and the check says {error}"),
    }
}

macro_rules! decode {
    ($entry:expr, $($message:ident),*) => {
        $(if std::ptr::eq(schema::<icecore::v1::$message>(), $entry.schema().unwrap()) {
            return agree::<icecore::v1::$message>($entry);
        })*
    };
}

fn schema<T: icecore::object::schema::Typed>() -> &'static icecore::object::schema::Message {
    T::schema()
}

fn structs(entry: &Entry<'_>) {
    decode!(
        entry,
        ApparmorEntry,
        AutofsEntry,
        BinfmtMiscEntry,
        BpfmapDataEntry,
        BpfmapFileEntry,
        CgroupEntry,
        CoreEntry,
        CpuinfoEntry,
        CredsEntry,
        CriuDmabufNode,
        CriuKfd,
        CriuRenderNode,
        EventfdFileEntry,
        EventpollFileEntry,
        EventpollTfdEntry,
        ExtFileEntry,
        FanotifyFileEntry,
        FanotifyMarkEntry,
        FdinfoEntry,
        FifoEntry,
        FileEntry,
        FileLockEntry,
        FsEntry,
        GhostChunkEntry,
        GhostFileEntry,
        InetSkEntry,
        InotifyFileEntry,
        InotifyWdEntry,
        InventoryEntry,
        IpcMsgEntry,
        IpcSemEntry,
        IpcShmEntry,
        IpcVarEntry,
        IrmapCacheEntry,
        ItimerEntry,
        MemfdFileEntry,
        MemfdInodeEntry,
        MmEntry,
        MntEntry,
        NetDeviceEntry,
        NetlinkSkEntry,
        NetnsEntry,
        NsFileEntry,
        PacketSockEntry,
        PagemapEntry,
        PagemapHead,
        PidfdEntry,
        PidnsEntry,
        PipeDataEntry,
        PipeEntry,
        PosixTimerEntry,
        PstreeEntry,
        RegFileEntry,
        RemapFilePathEntry,
        RlimitEntry,
        SaEntry,
        SeccompEntry,
        SiginfoEntry,
        SignalfdEntry,
        SkPacketEntry,
        StatsEntry,
        TaskKobjIdsEntry,
        TcpStreamEntry,
        TimensEntry,
        TimerfdEntry,
        TtyDataEntry,
        TtyFileEntry,
        TtyInfoEntry,
        TunfileEntry,
        UnixSkEntry,
        UsernsEntry,
        UtsnsEntry,
        VmaEntry
    );
    panic!("{} is in no list", entry.schema().unwrap().name);
}

fn walk(image: &Image) {
    let place = |entry: Result<Entry<'_>, Error>| match entry {
        Ok(entry) => Ok((entry.index(), entry.offset(), entry.payload_offset(), entry.payload().len())),
        Err(error) => Err(error.to_string()),
    };
    let one_by_one: Vec<_> = image.iter().map(place).collect();
    assert_eq!(one_by_one.len(), image.iter().len());
    assert_eq!(one_by_one.len(), image.len() + usize::from(image.fault().is_some()));
    let got: Vec<_> = (0..one_by_one.len()).map(|index| place(image.get(index))).collect();
    assert_eq!(one_by_one, got, "get");
    let mut back: Vec<_> = image.iter().rev().map(place).collect();
    back.reverse();
    assert_eq!(one_by_one, back, "rev");
    let parallel: Vec<_> = image.par_iter().map(place).collect();
    assert_eq!(one_by_one, parallel, "par_iter");
}

/// Whether the check finds nothing in the image that JSON makes.
fn is_whole(image: &Image, text: &[u8]) -> bool {
    let mut back = Vec::new();
    json::encode(text, &LIMITS, &mut back).unwrap();
    let again = Image::of_kind("x", image.kind(), 1, back.into(), LIMITS).unwrap();
    again.iter().all(|entry| entry.and_then(|entry| entry.check()).is_ok())
}

fn there_and_back(image: &Image, form: Form) {
    let mut text = Vec::new();
    let mut warned = false;
    let decoded = json::decode(image, &form, &mut text, &mut |error| {
        placed(&error);
        warned = true;
    });
    let errors: Vec<_> = image.iter().filter_map(|entry| entry.and_then(|entry| entry.check()).err()).collect();
    let broken = !errors.is_empty();
    // the check is of messages: structs may be too large for it where JSON, which is written as it is read, costs
    // nothing; and messages among the payloads of a queue are looked at by JSON alone
    let differ = errors.iter().any(|error| error.what().contains("bytes of memory"))
        || image.iter().flatten().any(|entry| entry.records().next().is_some());
    match decoded {
        // a message in parts is one in JSON; each part has to be whole for the check, and so the whole one is
        Ok(()) if broken && !warned && !differ => assert!(is_whole(image, &text), "{form:?}: {errors:?}"),
        Ok(()) => assert!(warned == broken || differ, "{form:?}: {errors:?}"),
        Err(error) => {
            placed(&error);
            return assert!((broken || differ) && !form.strict, "{form:?}: {error}");
        }
    }
    let mut back = Vec::new();
    if let Err(error) = json::encode(&text, &LIMITS, &mut back) {
        return assert!(warned, "{form:?}: {error}: {}", String::from_utf8_lossy(&text));
    }
    let again = Image::of_kind("x", image.kind(), 1, back.into(), LIMITS).unwrap();
    let mut second = Vec::new();
    json::decode(&again, &form, &mut second, &mut |error| panic!("{error}")).unwrap();
    assert!(text == second, "{}\n{}", String::from_utf8_lossy(&text), String::from_utf8_lossy(&second));
}

fuzz_target!(|data: &[u8]| -> Corpus {
    let Some(image) = image(data) else { return Corpus::Keep };
    walk(&image);
    if image.kind().row().messages.is_empty() {
        return Corpus::Keep;
    }
    image.iter().flatten().for_each(|entry| structs(&entry));
    for form in [Form::COMPACT, Form::PRETTY, Form::COMPACT.strict(), Form::PRETTY.strict()] {
        there_and_back(&image, form);
    }
    let no_payloads = Form { payloads: false, ..Form::PRETTY };
    let _ = json::decode(&image, &no_payloads, &mut std::io::sink(), &mut |_| {});
    Corpus::Keep
});
