import Foundation
import GlowFiles
import GlowRanks

extension Ranks {
  /// What each process makes, in the order of the processes. All bits of numbers stay, those of no number too.
  ///
  /// - Throws: as `exchange`.
  func exchangeValues<Value: Codable>(_ own: () throws -> Value) throws -> [Value] {
    if count == 1 { return [try own()] }
    let encoder = PropertyListEncoder()
    encoder.outputFormat = .binary
    return try exchange { Array(try encoder.encode([own()])) }.map {
      try PropertyListDecoder().decode([Value].self, from: Data($0))[0]
    }
  }

  /// The errors of files that the processes have met, those of the first one first.
  func gather(_ errors: [FileError]) throws -> [FileError] {
    try exchangeValues { errors.map { [$0.path, $0.reason] } }.joined().map { FileError($0[0], $0[1]) }
  }
}
