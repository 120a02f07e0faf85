import Foundation
import GlowImages
import Testing

/// Classes of images and those of a class-conditional model.
extension CommandTests {
  @Test("a class-conditional model knows its classes by name, or by their number where it keeps no names")
  func classNames() throws {
    defer { clean() }
    try writeImages("three", ["cat", "frog", "truck"])
    try writeImages("two", ["frog", "truck"])
    try writeImages("other", ["cat", "dog", "truck"])
    let trained = try glow(
      "train", "--data", "three", "--out", "run", "--conditional", "--levels", "1", "--depth", "1", "--width",
      "8", "--batch", "4", "--steps", "2", "--init-images", "4")
    #expect(trained.status == 0, "\(trained.error)")
    let two = try glow("evaluate", "run", "--data", "two", "--scores", "two.csv")
    #expect(two.status == 0, "\(two.error)")
    let labels = try String(contentsOfFile: "\(root)/two.csv", encoding: .utf8).split(separator: "\n")
      .dropFirst().map { $0.split(separator: ",")[2] }
    #expect(labels == ["1", "1", "1", "1", "2", "2", "2", "2"])
    let other = try glow("evaluate", "run", "--data", "other")
    #expect(other.status == 1 && other.error.contains("has the class 'dog', which run does not know"))
    let start = try glow(
      "train", "--data", "other", "--out", "again", "--init-from", "run", "--batch", "4", "--steps", "1")
    #expect(start.status == 1 && start.error.contains("'dog'"), "\(start.error)")
  }

  @Test("a conditional model scores images without classes as of one, of all, and as of the most probable")
  func scoredClasses() throws {
    defer { clean() }
    try writeImages("three", ["cat", "frog", "truck"])
    try writeImages("other", ["cat", "dog"])
    let trained = try glow(
      "train", "--data", "three", "--out", "run", "--conditional", "--levels", "2", "--depth", "1", "--width",
      "8", "--batch", "12", "--steps", "30", "--lr", "0.01", "--warmup-epochs", "0", "--init-images", "4",
      "--ema",
      "0")
    #expect(trained.status == 0, "\(trained.error)")
    func records(_ choice: String?, _ data: String, _ more: String...) throws -> [[String: Any]] {
      let job = try glow(
        list: ["evaluate", "run", "--data", data, "--scores", "s.jsonl"]
          + (choice.map { ["--class", $0] } ?? [])
          + more)
      #expect(job.status == 0, "\(job.error)")
      return try String(contentsOfFile: "\(root)/s.jsonl", encoding: .utf8).split(separator: "\n").map {
        try #require(try JSONSerialization.jsonObject(with: Data($0.utf8)) as? [String: Any])
      }
    }
    func nats(_ records: [[String: Any]]) -> [Double] {
      records.compactMap { $0["log_likelihood"] as? Double }
    }
    func names(_ records: [[String: Any]]) -> [String] { records.compactMap { $0["class"] as? String } }
    for draws in ["1", "3"] {
      let more = ["--importance-samples", draws]
      let own = try records(nil, "three", more[0], more[1])
      #expect(names(own) == ["cat", "frog", "truck"].flatMap { [$0, $0, $0, $0] })
      let ofClasses = try ["cat", "1", "truck"].map { try records($0, "three", more[0], more[1]) }
      #expect(names(ofClasses[1]) == Array(repeating: "frog", count: 12))
      for (index, value) in nats(own).enumerated() { #expect(value == nats(ofClasses[index / 4])[index]) }
      let (best, marginal) = (
        try records("best", "three", more[0], more[1]), try records("marginal", "three", more[0], more[1])
      )
      for index in 0..<12 {
        let values = ofClasses.map { nats($0)[index] }
        let place = try #require(values.firstIndex(of: values.max()!))
        #expect(nats(best)[index] == values[place] && names(best)[index] == ["cat", "frog", "truck"][place])
        let mean = values.reduce(0) { $0 + exp($1 - values.max()!) } / 3
        #expect(abs(nats(marginal)[index] - (values.max()! + log(mean))) < 1e-6)
        #expect(names(marginal)[index] == names(best)[index])
      }
      let right = zip(names(best), names(own)).count { $0 == $1 }
      let summary = try glow("evaluate", "run", "--data", "three", "--class", "best", "--json")
      #expect(summary.output.contains("\"accuracy\":"), "\(summary.output)")
      if draws == "1" {
        let found = try #require(summary.output.firstMatch(of: /"accuracy":([0-9.]+)/)?.output.1)
        #expect(abs(try #require(Double(found)) - Double(right) / 12) < 1e-9)
      }
    }
    #expect(try names(records("truck", "faces", "--limit", "2")) == ["truck", "truck"])
    // Of the other classes that the data have, none counts.
    #expect(try records("best", "other").compactMap { $0["label"] as? Int } == [0, 0, 0, 0])
    #expect(try glow("evaluate", "run", "--data", "faces").status == 1)
    #expect(try glow("evaluate", "run", "--data", "faces", "--class", "dog").status == 1)
    // From class to class: the same class changes nothing, another one does, and by name as by number.
    func strip(_ target: String) throws -> [UInt8] {
      let job = try glow(
        "interpolate", "run", "three/cat/0.png", "--class", "cat", "--to-class", target, "--steps", "3",
        "--out",
        "strip.png")
      #expect(job.status == 0, "\(job.error)")
      return try PNG.read("\(root)/strip.png").pixels
    }
    #expect(try strip("truck") == strip("2") && strip("truck") != strip("cat"))
    #expect(
      try glow("interpolate", "run", "three/cat/0.png", "--class", "cat", "--out", "strip.png").status == 64)
    let detection = try glow("detect", "run", "--in", "three", "--out", "faces", "--limit", "8")
    #expect(detection.status == 0 && detection.error.contains("--class marginal"), "\(detection.error)")
  }

  @Test("class folders are written again as class folders")
  func exportedClasses() throws {
    defer { clean() }
    try writeImages("two", ["frog", "truck"])
    #expect(try glow("data", "two", "--export", "copy").status == 0)
    #expect(
      try FileManager.default.contentsOfDirectory(atPath: "\(root)/copy").sorted() == ["frog", "truck"])
    let copy = try DataSource.open("\(root)/copy", part: .train).dataset
    let original = try DataSource.open("\(root)/two", part: .train).dataset
    #expect(copy.classNames == original.classNames && copy.count == 8)
    for index in 0..<8 {
      #expect(try copy.image(index) == original.image(index) && copy.label(index) == original.label(index))
    }
  }

  @Test("a class is asked for by its name, or by a number, and it says which that is")
  func classByName() throws {
    defer { clean() }
    try writeImages("classes", ["1", "0"])
    let trained = try shell("$GLOW train --data classes --out run --conditional \(Self.tiny)")
    #expect(trained.status == 0, "\(trained.error)")
    let sample = "$GLOW sample run --count 1 --class"
    #expect(try shell("\(sample) 1 --out named.png").messages == [])
    try FileManager.default.removeItem(atPath: "\(root)/classes")
    try writeImages("classes", ["cat", "frog"])
    #expect(try shell("$GLOW train --data classes --out pets --conditional \(Self.tiny)").status == 0)
    let pet = "$GLOW sample pets --count 1 --class"
    #expect(try shell("\(pet) frog --out a.png").messages == [])
    #expect(try shell("\(pet) 1 --out b.png").error.contains("number 1 is 'frog'"))
    #expect(try bytes("a.png") == bytes("b.png"))
    let strip = try shell("$GLOW reconstruct pets --data classes --out strip.png")
    #expect(
      strip.status == 0 && strip.output.contains("8 of 8 images come back"), "\(strip.output) \(strip.error)")
    #expect(try shell("\(pet) dog --out c.png").error.contains("one of cat, frog, not dog"))
  }

  @Test("classes that are numbers are in the order of numbers")
  func numberedClasses() throws {
    defer { clean() }
    try writeImages("classes", (0..<12).map(String.init))
    #expect(
      try shell("$GLOW data classes").output.contains("classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11\n"))
    let trained = try shell("$GLOW train --data classes --out run --conditional \(Self.tiny)")
    #expect(trained.status == 0, "\(trained.error)")
    // A name that is another class's number would be remarked on.
    #expect(try shell("$GLOW sample run --count 1 --class 2 --out two.png").messages.isEmpty)
    #expect(try shell("$GLOW evaluate run --data classes --scores s.csv").status == 0)
    let found = try String(contentsOfFile: "\(root)/s.csv", encoding: .utf8).split(separator: "\n")
      .dropFirst()
    #expect(found.count == 48)
    for line in found {
      let folder = try #require(line.firstMatch(of: /classes\/([0-9]+)\//)?.output.1)
      #expect(line.split(separator: ",")[2] == folder, "\(line)")
    }
  }

  @Test("a path with a slash is a folder, though it is called as the built-in images are")
  func foldersNamedLikeWords() throws {
    defer { clean() }
    #expect(try shell("$GLOW data noise --limit 3 --export faces").status == 0)
    for path in ["faces/", "./faces"] {
      #expect(try shell("$GLOW data \(path)").output.hasPrefix("images: 3 images"), "\(path)")
    }
    let word = try shell("$GLOW data faces --limit 4").output
    #expect(word.hasPrefix("faces: ") && word.contains("that is ./faces"), "\(word)")
  }

  @Test("pictures of a model of one bit are black and white, each color all or nothing")
  func oneBit() throws {
    defer { clean() }
    try train("--bits 1")
    #expect(try shell("$GLOW sample run --count 4 --scale 1 --separate --out s.png").status == 0)
    let levels = try Set((0..<4).flatMap { try PNG.read("\(root)/s-000\($0).png").pixels })
    #expect(levels == [0, 255])
  }

  @Test("it is said of which classes there are held-out images alone")
  func untrainedClasses() throws {
    defer { clean() }
    func batch(_ labels: [UInt8]) -> [UInt8] {
      labels.flatMap { label in [label] + (0..<3072).map { UInt8(truncatingIfNeeded: $0 &* 7 &+ Int(label)) }
      }
    }
    try write("cifar/data_batch_1.bin", batch([0, 1, 0, 1]))
    try write("cifar/test_batch.bin", batch([0, 1]))
    let line = "$GLOW train --data cifar --conditional \(Self.tiny) --out"
    let same = try shell("\(line) same")
    #expect(same.status == 0 && !same.error.contains("no training image"), "\(same.error)")
    try write("cifar/test_batch.bin", batch([0, 3]))
    let other = try shell("\(line) other")
    #expect(other.status == 0 && other.error.contains("no training image has the class"), "\(other.error)")
    let scores = try shell("$GLOW evaluate other --data cifar")
    #expect(
      scores.status == 0
        && scores.error.contains(
          "other was trained on no image of the class '3': what it says of 1 image of cifar means little"),
      "\(scores.error)")
    let known = try shell("$GLOW evaluate other --data cifar --split train")
    #expect(known.status == 0 && !known.error.contains("was trained on no image"), "\(known.error)")
  }
}
