import Foundation
import GlowImages
import GlowTestSupport
import Testing

/// What a run held out is held out whenever its images are opened, and what becomes of single images is said.
extension CommandTests {
  @Test("commands on the data of a run hold out what the run did, unless something is said of it")
  func heldOutAgain() throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 60 --export images; cp -r images copy").status == 0)
    let trained = try shell("$GLOW train --data images --hold-out 0.3 --out run \(Self.tiny)")
    let count = try #require(
      trained.error.firstMatch(of: /, ([0-9]+) held out/).flatMap { Int($0.output.1) }, "\(trained.error)")
    #expect(count > 0 && count < 60)
    let note = "--hold-out 0.3 as in training (--hold-out 0 takes all images)"
    for (line, images, notes) in [
      ("evaluate run --data images", count, [note]),
      ("evaluate run/model.safetensors --data ./images/", count, [note]),
      ("evaluate run --data images --split train", 60 - count, [note]),
      ("evaluate run --data images --hold-out 0", 60, ["no parts: all images are taken for 'test'"]),
      (
        "evaluate run --data copy", 60,
        [
          "no parts: all images are taken for 'test'",
          "run was trained with --hold-out 0.3: give it where these are",
        ]
      ),
      ("evaluate run --data copy --hold-out 0.3", count, ["\(count) held out of 60 images"]),
      ("encode run --data images --out latents.npy", count, [note]),
      ("detect run --in images --reference known.json", count, [note]),
    ] {
      let outcome = try shell("$GLOW \(line)")
      #expect(outcome.status == 0, "\(line): \(outcome.error)")
      #expect(outcome.output.contains("\(images) images"), "\(line): \(outcome.output)")
      for text in notes { #expect(outcome.output.contains(text), "\(line): \(outcome.output)") }
      #expect(notes.contains(note) || !outcome.output.contains(note), "\(line): \(outcome.output)")
    }
    #expect(try shell("$GLOW evaluate run --data images --split train").error.contains("was trained on"))
    // Scores are of these images, which a comparison finds again.
    for seed in [1, 2] {
      #expect(try shell("$GLOW evaluate run --data images --seed \(seed) --scores \(seed).jsonl").status == 0)
    }
    let compared = try shell("$GLOW compare 1.jsonl 2.jsonl --data images --out changes.png")
    #expect(compared.status == 0 && compared.error.contains("\(count) held out of 60"), "\(compared.error)")
    let none = try shell("$GLOW train --data images --hold-out 0 --out none \(Self.tiny)")
    #expect(none.status == 0 && none.error.contains("none held out"), "\(none.error)")
    #expect(try shell("$GLOW data images --hold-out -1").status == 64)
  }

  @Test("images that are treated otherwise than a model's were are said to be")
  func otherTreatment() throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 8 --export images").status == 0)
    let options = "--crop 24 --image-size 16 --background 0"
    let trained = try shell("$GLOW train --data images --out run \(options) \(Self.tiny)")
    #expect(trained.status == 0, "\(trained.error)")
    for (line, note) in [
      (
        "evaluate run --data images",
        "run was trained with --crop 24, here none; --background 0,0,0, here none"
      ),
      ("evaluate run --data images --crop 32 --background 0", "run was trained with --crop 24, here 32"),
      (
        "encode run --data images --crop 24 --background 0 --resize crop --out latents.npy",
        "run was trained with --resize box, here crop"
      ),
      ("evaluate run/model.safetensors --data images --crop 24 --background 0,0,0", nil),
    ] as [(String, String?)] {
      let outcome = try shell("$GLOW \(line)")
      #expect(outcome.status == 0, "\(line): \(outcome.error)")
      #expect(outcome.output.contains("was trained with") == (note != nil), "\(line): \(outcome.output)")
      if let note { #expect(outcome.output.contains(note), "\(line): \(outcome.output)") }
    }
  }

  @Test("a run's own arrays are understood as it understood them; of others a line says what is different")
  func ownLayout() throws {
    defer { clean() }
    let faces = FaceDataset(count: 8, seed: 0, part: .train)
    let pixels = try (0..<8).flatMap { try faces.image($0).pixels }
    try write("a.npy", NumpyHeader(dataType: "|u1", shape: [8, 3072]).encoded() + pixels)
    let trained = try shell("cp a.npy b.npy; $GLOW train --data a.npy --layout NHWC --out run \(Self.tiny)")
    #expect(trained.status == 0, "\(trained.error)")
    func score(_ data: String) throws -> (bits: Substring, output: String) {
      let outcome = try shell("$GLOW evaluate run --data \(data)")
      #expect(outcome.status == 0, "\(outcome.error)")
      return (try #require(outcome.output.firstMatch(of: /bits\/dim [0-9.]+/)?.output), outcome.output)
    }
    let (own, asked) = try (score("a.npy"), score("a.npy --layout NHWC"))
    let (other, planes) = try (score("b.npy"), score("a.npy --layout planes"))
    #expect(own.output.contains("--layout NHWC as in training") && !asked.output.contains("as in training"))
    #expect(own.bits == asked.bits && own.bits != other.bits && other.bits == planes.bits)
    #expect(other.output.contains("run was trained with --layout NHWC, here none"), "\(other.output)")
    #expect(planes.output.contains("run was trained with --layout NHWC, here planes"))
    #expect(try !score("faces --limit 4").output.contains("--layout"))
  }

  @Test("a run's own coarse classes are taken again; where they are not the error says how")
  func ownLabels() throws {
    defer { clean() }
    for (name, folder) in [("train", "a"), ("test", "a"), ("test", "b")] {
      let records = (0..<4).flatMap { [UInt8($0), UInt8(40 + $0)] + [UInt8](repeating: 60, count: 3072) }
      try write("\(folder)/\(name).bin", records)
    }
    let trained = try shell("$GLOW train --data a --labels coarse --conditional --out run \(Self.tiny)")
    #expect(trained.status == 0, "\(trained.error)")
    let own = try shell("$GLOW evaluate run --data a")
    #expect(own.status == 0 && own.output.contains("--labels coarse as in training"), "\(own.error)")
    for line in ["a --labels fine", "b"] {
      let outcome = try shell("$GLOW evaluate run --data \(line)")
      #expect(
        outcome.status == 1 && outcome.error.contains("; --labels coarse takes its other classes"),
        "\(outcome.error)")
    }
    #expect(try shell("$GLOW evaluate run --data b --labels coarse").status == 0)
  }

  @Test("held-out images that are those to train on are warned of")
  func sameImages() throws {
    defer { clean() }
    try writeImages("images", ["cat", "dog"])
    for (test, isWarned) in [("images", true), ("./images/", true), ("images/cat", false)] {
      let outcome = try shell("$GLOW train --data images --test \(test) --out run --overwrite \(Self.tiny)")
      #expect(
        outcome.status == 0
          && outcome.error.contains("\(test) holds the very images to train on") == isWarned,
        "\(outcome.error)")
    }
  }

  @Test("of how many images something is changed is said once they are scored, and kept beside the scores")
  func countedChanges() throws {
    defer { clean() }
    try train()
    try writeImages("images", ["cat"])
    let face = try FaceDataset(count: 1, seed: 0, part: .train).image(0)
    let small = ByteImage(
      shape: ImageShape(height: 8, width: 8, channels: 1), pixels: Array(face.pixels.prefix(64)))
    try write("images/cat/z.png", PNG.encode(small))
    let note = "of 5 images 1 are gray and are repeated in three channels, 1 are padded"
    let line = "run --data images --image-size 32"
    for command in [
      "evaluate \(line) --scores s.jsonl", "encode \(line) --out z.npy", "reconstruct \(line) --out r.png",
      "detect run --in images --out faces --limit 5 --image-size 32",
    ] {
      let outcome = try shell("$GLOW \(command)")
      #expect(outcome.status == 0 && outcome.output.contains(note), "\(command): \(outcome.output)")
    }
    let meta = String(decoding: try bytes("s.jsonl.meta.json"), as: UTF8.self)
    #expect(meta.contains("\"notes\" : [") && meta.contains("no parts: all images") && meta.contains(note))
    let json = try shell("$GLOW evaluate \(line) --json")
    #expect(json.output.contains(note), "\(json.output)")
    // Of records that are there already nothing is decoded again.
    #expect(try shell("$GLOW evaluate \(line) --scores s.jsonl --resume").status == 0)
  }

  @Test("single images are treated as a run's were, unless something else is asked for or they have its size")
  func treatedAlike() throws {
    defer { clean() }
    #expect(try shell("$GLOW data faces --limit 8 --export images").status == 0)
    let options = "--crop 24 --image-size 16 --resize crop --background 0"
    #expect(try shell("$GLOW train --data images --out run \(options) \(Self.tiny)").status == 0)
    #expect(try shell("$GLOW data images --limit 1 \(options) --export small").status == 0)
    let line = "$GLOW interpolate run images/000001.png images/000002.png --steps 2 --scale 1 --out"
    let same = try shell("\(line) a.png")
    #expect(same.status == 0, "\(same.error)")
    #expect(
      same.output.hasPrefix(
        "--resize crop --crop 24 --background 0,0,0 as in training\nimages/000001.png: 32×32 images are cropped to 24×24, "
          + "and then 24×24 images are cropped to 16×16\n"), "\(same.output)")
    let asked = try shell("\(line) b.png \(options.replacing("--image-size 16 ", with: ""))")
    #expect(asked.status == 0 && !asked.output.contains("as in training"))
    #expect(try bytes("a.png") == bytes("b.png"))
    let whole = try shell("\(line) c.png --crop 32 --resize box")
    #expect(whole.status == 0 && whole.output.hasPrefix("--background 0,0,0 as in training\n"))
    #expect(try bytes("a.png") != bytes("c.png"))
    // What has been brought to the model's size is not cropped again.
    let small = try shell(
      "$GLOW interpolate run small/000001.png images/000002.png --steps 2 --scale 1 --out d.png")
    #expect(
      small.output.contains("small/000001.png: has the model's size and is not cropped"), "\(small.error)")
    #expect(try bytes("a.png") == bytes("d.png"))
    #expect(try shell("\(line) e.png --crop 0").status == 64)
  }

  @Test("held-out images of a run are said to be what they are taken for")
  func heldOutNotes() throws {
    defer { clean() }
    try writeImages("data/train", ["cat"])
    try writeImages("data/val", ["cat"])
    let outcome = try shell("$GLOW train --data data --out run \(Self.tiny)")
    #expect(
      outcome.status == 0 && outcome.error.contains("held out: parts train/, val/; val/ is taken for test"),
      "\(outcome.error)")
  }

  @Test(
    "what becomes of single images is said: transparency, which --background lays on a color, and turns",
    .python("PIL.Image"))
  func singleImages() throws {
    defer { clean() }
    try train()
    let program = """
      import sys, PIL.Image
      image = PIL.Image.new("RGBA", (32, 32), (10, 20, 30, 0))
      image.save(sys.argv[1] + "/clear.png")
      exif = PIL.Image.Exif()
      exif[0x0112] = 6
      image.convert("RGB").save(sys.argv[1] + "/turned.jpg", exif=exif)
      """
    let made = try Python.run(program, root)
    #expect(made.status == 0, "\(made.error)")
    let line = "$GLOW interpolate run clear.png turned.jpg --steps 2 --scale 1 --out"
    let plain = try shell("\(line) plain.png")
    #expect(plain.status == 0, "\(plain.error)")
    #expect(
      plain.output.contains("transparency is dropped and the colors below it are taken (clear.png)")
        && plain.output.contains("images are turned as their EXIF orientation says (turned.jpg)"),
      "\(plain.output)")
    let white = try shell("\(line) white.png --background white")
    #expect(white.status == 0 && !white.output.contains("transparency"), "\(white.output)")
    #expect(try bytes("plain.png") != bytes("white.png"))
    #expect(try shell("\(line) no.png --background blue").status == 64)
  }
}
