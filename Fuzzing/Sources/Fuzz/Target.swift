import CFuzzer
import Foundation

@testable import GlowFiles
@testable import GlowFlow
@testable import GlowKernels

/// A reader and the files that it is to be tried on.
struct Target: Sendable {
  let name: String
  /// libFuzzer tries no longer inputs.
  var maximumLength = 4096
  /// Valid inputs to start from.
  let seeds: @Sendable () throws -> [[UInt8]]
  /// Makes a changed input pass the checks that would otherwise refuse nearly all of them, without changing its length.
  var repair: @Sendable (UnsafeMutableRawBufferPointer) -> Void = { _ in }
  /// Reads an input, of which there is nothing before and nothing after in memory.
  let read: @Sendable (UnsafeRawBufferPointer) throws -> Void
}

/// The one target of this process; libFuzzer's callbacks have no context.
nonisolated(unsafe) private var current: Target?

/// Gives the process to libFuzzer and returns its exit status.
func fuzz(_ target: Target, options: [String]) -> Int32 {
  current = target
  let all = ["fuzz", "-max_len=\(target.maximumLength)"] + options
  var count = Int32(all.count)
  var pointers = all.map { strdup($0) } + [nil]
  return pointers.withUnsafeMutableBufferPointer { buffer in
    var base = buffer.baseAddress
    return LLVMFuzzerRunDriver(&count, &base) { bytes, count in
      attempt(UnsafeRawBufferPointer(start: bytes, count: count))
      return 0
    }
  }
}

/// Reads an input. A reader may refuse it, with an error that a person can read; everything else ends the process.
private func attempt(_ bytes: UnsafeRawBufferPointer) {
  do { try current!.read(bytes) } catch let error as FileError {
    let text = error.description
    precondition(text.unicodeScalars.count < 1000 && !error.reason.isEmpty, "a bad message: \(text)")
    precondition(
      text.unicodeScalars.allSatisfy { $0.value >= 0x20 && $0.value != 0x7F }, "not one line: \(text)")
  } catch is MemoryError {
    // More than is there, said before it is booked.
  } catch {
    fatalError("not an error that names the file: \(type(of: error)): \(error)")
  }
}

/// libFuzzer's hook: its own changes, and then the repair of the target.
@_cdecl("LLVMFuzzerCustomMutator")
public func mutate(_ bytes: UnsafeMutablePointer<UInt8>, _ size: Int, _ maximumSize: Int, _ seed: UInt32)
  -> Int
{
  let count = LLVMFuzzerMutate(bytes, size, maximumSize)
  // One in eight stays as it is, so that the checks themselves are tried too.
  if seed % 8 != 0 { current!.repair(UnsafeMutableRawBufferPointer(start: bytes, count: count)) }
  return count
}

/// A folder in memory where the inputs stand that a reader wants to find by name.
struct Scratch: Sendable {
  let path: String

  init() {
    let parent = FileManager.default.fileExists(atPath: "/dev/shm") ? "/dev/shm" : NSTemporaryDirectory()
    path = "\(parent)/glow-fuzz-\(getpid())"
    try? FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    atexit { try? FileManager.default.removeItem(atPath: scratch.path) }
  }

  /// Writes a file and returns its path.
  @discardableResult
  func write(_ bytes: some Collection<UInt8>, as name: String) -> String {
    let file = "\(path)/\(name)"
    let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    let count = bytes.withContiguousStorageIfAvailable {
      Foundation.write(descriptor, $0.baseAddress, $0.count)
    }
    precondition(count == bytes.count, "cannot write \(file)")
    close(descriptor)
    return file
  }

  func remove(_ name: String) { unlink("\(path)/\(name)") }

  /// The bytes of a file that `body` writes to the path that it is given.
  func bytes(_ body: (String) throws -> Void) throws -> [UInt8] {
    let file = "\(path)/made"
    try body(file)
    return try MappedFile(file).withBytes { Array($0) }
  }
}

let scratch = Scratch()
