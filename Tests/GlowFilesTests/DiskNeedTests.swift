import Testing

@testable import GlowFiles

@Suite("Room on a disk")
struct DiskNeedTests {
  @Test("what fits to the last byte and file is accepted, one more is refused")
  func limits() {
    let need = DiskNeed(files: 10, bytesEach: 100)
    #expect(need.lack(of: FreeSpace(bytes: 1000, files: 10)) == nil)
    #expect(need.lack(of: FreeSpace(bytes: 1000)) == nil)
    #expect(
      need.lack(of: FreeSpace(bytes: 999)) == "needs at least 1 MB, and its disk has 0 MB left")
    #expect(
      need.lack(of: FreeSpace(bytes: 1000, files: 9)) == "needs 10 files, and its disk has room for 9")
  }

  @Test("a file takes whole blocks where a file system gives no less")
  func blocks() {
    let need = DiskNeed(files: 1000, bytesEach: 4097)
    #expect(need.lack(of: FreeSpace(bytes: 8_192_000, blockSize: 4096)) == nil)
    #expect(
      need.lack(of: FreeSpace(bytes: 8_191_999, blockSize: 4096))
        == "needs at least 9 MB, and its disk has 8 MB left")
    #expect(need.lack(of: FreeSpace(bytes: 4_097_000)) == nil)
    #expect(DiskNeed(bytesEach: 0).lack(of: FreeSpace(bytes: 0, blockSize: 4096)) == nil)
  }

  @Test("more than can be counted fits nowhere")
  func overflow() {
    for (need, block) in [
      (DiskNeed(files: 1 << 40, bytesEach: 1 << 40), 1), (DiskNeed(bytesEach: .max), 4096),
    ] {
      #expect(
        need.lack(of: FreeSpace(bytes: .max - 1, blockSize: block))?.hasPrefix("needs at least") == true)
    }
  }

  @Test("the system says how much room there is")
  func system() throws {
    let free = try #require(FreeSpace(of: "/tmp"))
    #expect(free.bytes >= 0 && free.blockSize >= 1)
    #expect(FreeSpace(of: "/tmp/is-not-there") == nil)
    #expect(throws: FileError.self) { try DiskNeed(bytesEach: .max).check(in: "/tmp", path: "a") }
  }
}
