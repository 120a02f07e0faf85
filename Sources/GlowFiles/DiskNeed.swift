import Foundation
import Glibc

/// What files that are to be written take of a disk, at least: that it fills up is then no surprise after hours.
///
/// Whatever would fit is accepted, so that nothing may be asked for which is not sure to be needed.
package struct DiskNeed: Equatable, Sendable {
  /// How many files there will be.
  package let files: Int
  /// Bytes that each of them has at least.
  package let bytesEach: Int

  /// The need of `files` files of `bytesEach` bytes or more.
  package init(files: Int = 1, bytesEach: Int) { (self.files, self.bytesEach) = (files, bytesEach) }

  /// Checks that the file system of a folder that is there has room for them. One that does not say how much it has is
  /// taken to have enough. Calls `statvfs`.
  ///
  /// - Parameter path: what the error is about.
  /// - Throws: `FileError`.
  package func check(in folder: String, path: String) throws {
    if let lack = FreeSpace(of: folder).flatMap(lack) { throw FileError(path, lack) }
  }

  /// What is missing, if anything is.
  func lack(of free: FreeSpace) -> String? {
    if let left = free.files, left < files {
      return "needs \(files) files, and its disk has room for \(left)"
    }
    let (blocks, rest) = bytesEach.quotientAndRemainder(dividingBy: free.blockSize)
    let (size, isLarger) = (blocks + (rest > 0 ? 1 : 0)).multipliedReportingOverflow(by: free.blockSize)
    let (all, isTooLarge) = size.multipliedReportingOverflow(by: files)
    let needed = isLarger || isTooLarge ? Int.max : all
    if needed <= free.bytes { return nil }
    let megabytes = needed / 1_000_000 + (needed % 1_000_000 > 0 ? 1 : 0)
    return "needs at least \(megabytes) MB, and its disk has \(free.bytes / 1_000_000) MB left"
  }
}

/// What may still be written on a file system.
struct FreeSpace {
  let bytes: Int
  /// Nil where files are not counted: they are limited by their bytes alone.
  var files: Int?
  /// Bytes of which every file takes whole multiples; 1 where small files may share a block with others or lie beside
  /// their names.
  var blockSize = 1

  init(bytes: Int, files: Int? = nil, blockSize: Int = 1) {
    (self.bytes, self.files, self.blockSize) = (bytes, files, blockSize)
  }

  /// Nil where the file system does not say.
  init?(of folder: String) {
    var status = statvfs()
    guard statvfs(folder, &status) == 0, status.f_blocks > 0 else { return nil }
    bytes = Int(clamping: status.f_bavail.multipliedReportingOverflow(by: status.f_frsize).partialValue)
    // Btrfs and others make room for names as they need it, and say 0 of 0.
    files = status.f_files > 0 ? Int(clamping: status.f_favail) : nil
    if Self.hasWholeBlocks(folder) { blockSize = max(1, Int(status.f_frsize)) }
  }

  /// Whether files take whole blocks in a folder's file system: ext2, ext3, ext4, XFS and tmpfs. Others pack small files,
  /// as Btrfs does, or call a block what they transfer at once, as NFS does. (An ext4 that was made with `inline_data`
  /// keeps up to some 150 bytes beside a file's name; no picture is so small that shows anything.)
  private static func hasWholeBlocks(_ folder: String) -> Bool {
    var status = stat()
    guard stat(folder, &status) == 0,
      let mounts = try? String(contentsOfFile: "/proc/self/mountinfo", encoding: .utf8)
    else { return false }
    // As the macros `major` and `minor` have it.
    let device = UInt64(status.st_dev)
    let major = device >> 8 & 0xFFF | device >> 32 & 0xFFFF_F000
    let minor = device & 0xFF | device >> 12 & 0xFFFF_FF00
    // Number, number above, device, …, after a lone dash the kind (man 5 proc_pid_mountinfo).
    for mount in mounts.split(separator: "\n").map({ $0.split(separator: " ") })
    where mount.count > 2 && mount[2] == "\(major):\(minor)" {
      let kind = mount.drop { $0 != "-" }.dropFirst().first
      return ["ext2", "ext3", "ext4", "xfs", "tmpfs"].contains(kind)
    }
    return false
  }
}
