import GlowKernels

/// The continuous parameters of one cartoon face.
///
/// Lengths are in pixels of a 32×32 image before the pose is applied, with the origin in the middle of the
/// image, x to the right and y down. Colors are sRGB in 0...1. All values are finite, all sizes positive.
package struct Face: Sendable {
  /// Position on the skin palette, 0 (light) to 1 (dark).
  package var skinTone: Float
  /// Half axes of the head.
  package var headRadii: SIMD2<Float>

  /// Position on the hair palette: dark to auburn below 0.7, blond above.
  package var hairTone: Float
  /// How far the hair stands off the head.
  package var hairVolume: Float
  /// Where the hair beside the face ends (y): above the ears if negative, near the lower edge if long.
  package var hairEnd: Float
  /// Highest point of the hairline.
  package var hairline: SIMD2<Float>
  /// Phase of the wave along long hair, in radians.
  package var hairWave: Float

  /// Position on the palette of irises, 0 (brown) to 1 (blue).
  package var eyeTone: Float
  /// Half axes of an eye.
  package var eyeRadii: SIMD2<Float>
  /// Distance of each eye from the middle of the face.
  package var eyeSpacing: Float
  /// Shift of the irises.
  package var gaze: SIMD2<Float>
  /// Height of the brows above the eyes.
  package var browHeight: Float
  /// How far the inner end of a brow lies below the outer end.
  package var browSlant: Float
  /// Half the thickness of a brow.
  package var browThickness: Float

  /// Half the width of the nose.
  package var noseWidth: Float
  /// Where the nose ends (y).
  package var noseEnd: Float

  /// How far the middle of the mouth lies below its corners: a smile above 0.5.
  package var mouthBend: Float
  /// Height of the opening between the lips, 0 for a closed mouth.
  package var mouthOpening: Float
  /// Half the width of the mouth.
  package var mouthWidth: Float
  /// Strength of the lips' color, 0...1.
  package var lipColor: Float
  /// Strength of the red on the cheeks, 0...1.
  package var blush: Float

  /// The rims around the eyes, nil for a face without glasses.
  package var glasses: Glasses?

  /// Shift of the whole head.
  package var shift: SIMD2<Float>
  /// Clockwise rotation of the head, in radians.
  package var tilt: Float
  /// Size of the head relative to the average.
  package var scale: Float
  /// Where the light comes from: components of a unit vector in the image plane, shorter if more frontal.
  package var light: SIMD2<Float>

  /// Color of the clothes.
  package var clothes: SIMD3<Float>
  /// Color in the middle of the background.
  package var background: SIMD3<Float>
  /// Change of the background's brightness from the middle to an edge, along x and along y.
  package var backgroundSlope: SIMD2<Float>

  /// Standard deviation of the sensor noise, in levels of 255.
  package var noiseDeviation: Float
  /// The stream of random numbers that the sensor noise is drawn from.
  package var noise: Philox

  /// A pair of glasses.
  package struct Glasses: Sendable {
    /// Half axes of a lens.
    package var lensRadii: SIMD2<Float>
    /// 0 for elliptic lenses, 1 for rectangular ones.
    package var squareness: Float
    /// Half the thickness of the rims.
    package var rim: Float
    /// Color of the rims.
    package var color: SIMD3<Float>
  }

  /// The `index`-th face of the unending sequence that belongs to a seed and a part.
  ///
  /// - Parameter index: At least 0 and below 2⁶¹.
  package init(seed: UInt64, part: DataPart, index: Int) {
    precondition(index >= 0 && index < 1 << 61, "a face's index must be in 0..<2⁶¹")
    // Two bits below the index keep the parts, and the noise, in streams of their own.
    let stream = UInt64(index) << 2 | (part == .test ? 2 : 0)
    var chance = FaceChance(Philox(seed: seed, purpose: .faces, stream: stream))
    let isSmiling = chance.coin()
    let isBlond = chance.coin()
    let wearsGlasses = chance.coin()
    let hasLongHair = chance.coin()
    let hasOpenMouth = chance.coin()

    skinTone = chance.number(in: 0...1)
    headRadii = [chance.number(in: 9.2...10.3), chance.number(in: 11.6...12.6)]

    // The gaps between the ranges leave no face between two values of an attribute.
    hairTone = isBlond ? chance.number(in: 0.82...1) : chance.number(in: 0...0.58)
    hairVolume = chance.number(in: 1.4...2.5)
    hairEnd = hasLongHair ? chance.number(in: 14...20) : chance.number(in: -4...(-1))
    hairline = [chance.number(in: -4...4), chance.number(in: -7.2...(-5.6))]
    hairWave = chance.number(in: 0...6.28)

    eyeTone = chance.number(in: 0...1)
    eyeRadii = [chance.number(in: 1.9...2.3), chance.number(in: 1.35...1.9)]
    eyeSpacing = chance.number(in: 3.9...4.5)
    gaze = [chance.number(in: -0.7...0.7), chance.number(in: -0.3...0.3)]
    browHeight = chance.number(in: 3.4...4.3)
    browSlant = chance.number(in: -0.5...0.5)
    browThickness = chance.number(in: 0.35...0.65)

    noseWidth = chance.number(in: 0.9...1.5)
    noseEnd = chance.number(in: 3.6...4.6)

    mouthBend = isSmiling ? chance.number(in: 2.2...3.0) : chance.number(in: -1.1...(-0.2))
    mouthOpening = hasOpenMouth ? chance.number(in: 2.6...3.8) : 0
    mouthWidth = isSmiling ? chance.number(in: 4.3...5) : chance.number(in: 2.8...3.5)
    lipColor = chance.number(in: 0.25...0.8)
    blush = chance.number(in: 0.05...0.35)

    glasses = wearsGlasses ? Glasses(&chance) : nil

    shift = [chance.number(in: -1.2...1.2), chance.number(in: -0.8...0.8)]
    tilt = chance.number(in: -0.08...0.08)
    scale = chance.number(in: 0.96...1.05)
    light = [chance.number(in: -0.7...0.7), chance.number(in: -0.65...(-0.1))]

    clothes = FacePalette.hue(
      chance.number(in: 0...1), saturation: chance.number(in: 0.25...0.6),
      value: chance.number(in: 0.3...0.85))
    background = FacePalette.hue(
      chance.number(in: 0...1), saturation: chance.number(in: 0.1...0.32),
      value: chance.number(in: 0.55...0.9))
    backgroundSlope = [chance.number(in: -0.1...0.1), chance.number(in: -0.12...0.12)]

    noiseDeviation = 2
    noise = Philox(seed: seed, purpose: .faces, stream: stream | 1)
  }

  // The attributes are read off the parameters: each threshold lies in a gap that `init` leaves.
  package var isSmiling: Bool { mouthBend > 0.5 }
  package var isBlond: Bool { hairTone > 0.7 }
  package var hasLongHair: Bool { hairEnd > 5 }
  package var hasOpenMouth: Bool { mouthOpening > 1 }
}

extension Face.Glasses {
  fileprivate init(_ chance: inout FaceChance) {
    lensRadii = [chance.number(in: 3.0...3.5), chance.number(in: 2.6...3.2)]
    squareness = chance.number(in: 0...1)
    rim = chance.number(in: 0.5...0.7)
    color = FacePalette.hue(
      chance.number(in: 0...1), saturation: chance.number(in: 0...0.5), value: chance.number(in: 0.06...0.16))
  }
}

/// Uniform random numbers taken one after the other from a stream.
private struct FaceChance {
  private let stream: Philox
  private var taken = 0
  private var block = SIMD4<UInt32>()

  init(_ stream: Philox) { self.stream = stream }

  mutating func number(in range: ClosedRange<Float>) -> Float {
    range.lowerBound + (range.upperBound - range.lowerBound) * Float(next() >> 8) * 0x1p-24
  }

  mutating func coin() -> Bool { next() >> 31 == 1 }

  private mutating func next() -> UInt32 {
    if taken % 4 == 0 { block = stream.words(taken / 4) }
    defer { taken += 1 }
    return block[taken % 4]
  }
}
