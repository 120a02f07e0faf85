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
