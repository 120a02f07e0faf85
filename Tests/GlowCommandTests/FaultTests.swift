import Foundation
import Glibc
import GlowTestSupport
import Testing

/// Each command with one call after the other failing, as a full or failing disk makes them, or the end of memory.
///
/// `map` is memory that comes straight from the system, that of models and passes; `malloc` is memory of the libraries for
/// pictures. What Swift itself allocates cannot be refused to it: it ends the process.
@Suite(
  "Commands whose calls fail", .serialized, .unsanitized("too slow"),
  .needs("Tests with a C compiler", Faults.compiler != nil, lack: "there is no C compiler"))
struct FaultTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-faults-\(UUID())").path
  init() throws {
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    try Faults.source.write(toFile: "\(root)/faults.c", atomically: true, encoding: .utf8)
    let compiler = try #require(Faults.compiler)
    let made = try ChildProcess.run(
      compiler, ["-shared", "-fPIC", "-O1", "faults.c", "-o", "faults.so", "-ldl"], in: root)
    #expect(made.status == 0, "\(made.error)")
  }

  private func glow(_ arguments: [String], environment: [String] = []) throws -> ChildProcess {
    let child = try ChildProcess.run("/usr/bin/env", environment + [ChildProcess.glow] + arguments, in: root)
    #expect(!child.wasKilled, "\(arguments) \(environment) crashed: \(child.error)")
    return child
  }

  /// The files under a folder, with their bytes.
  private func files(_ folder: String) throws -> [String: Data] {
    var files: [String: Data] = [:]
    for name in try FileManager.default.subpathsOfDirectory(atPath: "\(root)/\(folder)") {
      let path = "\(root)/\(folder)/\(name)"
      if !FileManager.default.isReadableFile(atPath: path) || isFolder(path) { continue }
      files[name] = try Data(contentsOf: URL(filePath: path))
    }
    return files
  }

  private func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

  private static let tiny = [
    "--levels", "1", "--depth", "1", "--width", "8", "--batch", "4", "--init-images", "4", "--threads", "1",
    "--sample-every", "2", "--eval-every", "2", "--checkpoint-every", "2", "--log-every", "1", "--limit", "8",
  ]

  @Test(
    "whatever call fails: one clear line, a status that is not 0, earlier files as they were, no half files",
    arguments: [
      ["evaluate", "run", "--data", "images", "--scores", "to/s.jsonl"],
      ["sample", "run", "--count", "2", "--out", "to/s.png"],
      ["sample", "run", "--count", "2", "--separate", "--out", "to/s.png"],
      ["encode", "run", "--data", "images", "--out", "to/z.npy"],
      ["decode", "run", "--latents", "z.npy", "--out", "to/images"],
      ["reconstruct", "run", "--data", "images", "--out", "to/r.png"],
      ["interpolate", "run", "images/000001.png", "images/000002.png", "--out", "to/i.png"],
      ["attribute", "run", "--data", "images", "--all", "--out", "to/vectors"],
      ["detect", "run", "--in", "images", "--out", "noise", "--limit", "4", "--scores", "to/scores"],
      ["plot", "run", "--out", "to/p.png", "--samples", "to/q.png"],
      ["inspect", "run"],
      ["manipulate", "run", "images/000001.png", "--attribute", "z.npy", "--out", "to/m.png"],
      ["sheet", "run", "--data", "images", "--out", "to/sheet.png"],
      ["export", "run", "--to", "openai", "--out", "to/e.safetensors"],
      ["data", "images", "--check"],
      ["data", "images", "--export", "to/copy"],
      ["data", "images", "--export", "to/copy.npy"],
      ["train", "--data", "images", "--out", "to/run", "--steps", "4"] + tiny,
    ])
  func failures(of command: [String]) throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let manager = FileManager.default
    #expect(try glow(["data", "faces", "--limit", "8", "--export", "images"]).status == 0)
    #expect(
      try glow(["train", "--data", "faces", "--out", "run", "--steps", "2"] + Self.tiny).status == 0)
    #expect(
      try glow(
        ["encode", "run", "--data", "images", "--out", "z.npy"]
          + (command[0] == "manipulate" ? ["--limit", "1"] : [])
      ).status == 0)
    try manager.createDirectory(atPath: "\(root)/to", withIntermediateDirectories: true)
    let arguments =
      command + (["data", "export", "plot", "train"].contains(command[0]) ? [] : ["--threads", "1"])
    let whole = try glow(arguments)
    #expect(whole.status == 0, "\(whole.error)")
    let (inputs, results) = (try files("run"), try files("to"))
    for call in ["open", "write", "fsync", "mmap", "rename", "map", "malloc"] {
      var number = 0
      while true {
        // The libraries allocate by the hundred, much of it in loops.
        number = call == "malloc" && number >= 4 ? 2 * number : number + 1
        try manager.removeItem(atPath: "\(root)/to")
        try manager.createDirectory(atPath: "\(root)/to", withIntermediateDirectories: true)
        try? manager.removeItem(atPath: "\(root)/mark")
        let outcome = try glow(
          arguments,
          environment: [
            "LD_PRELOAD=\(root)/faults.so", "FAULT_CALL=\(call)", "FAULT_NUMBER=\(number)",
            "FAULT_MARK=\(root)/mark",
          ])
        let what = "\(command.joined(separator: " ")): \(call) \(number): \(outcome.error)"
        if !manager.fileExists(atPath: "\(root)/mark") {
          #expect(outcome.status == 0, "\(what)")
          break
        }
        let found = try files("to")
        #expect(!found.keys.contains { $0.contains(".partial") }, "\(what): \(found.keys)")
        #expect(try files("run") == inputs, "\(what)")
        if outcome.status == 0 {
          // A call that the command can do without, and did.
          #expect(Set(found.keys) == Set(results.keys), "\(what)")
          if command[0] != "train" { #expect(found == results, "\(what)") }
        } else {
          let lines = outcome.messages.filter { !$0.hasPrefix("warning: ") }
          // What a check finds broken is its answer.
          let isAnswer = command.contains("--check") && lines.isEmpty && !outcome.output.isEmpty
          #expect(outcome.status == 1 && (isAnswer || lines.last?.hasPrefix("Error: ") == true), "\(what)")
          #expect(lines.count == 1 || command[0] == "train" || isAnswer, "\(what)")
        }
        for name in found.keys where name.hasSuffix("model.safetensors") {
          let read = try glow(["inspect", "to/\(name)"])
          #expect(read.status == 0, "\(what); \(read.error)")
        }
      }
    }
  }
}

/// The library that makes calls fail, which the tests compile.
private enum Faults {
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

    static atomic_long calls;

    static int fails(const char *call) {
      const char *wanted = getenv("FAULT_CALL");
      if (wanted == NULL || strcmp(wanted, call) != 0) return 0;
      if (atomic_fetch_add(&calls, 1) + 1 != atol(getenv("FAULT_NUMBER"))) return 0;
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
      if (is_file(descriptor) && fails("write")) return -1;
      return syscall(SYS_write, descriptor, bytes, count);
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
