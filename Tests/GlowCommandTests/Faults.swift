import Foundation

/// The library that makes calls fail, which the tests compile.
enum Faults {
  /// In the order of `calls` in the library.
  enum Call: String, CaseIterable {
    case open, read, write, ftruncate, fsync, close, mmap, rename, mkdir, flock, map, malloc

    var place: Int { Call.allCases.firstIndex(of: self)! }
    var isMemory: Bool { self == .map || self == .malloc }

    /// Which of `count` such calls are made to fail, one at a time: the first ones, then ever fewer, and the last.
    func numbers(of count: Int) -> [Int] {
      let steps = sequence(first: 1) { max($0 + 1, Int(Double($0) * growth)) }.prefix { $0 < count }
      return steps + (count > 0 ? [count] : [])
    }

    /// What changes files fails often. Allocations come by the hundred, much of it in loops. What is read is mapped, but
    /// for /proc and /sys.
    private var growth: Double {
      switch self {
      case .open, .write, .ftruncate, .fsync, .rename, .mkdir, .flock: 1.25
      case .mmap, .map, .malloc: 2
      case .read, .close: 4
      }
    }
  }

  static let compiler: String? = ["/usr/bin/clang", "/usr/bin/cc", "/usr/bin/gcc", swiftClang].compactMap {
    $0
  }.first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  /// The one that comes with Swift.
  private static var swiftClang: String? {
    let paths = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":").map {
      "\($0)/swift"
    }
    return paths.first { FileManager.default.isExecutableFile(atPath: $0) }.map {
      URL(filePath: $0).resolvingSymlinksInPath().deletingLastPathComponent().appending(path: "clang").path
    }
  }

  static let source = #"""
    // Makes call number FAULT_NUMBER of FAULT_CALL fail with EIO, or ENOMEM, and makes the file FAULT_MARK. Counted are the
    // calls on files with relative paths, which are those of the job, and the memory that libraries for pictures ask for.
    #define _GNU_SOURCE
    #include <link.h>
    #include <errno.h>
    #include <fcntl.h>
    #include <stdarg.h>
    #include <stdatomic.h>
    #include <stdint.h>
    #include <stdlib.h>
    #include <string.h>
    #include <sys/mman.h>
    #include <sys/stat.h>
    #include <sys/syscall.h>
    #include <unistd.h>

    static const char *const calls[] = {
      "open", "read", "write", "ftruncate", "fsync", "close", "mmap", "rename", "mkdir", "flock", "map", "malloc"};
    enum { call_count = sizeof calls / sizeof *calls };
    // How often each has happened: the file FAULT_COUNTS, which the test reads.
    static atomic_llong own_counts[call_count], *counts = own_counts;

    __attribute__((constructor)) static void share_counts(void) {
      int file = syscall(SYS_openat, AT_FDCWD, getenv("FAULT_COUNTS"), O_RDWR | O_CREAT | O_TRUNC, 0600);
      if (file < 0 || syscall(SYS_ftruncate, file, sizeof own_counts) != 0) abort();
      counts = (void *)syscall(SYS_mmap, NULL, sizeof own_counts, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
      if (counts == MAP_FAILED) abort();
      syscall(SYS_close, file);
    }

    static int fails(const char *call) {
      int place = 0;
      while (strcmp(calls[place], call) != 0) place++;
      long long number = atomic_fetch_add(&counts[place], 1) + 1;
      if (strcmp(getenv("FAULT_CALL"), call) != 0 || number != atoll(getenv("FAULT_NUMBER"))) return 0;
      long mark = syscall(SYS_openat, AT_FDCWD, getenv("FAULT_MARK"), O_WRONLY | O_CREAT, 0600);
      if (mark >= 0) syscall(SYS_close, mark);
      errno = strncmp(call, "ma", 2) == 0 ? ENOMEM : EIO;
      return 1;
    }

    // Where the code of the libraries for pictures stands.
    static struct { uintptr_t start, end; } ranges[16];
    static int range_count;

    static int note_library(struct dl_phdr_info *info, size_t size, void *data) {
      static const char *const names[] = {"/libpng", "/libjpeg", "/libwebp", "/libz."};
      (void)size, (void)data;
      for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        for (int j = 0; strstr(info->dlpi_name, names[i]) != NULL && j < info->dlpi_phnum && range_count < 16; j++)
          if (info->dlpi_phdr[j].p_type == PT_LOAD && info->dlpi_phdr[j].p_flags & PF_X) {
            ranges[range_count].start = info->dlpi_addr + info->dlpi_phdr[j].p_vaddr;
            ranges[range_count].end = ranges[range_count].start + info->dlpi_phdr[j].p_memsz;
            range_count++;
          }
      return 0;
    }

    __attribute__((constructor)) static void note_libraries(void) { dl_iterate_phdr(note_library, NULL); }

    static int is_of_pictures(const void *caller) {
      for (int i = 0; i < range_count; i++)
        if ((uintptr_t)caller >= ranges[i].start && (uintptr_t)caller < ranges[i].end) return 1;
      return 0;
    }

    void *__libc_malloc(size_t);
    void *__libc_calloc(size_t, size_t);
    void *__libc_realloc(void *, size_t);

    void *malloc(size_t size) {
      if (is_of_pictures(__builtin_return_address(0)) && fails("malloc")) return NULL;
      return __libc_malloc(size);
    }

    void *calloc(size_t count, size_t size) {
      if (is_of_pictures(__builtin_return_address(0)) && fails("malloc")) return NULL;
      return __libc_calloc(count, size);
    }

    void *realloc(void *memory, size_t size) {
      if (is_of_pictures(__builtin_return_address(0)) && fails("malloc")) return NULL;
      return __libc_realloc(memory, size);
    }

    static int is_file(int descriptor) {
      struct stat status;
      return descriptor >= 0 && descriptor != STDERR_FILENO && fstat(descriptor, &status) == 0
        && S_ISREG(status.st_mode);
    }

    static int is_answer(int descriptor) { return descriptor == STDOUT_FILENO; }

    int open(const char *path, int flags, ...) {
      mode_t mode = 0;
      if (flags & (O_CREAT | O_TMPFILE)) {
        va_list rest;
        va_start(rest, flags);
        mode = va_arg(rest, mode_t);
        va_end(rest);
      }
      if (path[0] != '/' && fails("open")) return -1;
      return syscall(SYS_openat, AT_FDCWD, path, flags, mode);
    }

    ssize_t write(int descriptor, const void *bytes, size_t count) {
      if ((is_file(descriptor) || is_answer(descriptor)) && fails("write")) return -1;
      return syscall(SYS_write, descriptor, bytes, count);
    }

    ssize_t read(int descriptor, void *bytes, size_t count) {
      if (is_file(descriptor) && fails("read")) return -1;
      return syscall(SYS_read, descriptor, bytes, count);
    }

    int ftruncate(int descriptor, off_t count) {
      if (fails("ftruncate")) return -1;
      return syscall(SYS_ftruncate, descriptor, count);
    }

    int flock(int descriptor, int operation) {
      if (fails("flock")) return -1;
      return syscall(SYS_flock, descriptor, operation);
    }

    int mkdir(const char *path, mode_t mode) {
      if (path[0] != '/' && fails("mkdir")) return -1;
      return syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    }

    // Whatever it answers, the descriptor is free after it.
    int close(int descriptor) {
      int is_ours = is_file(descriptor) || is_answer(descriptor);
      int result = syscall(SYS_close, descriptor);
      return is_ours && fails("close") ? -1 : result;
    }

    int fsync(int descriptor) {
      if (fails("fsync")) return -1;
      return syscall(SYS_fsync, descriptor);
    }

    void *mmap(void *address, size_t count, int protection, int flags, int descriptor, off_t offset) {
      if (is_file(descriptor) ? fails("mmap") : fails("map")) return MAP_FAILED;
      return (void *)syscall(SYS_mmap, address, count, protection, flags, descriptor, offset);
    }

    int rename(const char *from, const char *to) {
      if (from[0] != '/' && fails("rename")) return -1;
      return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    }
    """#
}
