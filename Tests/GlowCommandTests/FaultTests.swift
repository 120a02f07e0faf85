import Foundation
import Glibc
import GlowTestSupport
import Testing

/// Each command with one call after the other failing, as a full or failing disk makes them, or the end of memory.
///
/// `map` is memory that comes straight from the system, that of models and passes; `malloc` is memory of the libraries for
/// pictures. What Swift itself allocates cannot be refused to it: it ends the process.
///
/// A command may do without a call that has failed, if all that it is to write and to say is there: `close` of what was
/// only read or is on the disk already (`synchronize`), the lock that a file has while it gets its bytes (`AtomicFile`),
/// what is read of /proc and /sys, for which there are defaults.
@Suite(
  "Commands whose calls fail", .unsanitized("too slow"),
  .needs("Tests with a C compiler", Faults.compiler != nil, lack: "there is no C compiler"))
struct FaultTests {
  private let root: String
  private let manager = FileManager.default

  init() throws {
    root = manager.temporaryDirectory.appending(path: "glow-faults-\(UUID())").path
    try manager.copyItem(atPath: Inputs.made.get(), toPath: root)
  }

  private func glow(_ arguments: [String], environment: [String] = []) throws -> ChildProcess {
    let child = try ChildProcess.run("/usr/bin/env", environment + [ChildProcess.glow] + arguments, in: root)
    #expect(!child.wasKilled, "\(arguments) \(environment) crashed: \(child.error)")
    return child
  }

  /// The files under a folder, with their bytes.
  private func files(_ folder: String) throws -> [String: Data] {
    var files: [String: Data] = [:]
    for name in try manager.subpathsOfDirectory(atPath: "\(root)/\(folder)") {
      let path = "\(root)/\(folder)/\(name)"
      if !manager.isReadableFile(atPath: path) || isFolder(path) { continue }
      files[name] = try Data(contentsOf: URL(filePath: path))
    }
    return files
  }

  private func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return manager.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }

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
      ["manipulate", "run", "images/000001.png", "--attribute", "v.npy", "--out", "to/m.png"],
      ["sheet", "run", "--data", "images", "--out", "to/sheet.png"],
      ["export", "run", "--to", "openai", "--out", "to/e.safetensors"],
      ["data", "images", "--check"],
      ["data", "images", "--export", "to/copy"],
      ["data", "images", "--export", "to/copy.npy"],
      ["train", "--data", "images", "--out", "to/run", "--steps", "4"] + Inputs.tiny,
      ["train", "--resume", "--out", "to/run", "--steps", "4"],
      ["data", "images"],
      ["detect", "run", "--in", "images", "--reference", "to/r.json"],
      ["compare", "s.jsonl", "s.jsonl", "--data", "images", "--out", "to/c.png"],
      ["import", "e.safetensors", "--from", "openai", "--out", "to/i.safetensors"],
      ["evaluate", "conditional", "--data", "classes", "--class", "marginal", "--scores", "to/s.jsonl"],
      [
        "bench", "evaluate", "--levels", "1", "--depth", "1", "--width", "8", "--batch", "1", "--runs", "1",
        "--json",
      ],
    ])
  func failures(of command: [String]) throws {
    defer { try? manager.removeItem(atPath: root) }
    let arguments =
      command
      + (["data", "export", "import", "plot", "train"].contains(command[0]) ? [] : ["--threads", "1"])
    try clear(for: command)
    let whole = try glow(arguments, environment: faults("none", 0))
    #expect(whole.status == 0, "\(whole.error)")
    let results = try files("to")
    let expected = Expected(
      command: command, inputs: try files("run"), earlier: try earlier(command, results), results: results,
      answer: words(whole.output),
      notes: Set(whole.messages))
    if !expected.earlier.isEmpty {
      // What is there is looked at, too.
      try clear(for: command, expected.earlier)
      try check(glow(arguments, environment: faults("none", 0)), nil, 0, expected)
    }
    let counts = try self.counts()
    // Each run of bench measures for a while, and what it says is all.
    let calls: [Faults.Call] = command[0] == "bench" ? [.write, .close, .map] : Faults.Call.allCases
    for call in calls {
      let count = counts[call.place]
      for number in command[0] == "bench" && call == .close ? [count] : call.numbers(of: count) {
        try clear(for: command, expected.earlier)
        let outcome = try glow(arguments, environment: faults(call.rawValue, number))
        // How often a call happens is not quite the same each time.
        if manager.fileExists(atPath: "\(root)/mark") || outcome.status != 0 {
          try check(outcome, call, number, expected)
        }
      }
    }
  }

  /// The folder that a command writes in, as it is before.
  private func clear(for command: [String], _ earlier: [String: Data] = [:]) throws {
    try? manager.removeItem(atPath: "\(root)/to")
    try? manager.removeItem(atPath: "\(root)/mark")
    try manager.createDirectory(atPath: "\(root)/to", withIntermediateDirectories: true)
    if command.contains("--resume") { try manager.copyItem(atPath: "\(root)/run", toPath: "\(root)/to/run") }
    for (name, bytes) in earlier where !command.contains("--resume") {
      let path = URL(filePath: "\(root)/to/\(name)")
      try manager.createDirectory(at: path.deletingLastPathComponent(), withIntermediateDirectories: true)
      try bytes.write(to: path)
    }
  }

  /// What is to be there before a command that makes `results`: files that it may replace, and that differ from its own.
  private func earlier(_ command: [String], _ results: [String: Data]) throws -> [String: Data] {
    if command.contains("--resume") {
      return Dictionary(uniqueKeysWithValues: try files("run").map { ("run/\($0)", $1) })
    }
    // Folders that hold nothing else.
    if command[0] == "train"
      || results.keys.contains(where: { $0.hasPrefix("copy/") || $0.hasPrefix("images/") })
      || command.contains("--all")
    {
      return [:]
    }
    return Dictionary(
      uniqueKeysWithValues: results.map { name, bytes in
        var bytes = bytes
        if name.contains(".json") {
          bytes.append(UInt8(ascii: " "))
        } else {
          bytes[bytes.count - 1] ^= 1
        }
        return (name, bytes)
      })
  }

  private struct Expected {
    let command: [String]
    /// The files of the run that is read.
    let inputs: [String: Data]
    /// The files that there were, and those that the command is to make.
    let earlier, results: [String: Data]
    let answer: String
    /// What is said on stderr, too, if nothing fails.
    let notes: Set<Substring>
  }

  private func check(_ outcome: ChildProcess, _ call: Faults.Call?, _ number: Int, _ expected: Expected)
    throws
  {
    let command = expected.command
    let what = "\(command.joined(separator: " ")): \(call?.rawValue ?? "none") \(number): \(outcome.error)"
    let found = try files("to")
    #expect(!found.keys.contains { $0.contains(".partial") }, "\(what): \(found.keys)")
    #expect(try files("run") == expected.inputs, "\(what)")
    let isTraining = command[0] == "train"
    if let call, outcome.status != 0 {
      // Swift itself says so where it gets no memory to report crashes with.
      let lines = outcome.messages.filter {
        !$0.hasPrefix("warning: ") && !$0.hasPrefix("swift runtime: ") && !expected.notes.contains($0)
      }
      // What a check finds broken is its answer.
      let isAnswer = command.contains("--check") && lines.isEmpty && !outcome.output.isEmpty
      #expect(outcome.status == 1 && (isAnswer || lines.last?.hasPrefix("Error: ") == true), "\(what)")
      #expect(lines.count == 1 || isTraining || isAnswer, "\(what)")
      // A run passes over a checkpoint that cannot be read, says why, and then that there is no other.
      let reason = isAnswer ? outcome.output : isTraining ? outcome.error : String(lines.last ?? "")
      #expect(call.isMemory || reason.contains(": Input/output error"), "\(what)")
    } else {
      // The command can do without the call, and did.
      #expect(outcome.status == 0 && Set(found.keys) == Set(expected.results.keys), "\(what)")
      if !isTraining { #expect(found == expected.results, "\(what)") }
      #expect(words(outcome.output) == expected.answer, "\(what)")
    }
    for name in Set(found.keys).union(expected.earlier.keys) where !name.contains(".part") {
      let bytes = found[name]
      var isWhole = bytes != nil && (bytes == expected.earlier[name] || bytes == expected.results[name])
      // A file of a run is one of its steps, which need not be the last.
      if !isWhole && isTraining {
        isWhole = try !name.hasSuffix(".safetensors") || glow(["inspect", "to/\(name)"]).status == 0
      }
      #expect(isWhole, "\(what): \(name)")
    }
  }

  /// What is said, without the numbers: of times and speeds each is another.
  private func words(_ output: String) -> String { output.replacing(/[0-9.]+(e-?[0-9]+)?/, with: "#") }

  private func faults(_ call: String, _ number: Int) -> [String] {
    [
      "LD_PRELOAD=\(root)/faults.so", "FAULT_CALL=\(call)", "FAULT_NUMBER=\(number)",
      "FAULT_MARK=\(root)/mark", "FAULT_COUNTS=\(root)/counts",
    ]
  }

  /// How often each call has happened in the last command.
  private func counts() throws -> [Int] {
    try Data(contentsOf: URL(filePath: "\(root)/counts")).withUnsafeBytes {
      Array($0.bindMemory(to: Int64.self)).map(Int.init)
    }
  }
}

/// A folder that goes with the process.
nonisolated(unsafe) private var removedAtEnd = ""

/// What the commands read, made once: the tests take copies of the folder.
private enum Inputs {
  static let tiny = [
    "--levels", "1", "--depth", "1", "--width", "8", "--batch", "4", "--init-images", "4", "--threads", "1",
    "--sample-every", "2", "--eval-every", "2", "--checkpoint-every", "2", "--log-every", "1", "--limit", "8",
  ]

  /// The folder.
  static let made = Result { try make() }

  private static func make() throws -> String {
    let root = FileManager.default.temporaryDirectory.appending(path: "glow-faults-\(UUID())").path
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    removedAtEnd = root
    atexit { try? FileManager.default.removeItem(atPath: removedAtEnd) }
    try Faults.source.write(toFile: "\(root)/faults.c", atomically: true, encoding: .utf8)
    func run(_ program: String, _ arguments: [String]) throws {
      let outcome = try ChildProcess.run(program, arguments, in: root)
      #expect(outcome.status == 0, "\(arguments): \(outcome.error)")
    }
    func glow(_ line: String, _ more: [String] = []) throws {
      try run(ChildProcess.glow, line.split(separator: " ").map(String.init) + more)
    }
    try run(
      #require(Faults.compiler), ["-shared", "-fPIC", "-O1", "faults.c", "-o", "faults.so", "-ldl"])
    try glow("data faces --limit 8 --export images")
    try glow("train --data faces --out run --steps 2", tiny)
    try glow("encode run --data images --out z.npy")
    try glow("encode run --data images --limit 1 --out v.npy")
    try glow("evaluate run --data images --scores s.jsonl")
    try glow("export run --to openai --out e.safetensors")
    for name in ["one", "two"] {
      let folder = "\(root)/classes/\(name)"
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
      for number in 1...2 {
        try FileManager.default.copyItem(
          atPath: "\(root)/images/00000\(number).png", toPath: "\(folder)/\(number).png")
      }
    }
    try glow("train --data classes --conditional --out conditional --steps 1", tiny)
    return root
  }
}

/// The library that makes calls fail, which the tests compile.
private enum Faults {
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
