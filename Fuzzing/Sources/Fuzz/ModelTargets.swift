import Foundation

@testable import GlowFiles
@testable import GlowFlow
@testable import GlowKernels
@testable import GlowStorage

let modelTargets = [
  Target(
    name: "safetensors",
    seeds: {
      var writer = SafetensorsWriter(metadata: ["key": "value"])
      writer.add("a", shape: [2, 3], values: [Float](repeating: 1, count: 6))
      writer.add("b", shape: [], values: [Double.pi])
      writer.add("c", shape: [3], values: [UInt8](0..<3))
      writer.add("d", shape: [0, 5], values: [Int32]())
      return try withoutChecksums(scratch.bytes(writer.write))
    },
    repair: repairHeaderLength,
    read: { bytes in
      let file = try SafetensorsFile(scratch.write(bytes, as: "file.safetensors"))
      for entry in file.entries {
        let values = try file.values(entry.name, as: Double.self)
        precondition(values.count == entry.count)
      }
      try file.checkSums()
    }),
  Target(
    name: "model", maximumLength: 16384,
    seeds: {
      try PermutationKind.allCases.flatMap { kind in
        let glow = try smallGlow {
          $0.permutation = kind
          $0.classCount = kind == .shuffle ? 2 : 0
          $0.coupling = kind == .reverse ? .additive : .affine
        }
        return try withoutChecksums(scratch.bytes { try ModelFile.write(glow, to: $0) })
      }
    },
    repair: repairHeaderLength,
    read: { bytes in
      let path = scratch.write(bytes, as: "model.safetensors")
      let glow = try ModelFile.read(path, as: Float.self, team: team).glow
      precondition(glow.values.values.allSatisfy(\.isFinite))
    }),
  Target(
    name: "import", maximumLength: 16384,
    seeds: {
      try ForeignFormat.allCases.enumerated().flatMap { number, format in
        try [PermutationKind.convolution, .shuffle].flatMap { kind in
          let isGlow = format != .realnvp
          let glow = try smallGlow(hasEdges: !isGlow) {
            if isGlow {
              $0.permutation = kind
              $0.coupling = kind == .shuffle ? .additive : .affine
            } else {
              ($0.architecture, $0.blocks) = (.realNVP, 1)
            }
          }
          return try withoutChecksums(scratch.bytes { try ModelExport.write(glow, as: format, to: $0) })
            .map { [UInt8(number)] + $0 }
        }
      }
    },
    repair: { bytes in repairHeaderLength(UnsafeMutableRawBufferPointer(rebasing: bytes.dropFirst())) },
    read: { bytes in
      guard let choice = bytes.first else { return }
      let path = scratch.write(bytes.dropFirst(), as: "foreign.safetensors")
      let format = ForeignFormat.allCases[Int(choice) % ForeignFormat.allCases.count]
      let glow = try ModelImport.read(path, from: format, imageSize: 4, as: Float.self, team: team)
      precondition(glow.values.values.allSatisfy(\.isFinite))
    }),
]

let team = ThreadTeam(count: 1)

/// The smallest model that has every kind of layer.
func smallGlow(
  hasEdges: Bool = true, _ change: (inout GlowConfiguration) -> Void = { _ in }
) throws -> Glow<Float> {
  var configuration = GlowConfiguration()
  (configuration.imageHeight, configuration.imageWidth, configuration.imageChannels) = (4, 4, 1)
  (configuration.levels, configuration.depth, configuration.width) = (2, 1, 1)
  change(&configuration)
  let glow = try Glow<Float>(configuration: configuration, seed: 1, team: team)
  if !hasEdges {
    for entry in glow.parameters.entries where entry.shape.count == 4 {
      let (row, channels) = (entry.shape[3], entry.shape[2])
      for index in 0..<entry.count where index / row % channels == channels - 1 {
        glow.values.base[entry.offset + index] = 0
      }
    }
  }
  glow.isInitialized = true
  try glow.parametersChanged()
  return glow
}

/// A file as it is, and with its checksums under names that nobody looks for, so that its values may change.
func withoutChecksums(_ file: [UInt8]) -> [[UInt8]] {
  let (from, to) = (Array("\"crc32.".utf8), Array("\"crc0_.".utf8))
  var changed = file
  for start in 0..<max(0, file.count - from.count) where file[start..<start + from.count].elementsEqual(from)
  {
    changed.replaceSubrange(start..<start + from.count, with: to)
  }
  return [file, changed]
}

/// Sets the length of a safetensors header to where its object ends, with the spaces that follow.
func repairHeaderLength(_ bytes: UnsafeMutableRawBufferPointer) {
  if bytes.count < 8 { return }
  var (depth, isText, isEscaped) = (0, false, false)
  for position in 8..<bytes.count {
    let byte = bytes[position]
    switch byte {
    case _ where isEscaped: isEscaped = false
    case UInt8(ascii: "\\") where isText: isEscaped = true
    case UInt8(ascii: "\""): isText.toggle()
    case UInt8(ascii: "{") where !isText: depth += 1
    case UInt8(ascii: "}") where !isText: depth -= 1
    default: break
    }
    if depth > 0 || isText { continue }
    let end = bytes[(position + 1)...].firstIndex { $0 != 0x20 } ?? bytes.count
    bytes.storeBytes(of: UInt64(end - 8).littleEndian, as: UInt64.self)
    return
  }
}
