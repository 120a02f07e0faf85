import Foundation
import GlowFiles
import GlowFlow
import GlowKernels
import GlowStorage
import Testing

@testable import GlowTraining

@Suite("Checkpoints")
struct CheckpointTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-checkpoint-\(UUID())").path
  private var path: String { "\(root)/checkpoint.safetensors" }

  private func state() throws -> (TrainingState, RunConfiguration) {
    var model = GlowConfiguration()
    model.levels = 1
    model.depth = 1
    model.width = 8
    model.imageHeight = 8
    model.imageWidth = 8
    let training = TrainingConfiguration()
    let state = try TrainingState(
      Glow(configuration: model, seed: 1, team: ThreadTeam(count: 1)), training)
    for (index, slab) in state.slabs.enumerated() {
      if index > 0 { Philox(seed: 1, purpose: .weights, stream: UInt64(index)).fillNormal(slab.slab.values) }
    }
    // The present state and the one to go back to are different ones, so that both are in the file.
    state.step = 100
    try state.keepAsGood()
    state.glow.values.base[0] = 1
    state.step = 107
    return (state, RunConfiguration(data: "faces", model: model, training: training))
  }

  private func write(_ bytes: some Sequence<UInt8>) throws {
    try Data(bytes).write(to: URL(filePath: path))
  }

  /// A whole checkpoint, its bytes, and where its header ends.
  private func checkpoint() throws -> (bytes: [UInt8], headerEnd: Int) {
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    let (state, configuration) = try self.state()
    try Checkpoint.write(state, configuration, to: path)
    let bytes = try MappedFile(path).withBytes { Array($0) }
    let length = bytes[..<8].reversed().reduce(0) { $0 << 8 | Int($1) }
    return (bytes, 8 + length)
  }

  private func isRefused(_ state: TrainingState) -> Bool {
    do {
      try Checkpoint.read(path, into: state)
      return false
    } catch { return error is FileError }
  }

  @Test("what is written is read back, the state to go back to included")
  func roundTrip() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let (bytes, _) = try checkpoint()
    let (written, configuration) = try self.state()
    let (other, _) = try self.state()
    for (_, slab) in other.slabs { slab.values.update(repeating: 0) }
    try Checkpoint.read(path, into: other)
    #expect(other.step == 107 && other.good?.step == 100)
    for (found, expected) in zip(other.slabs, written.slabs) {
      #expect(Array(found.slab.values) == Array(expected.slab.values))
    }
    for (found, expected) in zip(other.good!.slabs, written.good!.slabs) {
      #expect(Array(found.values) == Array(expected.values))
    }
    try Checkpoint.write(other, configuration, to: path)
    #expect(try MappedFile(path).withBytes { Array($0) } == bytes)
  }

  @Test("1,000 random bit flips in the whole file and 300 in its header are all detected")
  func bitFlips() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let (bytes, headerEnd) = try checkpoint()
    let (state, _) = try self.state()
    #expect(!isRefused(state))
    let words = Philox(seed: 5, purpose: .order, stream: 0)
    var missed: [Int] = []
    for trial in 0..<1300 {
      let word = words.words(trial)
      let place = (Int(word[0]) << 16 ^ Int(word[1])) % (trial < 1000 ? bytes.count : headerEnd)
      var damaged = bytes
      damaged[place] ^= 1 << UInt8(word[2] & 7)
      try write(damaged)
      if !isRefused(state) { missed.append(place) }
    }
    print(
      "checkpoint of \(bytes.count) bytes, its header of \(headerEnd): 1300 bit flips, \(missed.count) missed"
    )
    #expect(missed.isEmpty)
  }

  @Test("truncation at every 4 KiB, and by one byte, is detected")
  func truncation() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let (bytes, _) = try checkpoint()
    let (state, _) = try self.state()
    for count in Array(stride(from: 0, to: bytes.count, by: 4096)) + [bytes.count - 1] {
      try write(bytes[..<count])
      #expect(isRefused(state), "cut to \(count) of \(bytes.count) bytes")
    }
    try write(bytes + [0])
    #expect(isRefused(state))
  }

  @Test("a damaged newest checkpoint is reported by name, and the one before it used")
  func damagedNewest() throws {
    let runs = Runs()
    defer { runs.remove() }
    let first = try runs.trainer("run", steps: 20)
    _ = try first.run()
    let newest = first.folder.checkpoint(20)
    try Data(try runs.bytes(newest).dropLast(5000)).write(to: URL(filePath: newest))
    let listener = Listener()
    let second = try runs.trainer("run", steps: 20, listener: listener)
    try second.resume()
    #expect(second.step == 10 && listener.heard("passed over: \(newest)"))
    // The damaged one does not count among those that are kept.
    second.interruption = { second.step >= 12 ? SIGTERM : nil }
    _ = try second.run()
    #expect(second.folder.checkpointSteps() == [10, 12, 20])
    second.interruption = { nil }
    _ = try second.run()
    #expect(second.folder.checkpointSteps() == [12, 20])
    // Fewer steps than are done already: nothing more is done.
    let third = try runs.trainer("run", steps: 15)
    try third.resume()
    #expect(try third.run() == .finished && third.step == 20)
    try Data().write(to: URL(filePath: newest))
    try Data().write(to: URL(filePath: first.folder.checkpoint(12)))
    #expect(throws: FileError(first.folder.path, "has no checkpoint that can be read")) {
      try second.resume()
    }
  }
}
