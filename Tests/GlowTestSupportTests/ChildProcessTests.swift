import Foundation
import GlowTestSupport
import Testing

@Suite("Processes that tests start")
struct ChildProcessTests {
  @Test("a megabyte on each stream at once is read whole", .timeLimit(.minutes(15)))
  func muchOutput() throws {
    let lines = 100_000
    let child = try ChildProcess.run(
      "/bin/sh",
      [
        "-c",
        "i=0; while [ $i -lt \(lines) ]; do i=$((i+1)); echo output $i; echo error $i >&2; done; exit 3",
      ])
    #expect(child.status == 3 && !child.wasKilled && !child.isRunning)
    func expected(_ word: String) -> String { (1...lines).map { "\(word) \($0)\n" }.joined() }
    #expect(child.output == expected("output") && child.output.utf8.count > 1_000_000)
    #expect(child.error == expected("error"))
  }

  @Test("what a process prints can be waited for, and a signal ends it")
  func signal() throws {
    let child = try ChildProcess("/bin/sh", ["-c", "echo ready >&2; exec sleep 1000"])
    #expect(child.waits(for: "ready") && child.isRunning)
    child.send(SIGKILL)
    #expect(child.end() == SIGKILL && child.wasKilled)
    #expect(!child.waits(for: "something else"))
  }

  @Test("a process runs in its folder and ends without what is waited for")
  func folder() throws {
    let child = try ChildProcess("/bin/pwd", [], in: "/usr")
    #expect(!child.waits(for: "never printed") && child.status == 0 && child.output == "/usr\n")
    #expect(throws: (any Error).self) { try ChildProcess("/no/such/program", []) }
  }
}
