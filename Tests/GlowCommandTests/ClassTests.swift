import Foundation
import GlowImages
import Testing

/// Classes of images and those of a class-conditional model.
extension CommandTests {
  private func writeImages(_ folder: String, _ classes: [String]) throws {
    for (place, name) in classes.enumerated() {
      for number in 0..<4 {
        let image = try FaceDataset(count: 100, seed: 0, part: .train).image(10 * place + number)
        try write("\(folder)/\(name)/\(number).png", PNG.encode(image))
      }
    }
  }

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
}
