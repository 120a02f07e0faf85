import Foundation
import GlowFiles
import GlowFlow
import GlowImages
import GlowKernels
import GlowTestSupport
import Testing

@testable import GlowTraining

@Suite("Event files")
struct EventTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-events-\(UUID())").path
  private var events: String { "\(root)/tensorboard" }

  @Test("CRC-32C of RFC 3720, appendix B.4")
  func checksums() {
    #expect(CRC32C.checksum([]) == 0)
    #expect(CRC32C.checksum(Array("123456789".utf8)) == 0xE306_9283)
    #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.checksum((0..<32).map { UInt8($0) }) == 0x46DD_794E)
    #expect(CRC32C.checksum((0..<32).reversed().map { UInt8($0) }) == 0x113F_DB5C)
  }

  @Test("the wire format of protocol buffers")
  func messages() {
    func bytes(_ fill: (inout ProtocolMessage) -> Void) -> [UInt8] {
      var message = ProtocolMessage()
      fill(&message)
      return message.bytes
    }
    #expect(bytes { $0.add(1, 150) } == [0x08, 0x96, 0x01])
    #expect(bytes { $0.add(2, "testing") } == [0x12, 0x07] + Array("testing".utf8))
    #expect(bytes { $0.add(1, -1) } == [0x08] + [UInt8](repeating: 0xFF, count: 9) + [0x01])
    #expect(bytes { $0.add(1, 1.0 as Double) } == [0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F])
    #expect(bytes { $0.add(2, 1.0 as Float) } == [0x15, 0, 0, 0x80, 0x3F])
    #expect(bytes { $0.add(16, [7, 8]) } == [0x82, 0x01, 0x02, 7, 8])
    #expect(bytes { $0.add(3, [UInt8](repeating: 0, count: 300)) }.prefix(3) == [0x1A, 0xAC, 0x02])
  }

  /// A record of the files in the folder, in the order of their names; both checksums were compared.
  private struct Record {
    /// Of the event, `[0x10, step]` for small steps.
    let step: Int
    let isRestart: Bool
    let data: [UInt8]

    func holds(_ tag: String) -> Bool { Data(data).range(of: Data(tag.utf8)) != nil }
  }

  private func records() throws -> [Record] {
    var records: [Record] = []
    for name in try FileManager.default.contentsOfDirectory(atPath: events).sorted() {
      #expect(name.hasPrefix("events.out.tfevents."))
      var rest = ArraySlice(try MappedFile("\(events)/\(name)").withBytes { Array($0) })
      func take(_ count: Int) -> [UInt8] {
        defer { rest = rest.dropFirst(count) }
        return Array(rest.prefix(count))
      }
      while !rest.isEmpty {
        let length = take(8)
        #expect(take(4) == littleEndian(CRC32C.masked(length)))
        let data = take(length.reversed().reduce(0) { $0 << 8 | Int($1) })
        #expect(take(4) == littleEndian(CRC32C.masked(data)))
        // Field 1, a Double, then field 2, a step of one byte, then what the event is about.
        try #require(data.count > 11 && data[0] == 0x09 && data[9] == 0x10 && data[10] < 0x80)
        records.append(Record(step: Int(data[10]), isRestart: data[11] == 0x3A, data: data))
      }
    }
    return records
  }

  private func metrics(_ step: Int) -> Metrics {
    Metrics(step: step, images: step, epoch: 0, loss: 1, trainBitsPerDim: 2, seconds: 0)
  }

  @Test("a new file each start; what is done again is voided, what is not stands in the new file")
  func starts() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let image = ByteImage(shape: ImageShape(height: 1, width: 1, channels: 1), pixels: [7])
    let first = try EventLog(folder: events, after: 0)
    for step in [0, 10, 20, 30] { try first.append(metrics(step)) }
    try first.append(samples: image, step: 30)
    #expect(try records().map(\.step) == [0, 0, 10, 20, 30, 30])
    let second = try EventLog(folder: events, after: 20, kept: [metrics(20)])
    for step in [30, 40] { try second.append(metrics(step)) }
    let all = try records()
    #expect(all.dropFirst(6).map(\.step) == [0, 20, 20, 30, 40])
    #expect(all.dropFirst(6).map(\.isRestart) == [false, true, false, false, false])
    #expect(all.map { $0.holds("brain.Event:2") }.filter { $0 }.count == 2)
    #expect(all[1].holds("bits_per_dim/train") && all[1].holds("training/loss"))
    #expect(!all[1].holds("bits_per_dim/test") && all[5].holds("samples") && all[5].holds("PNG"))
    #expect(try FileManager.default.contentsOfDirectory(atPath: events).count == 2)
  }

  @Test("a folder that cannot be made is named")
  func noFolder() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    try FileManager.default.createDirectory(atPath: root, withIntermediateDirectories: true)
    try AtomicFile.write("a file", to: events)
    let error = #expect(throws: FileError.self) { try EventLog(folder: events, after: 0) }
    #expect(error?.path == events)
  }

  @Test(
    "an evaluation that was stopped and is done after a resume stands in both logs", arguments: [false, true])
  func redone(isStopped: Bool) throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let first = try trainer(steps: 30)
    if isStopped {
      // A signal that comes while the images of step 15 are scored.
      var asked = 0
      first.interruption = {
        if first.step == 15 { asked += 1 }
        return asked > 1 ? 15 : nil
      }
      #expect(try first.run() == .interrupted(signal: 15))
    } else {
      #expect(try first.run() == .finished)
    }
    let second = try trainer(steps: 45)
    try second.resume()
    #expect(second.step == (isStopped ? 15 : 30))
    #expect(try second.run() == .finished)
    // What readers keep: a restart voids what stands before it of its step and later.
    var shown: [Record] = []
    for record in try records() where record.step > 0 {
      if record.isRestart { shown.removeAll { $0.step >= record.step } } else { shown.append(record) }
    }
    let lines = try String(contentsOfFile: first.folder.metrics, encoding: .utf8).split(separator: "\n").map {
      try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
    }
    for (tag, key) in [
      ("bits_per_dim/test", "test_bits_per_dim"), ("bits_per_dim/train", "train_bits_per_dim"),
    ] {
      let expected = lines.filter { $0[key] != nil }.compactMap { $0["step"] as? Int }
      #expect(shown.filter { $0.holds(tag) }.map(\.step) == expected)
    }
    #expect(shown.filter { $0.holds("bits_per_dim/test") }.map(\.step) == [15, 30, 45])
    #expect(shown.filter { $0.holds("samples") }.map(\.step) == [15, 30, 45])
  }

  private func trainer(steps: Int) throws -> Trainer {
    var model = GlowConfiguration()
    (model.levels, model.depth, model.width) = (2, 1, 8)
    var training = TrainingConfiguration()
    (training.batch, training.steps, training.initializationImages) = (8, steps, 16)
    (training.logEvery, training.evaluateEvery, training.sampleEvery) = (5, 15, 15)
    training.checkpointEvery = 20
    let trainer = try Trainer(
      RunConfiguration(data: "faces", model: model, training: training),
      glow: Glow(configuration: model, seed: 0, team: ThreadTeam(count: 2)),
      train: FaceDataset(count: 64, seed: 0, part: .train), test: FaceDataset(count: 8, seed: 0, part: .test),
      folder: RunFolder(root), progress: Listener())
    trainer.writesEvents = true
    return trainer
  }

  @Test(
    "TensorBoard reads scalars and samples of a run that was resumed, each step once",
    .python("tensorboard"))
  func readByPython() throws {
    defer { try? FileManager.default.removeItem(atPath: root) }
    let first = try trainer(steps: 30)
    #expect(try first.run() == .finished)
    // As if the run had been lost after step 30.
    try FileManager.default.removeItem(atPath: first.folder.checkpoint(30))
    let second = try trainer(steps: 45)
    try second.resume()
    #expect(second.step == 20)
    #expect(try second.run() == .finished)
    let program = """
      import json, struct, sys
      from tensorboard.backend.event_processing import event_accumulator
      root = sys.argv[1]
      events = event_accumulator.EventAccumulator(root + "/tensorboard", {"scalars": 0, "images": 0}).Reload()
      lines = [json.loads(line) for line in open(root + "/metrics.jsonl")]
      names = {
          "bits_per_dim/train": "train_bits_per_dim", "bits_per_dim/test": "test_bits_per_dim",
          "bits_per_dim/test_raw": "test_bits_per_dim_raw", "training/loss": "loss",
          "bits_per_dim/evaluated_train": "train_bits_per_dim_evaluated",
          "training/gradient_norm": "gradient_norm", "training/learning_rate": "learning_rate",
          "training/images_per_second": "images_per_second",
      }
      single = lambda value: struct.unpack("f", struct.pack("f", value))[0]
      assert set(events.Tags()["scalars"]) == set(names), events.Tags()
      for tag, key in names.items():
          expected = [(line["step"], single(line[key])) for line in lines if key in line]
          found = [(event.step, event.value) for event in events.Scalars(tag)]
          assert found == expected and len(expected) >= 3, (tag, found, expected)
      assert events.Tags()["images"] == ["samples"], events.Tags()
      images = events.Images("samples")
      assert [image.step for image in images] == [15, 30, 45], images
      for image in images:
          assert (image.height, image.width) == (134, 134), image
          assert image.encoded_image_string == open(f"{root}/samples/{image.step:08}.png", "rb").read()
      """
    let result = try Python.run(program, root)
    #expect(result.status == 0, "\(result.error)")
  }
}
