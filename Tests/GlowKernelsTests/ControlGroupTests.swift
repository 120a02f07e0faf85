import Foundation
import GlowKernels
import Testing

@Suite("Control groups, from copies of their files")
struct ControlGroupTests {
  private let root = FileManager.default.temporaryDirectory.appending(path: "glow-cgroup-\(UUID())").path

  private func write(_ files: [String: String]) throws {
    for (name, text) in files {
      let url = URL(filePath: "\(root)/\(name)")
      try FileManager.default.createDirectory(
        at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
      try text.write(to: url, atomically: false, encoding: .utf8)
    }
  }

  private func clean() { try? FileManager.default.removeItem(atPath: root) }

  @Test("version 2: the tightest group on the way up counts; the quota is rounded up")
  func unified() throws {
    defer { clean() }
    try write([
      "job/cpu.max": "250000 100000\n", "job/memory.max": "4000\n", "job/memory.current": "1000\n",
      "job/memory.stat": "anon 400\ninactive_file 500\n",
      "job/step/cpu.max": "max 100000\n", "job/step/memory.max": "max\n", "job/step/memory.current": "900\n",
      "other/cpu.max": "100000 100000\n", "other/memory.max": "10\n",
    ])
    let group = ControlGroup(root: root, membership: "0::/job/step\n")
    #expect(group.processorQuota == 3)
    #expect(group.availableMemory == 3500)
  }

  @Test("version 1: each controller has its own folder")
  func separate() throws {
    defer { clean() }
    try write([
      "cpu,cpuacct/a/cpu.cfs_quota_us": "150000\n", "cpu,cpuacct/a/cpu.cfs_period_us": "100000\n",
      "cpu,cpuacct/a/b/cpu.cfs_quota_us": "-1\n", "cpu,cpuacct/a/b/cpu.cfs_period_us": "100000\n",
      "memory/memory.limit_in_bytes": "9223372036854771712\n", "memory/memory.usage_in_bytes": "77\n",
      "memory/c/memory.limit_in_bytes": "1000\n", "memory/c/memory.usage_in_bytes": "600\n",
      "memory/c/memory.stat": "inactive_file 5\ntotal_inactive_file 100\n",
    ])
    let group = ControlGroup(root: root, membership: "5:memory:/c\n3:cpu,cpuacct:/a/b\n0::/\n")
    #expect(group.processorQuota == 2)
    #expect(group.availableMemory == 500)
  }

  @Test("in a container the path of outside is not there, and the mount is the group's own")
  func container() throws {
    defer { clean() }
    try write([
      "memory/memory.limit_in_bytes": "1000\n", "memory/memory.usage_in_bytes": "1200\n",
      "cpu/cpu.cfs_quota_us": "50000\n", "cpu/cpu.cfs_period_us": "100000\n",
    ])
    let group = ControlGroup(root: root, membership: "5:memory:/docker/1f\n4:cpu:/docker/1f\n")
    #expect(group.processorQuota == 1)
    #expect(group.availableMemory == 0)
  }

  @Test("no limits, no files, and files that hold something else")
  func none() throws {
    defer { clean() }
    let membership = "0::/job\n4:cpu:/\n4:memory:/\nnonsense\n"
    #expect(ControlGroup(root: root, membership: membership).processorQuota == nil)
    #expect(ControlGroup(root: root, membership: membership).availableMemory == nil)
    try write([
      "job/cpu.max": "max 100000\n", "job/memory.max": "max\n", "cpu.max": "0 0", "memory.max": "many",
      "cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "0\n",
    ])
    #expect(ControlGroup(root: root, membership: membership).processorQuota == nil)
    #expect(ControlGroup(root: root, membership: membership).availableMemory == nil)
    #expect(ThreadTeam.availableCount >= 1)
  }
}
