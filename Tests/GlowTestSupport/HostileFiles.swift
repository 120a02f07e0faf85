import Foundation
import GlowFiles

/// What became of the changed copies of valid files that a reader was given.
package struct HostileOutcome {
  package var accepted = 0
  package var refused = 0
  /// Errors that are no `FileError`, or whose text is not one line of a bearable length.
  package var wrong: [String] = []
}

/// Writes a file anew without waiting for the disk: `AtomicFile` does, and so do file systems when a file that has
/// just been written is shortened.
package func overwrite(_ path: String, with bytes: [UInt8]) throws {
  unlink(path)
  try Data(bytes).write(to: URL(filePath: path))
}

/// Gives `read` changed copies of valid files, the same ones every time, and collects how it answers. A trap ends the
/// test process.
///
/// A copy has up to four changes: a bit flipped; a byte set to an extreme or to anything; a run of bytes removed,
/// repeated or taken from another file; the end cut off.
package func readHostileFiles(
  like seeds: [[UInt8]], count: Int, seed: UInt64 = 1, _ read: ([UInt8]) throws -> Void
) -> HostileOutcome {
  var generator = SplitMix(state: seed)
  var outcome = HostileOutcome()
  for number in 0..<count {
    var file = seeds[number % seeds.count]
    for _ in 0..<Int.random(in: 1...4, using: &generator) where !file.isEmpty {
      change(&file, seeds, &generator)
    }
    do {
      try read(file)
      outcome.accepted += 1
    } catch let error as FileError {
      outcome.refused += 1
      let text = error.description.unicodeScalars
      if text.count > 1000 || text.contains(where: { $0.value < 0x20 }) {
        outcome.wrong.append(error.description)
      }
    } catch {
      outcome.wrong.append("\(type(of: error)): \(error)")
    }
  }
  return outcome
}

private func change(_ file: inout [UInt8], _ seeds: [[UInt8]], _ generator: inout SplitMix) {
  let place = Int.random(in: 0..<file.count, using: &generator)
  let length = Int.random(in: 1...max(1, min(64, file.count - place)), using: &generator)
  switch Int.random(in: 0..<7, using: &generator) {
  case 0: file[place] ^= 1 << UInt8.random(in: 0..<8, using: &generator)
  case 1: file[place] = [0, 1, 0x7F, 0x80, 0xFF].randomElement(using: &generator)!
  case 2: file[place] = UInt8.random(in: 0...255, using: &generator)
  case 3: file.removeSubrange(place..<min(file.count, place + length))
  case 4: file.insert(contentsOf: file[place..<min(file.count, place + length)], at: place)
  case 5:
    let other = seeds.randomElement(using: &generator)!
    let start = Int.random(in: 0...other.count, using: &generator)
    file.insert(contentsOf: other[start..<min(other.count, start + length)], at: place)
  default: file.removeSubrange(place...)
  }
}
