/// SHA-256 (FIPS 180-4), of bytes as they come.
package struct SHA256 {
  private var state: [UInt32] = [
    0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19,
  ]
  /// Bytes of a block that is not full.
  private var rest: [UInt8] = []
  private var count = 0
  private static let blockSize = 64

  package init() { rest.reserveCapacity(SHA256.blockSize) }

  package mutating func update(_ bytes: UnsafeRawBufferPointer) {
    count += bytes.count
    var bytes = bytes
    if !rest.isEmpty {
      let taken = min(SHA256.blockSize - rest.count, bytes.count)
      rest += bytes[..<taken]
      bytes = UnsafeRawBufferPointer(rebasing: bytes[taken...])
      if rest.count < SHA256.blockSize { return }
      let block = rest
      block.withUnsafeBytes { compress($0, blocks: 1) }
      rest.removeAll(keepingCapacity: true)
    }
    let blocks = bytes.count / SHA256.blockSize
    compress(bytes, blocks: blocks)
    rest += bytes[(blocks * SHA256.blockSize)...]
  }

  /// The digest of all bytes so far, in hexadecimal.
  package func digest() -> String {
    var end = self
    let zeros = (2 * SHA256.blockSize - 9 - count % SHA256.blockSize) % SHA256.blockSize
    let padding = [0x80] + [UInt8](repeating: 0, count: zeros)
    padding.withUnsafeBytes { end.update($0) }
    withUnsafeBytes(of: UInt64(8 * count).bigEndian) { end.update($0) }
    return end.state.map { word in
      let digits = String(word, radix: 16)
      return String(repeating: "0", count: 8 - digits.count) + digits
    }.joined()
  }

  package static func digest(_ bytes: UnsafeRawBufferPointer) -> String {
    var hash = SHA256()
    hash.update(bytes)
    return hash.digest()
  }

  private mutating func compress(_ bytes: UnsafeRawBufferPointer, blocks: Int) {
    if blocks == 0 { return }
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 64) { words in
      state.withUnsafeMutableBufferPointer { state in
        SHA256.constants.withUnsafeBufferPointer { constants in
          for block in 0..<blocks {
            let start = block * SHA256.blockSize
            for place in 0..<16 {
              words[place] = UInt32(
                bigEndian: bytes.loadUnaligned(fromByteOffset: start + 4 * place, as: UInt32.self))
            }
            SHA256.mix(words, into: state, constants)
          }
        }
      }
    }
  }

  /// One block, whose 16 words stand at the start of `words`.
  private static func mix(
    _ words: UnsafeMutableBufferPointer<UInt32>, into state: UnsafeMutableBufferPointer<UInt32>,
    _ constants: UnsafeBufferPointer<UInt32>
  ) {
    func turned(_ word: UInt32, _ bits: UInt32) -> UInt32 { word &>> bits | word &<< (32 &- bits) }
    for place in 16..<64 {
      let (early, late) = (words[place - 15], words[place - 2])
      let first = turned(early, 7) ^ turned(early, 18) ^ early &>> 3
      let second = turned(late, 17) ^ turned(late, 19) ^ late &>> 10
      words[place] = words[place - 16] &+ first &+ words[place - 7] &+ second
    }
    var (a, b, c, d) = (state[0], state[1], state[2], state[3])
    var (e, f, g, h) = (state[4], state[5], state[6], state[7])
    for place in 0..<64 {
      let choice = (e & f) ^ (~e & g)
      let sumOfE = turned(e, 6) ^ turned(e, 11) ^ turned(e, 25)
      let first = h &+ sumOfE &+ choice &+ constants[place] &+ words[place]
      let majority = (a & b) ^ (a & c) ^ (b & c)
      let second = (turned(a, 2) ^ turned(a, 13) ^ turned(a, 22)) &+ majority
      (h, g, f, e) = (g, f, e, d &+ first)
      (d, c, b, a) = (c, b, a, first &+ second)
    }
    for (place, value) in [a, b, c, d, e, f, g, h].enumerated() { state[place] &+= value }
  }

  /// The first 32 bits of the fractional parts of the cube roots of the first 64 primes, in whole numbers: of a prime p,
  /// ⌊∛p · 2³²⌋ is the largest r with r³ ≤ p · 2⁹⁶.
  private static let constants: [UInt32] = {
    var primes: [Int] = []
    for number in 2... where primes.allSatisfy({ number % $0 != 0 }) {
      primes.append(number)
      if primes.count == 64 { break }
    }
    return primes.map { prime in
      var root: UInt128 = 0
      for bit in (0..<36).reversed() {
        let larger = root | 1 << bit
        if larger * larger * larger <= UInt128(prime) << 96 { root = larger }
      }
      return UInt32(truncatingIfNeeded: root)
    }
  }()
}
