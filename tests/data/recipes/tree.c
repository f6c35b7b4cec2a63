// A tree of small processes that holds, between them, one of nearly everything a CRIU image can describe.
//
// It runs in namespaces made for it, as process 100, with a tmpfs on /srv, a devpts of its own and a loopback device.
// Every process and thread has a fixed pid, every descriptor a fixed number; ../README.md lists them. When all is in
// place a line goes to /srv/.ready: "ready", or what went wrong.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/memfd.h>
#include <linux/netlink.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/fanotify.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>
#include <grp.h>

enum { FIRST = 100, LAST = 139 };

// Four pages of anonymous memory that every process shares: flags in the first, text in the third.
static struct shared {
  atomic_uchar ready[4096];
  char untouched[4096];
  char text[4096];
  char tail[4096];
} *shared = (void *)0x20000000;

static void tell(const char *line) {
  int fd = open("/srv/.ready", O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  dprintf(fd, "%s\n", line);
  close(fd);
}

static void die(const char *what) {
  char line[200], name[16] = "";
  int error = errno;
  prctl(PR_GET_NAME, name);
  snprintf(line, sizeof line, "%s: %s: %s", name, what, strerror(error));
  tell(line);
  _exit(1);
}

#define must(call)                                                                                                    \
  ({                                                                                                                  \
    __typeof__(call) must_result = (call);                                                                            \
    if ((intptr_t)must_result == -1) die(#call);                                                                      \
    must_result;                                                                                                      \
  })

static int put(int fd, int at) {
  if (fd != at) {
    must(dup3(fd, at, fcntl(fd, F_GETFD) & FD_CLOEXEC ? O_CLOEXEC : 0));
    close(fd);
  }
  return at;
}

static int create(const char *path, int flags, const char *text) {
  int fd = must(open(path, flags | O_CREAT, 0644));
  if (text) must(write(fd, text, strlen(text)));
  return fd;
}

static void make(const char *path, const char *text) { close(create(path, O_WRONLY | O_TRUNC, text)); }

static void fill(char *at, size_t size) {
  for (size_t i = 0; i < size; i++) at[i] = "0123456789abcdef"[(i + i / 64) % 16];
}

static void next_pid(pid_t pid) {
  int fd = must(open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC));
  if (dprintf(fd, "%d", pid - 1) < 0) die("ns_last_pid");
  close(fd);
}

static void ready(pid_t pid) { atomic_store(&shared->ready[pid], 1); }

static void await(pid_t pid) {
  while (!atomic_load(&shared->ready[pid])) usleep(500);
}

static void rest(void) {
  for (;;) pause();
}

static void begin(const char *name, void (*body)(void)) {
  prctl(PR_SET_NAME, name);
  body();
  ready(syscall(SYS_gettid));
  rest();
}

static void spawn(pid_t pid, const char *name, void (*body)(void)) {
  next_pid(pid);
  pid_t child = must(fork());
  if (child == 0) begin(name, body);
  if (child != pid) die("a pid was taken");
  await(pid);
}

// Closes what a process got from its parent, but the standard three and what is named.
static void keep_only(int count, const int *fds) {
  int from = 3;
  for (int i = 0; i < count; i++) {
    if (fds[i] > from) must(close_range(from, fds[i] - 1, 0));
    from = fds[i] + 1;
  }
  must(close_range(from, ~0U, 0));
}
#define KEEP(...)                                                                                                     \
  do {                                                                                                                \
    const int kept[] = {__VA_ARGS__};                                                                                 \
    keep_only(sizeof kept / sizeof *kept, kept);                                                                      \
  } while (0)

// ---- 101: files

static void dead_child(void) { _exit(0); }

static void files(void) {
  keep_only(0, NULL);
  must(chdir("/srv/dir"));

  put(must(open("/srv/plain.txt", O_RDONLY)), 3);
  must(lseek(3, 6, SEEK_SET));
  must(dup2(3, 4));
  put(create("/srv/append.log", O_WRONLY | O_APPEND, "first line\n"), 5);
  put(must(open("/srv/dir", O_RDONLY | O_DIRECTORY | O_CLOEXEC)), 6);
  put(create("/srv/caf\xe9.txt", O_RDWR, "a name in Latin-1\n"), 7);

  char block[8192];
  fill(block, sizeof block);
  put(create("/srv/ghost", O_RDWR, NULL), 8);
  must(write(8, block, 5000));
  must(unlink("/srv/ghost"));

  put(create("/srv/sparse", O_RDWR, NULL), 9);
  must(pwrite(9, block, 4096, 0));
  must(pwrite(9, block, 8192, 0x8000));
  must(pwrite(9, block, 100, 0x18000));
  must(ftruncate(9, 0x20000));
  must(unlink("/srv/sparse"));

  put(must(open("/srv/plain.txt", O_PATH)), 10);

  put(create("/srv/linked", O_RDWR, "two names, one gone\n"), 11);
  must(link("/srv/linked", "/srv/linked.other"));
  must(unlink("/srv/linked"));

  put(must(open("/dev/zero", O_RDWR)), 12);

  must(mkdir("/srv/gone", 0750));
  put(must(open("/srv/gone", O_RDONLY | O_DIRECTORY)), 13);
  must(rmdir("/srv/gone"));

  must(mkfifo("/srv/gone.fifo", 0600));
  put(must(open("/srv/gone.fifo", O_RDWR | O_NONBLOCK)), 14);
  must(unlink("/srv/gone.fifo"));

  // /proc of a process that is no more
  next_pid(139);
  pid_t dead = must(fork());
  if (dead == 0) {
    await(139);
    dead_child();
  }
  put(must(open("/proc/139/status", O_RDONLY)), 15);
  ready(139);
  must(waitpid(dead, NULL, 0));
}

// ---- 102, 103: pipes

static void pipe_pair(int read_end, int write_end, int flags) {
  int fds[2];
  must(pipe2(fds, flags));
  put(fds[0], read_end);
  put(fds[1], write_end);
}

static void make_pipes(void) {
  char block[3000];
  fill(block, sizeof block);
  pipe_pair(20, 21, 0);
  must(write(21, "in the pipe\n", 12));
  pipe_pair(22, 23, 0);
  must(fcntl(23, F_SETPIPE_SZ, 8192));
  must(write(23, block, 3000));
  pipe_pair(24, 25, O_NONBLOCK);
  must(mkfifo("/srv/fifo", 0640));
  put(must(open("/srv/fifo", O_RDONLY | O_NONBLOCK)), 26);
  put(must(open("/srv/fifo", O_WRONLY)), 27);
  must(write(27, "in the fifo\n", 12));
}

static void pipe_writer(void) {
  KEEP(21, 23, 24, 25, 27);
  must(fcntl(24, F_SETOWN, FIRST));
  must(fcntl(24, F_SETSIG, SIGRTMIN + 4));
}

static void pipe_reader(void) { KEEP(20, 22, 26); }

// ---- 104, 105: unix sockets

static struct sockaddr_un unix_name(const char *name, socklen_t *size) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(name) + 1;
  memcpy(address.sun_path, name, length);
  // a name that starts with @ is an abstract one
  if (name[0] == '@') address.sun_path[0] = 0, length--;
  *size = offsetof(struct sockaddr_un, sun_path) + length;
  return address;
}

static void unix_socket(int at, int type, const char *bound, const char *peer) {
  socklen_t size;
  struct sockaddr_un address;
  put(must(socket(AF_UNIX, type, 0)), at);
  if (bound) {
    address = unix_name(bound, &size);
    must(bind(at, (void *)&address, size));
  }
  if (peer) {
    address = unix_name(peer, &size);
    must(connect(at, (void *)&address, size));
  }
}

static void unix_pair(int first, int second, int type) {
  int fds[2];
  must(socketpair(AF_UNIX, type, 0, fds));
  put(fds[0], first);
  put(fds[1], second);
}

static void send_fd(int socket, const char *text, int fd) {
  union {
    struct cmsghdr header;
    char bytes[CMSG_SPACE(sizeof(int))];
  } control = {.header = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
  memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
  struct iovec text_part = {(void *)text, strlen(text)};
  struct msghdr message = {
      .msg_iov = &text_part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = CMSG_LEN(sizeof(int))};
  must(sendmsg(socket, &message, 0));
}

static void make_unix_sockets(void) {
  unix_pair(30, 31, SOCK_STREAM);
  must(send(30, "for the client\n", 15, 0));
  must(send(31, "for the server\n", 15, 0));

  unix_socket(32, SOCK_STREAM, "/srv/stream.sock", NULL);
  must(listen(32, 5));
  unix_socket(33, SOCK_STREAM, NULL, "/srv/stream.sock");
  put(must(accept(32, NULL, NULL)), 34);
  must(send(33, "to the accepted end\n", 20, 0));
  unix_socket(35, SOCK_STREAM, NULL, "/srv/stream.sock");

  unix_socket(36, SOCK_STREAM, "@frozen", NULL);
  must(listen(36, 3));

  unix_socket(37, SOCK_DGRAM, "/srv/dgram.sock", NULL);
  unix_socket(38, SOCK_DGRAM, NULL, "/srv/dgram.sock");
  must(send(38, "first", 5, 0));
  must(send(38, "the second packet", 17, 0));
  must(send(38, "3", 1, 0));

  unix_pair(39, 40, SOCK_SEQPACKET);
  int fd = must(open("/srv/passed.txt", O_RDONLY));
  send_fd(39, "take this", fd);
  close(fd);
  must(send(39, "and this", 8, 0));

  must(chdir("/srv/dir"));
  unix_socket(41, SOCK_DGRAM, "relative.sock", NULL);
  must(chdir("/"));

  unix_pair(42, 43, SOCK_STREAM);
  must(shutdown(42, SHUT_WR));
}

static void unix_server(void) { KEEP(30, 32, 34, 36, 37, 39); }

static void unix_client(void) {
  KEEP(31, 33, 35, 38, 40, 41, 42, 43);
  must(chdir("/srv/dir"));
}

// ---- 106: internet sockets

static void set(int fd, int level, int option, int value) { must(setsockopt(fd, level, option, &value, sizeof value)); }

static struct sockaddr_in v4(int port) {
  return (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
}

static void bound4(int at, int type, int port) {
  struct sockaddr_in address = v4(port);
  put(must(socket(AF_INET, type, 0)), at);
  set(at, SOL_SOCKET, SO_REUSEADDR, 1);
  must(bind(at, (void *)&address, sizeof address));
}

static void bound6(int at, int type, int port) {
  struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
  put(must(socket(AF_INET6, type, 0)), at);
  set(at, IPPROTO_IPV6, IPV6_V6ONLY, 1);
  must(bind(at, (void *)&address, sizeof address));
}

static void connect4(int fd, int port) {
  struct sockaddr_in address = v4(port);
  must(connect(fd, (void *)&address, sizeof address));
}

static void inet(void) {
  keep_only(0, NULL);
  bound4(3, SOCK_STREAM, 7001);
  must(listen(3, 16));

  bound4(4, SOCK_STREAM, 7002);
  connect4(4, 7001);
  put(must(accept(3, NULL, NULL)), 5);
  set(4, SOL_SOCKET, SO_KEEPALIVE, 1);
  set(4, IPPROTO_TCP, TCP_NODELAY, 1);
  must(send(4, "to the server\n", 14, 0));
  must(send(5, "and to the client\n", 18, 0));

  // more than the reader has room for: a part stays in the sender's queue
  char block[20000];
  fill(block, sizeof block);
  bound4(6, SOCK_STREAM, 7003);
  set(6, SOL_SOCKET, SO_RCVBUF, 4096);
  connect4(6, 7001);
  put(must(accept(3, NULL, NULL)), 7);
  set(7, SOL_SOCKET, SO_SNDBUF, 65536);
  if (must(send(7, block, sizeof block, MSG_DONTWAIT)) != sizeof block) die("short send");

  bound6(8, SOCK_STREAM, 7004);
  must(listen(8, 4));

  bound4(9, SOCK_DGRAM, 7005);
  set(9, SOL_SOCKET, SO_BROADCAST, 1);
  bound4(10, SOCK_DGRAM, 7006);
  connect4(10, 7005);
  bound6(11, SOCK_DGRAM, 7007);

  put(must(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP)), 12);
  put(must(socket(AF_INET, SOCK_STREAM, 0)), 13);

  bound4(14, SOCK_STREAM, 7008);
  connect4(14, 7001);
  put(must(accept(3, NULL, NULL)), 15);
  must(shutdown(14, SHUT_WR));
}

// ---- 107: events and other descriptors without a name

static void watch(int epoll, int fd, uint32_t events, uint64_t data) {
  struct epoll_event event = {.events = events, .data.u64 = data};
  must(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
}

static void events(void) {
  keep_only(0, NULL);
  put(must(eventfd(7, 0)), 3);
  put(must(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK)), 4);
  pipe_pair(5, 6, 0);

  struct itimerspec when = {.it_value = {1000000, 0}, .it_interval = {60, 5}};
  put(must(timerfd_create(CLOCK_MONOTONIC, 0)), 7);
  must(timerfd_settime(7, 0, &when, NULL));
  put(must(timerfd_create(CLOCK_REALTIME, TFD_NONBLOCK)), 8);

  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGHUP);
  sigaddset(&mask, SIGRTMIN + 1);
  must(sigprocmask(SIG_BLOCK, &mask, NULL));
  put(must(signalfd(-1, &mask, 0)), 9);

  put(must(epoll_create1(EPOLL_CLOEXEC)), 10);
  watch(10, 3, EPOLLIN, 0x1111);
  watch(10, 5, EPOLLIN | EPOLLET, 0x2222);
  watch(10, 7, EPOLLIN | EPOLLONESHOT, 0x3333);
  watch(10, 9, EPOLLIN | EPOLLPRI, 0x4444444444444444);

  put(must(inotify_init1(IN_NONBLOCK)), 11);
  must(inotify_add_watch(11, "/srv/dir", IN_CREATE | IN_DELETE));
  must(inotify_add_watch(11, "/srv/plain.txt", IN_MODIFY));

  put(must(fanotify_init(FAN_CLASS_NOTIF | FAN_NONBLOCK, O_RDONLY | O_LARGEFILE)), 12);
  must(fanotify_mark(12, FAN_MARK_ADD, FAN_MODIFY | FAN_CLOSE_WRITE, AT_FDCWD, "/srv/quiet.txt"));
  must(fanotify_mark(12, FAN_MARK_ADD | FAN_MARK_MOUNT, FAN_MODIFY, AT_FDCWD, "/srv/watched"));

  char page[8192];
  fill(page, sizeof page);
  put(must(memfd_create("frozen-sealed", MFD_ALLOW_SEALING | MFD_CLOEXEC)), 13);
  must(write(13, page, sizeof page));
  must(fcntl(13, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE));
  put(must(memfd_create("frozen-open", MFD_ALLOW_SEALING)), 14);
  must(ftruncate(14, 3 * 4096));
  must(pwrite(14, "the middle page of a memfd", 26, 4096));

  put(must(syscall(SYS_pidfd_open, FIRST, 0)), 15);

  struct sockaddr_nl all = {.nl_family = AF_NETLINK};
  put(must(socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE)), 16);
  must(bind(16, (void *)&all, sizeof all));
  all.nl_groups = 1;
  put(must(socket(AF_NETLINK, SOCK_DGRAM, NETLINK_KOBJECT_UEVENT)), 17);
  must(bind(17, (void *)&all, sizeof all));

  // a protocol that nobody speaks, so that its queue stays empty
  put(must(socket(AF_PACKET, SOCK_DGRAM, htons(0x88b5))), 18);
  struct sockaddr_ll local = {
      .sll_family = AF_PACKET, .sll_protocol = htons(0x88b5), .sll_ifindex = if_nametoindex("lo")};
  must(bind(18, (void *)&local, sizeof local));
}

// ---- 108, 109: a terminal

static void terminal_job(void) {
  must(close(3));
  must(setpgid(0, 0));
  // from the background, a process that may not be stopped for it
  signal(SIGTTOU, SIG_IGN);
  must(tcsetpgrp(4, getpgrp()));
  signal(SIGTTOU, SIG_DFL);
}

static void terminal(void) {
  keep_only(0, NULL);
  must(setsid());
  put(must(open("/dev/ptmx", O_RDWR | O_NOCTTY)), 3);
  must(grantpt(3));
  must(unlockpt(3));
  put(must(open("/dev/pts/0", O_RDWR | O_NOCTTY)), 4);
  must(ioctl(4, TIOCSCTTY, 0));

  struct winsize size = {.ws_row = 25, .ws_col = 100};
  must(ioctl(4, TIOCSWINSZ, &size));
  struct termios mode;
  must(tcgetattr(4, &mode));
  mode.c_lflag &= ~(ECHO | ECHOE | ECHOK | ICANON);
  mode.c_oflag &= ~OPOST;
  mode.c_cc[VMIN] = 1;
  must(tcsetattr(4, TCSANOW, &mode));
  must(write(3, "typed but not read\n", 19));
  must(write(4, "printed but not shown\n", 22));
  spawn(109, "terminal-job", terminal_job);
}

// ---- 110: threads

static void seccomp_deny(int syscall_number, int error, unsigned flags) {
  struct sock_filter code[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, syscall_number, 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | error),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  struct sock_fprog program = {sizeof code / sizeof *code, code};
  must(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &program));
}

static void filtered(void) {
  seccomp_deny(SYS_swapoff, EPERM, 0);
  seccomp_deny(SYS_reboot, EACCES, SECCOMP_FILTER_FLAG_LOG);
}

static void masked(void) {
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigaddset(&mask, SIGTERM);
  must(pthread_sigmask(SIG_SETMASK, &mask, NULL));
  must(syscall(SYS_tgkill, getpid(), syscall(SYS_gettid), SIGUSR1));
}

static void batch(void) {
  struct sched_param none = {0};
  must(syscall(SYS_sched_setscheduler, 0, SCHED_BATCH, &none));
  must(syscall(SYS_setpriority, PRIO_PROCESS, 0, 5));
  must(prctl(PR_SET_TIMERSLACK, 123456UL));
}

static void set_caps(uint64_t permitted, uint64_t inheritable) {
  struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct data[2] = {
      {permitted, permitted, inheritable}, {permitted >> 32, permitted >> 32, inheritable >> 32}};
  must(syscall(SYS_capset, &header, data));
}

static void known_registers(void) {
  set_caps(1ULL << CAP_KILL | 1ULL << CAP_SYSLOG, 0);
  // The flag is set when the registers hold their values, and nothing touches them afterwards.
  __asm__ volatile(
      "movabs $0x1111111122222222, %%rbx\n"
      "movabs $0x3333333344444444, %%r12\n"
      "movabs $0x5555555566666666, %%r13\n"
      "movabs $0x7777777788888888, %%r14\n"
      "movabs $0x99999999aaaaaaaa, %%r15\n"
      "movq %%r12, %%xmm7\n"
      "movq %%r13, %%xmm15\n"
      "movb $1, (%0)\n"
      "1: mov %1, %%eax\n"
      "syscall\n"
      "jmp 1b\n"
      :
      : "D"(&shared->ready[114]), "i"(SYS_pause)
      : "rax", "rbx", "rcx", "r11", "r12", "r13", "r14", "r15", "xmm7", "xmm15", "memory");
}

static const struct worker {
  pid_t tid;
  const char *name;
  void (*body)(void);
} workers[] = {
    {111, "filtered", filtered}, {112, "masked", masked}, {113, "batch", batch}, {114, "registers", known_registers}};

static void *work(void *worker) {
  const struct worker *self = worker;
  if (syscall(SYS_gettid) != self->tid) die("a tid was taken");
  begin(self->name, self->body);
  return NULL;
}

static void threads(void) {
  keep_only(0, NULL);
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 32768);
  for (size_t i = 0; i < sizeof workers / sizeof *workers; i++) {
    pthread_t thread;
    next_pid(workers[i].tid);
    if ((errno = pthread_create(&thread, &small, work, (void *)&workers[i]))) die("pthread_create");
    await(workers[i].tid);
  }
}

// ---- 115 to 118: states and groups

static void zombie(void) {
  keep_only(0, NULL);
  ready(115);
  _exit(7);
}

static void stopped(void) { keep_only(0, NULL); }

static void member(void) { must(setpgid(0, 0)); }

// The pid is set just before, as everywhere; CLONE_FILES makes the two share one table of descriptors.
static void leader(void) {
  keep_only(0, NULL);
  must(setsid());
  put(must(open("/srv/plain.txt", O_RDONLY)), 3);
  next_pid(118);
  pid_t child = must(syscall(SYS_clone, CLONE_FILES | SIGCHLD, NULL, NULL, NULL, NULL));
  if (child == 0) begin("member", member);
  if (child != 118) die("a pid was taken");
  await(118);
}

// ---- 119: signals and timers

static void on_signal(int signal, siginfo_t *info, void *context) { (void)signal, (void)info, (void)context; }

static void signals(void) {
  keep_only(0, NULL);
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGUSR1);
  sigaddset(&mask, SIGUSR2);
  sigaddset(&mask, 36);
  sigaddset(&mask, 40);
  must(sigprocmask(SIG_SETMASK, &mask, NULL));

  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_RESTART};
  sigaddset(&action.sa_mask, SIGHUP);
  must(sigaction(SIGUSR1, &action, NULL));
  must(sigaction(36, &action, NULL));
  signal(SIGPIPE, SIG_IGN);

  stack_t stack = {.ss_sp = must(mmap((void *)0x30000000, 16384, PROT_READ | PROT_WRITE,
                                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0)),
                   .ss_size = 16384};
  must(sigaltstack(&stack, NULL));

  must(kill(getpid(), SIGUSR1));
  must(syscall(SYS_tgkill, getpid(), getpid(), SIGUSR2));
  for (int i = 1; i <= 3; i++) must(sigqueue(getpid(), 36, (union sigval){.sival_int = i * 100}));

  must(setitimer(ITIMER_REAL, &(struct itimerval){{5, 250000}, {1000000, 0}}, NULL));
  must(setitimer(ITIMER_VIRTUAL, &(struct itimerval){{0, 0}, {3600, 0}}, NULL));
  must(setitimer(ITIMER_PROF, &(struct itimerval){{7, 0}, {3600, 0}}, NULL));

  timer_t timer;
  struct sigevent by_signal = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = 40, .sigev_value.sival_int = 77};
  must(timer_create(CLOCK_REALTIME, &by_signal, &timer));
  must(timer_settime(timer, 0, &(struct itimerspec){{10, 1}, {2000000, 0}}, NULL));
  struct sigevent none = {.sigev_notify = SIGEV_NONE};
  must(timer_create(CLOCK_MONOTONIC, &none, &timer));
}

// ---- 120: limits and credentials

static void limit(int resource, rlim_t soft, rlim_t hard) {
  must(setrlimit(resource, &(struct rlimit){soft, hard}));
}

static void limits(void) {
  keep_only(0, NULL);
  umask(027);
  must(setgroups(3, (gid_t[]){5, 20, 1000}));
  must(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
  must(prctl(PR_SET_PDEATHSIG, SIGTERM));
  must(prctl(PR_SET_CHILD_SUBREAPER, 1));
  must(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
  must(personality(ADDR_NO_RANDOMIZE));
  must(syscall(SYS_setpriority, PRIO_PROCESS, 0, 7));
  int fd = must(open("/proc/self/oom_score_adj", O_WRONLY));
  must(write(fd, "500", 3));
  close(fd);

  must(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP | SECBIT_NOROOT));
  must(prctl(PR_CAPBSET_DROP, CAP_SYS_BOOT));
  must(prctl(PR_CAPBSET_DROP, CAP_SYS_MODULE));
  set_caps(1ULL << CAP_CHOWN | 1ULL << CAP_KILL | 1ULL << CAP_NET_BIND_SERVICE, 1ULL << CAP_NET_BIND_SERVICE);
  must(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_BIND_SERVICE, 0, 0));

  limit(RLIMIT_NOFILE, 64, 128);
  limit(RLIMIT_CORE, 0, 0);
  limit(RLIMIT_FSIZE, 1 << 20, 2 << 20);
  limit(RLIMIT_STACK, 256 << 10, 1 << 20);
  limit(RLIMIT_CPU, 1000, 2000);
}

// ---- 121: memory

enum { RW = PROT_READ | PROT_WRITE, ANON = MAP_PRIVATE | MAP_ANONYMOUS };

static char *map(uintptr_t at, size_t pages, int protection, int flags, int fd) {
  return must(mmap((void *)at, pages * 4096, protection, flags | MAP_FIXED_NOREPLACE, fd, 0));
}

static void memory(void) {
  keep_only(0, NULL);
  char *at = map(0x10000000, 30, RW, ANON, -1);
  for (int i = 0; i < 10; i++) sprintf(at + i * 3 * 4096, "frozen needle %02d", i);

  at = map(0x10100000, 4, RW, ANON, -1);
  memset(at, 0, 8192);
  fill(at + 8192, 4096);
  memcpy(at + 12288, at + 8192, 4096);

  at = map(0x10200000, 2, RW, ANON, -1);
  strcpy(at + 4096 - 8, "split in the middle by a page");
  for (int i = 0; i < 15; i++) at[2 * i] = "frozen in wide"[i];

  at = map(0x10300000, 1, RW, ANON, -1);
  strcpy(at, "behind no access");
  must(mprotect(at, 4096, PROT_NONE));

  at = map(0x10400000, 1, RW, ANON, -1);
  strcpy(at, "\xc3 code");
  must(mprotect(at, 4096, PROT_READ | PROT_EXEC));

  map(0x10510000, 2, RW, ANON | MAP_GROWSDOWN, -1)[8191] = 'g';
  map(0x10600000, 1, RW, ANON | MAP_LOCKED, -1)[0] = 'l';

  int fd = must(open("/srv/mapped", O_RDWR));
  at = map(0x10700000, 4, RW, MAP_PRIVATE, fd);
  strcpy(at + 4096, "written over the file's page");
  map(0x10800000, 4, PROT_READ, MAP_SHARED, fd);
  close(fd);

  at = map(0x10900000, 1, RW, ANON, -1);
  strcpy(at, "not for core dumps");
  must(madvise(at, 4096, MADV_DONTDUMP));
  must(madvise(map(0x10a00000, 1, RW, ANON, -1), 4096, MADV_MERGEABLE));
  must(madvise(map(0x10b00000, 1, RW, ANON, -1), 4096, MADV_WIPEONFORK));

  fd = create("/srv/unlinked.map", O_RDWR, "mapped, and without a name");
  must(ftruncate(fd, 4096));
  map(0x10c00000, 1, RW, MAP_SHARED, fd);
  close(fd);
  must(unlink("/srv/unlinked.map"));

  fd = must(memfd_create("frozen-mapped", 0));
  must(ftruncate(fd, 8192));
  strcpy(map(0x10d00000, 2, RW, MAP_SHARED, fd) + 4096, "a memfd without a descriptor");
  close(fd);

  // four GiB and a page, of which the last page is there
  at = map(0x100000000000, (4UL << 18) + 1, RW, ANON | MAP_NORESERVE, -1);
  strcpy(at + (4UL << 30), "past four gigabytes");

  aio_context_t context = 0;
  must(syscall(SYS_io_setup, 4, &context));
}

// ---- 122, 123

static void locks(void) {
  keep_only(0, NULL);
  put(must(open("/srv/locked", O_RDWR)), 3);
  must(fcntl(3, F_SETLK, &(struct flock){.l_type = F_WRLCK, .l_start = 10, .l_len = 10}));
  must(fcntl(3, F_SETLK, &(struct flock){.l_type = F_RDLCK, .l_start = 100, .l_len = 0}));
  put(must(open("/srv/flocked", O_RDWR)), 4);
  must(flock(4, LOCK_EX));
  put(must(open("/srv/ofd", O_RDWR)), 5);
  must(fcntl(5, F_OFD_SETLK, &(struct flock){.l_type = F_RDLCK, .l_start = 0, .l_len = 64}));
  put(must(open("/srv/leased", O_RDONLY)), 6);
  must(fcntl(6, F_SETLEASE, F_RDLCK));
}

static void jailed(void) {
  keep_only(0, NULL);
  must(chroot("/srv/jail"));
  must(chdir("/"));
  put(must(open("/inside.txt", O_RDONLY)), 3);
}

static void prepare(void) {
  make("/srv/plain.txt", "plain text\n");
  make("/srv/passed.txt", "passed on\n");
  make("/srv/quiet.txt", "");
  must(mkdir("/srv/dir", 0755));
  must(mkdir("/srv/jail", 0755));
  make("/srv/jail/inside.txt", "in the jail\n");
  for (int i = 0; i < 4; i++) make((const char *[]){"/srv/locked", "/srv/flocked", "/srv/ofd", "/srv/leased"}[i], "");
  char page[4096];
  int fd = create("/srv/mapped", O_WRONLY, NULL);
  for (int i = 0; i < 4; i++) {
    memset(page, 'A' + i, sizeof page);
    must(write(fd, page, sizeof page));
  }
  close(fd);
}

int main(void) {
  if (getpid() != FIRST || getsid(0) != FIRST) die("not process 100, leading its session");
  must(mmap(shared, sizeof *shared, RW, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0));
  strcpy(shared->text, "shared by the whole tree");
  prepare();
  make_pipes();
  make_unix_sockets();

  spawn(101, "files", files);
  spawn(102, "pipe-writer", pipe_writer);
  spawn(103, "pipe-reader", pipe_reader);
  spawn(104, "unix-server", unix_server);
  spawn(105, "unix-client", unix_client);
  keep_only(0, NULL);
  spawn(106, "inet", inet);
  spawn(107, "events", events);
  spawn(108, "terminal", terminal);
  spawn(110, "threads", threads);
  spawn(115, "zombie", zombie);
  spawn(116, "stopped", stopped);
  spawn(117, "leader", leader);
  spawn(119, "signals", signals);
  spawn(120, "limits", limits);
  spawn(121, "memory", memory);
  spawn(122, "locks", locks);
  spawn(123, "jailed", jailed);

  siginfo_t info;
  must(waitid(P_PID, 115, &info, WEXITED | WNOWAIT));
  must(kill(116, SIGSTOP));
  must(waitid(P_PID, 116, &info, WSTOPPED | WNOWAIT));
  tell("ready");
  rest();
}
