import GlowFlow
import GlowImages
import GlowKernels
import Testing

@testable import GlowLatents

@Suite("The probe and what it reads")
struct AttributeProbeTests {
  @Test("98 % of faces held out are read rightly")
  func faces() throws {
    let probe = try AttributeProbe(FaceDataset(count: 10_000, seed: 0, part: .train), epochs: 40)
    let heldOut = FaceDataset(count: 1000, seed: 0, part: .test)
    for (name, accuracy) in zip(probe.names, try probe.accuracy(on: heldOut)) {
      #expect(accuracy >= 0.98, "\(name): \(accuracy)")
    }
  }

  /// Images whose upper half may be bright, and whose left half may be, over noise.
  private struct Halves: Dataset {
    let shape = ImageShape(height: 8, width: 8, channels: 1)
    let count = 200
    let attributeNames = ["Upper", "Left"]
    func attributes(_ index: Int) -> [Bool]? { [index % 2 == 1, index / 2 % 2 == 1] }
    func source(_ index: Int) -> String { "\(index)" }

    func read(_ index: Int, into pixels: UnsafeMutableBufferPointer<UInt8>) -> ImageTraits {
      var noise = [Float](repeating: 0, count: 64)
      noise.withUnsafeMutableBufferPointer {
        Philox(seed: 2, purpose: .order, stream: UInt64(index)).fillUniform($0)
      }
      for place in 0..<64 {
        let upper = index % 2 == 1 && place < 32
        let left = index / 2 % 2 == 1 && place % 8 < 4
        pixels[place] = UInt8(40 * noise[place]) + (upper ? 100 : 0) + (left ? 100 : 0)
      }
      return []
    }
  }

  @Test("a push from one image to another reaches what that one has, and changes what it changes")
  func pushes() throws {
    let images = Halves()
    let probe = try AttributeProbe(images, epochs: 300)
    #expect(try probe.accuracy(on: images) == [1, 1])
    var configuration = GlowConfiguration()
    (configuration.imageHeight, configuration.imageWidth, configuration.imageChannels) = (8, 8, 1)
    (configuration.levels, configuration.depth, configuration.width) = (2, 1, 8)
    let space = try LatentSpace(
      try Glow<Float>(configuration: configuration, seed: 1, team: ThreadTeam(count: 1)), batch: 4)
    // Neither, upper, left, both.
    let latents = try space.encode((0..<4).map { try images.image($0) })
    func push(_ start: Int, _ end: Int) throws -> [AttributePush] {
      let vector = zip(latents[end], latents[start]).map { $0 - $1 }
      return try AttributePush.measure(
        [latents[start]], along: vector, of: 0, strengths: [0, 1], space: space, probe: probe)
    }
    for (end, reached, changed) in [(1, 1.0, [1.0, 0]), (2, 0, [0, 1]), (3, 1, [1, 1])] {
      let pushes = try push(0, end)
      #expect(pushes.map(\.strength) == [0, 1])
      #expect(pushes[0].reached == 0 && pushes[0].changed == [0, 0])
      #expect(pushes[1].reached == reached && pushes[1].changed == changed)
      #expect(pushes[1].largestSideEffect(of: 0) == changed[1])
      #expect(pushes[1].largestSideEffect(of: 1) == changed[0])
    }
    // Shares: one of two images has the attribute before already.
    let two = try AttributePush.measure(
      [latents[0], latents[1]], along: latents[0].map { _ in 0 }, of: 0, strengths: [1], space: space,
      probe: probe)
    #expect(two[0].reached == 0.5 && two[0].changed == [0, 0])
  }

  @Test("the weakest push is chosen that reaches enough images, or the one that reaches most")
  func weakest() {
    let pushes = [(0.5, 0.2), (1, 0.9), (1.5, 1), (2, 0.95)].map {
      AttributePush(strength: $0.0, reached: $0.1, changed: [])
    }
    #expect(AttributePush.weakest(of: pushes, reaching: 0.9).strength == 1)
    #expect(AttributePush.weakest(of: pushes, reaching: 0.95).strength == 1.5)
    #expect(AttributePush.weakest(of: Array(pushes[..<2]), reaching: 1).strength == 1)
  }
}
