import GlowImages
import Testing

/// The built-in faces: reproducible, balanced and with density in every channel.
@Suite struct FaceTests {
  static let pixelCount = FaceDrawing.shape.count

  func pixels(_ range: Range<Int>, seed: UInt64 = 5, part: DataPart = .train) throws -> [[UInt8]] {
    let faces = FaceDataset(count: range.upperBound, seed: seed, part: part)
    return try range.map { try faces.image($0).pixels }
  }

  @Test func sameSeedGivesTheSameBytesWhateverTheCount() throws {
    let alone = try FaceDataset(count: 8, seed: 5, part: .train).image(7)
    let amongMany = FaceDataset(count: 1_000_000, seed: 5, part: .train)
    // Other images in between leave no trace.
    _ = try amongMany.image(999_999)
    #expect(try amongMany.image(7) == alone)
    #expect(alone.shape == ImageShape(height: 32, width: 32, channels: 3))
    #expect(amongMany.attributes(7) == FaceDataset(count: 8, seed: 5, part: .train).attributes(7))
  }

  @Test func seedsPartsAndIndicesGiveDifferentFaces() throws {
    var images = Set<[UInt8]>()
    for seed in [0, 1, UInt64.max] {
      for part in [DataPart.train, .test] { images.formUnion(try pixels(0..<50, seed: seed, part: part)) }
    }
    #expect(images.count == 3 * 2 * 50)
  }

  @Test func trainAndTestDifferInTheFacesNotOnlyInTheNoise() {
    let train = Face(seed: 5, part: .train, index: 3)
    let test = Face(seed: 5, part: .test, index: 3)
    #expect(train.skinTone != test.skinTone)
    #expect(train.shift != test.shift)
  }

  @Test func attributesAreBalancedAndIndependent() throws {
    let count = 10_000
    let faces = FaceDataset(count: count, seed: 5, part: .train)
    #expect(
      faces.attributeNames == ["Smiling", "Blond_Hair", "Eyeglasses", "Long_Hair", "Open_Mouth"])
    var together = [[Int]](repeating: [Int](repeating: 0, count: 5), count: 5)
    for index in 0..<count {
      let attributes = try #require(faces.attributes(index))
      try #require(attributes.count == 5)
      for first in 0..<5 where attributes[first] {
        for second in 0..<5 where attributes[second] { together[first][second] += 1 }
      }
    }
    // Five standard deviations of a binomial share: 5·√(¼/10,000) = 0.025.
    for first in 0..<5 {
      for second in 0..<5 {
        let expected = first == second ? 0.5 : 0.25
        #expect(abs(Double(together[first][second]) / Double(count) - expected) < 0.025)
      }
    }
  }

  @Test func facesHaveNoClassesAndNameTheirSource() {
    let faces = FaceDataset(count: 2, seed: 5, part: .test)
    #expect(faces.classNames.isEmpty)
    #expect(faces.label(1) == nil)
    #expect(faces.source(1) == "faces#1")
  }

  @Test func everyChannelOfEveryPixelVaries() throws {
    let images = try pixels(0..<400)
    for position in 0..<Self.pixelCount {
      let levels = images.map { Double($0[position]) }
      let mean = levels.reduce(0, +) / Double(levels.count)
      let variance = levels.reduce(0) { $0 + ($1 - mean) * ($1 - mean) } / Double(levels.count)
      #expect(variance > 100, "position \(position) varies by \(variance) only")
      #expect(Set(levels).count > 50, "position \(position) takes few levels")
    }
  }

  @Test func noiseIsGaussianOfTheStatedDeviation() {
    var face = Face(seed: 5, part: .train, index: 0)
    let noisy = draw(face)
    face.noiseDeviation = 0
    let clean = draw(face)
    // Levels at the ends of the range are cut off.
    let differences = zip(noisy, clean).filter { (10...245).contains($1) }.map { Double($0) - Double($1) }
    #expect(differences.count > Self.pixelCount / 2)
    let mean = differences.reduce(0, +) / Double(differences.count)
    let variance = differences.reduce(0) { $0 + $1 * $1 } / Double(differences.count)
    #expect(abs(mean) < 0.2)
    // 2² of the noise and 2·1/12 of rounding both images.
    #expect(abs(variance - 4.17) < 0.7)
  }

  @Test(arguments: [
    \Face.mouthBend, \.hairTone, \.hairEnd, \.mouthOpening,
  ]) func valuesOfAnAttributeLieApart(parameter: KeyPath<Face, Float> & Sendable) {
    let values = (0..<2000).map { Face(seed: 5, part: .train, index: $0)[keyPath: parameter] }.sorted()
    let gaps = zip(values.dropFirst(), values).map { $0 - $1 }
    let range = values[values.count - 1] - values[0]
    // One gap between the two values of the attribute, none inside.
    #expect(gaps.filter { $0 > range / 6 }.count == 1)
  }

  @Test func attributesChangeThePicture() {
    var face = Face(seed: 5, part: .train, index: 0)
    face.noiseDeviation = 0
    let original = draw(face)
    let changes: [(String, (inout Face) -> Void)] = [
      ("smile", { $0.mouthBend = $0.isSmiling ? -0.5 : 2.2 }),
      ("hair color", { $0.hairTone = $0.isBlond ? 0.3 : 0.9 }),
      ("glasses", { $0.glasses = $0.glasses == nil ? Self.anyGlasses : nil }),
      ("hair length", { $0.hairEnd = $0.hasLongHair ? -2 : 17 }),
      ("mouth", { $0.mouthOpening = $0.hasOpenMouth ? 0 : 3 }),
    ]
    for (name, change) in changes {
      var changed = face
      change(&changed)
      let clear = zip(draw(changed), original).filter { abs(Int($0) - Int($1)) > 40 }.count
      #expect(clear >= 30, "\(name) changes \(clear) bytes clearly")
    }
  }

  static var anyGlasses: Face.Glasses? {
    (0..<100).lazy.compactMap { Face(seed: 5, part: .train, index: $0).glasses }.first
  }

  func draw(_ face: Face) -> [UInt8] {
    [UInt8](unsafeUninitializedCapacity: Self.pixelCount) { buffer, count in
      FaceDrawing.draw(face, into: UnsafeMutableBufferPointer(rebasing: buffer[0..<Self.pixelCount]))
      count = Self.pixelCount
    }
  }
}
