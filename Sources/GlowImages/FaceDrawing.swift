import GlowKernels

/// Draws faces: analytic outlines with anti-aliased edges, painted from back to front.
package enum FaceDrawing {
  package static let shape = ImageShape(height: 32, width: 32, channels: 3)

  /// Draws a face with its background and sensor noise.
  ///
  /// - Parameter pixels: `shape.count` bytes, [H,W,C] row-major.
  package static func draw(_ face: Face, into pixels: UnsafeMutableBufferPointer<UInt8>) {
    precondition(pixels.count == shape.count, "a face takes \(shape.count) bytes, not \(pixels.count)")
    let painter = FacePainter(face)
    withUnsafeTemporaryAllocation(of: Float.self, capacity: shape.count) { noise in
      face.noise.fillNormal(noise)
      var index = 0
      for row in 0..<shape.height {
        for column in 0..<shape.width {
          let color = painter.color(at: [Float(column) - 15.5, Float(row) - 15.5]) * 255
          for channel in 0..<3 {
            let level = color[channel] + face.noiseDeviation * noise[index]
            pixels[index] = UInt8(min(max(level.rounded(), 0), 255))
            index += 1
          }
        }
      }
    }
  }
}

/// A face with everything worked out that does not depend on the position.
private struct FacePainter {
  typealias Point = SIMD2<Float>
  typealias Color = SIMD3<Float>

  let face: Face
  let skin, hair, brow, iris, lips: Color
  let tilt: Point
  let headCenter = Point(0, 1)
  let mouthCenter: Float = 8.2

  init(_ face: Face) {
    self.face = face
    skin = FacePalette.skin(face.skinTone)
    hair = FacePalette.hair(face.hairTone)
    brow = hair * 0.55 + skin * 0.1
    iris = FacePalette.iris(face.eyeTone)
    lips = skin * 0.82 * (1 - face.lipColor) + FacePalette.red * (0.35 + 0.65 * skin.x) * face.lipColor
    tilt = [Float(Elementary.cosine(turns: turns(face.tilt))), sine(face.tilt)]
  }

  /// The color at a point of the image, measured from its middle.
  func color(at image: Point) -> Color {
    var color = face.background + FaceOutline.dot(face.backgroundSlope, image) / 16
    let moved = (image - face.shift) / face.scale
    let point = Point(
      tilt.x * moved.x + tilt.y * moved.y, tilt.x * moved.y - tilt.y * moved.x)
    paintBody(point, &color)
    paintHairBehind(point, &color)
    paintHead(point, &color)
    // Eyes and mouth change nothing outside of the head.
    if FaceOutline.ellipse(point - headCenter, radii: face.headRadii) < 1 {
      paintNose(point, &color)
      paintMouth(point - [0, mouthCenter], &color)
      paintEye(mirrored(point), side: point.x < 0 ? -1 : 1, &color)
    }
    paintFringe(point, &color)
    if let glasses = face.glasses { paint(glasses, mirrored(point), &color) }
    return color
  }

  // MARK: Body and head

  func paintBody(_ point: Point, _ color: inout Color) {
    guard point.y > 6 else { return }
    let shoulders = FaceOutline.ellipse(point - [0, 22.2], radii: [16, 9.6])
    blend(&color, face.clothes * lit(point / 22), FaceOutline.coverage(shoulders))
    let neck = FaceOutline.line(point, from: [0, 8], to: [0, 12.8], halfThickness: 4.2)
    blend(&color, skin * [0.80, 0.76, 0.75], FaceOutline.coverage(neck))
  }

  func paintHead(_ point: Point, _ color: inout Color) {
    if !face.hasLongHair {
      let ear = FaceOutline.ellipse(
        [point.x.magnitude - face.headRadii.x, point.y - 1.8], radii: [1.7, 2.3])
      blend(&color, skin * [0.92, 0.86, 0.85] * lit(point / 14), FaceOutline.coverage(ear))
    }
    let fromCenter = point - headCenter
    // The face narrows towards the chin.
    let narrowing = max(fromCenter.y / face.headRadii.y, 0)
    let radii = Point(face.headRadii.x * (1 - 0.1 * narrowing * narrowing), face.headRadii.y)
    let head = FaceOutline.coverage(FaceOutline.ellipse(fromCenter, radii: radii))
    guard head > 0 else { return }
    var surface = skin * lit(fromCenter / face.headRadii)
    let cheek = (FaceOutline.magnitude(point) - [5.6, 5.2]) / [2.6, 2]
    let strength = face.blush * max(1 - FaceOutline.dot(cheek, cheek), 0)
    blend(&surface, FacePalette.red * skin.x, point.y > 0 ? strength : 0)
    blend(&color, surface, head)
  }

  // MARK: Hair

  /// Distance to the outline of the hair above the face.
  func crown(_ point: Point) -> Float {
    let outline = FaceOutline.ellipse(
      point - headCenter + [0, 0.3 * face.hairVolume],
      radii: face.headRadii + [face.hairVolume, face.hairVolume])
    guard !face.hasLongHair else { return outline }
    // Short hair lies closer and closer to the head on the way down to the ears.
    let closeness = min(max((point.y - face.hairEnd) / 6 + 1, 0), 1)
    return outline + closeness * closeness * (face.hairVolume - 0.2)
  }

  func paintHairBehind(_ point: Point, _ color: inout Color) {
    var distance = crown(point)
    if face.hasLongHair {
      let halfWidth = face.headRadii.x + face.hairVolume + 0.4 * sine(0.55 * point.y + face.hairWave)
      let bottom = face.hairEnd
      let sides = FaceOutline.box(
        point - [0, bottom / 2], radii: [halfWidth, bottom / 2], corner: 3)
      distance = FaceOutline.smoothUnion(distance, sides, width: 2)
      let gap = FaceOutline.box(point - [0, 18], radii: [5.6, 9], corner: 3)
      distance = max(distance, -gap)
    } else {
      distance = max(distance, point.y - face.hairEnd)
    }
    blend(&color, hairSurface(point) * 0.86, FaceOutline.coverage(distance))
  }

  /// The hair over the forehead, above a hairline that falls off to both sides.
  func paintFringe(_ point: Point, _ color: inout Color) {
    guard point.y < 2 else { return }
    let offset = point.x - face.hairline.x
    let slope = 0.09 * offset
    let line = (point.y - face.hairline.y - slope * offset / 2) / (1 + slope * slope).squareRoot()
    let lowest = face.hasLongHair ? 2 : face.hairEnd
    let distance = max(crown(point), line, point.y - lowest)
    blend(&color, hairSurface(point), FaceOutline.coverage(distance))
  }

  /// Hair with a band of light across the crown.
  func hairSurface(_ point: Point) -> Color {
    let band = FaceOutline.norm(point - headCenter - face.light * 4) - 8.5
    let shine = 0.14 * max(1 - band * band / 9, 0)
    return hair * (lit((point - headCenter) / 15) + shine) + shine * 0.25
  }

  // MARK: Features

  /// The point seen from the nearer eye, x growing outwards.
  func mirrored(_ point: Point) -> Point { [point.x.magnitude - face.eyeSpacing, point.y] }

  /// - Parameter side: −1 for the eye on the left of the image, 1 for the one on the right.
  func paintEye(_ point: Point, side: Float, _ color: inout Color) {
    guard point.y.magnitude < 6 else { return }
    let brow = FaceOutline.line(
      point, from: [-1.8, -face.browHeight + face.browSlant], to: [2.3, -face.browHeight - face.browSlant],
      halfThickness: face.browThickness)
    blend(&color, self.brow, FaceOutline.coverage(brow))
    let outline = FaceOutline.ellipse(point, radii: face.eyeRadii)
    guard outline < 1.5 else { return }
    blend(&color, skin * 0.22, FaceOutline.coverage(max(outline - 0.6, point.y + 0.2)))
    let opening = FaceOutline.coverage(outline)
    blend(&color, FacePalette.eyeWhite, opening)
    // Both eyes look and shine to the same side of the image.
    let toImage = Point(side, 1)
    let fromIris = FaceOutline.norm(point - face.gaze * toImage)
    blend(&color, iris, opening * FaceOutline.coverage(fromIris - 1.4))
    blend(&color, FacePalette.pupil, opening * FaceOutline.coverage(fromIris - 0.7))
    let glint = FaceOutline.norm(point - (face.gaze + face.light) * toImage)
    blend(&color, FacePalette.white, 0.9 * opening * FaceOutline.coverage(glint - 0.25))
  }

  func paintNose(_ point: Point, _ color: inout Color) {
    guard point.x.magnitude < 4, point.y > 0, point.y < 7 else { return }
    // The side away from the light lies in the shade.
    let side: Float = face.light.x > 0 ? -1 : 1
    let bridge = FaceOutline.line(
      point, from: [0.6 * side, 1], to: [0.8 * side, face.noseEnd - 0.6], halfThickness: 0.3)
    blend(&color, skin * [0.72, 0.66, 0.64], 0.35 * FaceOutline.coverage(bridge))
    let tip = FaceOutline.line(
      point, from: [-face.noseWidth, face.noseEnd], to: [face.noseWidth, face.noseEnd], halfThickness: 0.45)
    blend(&color, skin * [0.66, 0.56, 0.54], 0.8 * FaceOutline.coverage(tip))
    let ridge = FaceOutline.norm(point - [-0.4 * side, face.noseEnd - 1.4]) - 0.6
    blend(&color, FacePalette.white, 0.25 * FaceOutline.coverage(ridge))
  }

  /// Lips along a parabola, which part in the middle around teeth, tongue and a dark interior.
  func paintMouth(_ point: Point, _ color: inout Color) {
    let along = point.x / face.mouthWidth
    guard along.magnitude < 1.4, point.y.magnitude < 5 else { return }
    let slope = 2 * face.mouthBend * along / face.mouthWidth
    let steepness = (1 + slope * slope).squareRoot()
    let middle = (point.y - face.mouthBend * (0.5 - along * along)) / steepness
    let taper = max(1 - along * along, 0)
    let beyondCorner = point.x.magnitude - face.mouthWidth
    let halfOpening = face.mouthOpening / 2 * taper / steepness

    let lipThickness = 0.35 + 0.75 * taper
    blend(
      &color, lips * lit([0, 0.2]),
      FaceOutline.coverage(max(middle.magnitude - halfOpening - lipThickness, beyondCorner - 0.5)))
    let interior = FaceOutline.coverage(
      max(middle.magnitude - max(halfOpening, 0.3), beyondCorner + (face.hasOpenMouth ? 0 : -0.3)))
    blend(&color, face.hasOpenMouth ? FacePalette.mouthInterior : lips * 0.38, interior)
    guard face.hasOpenMouth else { return }
    // The lower edge of the teeth follows a smile, but not corners that hang down.
    let edge = max(middle + halfOpening, point.y - (face.mouthBend - face.mouthOpening) / 2)
    let teeth = FaceOutline.coverage(edge - 0.4 * face.mouthOpening)
    blend(&color, FacePalette.eyeWhite, interior * teeth)
    let tongue = FaceOutline.ellipse(
      [point.x, middle - 0.55 * face.mouthOpening], radii: [0.55 * face.mouthWidth, 0.3 * face.mouthOpening])
    blend(&color, FacePalette.tongue, interior * FaceOutline.coverage(tongue))
  }

  func paint(_ glasses: Face.Glasses, _ point: Point, _ color: inout Color) {
    guard point.y.magnitude < 5 else { return }
    let radii = glasses.lensRadii
    let ellipse = FaceOutline.ellipse(point, radii: radii)
    let box = FaceOutline.box(point, radii: radii, corner: 1.2)
    let lens = ellipse + (box - ellipse) * glasses.squareness
    blend(&color, FacePalette.white, 0.10 * FaceOutline.coverage(lens))
    let bridge = FaceOutline.line(
      point, from: [-face.eyeSpacing, -0.8], to: [-radii.x, -0.5], halfThickness: glasses.rim)
    let temple = FaceOutline.line(
      point, from: [radii.x, -0.9], to: [face.headRadii.x - face.eyeSpacing, -1.2],
      halfThickness: glasses.rim)
    let rim = min(lens.magnitude - glasses.rim, bridge, temple)
    blend(&color, glasses.color, FaceOutline.coverage(rim))
  }

  // MARK: Light

  /// Brightness of a rounded surface at a position relative to its half axes.
  func lit(_ position: Point) -> Float {
    0.98 + 0.24 * FaceOutline.dot(position, face.light) - 0.06 * FaceOutline.dot(position, position)
  }

  func blend(_ color: inout Color, _ paint: Color, _ share: Float) {
    if share > 0 { color += (paint - color) * share }
  }
}

/// Of an angle in radians.
private func turns(_ angle: Float) -> Double { Double(angle) / (2 * .pi) }

private func sine(_ angle: Float) -> Float { Float(Elementary.sine(turns: turns(angle))) }
