import Foundation
import GlowImages
import GlowKernels
import GlowLatents
import Testing

@Suite("Attribute vectors")
struct AttributeStatisticsTests {
  private let size = 20

  /// Latents that are normal noise plus an effect of each attribute; the second attribute is as the first in
  /// `agreement` of the cases, the third goes its own way.
  private func statistics(
    agreement: Float, count: Int = 40_000, names: [String] = ["A", "B", "C"]
  ) -> (AttributeStatistics, [[Float]]) {
    let effects = (0..<3).map { normal(size, stream: 100 + UInt64($0)) }
    var statistics = AttributeStatistics(names: names, size: size)
    var chance = [Float](repeating: 0, count: 3 * count)
    chance.withUnsafeMutableBufferPointer { Philox(seed: 1, purpose: .latents).fillUniform($0) }
    for index in 0..<count {
      let first = chance[3 * index] < 0.5
      let attributes = [first, (chance[3 * index + 1] < agreement) == first, chance[3 * index + 2] < 0.3]
      var latents = normal(size, stream: 1000 + UInt64(index))
      for (attribute, effect) in zip(attributes, effects) where attribute {
        for place in latents.indices { latents[place] += effect[place] }
      }
      statistics.add(latents, attributes: attributes)
    }
    return (statistics, effects)
  }

  @Test("the mean difference is that of the means")
  func meanDifference() throws {
    var statistics = AttributeStatistics(names: ["A"], size: 2)
    for (latents, value) in [([1, 2], true), ([3, 4], true), ([10, 0], false)] as [([Float], Bool)] {
      statistics.add(latents, attributes: [value])
    }
    #expect(distance(try statistics.meanDifference(0), [-8, 3]) < 1e-5)
    #expect(try statistics.partialEffect(0) == statistics.meanDifference(0))
    #expect(statistics.count == 3 && statistics.count(with: 0) == 2)
  }

  @Test("where attributes occur together the mean difference mixes them, the partial effect does not")
  func correlated() throws {
    let (statistics, effects) = statistics(agreement: 0.8)
    #expect(abs(statistics.correlation(0, 1) - 0.6) < 0.02)
    // Six standard errors of √(20 · 4 / 40,000 / (1 − 0.6²)).
    let tolerance = 0.34
    for attribute in 0..<3 {
      #expect(distance(try statistics.partialEffect(attribute), effects[attribute]) < tolerance)
    }
    // E[B | A] − E[B | not A] = 0.8 − 0.2.
    let mixed = zip(effects[0], effects[1]).map { $0 + 0.6 * $1 }
    #expect(distance(try statistics.meanDifference(0), mixed) < tolerance)
    #expect(distance(try statistics.meanDifference(0), effects[0]) > 3 * tolerance)
  }

  @Test("attributes that say nothing by themselves are refused by name")
  func refusals() throws {
    let (same, _) = statistics(agreement: 1, count: 100)
    for (attribute, name) in [(0, "A"), (1, "B")] {
      let error = #expect(throws: AttributeError.self) { try same.partialEffect(attribute) }
      #expect(error?.description.hasPrefix("\(name) follows from the other attributes") == true)
    }
    // What follows from A takes nothing from the others.
    _ = try same.partialEffect(2)
    _ = try same.meanDifference(0)

    var never = AttributeStatistics(names: ["A", "B"], size: 1)
    for value in [true, false] { never.add([1], attributes: [value, false]) }
    _ = try never.meanDifference(0)
    do { _ = try never.meanDifference(1) } catch {
      #expect("\(error)" == "of 2 images none has B: its effect needs images with and without")
    }
    #expect(throws: AttributeError.self) { try never.meanDifference(1) }
    #expect(throws: AttributeError.self) { try never.partialEffect(1) }
    #expect(try never.partialEffect(0) == never.meanDifference(0))
    #expect(throws: AttributeError.self) {
      try AttributeStatistics(names: ["A"], size: 1).meanDifference(0)
    }
  }

  @Test("a constant attribute and classes that sum to 1 leave the partial effects of the others")
  func classEffects() throws {
    // ε = (2 if large, class), each class equally often, large ones mostly of class 2.
    let names = ["large", "always", "zero", "one", "two"]
    var statistics = AttributeStatistics(names: names, exclusive: 2..<5, size: 2)
    for (large, label) in [(0, 0), (0, 0), (0, 1), (1, 1), (1, 2), (1, 2)] {
      statistics.add(
        [2 * Float(large), Float(label)],
        attributes: [large == 1, true, label == 0, label == 1, label == 2])
    }
    // Beside the classes, what large does is all in the first value.
    #expect(distance(try statistics.partialEffect(0), [2, 0]) < 1e-5)
    #expect(distance(try statistics.meanDifference(0), [2, 4.0 / 3]) < 1e-5)
    for attribute in 2..<5 { #expect(abs(try statistics.partialEffect(attribute)[0]) < 1e-5) }
    // Among small images class 1 is the higher one by 1, among large ones the lower one by 1.
    #expect(distance(try statistics.partialEffect(3), [0, 0]) < 1e-5)
    #expect(try statistics.partialEffect(4)[1] > 0.5 && statistics.partialEffect(2)[1] < -0.5)
    #expect(throws: AttributeError.self) { try statistics.partialEffect(1) }
    #expect(names.indices.map(statistics.varies) == [true, false, true, true, true])
  }

  @Test("classes count as attributes beside those of the images")
  func classes() {
    let attributes = DatasetAttributes(Labeled())
    #expect(attributes.names == ["cat", "dark", "dog"] && attributes.classRange == 2..<3)
    #expect(attributes.values(0) == [true, false, true])
    #expect(attributes.values(1) == [false, true, false])
  }

  /// Two images, an attribute of them named like a class.
  private struct Labeled: Dataset {
    let shape = ImageShape(height: 1, width: 1, channels: 1)
    let count = 2
    let classNames = ["cat", "dog"]
    let attributeNames = ["cat", "dark"]
    func label(_ index: Int) -> Int? { 1 - index }
    func attributes(_ index: Int) -> [Bool]? { [index == 0, index == 1] }
    func source(_ index: Int) -> String { "\(index)" }
    func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) -> ImageTraits {
      pixels.update(repeating: 0)
      return []
    }
  }
}
