import Foundation
import GlowFiles
import GlowKernels

/// The scores that two models give to the same images.
package struct PairedScores: Sendable {
  package struct Pair: Sendable {
    /// Of the image in the first table.
    package let index: Int
    package let path: String
    /// Bits/dim in the second table less those in the first: negative where the second is better.
    package let difference: Double
  }

  package private(set) var pairs: [Pair] = []
  /// Images that only one of the tables has.
  package private(set) var unmatched = (first: 0, second: 0)
  /// Images that have no score in one of them.
  package private(set) var withoutScore = 0
  /// Bits a channel value of the two models, nil where no record tells.
  package private(set) var bits: (first: Int?, second: Int?)

  private struct Entry {
    let index: Int
    let path: String
    let digest: String?
    let bitsPerDimension: Double?
  }

  /// Matches images by the digest of their bytes where both tables have it, else by path; those that a table has more
  /// than once, in their order.
  ///
  /// - Throws: `FileError` if a file is no table of scores.
  package init(_ first: String, _ second: String) throws {
    let (one, other) = (try PairedScores.read(first), try PairedScores.read(second))
    bits = (one.bits, other.bits)
    var ofDigest: [String: [Int]] = [:]
    var ofPath: [String: [Int]] = [:]
    for (place, entry) in other.entries.enumerated().reversed() {
      if let digest = entry.digest { ofDigest[digest, default: []].append(place) }
      ofPath[entry.path, default: []].append(place)
    }
    var isTaken = [Bool](repeating: false, count: other.entries.count)
    func take(_ places: inout [Int]?) -> Int? {
      while let place = places?.popLast() { if !isTaken[place] { return place } }
      return nil
    }
    for entry in one.entries {
      var place = entry.digest.flatMap { take(&ofDigest[$0]) }
      if place == nil, let found = take(&ofPath[entry.path]) {
        // One name may stand for two images.
        if entry.digest == nil || other.entries[found].digest == nil { place = found }
      }
      guard let place else {
        unmatched.first += 1
        continue
      }
      isTaken[place] = true
      if let before = entry.bitsPerDimension, let after = other.entries[place].bitsPerDimension {
        pairs.append(Pair(index: entry.index, path: entry.path, difference: after - before))
      } else {
        withoutScore += 1
      }
    }
    unmatched.second = isTaken.count { !$0 }
  }

  private static func read(_ path: String) throws -> (entries: [Entry], bits: Int?) {
    var reader = try ScoreTableReader(path, ScoreTable.format(of: path))
    if !reader.names("index", "path") {
      throw FileError(
        path, "has no line of names: of the files of shards only the first has it. Put all together by cat")
    }
    var entries: [Entry] = []
    var bits: Int?
    func add(_ fields: ScoreFields) throws {
      guard let index = fields.integer("index"), let name = fields.text("path") else {
        throw FileError(path, "record \(entries.count + 1) has no index or no path")
      }
      if let own = PairedScores.bits(fields) {
        if let bits, bits != own {
          throw FileError(
            path, "record \(entries.count + 1) is of a model of \(own) bits a value, those before of \(bits)")
        }
        bits = own
      }
      entries.append(
        Entry(
          index: index, path: name, digest: fields.text("sha256"),
          bitsPerDimension: fields.real("bits_per_dim")))
    }
    while let (fields, _) = try reader.next() { try add(fields) }
    if let fields = try reader.last() { try add(fields) }
    return (entries, bits)
  }

  /// Bits a channel value, from −D·ln 2^b, where D follows from the same score in nats and in bits/dim.
  private static func bits(_ fields: ScoreFields) -> Int? {
    guard let score = fields.real("bits_per_dim"), let nats = fields.real("log_likelihood"),
      let constant = fields.real("dequantization_constant"),
      case let bits = (constant * score / nats).rounded(), (1...16).contains(bits)
    else { return nil }
    return Int(bits)
  }

  /// Of the differences. Nil of no pair.
  package var mean: Double? {
    pairs.isEmpty ? nil : pairs.reduce(0) { $0 + $1.difference } / Double(pairs.count)
  }

  /// Of the mean; nil of fewer than two pairs.
  package var standardError: Double? {
    guard pairs.count > 1, let mean else { return nil }
    let squares = pairs.reduce(0) { $0 + ($1.difference - mean) * ($1.difference - mean) }
    return (squares / Double(pairs.count - 1) / Double(pairs.count)).squareRoot()
  }

  /// The share of images that the second model gives fewer bits/dim.
  package var improved: Double {
    pairs.isEmpty ? 0 : Double(pairs.count { $0.difference < 0 }) / Double(pairs.count)
  }

  /// A 95 % interval of the mean: the 2.5 % and 97.5 % quantiles of the means of as many images drawn with replacement.
  /// Nil of fewer than two pairs.
  ///
  /// - Parameter progress: is told how many samples of how many are drawn.
  package func interval(
    resamples: Int, seed: UInt64, team: ThreadTeam,
    progress: (_ done: Int, _ count: Int) -> Void = { _, _ in }
  ) -> ClosedRange<Double>? {
    if pairs.count < 2 { return nil }
    let differences = pairs.map(\.difference)
    var means = [Double](repeating: 0, count: resamples)
    means.withUnsafeMutableBufferPointer { buffer in
      // Each piece writes to its own place.
      nonisolated(unsafe) let means = buffer
      for start in stride(from: 0, to: resamples, by: 64) {
        team.run(min(64, resamples - start)) { piece, _ in
          let sample = start + piece
          let random = Philox(seed: seed, purpose: .resampling, stream: UInt64(sample))
          var sum = 0.0
          for place in 0..<differences.count {
            let words = random.words(place / 4)
            let bits = UInt64(words[place % 4])
            sum += differences[Int((bits * UInt64(differences.count)) >> 32)]
          }
          means[sample] = sum / Double(differences.count)
        }
        progress(start, resamples)
      }
    }
    let sorted = Score(means)
    return sorted.quantile(0.025)...sorted.quantile(0.975)
  }
}
