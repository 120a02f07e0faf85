import GlowFiles
import GlowFlow
import GlowStorage
import Testing

@Suite("Names of classes")
struct ClassNamesTests {
  private func places(_ names: [String], in model: [String]?, count: Int) throws -> [Int] {
    try ClassNames.places(of: names, in: model, count: count, location: "images", path: "model")
  }

  @Test("they go through a file's metadata, which must hold one a class")
  func metadata() throws {
    let names = ["cat, \"small\"", "größe", "2"]
    let metadata = [ClassNames.key: try ClassNames.text(names)]
    #expect(try ClassNames.read(metadata, count: 3, path: "m") == names)
    #expect(try ClassNames.read([:], count: 3, path: "m") == nil)
    #expect(
      throws: FileError("m", "glow.class_names: is '[\"a\"]', expected the names of 2 classes")
    ) { try ClassNames.read([ClassNames.key: "[\"a\"]"], count: 2, path: "m") }
    #expect(throws: FileError.self) { try ClassNames.read([ClassNames.key: "a"], count: 1, path: "m") }
  }

  @Test("classes are matched by name; without names there must be as many")
  func matching() throws {
    #expect(try places(["frog", "truck"], in: ["cat", "frog", "ship", "truck"], count: 4) == [1, 3])
    #expect(
      throws: ConfigurationError(
        "images has the class 'dog', which model does not know: its classes are cat, frog")
    ) { try places(["cat", "dog"], in: ["cat", "frog"], count: 2) }
    #expect(try places(["a", "b"], in: nil, count: 2) == [0, 1])
    #expect(
      throws: ConfigurationError(
        "images has 2 classes (frog, truck), and model has 10, whose names it does not keep")
    ) { try places(["frog", "truck"], in: nil, count: 10) }
  }
}
