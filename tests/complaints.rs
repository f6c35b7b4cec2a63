//! What CRIU's wiki says is bad with V1 images, complaint by complaint: the V1 form, the V2 form of the same, and the
//! way back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]
#![allow(clippy::cast_possible_truncation)]

mod common;

use common::proto::{Protos, varint};
use common::random::Generator;
use common::writer::{File, Message, message};
use icecore::object::upgrade::image::{Context, Put, Rec, Session, down_image, session, up_image};
use icecore::object::upgrade::schema::KindRow;
use icecore::{Image, Kind, Limits, Result};

#[derive(Default)]
struct Records(Vec<(u32, u32, Vec<u8>)>);

impl Put for Records {
    fn record(&mut self, object_type: u32, count: u32, payload: &[u8]) -> Result<()> {
        self.0.push((object_type, count, payload.to_vec()));
        Ok(())
    }
}

impl Records {
    fn iter(&self) -> impl Iterator<Item = Result<Rec<'_>>> {
        self.0.iter().map(|(object_type, count, payload)| {
            Ok(Rec { object_type: *object_type, count: *count, payload, offset: 0 })
        })
    }
}

fn alone() -> Context<'static> {
    Context::alone(Limits::default())
}

/// An image as objects of version 2, without its original bytes beside them, and back, byte for byte.
fn records(name: &str, file: &File, context: &Context<'_>) -> Records {
    let image = Image::open(name, file.0.clone().into(), Limits::default()).unwrap();
    let mut records = Records::default();
    let converted = up_image(&image, context, &mut records).unwrap().unwrap();
    assert_eq!(converted.raw, 0, "{name}");
    assert_eq!(back(image.kind(), image.id(), &records, context), file.0, "{name}");
    records
}

fn back(kind: Kind, id: u64, records: &Records, context: &Context<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    down_image(kind, id, &mut records.iter(), context, &mut out).unwrap();
    out
}

/// A line for each object: its message and the fields in it. Those of one record stand together.
fn text(records: &Records) -> Vec<String> {
    let protos = Protos::new();
    let mut lines = Vec::new();
    for (object_type, count, payload) in &records.0 {
        let name = protos.of_type(*object_type);
        if *object_type < 64 {
            lines.push(format!("{name} {}", protos.text(name, payload)));
            continue;
        }
        let mut rest = &payload[..];
        for _ in 0..*count {
            assert_eq!(varint(&mut rest), 10);
            let length = varint(&mut rest) as usize;
            let (object, behind) = rest.split_at(length);
            rest = behind;
            lines.push(format!("{name} {}", protos.text(name, object)).trim_end().to_owned());
        }
        assert!(rest.is_empty());
    }
    lines
}

fn objects(name: &str, file: &File) -> Vec<String> {
    text(&records(name, file, &alone()))
}

fn owner() -> Message {
    message().uint(1, 0).uint(2, 0).uint(3, 0).uint(4, 0).uint(5, 0)
}

const OWNER: &str = "fown { uid: 0 euid: 0 signum: 0 pid_type: OWNER_TYPE_THREAD pid: 0 }";

/// A file in `files.img`.
fn file(ty: u64, id: u64, member: u32, inner: &Message) -> Message {
    message().uint(1, ty).uint(2, id).message(member, inner)
}

#[test]
fn complaint_1_vma_entry_fd_is_unused() {
    let vma = |fd| {
        message().uint(1, 0x1000).uint(2, 0x3000).uint(3, 0).uint(4, 0).uint(5, 5).uint(6, 2).uint(7, 1).sint(8, fd)
    };
    let file = File::new("VMAS").entry(&vma(-1)).entry(&vma(3).uint(9, 8));
    let text = objects("vmas-1.img", &file);
    assert_eq!(text[0], "Vma start: 4096 end: 12288 pgoff: 0 shmid: 0 prot: 5 flags: 2 status: 1");
    // a fd that is not -1 was never written; it would be kept
    assert_eq!(
        text[1],
        "Vma start: 4096 end: 12288 pgoff: 0 shmid: 0 prot: 5 flags: 2 status: 1 madv: 8 v1_rest: \"@\\x06\""
    );
}

#[test]
fn complaint_2_ipc_msg_is_no_name_for_a_queue() {
    let desc = message().uint(1, 42).uint(2, 0).uint(3, 0).uint(4, 0).uint(5, 0).uint(6, 0o600).uint(7, 1);
    let queue = message().message(1, &desc).uint(2, 16384).uint(3, 2);
    let file = File::new("IPCNS_MSG").entry(&queue).queued(7, b"hello").queued(8, b"");
    assert_eq!(
        objects("ipcns-msg-3.img", &file),
        ["IpcQueue desc { key: 42 uid: 0 gid: 0 cuid: 0 cgid: 0 mode: 384 id: 1 } qbytes: 16384 qnum: 2 \
          messages { mtype: 7 msize: 5 data: \"hello\" } messages { mtype: 8 msize: 0 }"]
    );
    let odd =
        File::new("IPCNS_MSG").entry(&queue).entry(&message().uint(1, 7).uint(2, 5)).raw(b"helloabc").queued(8, b"");
    assert!(objects("ipcns-msg-3.img", &odd)[0].contains("data: \"hello\" v1_padding: \"abc\""));
}

#[test]
fn complaint_3_sk_packet_and_packet_sock_are_too_alike() {
    let queued = message().uint(1, 9).uint(2, 3).message(4, &message().uint(1, 1).uint(2, 5).uint(2, 6));
    assert_eq!(
        objects("sk-queues.img", &File::new("SK_QUEUES").entry(&queued).raw(b"abc")),
        ["QueuedPacket socket: 577 length: 3 scm { type: 1 files: [321 385] } data: \"abc\""]
    );
    let socket = Generator::new().least_but("packet_sock_entry", 2, |out| out.uint(2, 3));
    let text = objects("packetsk.img", &File::new("PACKETSK").entry(&socket));
    assert!(text[0].starts_with("PacketSocket id: 1 type: SOCKET_TYPE_RAW protocol: 0 "), "{}", text[0]);
    // packets are in sk-queue.proto, packet sockets in sk-packet.proto
    assert!(include_str!("../proto/v2/sk-queue.proto").contains("message QueuedPacket"));
    assert!(include_str!("../proto/v2/sk-packet.proto").contains("message PacketSocket"));
}

fn task(sigset: u64, comm: &str) -> Message {
    message().uint(1, 1).uint(2, 0).uint(3, 0).uint(4, 0x40_0000).uint(5, sigset).bytes(6, comm)
}

fn thread(comm: &str) -> Message {
    message().uint(1, 0).uint(2, 0).bytes(13, comm).uint(16, 2)
}

fn core(of: impl Fn(Message) -> Message) -> File {
    File::new("CORE").entry(&of(message().uint(1, 1)))
}

#[test]
fn complaint_4_the_leader_has_its_signal_mask_in_the_task() {
    let leader = core(|core| core.message(3, &task(0x4002, "sh").uint(20, 1)).message(5, &thread("sh")));
    assert_eq!(
        objects("core-7.img", &leader),
        ["Core mtype: MACHINE_X86_64 thread { futex_rla: 0 futex_rla_len: 0 sigset: 16386 comm: \"sh\" \
          sigset_extended: 1 cg_set: 135 } \
          task { task_state: TASK_STATE_ALIVE exit_code: 0 personality: 0 flags: 4194304 }"]
    );
    let other = core(|core| core.message(5, &message().uint(1, 0).uint(2, 0).uint(6, 0x4002).bytes(13, "sh")));
    assert_eq!(
        objects("core-8.img", &other),
        ["Core mtype: MACHINE_X86_64 thread { futex_rla: 0 futex_rla_len: 0 sigset: 16386 comm: \"sh\" }"]
    );
    // a name of its own; a zombie, which has no thread
    let renamed = core(|core| core.message(3, &task(0, "sh")).message(5, &thread("worker")));
    assert!(objects("core-7.img", &renamed)[0].contains("v1_comm: \"sh\""));
    let zombie = core(|core| core.message(3, &task(0, "sh")));
    assert!(objects("core-7.img", &zombie)[0].ends_with("flags: 4194304 v1_comm: \"sh\" }"));
    // seccomp and control groups in the task, as long ago: the thread has them too
    let old = core(|core| {
        let thread = message().uint(1, 0).uint(2, 0);
        core.message(3, &task(0, "sh").uint(9, 3).uint(11, 2).uint(12, 1)).message(5, &thread)
    });
    let old = objects("core-7.img", &old).remove(0);
    assert!(old.contains("seccomp_mode: SECCOMP_MODE_FILTER seccomp_filter: 1 comm: \"sh\" cg_set: 199 }"), "{old}");
    assert!(old.contains("v1_comm: \"sh\""), "{old}");
    assert!(old.contains("v1_rest: \"H\\x03X\\x02`\\x01\""), "{old}");
}

#[test]
fn complaint_5_sid_and_pgid_belong_to_the_core() {
    let entry = |pid: u64, threads: &[u64]| {
        let entry = message().uint(1, pid).uint(2, 1).uint(3, 40).uint(4, 30);
        threads.iter().fold(entry, |entry, thread| entry.uint(5, *thread))
    };
    let tree =
        File::new("PSTREE").entry(&entry(7, &[7, 8])).entry(&entry(9, &[2_487_848_896])).entry(&entry(11, &[11]));
    let file = core(|core| core.message(3, &task(0, "sh")));
    let image = Image::open("pstree.img", tree.0.clone().into(), Limits::default()).unwrap();
    // 11 has no core
    let context = Context::of_dump(Limits::default(), &image, |pid| pid != 11).unwrap();
    let tree = records("pstree.img", &tree, &context);
    assert_eq!(
        text(&tree),
        [
            "Process pid: 7 ppid: 1 threads: [7 8]",
            // a zombie: CRIU does not set its first thread
            "Process pid: 9 ppid: 1 threads: [9] v1_thread0: 2487848896",
            "Process pid: 11 ppid: 1 threads: [11] v1_rest: \"\\x18( \\x1e\"",
        ]
    );
    let core = records("core-7.img", &file, &context);
    assert!(text(&core)[0].ends_with("sid: 30 pgid: 40 }"), "{:?}", text(&core));
    assert_eq!(session(&mut core.iter()).unwrap(), Some(Session { sid: 30, pgid: 40 }));
    // without the cores there is no way back
    assert!(down_image(Kind::Pstree, 0, &mut tree.iter(), &alone(), &mut Vec::new()).is_err());
}

#[test]
fn complaint_6_fpu_padding_is_unused() {
    let fp = |padding: &[u64]| {
        let fp = (1..=8).fold(message(), |fp, number| fp.uint(number, 0)).uint(9, 5).uint(9, 6).uint(10, 7);
        let fp = padding.iter().fold(fp, |fp, value| fp.uint(11, *value));
        let registers = Generator::new().least("user_x86_regs_entry");
        core(|core| core.message(2, &message().uint(1, 0).message(2, &registers).message(3, &fp)))
    };
    let of = |padding: &[u64]| objects("core-8.img", &fp(padding)).remove(0);
    assert!(of(&[]).ends_with("mxcsr: 0 mxcsr_mask: 0 st_space: [5 6] xmm_space: [7] }"), "{}", of(&[]));
    assert!(of(&[1]).contains("xmm_space: [7] v1_rest: \"X\\x01\""));
    assert!(!include_str!("../proto/v2/registers.proto").contains(" padding ="));
}

#[test]
fn complaint_7_core_ids_are_unused() {
    let ids = message().uint(1, 1).uint(2, 2).uint(3, 3).uint(4, 4);
    let with = core(|core| core.message(3, &task(0, "sh")).message(4, &ids));
    assert!(objects("core-7.img", &with)[0].contains("v1_rest: \""));
    let file = File::new("IDS").entry(&ids);
    assert_eq!(objects("ids-7.img", &file), ["TaskIds vm_id: 75 files_id: 136 fs_id: 201 sighand_id: 266"]);
}

#[test]
fn complaint_8_clear_tid_addr_is_in_each_architecture() {
    let generator = Generator::new();
    let x86 = generator.least_but("thread_info_x86", 1, |out| out.uint(1, 0x7000));
    let arm = generator.least_but("thread_info_aarch64", 1, |out| out.uint(1, 0x7000));
    let of = |mtype, member, info: &Message| {
        let file = File::new("CORE").entry(&message().uint(1, mtype).message(member, info));
        objects("core-8.img", &file).remove(0)
    };
    assert!(of(1, 2, &x86).starts_with("Core mtype: MACHINE_X86_64 clear_tid_addr: 28672 x86_gpregs {"));
    assert!(of(3, 8, &arm).starts_with("Core mtype: MACHINE_AARCH64 clear_tid_addr: 28672 tls: 0 aarch64_gpregs {"));
}

#[test]
fn complaint_9_the_type_of_a_file_system_is_a_plain_number() {
    let generator = Generator::new();
    let mount = |fstype| generator.least_but("mnt_entry", 1, |out| out.uint(1, fstype));
    let text = objects("mountpoints-5.img", &File::new("MNTS").entry(&mount(5)).entry(&mount(21)));
    assert!(text[0].starts_with("Mount fstype: FS_TYPE_TMPFS mnt_id: 3 "), "{}", text[0]);
    // one that is not known yet stays a number
    assert!(text[1].starts_with("Mount fstype: 21 mnt_id: 3 "));
}

#[test]
fn complaint_10_ids_have_32_bits_and_several_spaces() {
    let fdinfo = message().uint(1, u64::from(u32::MAX)).uint(2, 0).uint(3, 1).uint(4, 0);
    let text = objects("fdinfo-2.img", &File::new("FDINFO").entry(&fdinfo));
    assert_eq!(
        text,
        [format!("Descriptor id: {} flags: 0 type: FILE_TYPE_REGULAR fd: 0", (u64::from(u32::MAX) << 6) + 1)]
    );
    // one that V1 has no room for is told by name
    let mut records = records("fdinfo-2.img", &File::new("FDINFO").entry(&fdinfo), &alone());
    records.0[0].2 = message().message(1, &message().uint(1, (1 << 39) + 1).uint(2, 0).uint(3, 1).uint(4, 0)).0;
    let error = down_image(Kind::Fdinfo, 2, &mut records.iter(), &alone(), &mut Vec::new()).unwrap_err();
    assert!(error.to_string().contains("field id"), "{error}");
}

#[test]
fn complaints_11_and_12_registers_and_more_are_varints() {
    let generator = Generator::new();
    let registers = generator.least_but("user_x86_regs_entry", 17, |out| out.uint(17, 0x7fff_0000_1234));
    let info = message().uint(1, 0).message(2, &registers).message(3, &generator.least("user_x86_fpregs_entry"));
    let text = objects("core-8.img", &core(|core| core.message(2, &info)));
    let start = text[0].find("x86_gpregs { r15: 0x0 r14: 0x0 ").unwrap();
    assert!(text[0][start..].contains(" ip: 0x7fff00001234 "), "{}", text[0]);
    // packed: a key and a length for all
    let mm = generator.least("mm_entry").uint(13, 6).uint(13, 4096);
    let text = objects("mm-1.img", &File::new("MM").entry(&mm));
    assert!(text[0].ends_with("mm_saved_auxv: [6 4096]"), "{}", text[0]);
    let reg = Generator::new().least("reg_file_entry").uint(11, 0x0102_0304).uint(11, 0x0506_0708);
    let text = objects("reg-files.img", &File::new("REG_FILES").entry(&reg));
    assert!(text[0].ends_with("build_id: \"\\x04\\x03\\x02\\x01\\x08\\x07\\x06\\x05\""), "{}", text[0]);
}

#[test]
fn complaint_13_flag_and_type_of_a_lock() {
    let lock =
        |flag, ty, start, len| message().uint(1, flag).uint(2, ty).int(3, 17).int(4, 3).int(5, start).int(6, len);
    let file = File::new("FILE_LOCKS")
        .entry(&lock(2, 1, 0, 0))
        .entry(&lock(1, 0, 5, -1))
        .entry(&lock(2, 32 | 64, 0, 0))
        .entry(&lock(8, 4, 0, 0))
        .entry(&lock(8, 1 << 20, 0, 0));
    assert_eq!(
        objects("filelocks.img", &file),
        [
            "FileLock kind: LOCK_KIND_FLOCK pid: 17 fd: 3 mode: LOCK_MODE_WRITE",
            "FileLock kind: LOCK_KIND_POSIX pid: 17 fd: 3 mode: LOCK_MODE_READ range { start: 5 len: -1 }",
            "FileLock kind: LOCK_KIND_FLOCK pid: 17 fd: 3 mode: LOCK_MODE_READ mandatory: 96",
            "FileLock kind: LOCK_KIND_LEASE pid: 17 fd: 3 mode: LOCK_MODE_READ breaking: true",
            "FileLock kind: LOCK_KIND_LEASE pid: 17 fd: 3 v1_rest: \"\\x10\\x80\\x80@\"",
        ]
    );
}

#[test]
fn complaint_14_the_id_of_an_epoll_target_is_always_zero() {
    let target = |id| message().uint(1, id).uint(2, 5).uint(3, 1).uint(4, 9);
    let epoll = message().uint(1, 3).uint(2, 2).message(3, &owner()).message(4, &target(0));
    assert_eq!(
        objects("files.img", &File::new("FILES").entry(&file(7, 3, 9, &epoll))),
        [format!("Epoll id: 193 flags: 2 {OWNER} targets {{ fd: 5 events: 1 data: 9 }}")]
    );
    // where targets were an image of their own it says which epoll they belong to
    assert_eq!(
        objects("eventpoll-tfd.img", &File::new("EVENTPOLL_TFD").entry(&target(3))),
        ["EpollTarget epoll: 193 fd: 5 events: 1 data: 9"]
    );
}

#[test]
fn complaint_15_inotify_and_fanotify_are_apart() {
    let handle = message().uint(1, 8).uint(2, 1).uint(3, 77).uint(3, 0);
    let wd = message().uint(1, 0).uint(2, 12).uint(3, 2).uint(4, 0).uint(5, 3).uint(6, 1).message(7, &handle);
    let inotify = message().uint(1, 5).uint(2, 0).message(4, &owner()).message(5, &wd);
    let inode = message().uint(1, 12).message(2, &handle);
    let by_inode = message().uint(1, 0).uint(2, 1).uint(3, 4).uint(4, 2).uint(5, 0).uint(6, 3).message(7, &inode);
    let by_mount = message()
        .uint(1, 0)
        .uint(2, 2)
        .uint(3, 4)
        .uint(4, 2)
        .uint(5, 0)
        .uint(6, 3)
        .message(8, &message().uint(1, 9).bytes(2, "/mnt"));
    let fanotify = message().uint(1, 6).uint(2, 0).message(3, &owner()).uint(4, 2).uint(5, 1);
    let fanotify = fanotify.message(6, &by_inode).message(6, &by_mount);
    let files = File::new("FILES").entry(&file(8, 5, 13, &inotify)).entry(&file(12, 6, 14, &fanotify));
    let handle = "f_handle { bytes: 8 type: 1 handle: [77 0] }";
    assert_eq!(
        objects("files.img", &files),
        [
            format!(
                "Fsnotify backend: FSNOTIFY_BACKEND_INOTIFY id: 321 flags: 0 {OWNER} marks {{ \
                 backend: FSNOTIFY_BACKEND_INOTIFY mask: 2 ignored_mask: 0 s_dev: 3 wd: 1 i_ino: 12 {handle} }}"
            ),
            format!(
                "Fsnotify backend: FSNOTIFY_BACKEND_FANOTIFY id: 385 flags: 0 {OWNER} faflags: 2 evflags: 1 marks {{ \
                 backend: FSNOTIFY_BACKEND_FANOTIFY type: MARK_TYPE_INODE mask: 2 ignored_mask: 0 s_dev: 3 mflags: 4 \
                 i_ino: 12 {handle} }} marks {{ backend: FSNOTIFY_BACKEND_FANOTIFY type: MARK_TYPE_MOUNT mask: 2 \
                 ignored_mask: 0 s_dev: 3 mflags: 4 mnt_id: 579 path: \"/mnt\" }}"
            ),
        ]
    );
    // both stand in one record
    assert_eq!(records("files.img", &files, &alone()).0.len(), 1);
}

#[test]
fn complaint_16_names_end_in_img() {
    let text: Vec<_> = [Kind::TmpfsDev, Kind::Fdinfo, Kind::Inventory, Kind::Stats]
        .iter()
        .map(|kind| (kind.file_name(1).unwrap(), KindRow::by_number(*kind as u32).unwrap().file_name(1)))
        .collect();
    let pairs: Vec<_> = text.iter().map(|(v1, v2)| (v1.as_str(), v2.as_str())).collect();
    assert_eq!(
        pairs,
        [
            ("tmpfs-dev-1.tar.gz.img", "tmpfs-dev-1.criu"),
            ("fdinfo-1.img", "descriptors-1.criu"),
            ("inventory.img", "inventory-1.criu"),
            ("stats-restore", "stats-1.criu"),
        ]
    );
}

#[test]
fn complaint_17_limits_of_mqueue_are_required() {
    let vars = |limits: [u64; 5]| {
        let vars = (1..=9).fold(message(), |vars, number| vars.uint(number, 1));
        (10..=14).zip(limits).fold(vars, |vars, (number, value)| vars.uint(number, value))
    };
    let of = |limits| objects("ipcns-var-4.img", &File::new("IPC_VAR").entry(&vars(limits))).remove(0);
    let with = of([256, 10, 8192, 10, 8192]);
    assert!(
        with.ends_with(
            " mqueue { queues_max: 256 msg_max: 10 msgsize_max: 8192 msg_default: 10 msgsize_default: 8192 }"
        ),
        "{with}"
    );
    assert!(!of([0; 5]).contains("mqueue"), "a kernel without");
    let old = (1..=12).fold(message(), |vars, number| vars.uint(number, 0));
    let old = objects("ipcns-var-4.img", &File::new("IPC_VAR").entry(&old)).remove(0);
    assert!(old.contains("mqueue { queues_max: 0 msg_max: 0 msgsize_max: 0 }"), "{old}");
}

#[test]
fn complaint_18_the_structure_is_not_natural() {
    // a message and raw bytes, a head and an array with raw bytes, an array with padded ones: objects with bytes in them
    let tcp = message().uint(1, 3).uint(2, 1).uint(3, 2).uint(4, 1);
    let text = objects("tcp-stream-1f.img", &File::new("TCP_STREAM").entry(&tcp).raw(b"abcde"));
    assert!(text[0].ends_with("inq: \"abc\" outq: \"de\""), "{}", text[0]);
    let ghost = Generator::new().least("ghost_file_entry").uint(9, 1).uint(10, 99);
    let chunk = |len, off| message().uint(1, len).uint(2, off);
    let chunked = File::new("GHOST_FILE").entry(&ghost).entry(&chunk(3, 0)).raw("abc").entry(&chunk(1, 8)).raw("d");
    let text = objects("ghost-file-1.img", &chunked);
    assert_eq!(text[1..], ["GhostChunk len: 3 off: 0 data: \"abc\"", "GhostChunk len: 1 off: 8 data: \"d\""]);
    let sem = message().message(1, &Generator::new().least("ipc_desc_entry")).uint(2, 3);
    let text = objects("ipcns-sem-1.img", &File::new("IPCNS_SEM").entry(&sem).padded(&[1, 0, 2, 0, 65, 0], 8));
    assert!(text[0].ends_with("nsems: 3 values: \"\\x01\\x00\\x02\\x00A\\x00\""), "{}", text[0]);
    // a union by convention, with type and id twice: a type for each
    let pipe = message().uint(1, 4).uint(2, 99).uint(3, 1).message(4, &owner());
    let text = objects("files.img", &File::new("FILES").entry(&file(2, 4, 18, &pipe)));
    assert_eq!(text, [format!("Pipe id: 257 pipe_id: 99 flags: 1 {OWNER}")]);
    let strange = File::new("FILES").entry(&file(2, 5, 18, &pipe)).entry(&message().uint(1, 999).uint(2, 1));
    let text = objects("files.img", &strange);
    assert!(text[0].starts_with("UnknownFile type: FILE_TYPE_PIPE id: 321 v1_rest: "), "{}", text[0]);
    assert_eq!(text[1], "UnknownFile type: 999 id: 65");
    // much of it is not in the object but behind it, and what is raw is nothing else
    let long = vec![b'x'; 5000];
    let data = message().uint(1, 4).uint(2, 5000);
    let text = objects("pipes-data.img", &File::new("PIPES_DATA").entry(&data).raw(&long));
    assert_eq!(text[0], "PipeData pipe_id: 4 bytes: 5000");
    assert!(text[1].starts_with("Blob offset: 0x0 data: \"xxx"));
    let route = objects("route-1.img", &File::default().word(0x4531_1224));
    assert_eq!(route, ["Blob offset: 0x0 data: \"$\\x121E\""]);
}

/// A parent and its forked child: four pages each, of which the child has changed one and cleared one.
#[test]
fn complaint_19_pages_of_a_fork_are_stored_twice() {
    use common::pagemap::{PAGE, Pagemap, Store, content};
    use icecore::base::report::{Cancel, Silent};
    use icecore::source::bundle::Bundle;
    use icecore::tool::convert::{Convert, Target, convert};
    use icecore::wire::v2::array::{Array, NOWHERE, PageRun, ZERO};

    let folder = tempfile::tempdir().unwrap();
    let (dump, bundle, back) = (folder.path().join("v1"), folder.path().join("v2.criu"), folder.path().join("back"));
    let parent = content(7, 4);
    let child = [&parent[..PAGE], &content(8, 1), &[0; PAGE], &parent[3 * PAGE..]].concat();
    Pagemap::new(1).entry(0x10_0000, &Store::Plain(parent.clone())).write(&dump, 1);
    Pagemap::new(2).entry(0x10_0000, &Store::Plain(child.clone())).write(&dump, 2);

    // version 1: a file for each, the same bytes in both
    let stored = |name: &str| std::fs::read(dump.join(name)).unwrap();
    assert_eq!((stored("pages-1.img"), stored("pages-2.img")), (parent, child));
    // version 2: the child's runs point to the parent's pages, and nowhere where all is zero
    convert(&dump, Target::Bundle(&bundle), &Convert::default(), (&Silent, &Cancel::default())).unwrap();
    let opened = Bundle::open(&bundle, icecore::base::map::Access::Map, Limits::default()).unwrap();
    let runs = |pid: u64| -> Vec<(u64, u64, u64, bool)> {
        let records = opened.records(Kind::Pagemap.number(), pid).map(|found| found.unwrap().record);
        let arrays = records.filter(|record| record.header.object_type() == icecore::wire::v2::types::PAGE_RUN);
        arrays
            .flat_map(|record| Array::<PageRun>::new(record.header, record.payload).unwrap().iter().collect::<Vec<_>>())
            .map(|run| (run.vaddr(), run.pages(), run.page(), run.flags() & ZERO != 0))
            .collect()
    };
    assert_eq!(runs(1), [(0x10_0000, 4, 0, false)]);
    assert_eq!(
        runs(2),
        [(0x10_0000, 1, 0, false), (0x10_1000, 1, 4, false), (0x10_2000, 1, NOWHERE, true), (0x10_3000, 1, 3, false),]
    );
    let blocks = opened.blocks().unwrap();
    assert_eq!((0..blocks.len()).map(|index| blocks.get(index).unwrap().pages).sum::<u64>(), 5);
    // and back
    convert(&bundle, Target::V1(&back), &Convert::default(), (&Silent, &Cancel::default())).unwrap();
    for name in ["pagemap-1.img", "pagemap-2.img", "pages-1.img", "pages-2.img"] {
        assert!(std::fs::read(back.join(name)).unwrap() == stored(name), "{name}");
    }
}

#[test]
fn complaint_20_too_many_magics_and_no_common_header() {
    // neither magic nor first word is in version 2; they follow from the kind, and only odd ones are said
    let fs = message().uint(1, 16).uint(2, 17).uint(3, 18);
    assert_eq!(objects("fs-1.img", &File::new("FS").entry(&fs)), ["FsContext cwd_id: 1025 root_id: 1089 umask: 18"]);
    let old = objects("fs-1.img", &File::v1_0("FS").entry(&fs).raw(b"?"));
    assert_eq!(old[0], "V1Image first_word: V1_FIRST_WORD_ABSENT tail: \"?\"");
    let inventory = Generator::new().least("inventory_entry");
    assert!(objects("inventory.img", &File::new("INVENTORY").entry(&inventory))[0].starts_with("Inventory "));
}
