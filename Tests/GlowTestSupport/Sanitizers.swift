import Foundation

/// True if the tests run under a sanitizer (`make sanitize`), which is slow and takes terabytes of address space.
package let isSanitized = ProcessInfo.processInfo.environment["GLOW_SANITIZED"] != nil
