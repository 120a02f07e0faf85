import Synchronization

/// Carries errors out of the pieces of a thread team: that of the lowest piece, whatever the order they ran in.
package struct FirstFailure: ~Copyable, Sendable {
  private let failure = Mutex<(piece: Int, error: any Error)?>(nil)

  package init() {}

  package func catching(_ piece: Int, _ body: () throws -> Void) {
    do { try body() } catch {
      failure.withLock { if $0 == nil || piece < $0!.piece { $0 = (piece, error) } }
    }
  }

  package func rethrow() throws { if let failure = failure.withLock({ $0 }) { throw failure.error } }
}
