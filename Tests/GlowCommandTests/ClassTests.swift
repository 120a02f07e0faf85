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
    #expect(try shell("\(sample) 1 --out named.png").error == "")
    try FileManager.default.removeItem(atPath: "\(root)/classes")
    try writeImages("classes", ["cat", "frog"])
    #expect(try shell("$GLOW train --data classes --out pets --conditional \(Self.tiny)").status == 0)
    let pet = "$GLOW sample pets --count 1 --class"
    #expect(try shell("\(pet) frog --out a.png").error == "")
    #expect(try shell("\(pet) 1 --out b.png").error.contains("number 1 is 'frog'"))
    #expect(try bytes("a.png") == bytes("b.png"))
    let strip = try shell("$GLOW reconstruct pets --data classes --out strip.png")
    #expect(
      strip.status == 0 && strip.output.contains("8 of 8 images come back"), "\(strip.output) \(strip.error)")
    #expect(try shell("\(pet) dog --out c.png").error.contains("one of cat, frog, not dog"))
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
