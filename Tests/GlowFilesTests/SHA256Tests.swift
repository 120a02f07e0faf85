import GlowFiles
import Testing

@Suite("SHA-256")
struct SHA256Tests {
  private func digest(_ text: String, in parts: Int) -> String {
    let bytes = Array(text.utf8)
    var hash = SHA256()
    for start in stride(from: 0, to: bytes.count, by: max(1, parts)) {
      bytes[start..<min(start + parts, bytes.count)].withUnsafeBytes { hash.update($0) }
    }
    return hash.digest()
  }

  @Test(
    "the examples of the standard, however they come",
    arguments: [
      ("", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
      ("abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
      (
        "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"
      ),
      (
        "abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
        "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"
      ),
    ])
  func examples(text: String, expected: String) {
    for parts in [1, 3, 56, 63, 64, 65, 1000] { #expect(digest(text, in: parts) == expected, "\(parts)") }
  }

  @Test("every length around a block")
  func lengths() {
    for length in 50...130 {
      let text = String(repeating: "a", count: length)
      #expect(digest(text, in: 1000) == digest(text, in: 7))
    }
    #expect(
      digest(String(repeating: "a", count: 1000), in: 128)
        == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3")
  }
}
