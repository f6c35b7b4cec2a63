// Process 1 of a small container, and its four children. container.sh makes the namespaces, the mounts and the
// network, and starts this in the new root file system with a network namespace on descriptor 9.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/ipc.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/msg.h>
#include <sys/prctl.h>
#include <sys/sem.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int ready_fd;

static void tell(const char *line) {
  dprintf(ready_fd, "%s\n", line);
  close(ready_fd);
}

static void die(const char *what) {
  char line[200];
  snprintf(line, sizeof line, "%s: %s", what, strerror(errno));
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
    must(dup2(fd, at));
    close(fd);
  }
  return at;
}

static void spawn(pid_t pid, const char *name, void (*body)(void)) {
  int done[2], last = must(open("/proc/sys/kernel/ns_last_pid", O_WRONLY | O_CLOEXEC));
  if (dprintf(last, "%d", pid - 1) < 0) die("ns_last_pid");
  close(last);
  must(pipe2(done, 0));
  // out of the way of the numbers that the child gives out
  put(done[0], 30);
  put(done[1], 31);
  pid_t child = must(fork());
  if (child == 0) {
    close(30);
    prctl(PR_SET_NAME, name);
    body();
    close(ready_fd);
    close(9);
    must(write(31, "", 1));
    close(31);
    for (;;) pause();
  }
  if (child != pid) die("a pid was taken");
  char byte;
  close(31);
  if (must(read(30, &byte, 1)) != 1) die(name);
  close(30);
}

// ---- System V memory, queues and semaphores

static char *segment(key_t key, size_t size, int mode, const char *text, size_t at) {
  char *start = must(shmat(must(shmget(key, size, IPC_CREAT | mode)), NULL, 0));
  if (text) strcpy(start + at, text);
  return start;
}

static int queue(key_t key) { return must(msgget(key, IPC_CREAT | 0620)); }

static void message(int queue, long type, size_t size) {
  struct {
    long type;
    char text[5000];
  } message = {.type = type};
  for (size_t i = 0; i < size; i++) message.text[i] = 'a' + i % 26;
  must(msgsnd(queue, &message, size, IPC_NOWAIT));
}

static void semaphores(key_t key, int count, const unsigned short *values) {
  int id = must(semget(key, count, IPC_CREAT | 0660));
  must(semctl(id, 0, SETALL, values));
}

static void ipc(void) {
  must(shmdt(segment(0x1000, 8192, 0600, "the first segment", 0)));
  must(shmdt(segment(0x1001, 4097, 0640, "the second segment", 4000)));
  must(shmdt(segment(0x1002, 12288, 0644, "the third segment, on its last page", 8192)));
  must(shmget(0x1003, 4096, IPC_CREAT | 0600));

  int first = queue(0x2000);
  message(first, 1, 0);
  message(first, 2, 8);
  message(first, 3, 13);
  message(first, 4, 16);
  message(first, 0x123456789a, 4001);
  message(queue(0x2001), 6, 1);
  queue(0x2002);

  semaphores(0x3000, 1, (unsigned short[]){7});
  semaphores(0x3001, 3, (unsigned short[]){1, 2, 65});
  semaphores(0x3002, 4, (unsigned short[]){4, 3, 2, 32767});
}

// ---- the children

static void worker(void) {
  must(shmat(must(shmget(0x1000, 0, 0)), (void *)0x40000000, 0));
  must(shmat(must(shmget(0x1002, 0, 0)), (void *)0x41000000, SHM_RDONLY));
  put(must(open("/mnt/sub.txt", O_RDONLY)), 3);
  put(must(open("/shared/one.txt", O_RDWR)), 4);
  put(must(open("/slave/one.txt", O_RDONLY)), 5);
  put(must(open("/dev/pts/ptmx", O_RDWR | O_NOCTTY)), 6);
  must(ioctl(6, TIOCSPTLCK, &(int){0}));
  put(must(open("/dev/pts/0", O_RDWR | O_NOCTTY)), 7);
}

static void bound(int at, int type, const char *address, int port) {
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {inet_addr(address)}};
  put(must(socket(AF_INET, type, 0)), at);
  must(bind(at, (void *)&name, sizeof name));
}

static void nested_net(void) {
  must(setns(9, CLONE_NEWNET));
  bound(3, SOCK_DGRAM, "10.77.0.2", 8001);
  bound(4, SOCK_STREAM, "127.0.0.1", 8002);
  must(listen(4, 2));
}

static void nested_mount(void) {
  must(unshare(CLONE_NEWNS));
  must(mkdir("/data/private", 0700));
  must(mount("private", "/data/private", "tmpfs", 0, "size=64k"));
  int fd = must(open("/data/private/secret.txt", O_RDWR | O_CREAT, 0600));
  must(write(fd, "seen by one process\n", 20));
  put(fd, 3);
}

static void spaces(void) {
  put(must(open("/proc/self/ns/net", O_RDONLY)), 3);
  put(must(open("/proc/self/ns/uts", O_RDONLY)), 4);
}

int main(void) {
  // the fifo is outside, so it is opened before the old root goes
  ready_fd = open("/srv/.ready", O_WRONLY | O_CLOEXEC);
  must(syscall(SYS_pivot_root, ".", "."));
  must(umount2(".", MNT_DETACH));
  must(chdir("/"));
  must(setsid());
  put(must(open("/data/log", O_RDWR | O_APPEND)), 0);
  must(dup2(0, 1));
  must(dup2(0, 2));
  must(write(1, "started\n", 8));
  ready_fd = must(fcntl(ready_fd, F_DUPFD_CLOEXEC, 20));
  must(close_range(3, 8, 0));
  must(close_range(10, 19, 0));
  must(close_range(21, ~0U, 0));

  ipc();
  spawn(2, "worker", worker);
  spawn(3, "nested-net", nested_net);
  spawn(4, "nested-mount", nested_mount);
  spawn(5, "spaces", spaces);
  bound(3, SOCK_STREAM, "10.77.0.1", 8000);
  must(listen(3, 4));
  put(must(open("/data/sub", O_RDONLY | O_DIRECTORY)), 4);
  bound(5, SOCK_STREAM, "10.77.0.1", 8003);
  struct sockaddr_in name = {.sin_family = AF_INET, .sin_port = htons(8000), .sin_addr = {inet_addr("10.77.0.1")}};
  must(connect(5, (void *)&name, sizeof name));
  put(must(accept(3, NULL, NULL)), 6);
  must(send(5, "within the container\n", 21, 0));
  close(9);
  tell("ready");
  for (;;) pause();
}
