import COpenBLAS
import Glibc

extension ThreadTeam {
  /// Address space that OpenBLAS maps for each concurrent caller, on x86-64 and with its default settings.
  private static let bufferBytes = 128 << 20

  /// The threads of the team that OpenBLAS serves at once, which are all where products are OpenBLAS's.
  package var openBLASCallers: Int { min(count, ProductKernels.openBLAS.mostThreads) }

  /// Has OpenBLAS map its buffers for them.
  ///
  /// It does so at the first products anyway, but where the system refuses it tries again for ever. Calls `mmap`.
  ///
  /// - Throws: `MemoryError` if the system does not grant that much address space.
  package func claimBuffers() throws {
    let count = openBLASCallers
    let bytes = count * Self.bufferBytes
    let probe = mmap(nil, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)
    if probe == MAP_FAILED {
      throw MemoryError(
        description:
          "OpenBLAS needs \(megabytes(bytes)) of address space for \(count) thread\(count == 1 ? "" : "s"), "
          + "which the system refuses: allow more (ulimit -v)" + (count > 1 ? ", or use fewer threads" : "")
      )
    }
    munmap(probe, bytes)
    // Those that are mapped already are handed out first.
    let buffers = (0..<count).map { _ in blas_memory_alloc(0) }
    for buffer in buffers { blas_memory_free(buffer) }
  }
}
