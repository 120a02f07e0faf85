import Foundation
import GlowFiles
import GlowTestSupport
import Testing

@testable import GlowStorage

@Suite("The format's own package", .python("numpy", "safetensors.numpy"))
struct PythonTests {
  private let folder: TemporaryFolder
  private var path: String { "\(folder.path)/python.safetensors" }

  init() throws { folder = try TemporaryFolder() }

  @Test("reads what is written here")
  func written() throws {
    var writer = SafetensorsWriter(metadata: ["kind": "naïve “test”"])
    writer.add("bytes", shape: [3], values: [0, 128, 255] as [UInt8])
    writer.add("float", shape: [3, 1, 5], values: (0..<15).map { Float($0) / 7 - 1 })
    writer.add("double", shape: [1, 7], values: (0..<7).map { Double($0) / 3 - 1e-300 })
    writer.add("scalar", shape: [], values: [0.1] as [Double])
    writer.add("empty", shape: [0, 4], values: [] as [Float])
    writer.add("integers", shape: [2, 2], values: [.min, -7, 0, .max] as [Int32])
    try writer.write(to: path)
    let program = """
      import sys, numpy as np
      from safetensors import safe_open
      expected = {
          "bytes": np.array([0, 128, 255], np.uint8),
          "float": (np.arange(15, dtype=np.float32) / np.float32(7) - np.float32(1)).reshape(3, 1, 5),
          "double": (np.arange(7) / 3.0 - 1e-300).reshape(1, 7),
          "scalar": np.array(0.1),
          "empty": np.zeros((0, 4), np.float32),
          "integers": np.array([[-2**31, -7], [0, 2**31 - 1]], np.int32),
      }
      with safe_open(sys.argv[1], framework="np") as file:
          assert file.metadata()["kind"] == "naïve “test”", file.metadata()
          assert set(file.keys()) == set(expected), file.keys()
          for name, values in expected.items():
              found = file.get_tensor(name)
              assert found.dtype == values.dtype and found.shape == values.shape, (name, found)
              assert np.array_equal(found, values), (name, found)
      """
    let result = try Python.run(program, path)
    #expect(result.status == 0, "\(result.error)")
  }

  @Test("writes what is read here")
  func read() throws {
    let program = """
      import sys, numpy as np
      from safetensors.numpy import save_file
      save_file({
          "half": np.array([[1.5, -0.1, 65504]], np.float16),
          "float": (np.arange(15, dtype=np.float32) / np.float32(7)).reshape(3, 1, 5),
          "double": np.arange(7) / 3.0,
          "scalar": np.array(0.1),
      }, sys.argv[1], metadata={"kind": "test"})
      """
    let result = try Python.run(program, path)
    try #require(result.status == 0, "\(result.error)")
    let file = try SafetensorsFile(path)
    #expect(file.metadata == ["kind": "test"])
    #expect(file.entries.count == 4)
    #expect(try file.entry("half").type == .float16 && file.entry("half").shape == [1, 3])
    #expect(try file.values("half", as: Double.self) == [1.5, -0.0999755859375, 65504])
    #expect(try file.entry("float").type == .float32 && file.entry("float").shape == [3, 1, 5])
    #expect(try file.values("float", as: Float.self) == (0..<15).map { Float($0) / 7 })
    #expect(try file.entry("double").type == .float64 && file.entry("double").shape == [7])
    #expect(try file.values("double", as: Double.self) == (0..<7).map { Double($0) / 3 })
    #expect(try file.entry("scalar").shape == [])
    #expect(try file.values("scalar", as: Double.self) == [0.1])
  }

  @Test("agrees on bfloat16, which numpy lacks")
  func bfloat16() throws {
    let program = """
      import sys, json, numpy as np
      from safetensors import deserialize
      data = np.array([0x3FC0, 0xC049, 0x0001], "<u2").tobytes()
      header = json.dumps({"b": {"dtype": "BF16", "shape": [3], "data_offsets": [0, 6]}}).encode()
      whole = len(header).to_bytes(8, "little") + header + data
      ((name, tensor),) = deserialize(whole)
      assert (name, tensor["dtype"], tensor["shape"]) == ("b", "BF16", [3]), tensor
      assert bytes(tensor["data"]) == data
      open(sys.argv[1], "wb").write(whole)
      """
    let result = try Python.run(program, path)
    try #require(result.status == 0, "\(result.error)")
    let values: [Float] = try SafetensorsFile(path).values("b", as: Float.self)
    #expect(values == [1.5, -3.140625, Float(bitPattern: 0x0001_0000)])
  }
}
