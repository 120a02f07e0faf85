# `make help` lists what can be made.

SWIFT ?= swift
RUN ?= runs/demo
# The least that a processor must have. Matrix products and vector functions choose what they use when they run, so
# that one build is for all.
MARCH ?= x86-64-v2
STUDIES ?= runs/studies
GLOW = .build/release/glow
# Where `make install` puts things; DESTDIR is a folder in which packages are made.
PREFIX ?= /usr/local
VERSION := $(shell sed -n 's/.*version = "\(.*\)"/\1/p' Sources/GlowStorage/Release.swift)
DIST = .build-dist
SWIFT_FILES = Sources Tests Package.swift Fuzzing/Sources Fuzzing/Package.swift Examples/Sources Examples/Package.swift
# Without the last two the command is built for one process alone.
PACKAGES = libopenblas-dev libpng-dev libjpeg-dev libwebp-dev zlib1g-dev libcairo2-dev fonts-dejavu-core pkg-config \
  libopenmpi-dev openmpi-bin
# Tests run optimized, for the processor that the command is built for; they have a build folder of their own because
# they need other compiler options.
TEST = $(SWIFT) test -c release -Xswiftc -enable-testing -Xcc -march=$(MARCH)
# The folder of the toolchain's programs.
TOOLCHAIN = "$$(dirname "$$(readlink -f "$$(command -v $(SWIFT))")")"

# Inputs for each fuzz target.
RUNS ?= 1000000
COVERAGE = -sanitize-coverage=edge,indirect-calls,trace-cmp,inline-8bit-counters,pc-table
LIBFUZZER = $(TOOLCHAIN)/../lib/swift/clang/lib/linux/libclang_rt.fuzzer_no_main-$$(uname -m).a

.DEFAULT_GOAL := help
.PHONY: help deps build test golden test-kernels coverage install uninstall dist deb try-packages \
  $(DIST)/release/glow .build-examples/debug/Modules sanitize-part sanitize-threads demo bench bench-products \
  bench-check bench-peers bench-sources fuzz sanitize study-attributes study-gallery study-detect study-stability \
  study-paper study-budget study-many-cores study-simulated-cores study-links format lint docs examples clean

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# What apt says is shown only if it fails.
deps: ## Install the C libraries and the font (Debian packages) that are missing.
	@missing=""; for package in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo="sudo "; \
	  install="$${sudo}env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends$$missing"; \
	  echo "$$install"; \
	  log=$$(mktemp); \
	  { $${sudo}apt-get update && $$install; } > $$log 2>&1 || \
	    { cat $$log; rm $$log; exit 1; }; \
	  rm $$log; \
	fi

build: ## Build the glow command (.build/release/glow); it chooses kernels for the processor when it runs.
	$(SWIFT) build -c release --product glow -Xcc -march=$(MARCH)

test: deps ## Run the tests. GLOW_TEST_DATA=DIR adds those on real data sets.
	$(TEST) --scratch-path .build-tests

golden: deps ## Write the golden lists anew, for results that are meant to change.
	GLOW_REFRESH_GOLDEN=1 $(TEST) --scratch-path .build-tests --filter GoldenTests

# Tests that need Python or real data have nothing to do with kernels.
with_kernels = @if grep -qw $(2) /proc/cpuinfo; then \
  echo "with $(1):"; $(1) $(TEST) --scratch-path .build-tests \
    --filter '^Glow(Kernels|Flow|Storage|Training)Tests' --skip 'Python|RealData'; \
else echo "this processor has no $(2): no tests with $(1)"; fi

test-kernels: deps ## Run the tests of numbers with the kernels that are not taken by default.
	$(call with_kernels,GLOW_KERNELS=openblas OPENBLAS_CORETYPE=SkylakeX,avx512f)
	$(call with_kernels,GLOW_KERNELS=openblas OPENBLAS_CORETYPE=Haswell,avx2)
	$(call with_kernels,GLOW_INSTRUCTIONS=avx2 OPENBLAS_CORETYPE=Haswell,avx512f)

PROFILES = $(CURDIR)/.build-coverage/profiles
coverage: deps ## Run the tests with assertions (bounds) on; show how many lines they reach, and list those that none does.
	rm -rf $(PROFILES)
	LLVM_PROFILE_FILE=$(PROFILES)/%p.profraw \
	  $(TEST) --scratch-path .build-coverage -Xswiftc -profile-generate -Xswiftc -profile-coverage-mapping \
	  -Xswiftc -DCOVERAGE -Xswiftc -assert-config -Xswiftc Debug
	@# A command whose files a test limits leaves a profile that is cut off; those are passed over.
	@$(TOOLCHAIN)/llvm-profdata merge --failure-mode=all -o $(PROFILES)/all $(PROFILES)/*.profraw 2> $(PROFILES)/warnings
	@$(TOOLCHAIN)/llvm-cov export -format=lcov -instr-profile $(PROFILES)/all \
	  .build-coverage/release/glowPackageTests.xctest -object .build-coverage/release/glow > $(PROFILES)/lines
	@awk -v sources="$(CURDIR)/Sources/" -f Tests/coverage.awk $(PROFILES)/lines

fuzz: deps ## Try every reader on RUNS damaged files (docs/fuzzing.md).
	@# Optimized, but with the checks of unsafe pointers that an optimized build leaves out. A crash is libFuzzer's to
	@# report: under AddressSanitizer Swift's own report crashes too.
	$(SWIFT) build -c release --package-path Fuzzing --scratch-path .build-fuzz --sanitize address \
	  -Xswiftc $(COVERAGE) -Xcc -f$(COVERAGE:-%=%) -Xswiftc -enable-testing -Xswiftc -assert-config -Xswiftc Debug \
	  -Xlinker $(LIBFUZZER) -Xlinker -lstdc++
	SWIFT_BACKTRACE=enable=no .build-fuzz/release/Fuzz seeds .build-fuzz/seeds
	if [ -d "$$GLOW_TEST_DATA/pngsuite" ]; then cp "$$GLOW_TEST_DATA"/pngsuite/*.png .build-fuzz/seeds/png; fi
	for target in $$(.build-fuzz/release/Fuzz list); do \
	  echo "$$target"; mkdir -p .build-fuzz/corpus/$$target; \
	  SWIFT_BACKTRACE=enable=no .build-fuzz/release/Fuzz $$target -runs=$(RUNS) -seed=1 -timeout=10 -rss_limit_mb=2048 -malloc_limit_mb=128 \
	    -artifact_prefix=.build-fuzz/$$target- .build-fuzz/corpus/$$target .build-fuzz/seeds/$$target \
	    > .build-fuzz/$$target.log 2>&1 || { tail -60 .build-fuzz/$$target.log; exit 1; }; \
	  grep -E "^Done|DONE" .build-fuzz/$$target.log; \
	done

sanitize: deps ## Run the tests under AddressSanitizer and ThreadSanitizer.
	@# The leaks at exit are Foundation's and fontconfig's; `make fuzz` looks for those of the readers.
	GLOW_SANITIZED=1 ASAN_OPTIONS=detect_leaks=0 $(TEST) --sanitize address --scratch-path .build-asan
	GLOW_SANITIZED=1 $(TEST) --sanitize thread --scratch-path .build-tsan

install: ## Install what `make build` made, manual pages and completions (PREFIX=/usr/local DESTDIR=).
	@[ -x $(GLOW) ] || { echo "there is no $(GLOW) yet: run make build first" >&2; exit 64; }
	@sh Packaging/install.sh $(GLOW) "$(PREFIX)" "$(DESTDIR)"
	@echo "glow $(VERSION) is in $(DESTDIR)$(PREFIX)/bin"

uninstall: ## Remove what `make install` has put under PREFIX.
	@sh Packaging/uninstall.sh "$(PREFIX)" "$(DESTDIR)"

# Swift's libraries and the C++ library are linked into the command, and what they need of a C library newer than 2.35.
$(DIST)/release/glow: deps
	@mkdir -p $(DIST)/static && ln -sf "$$($(TOOLCHAIN)/clang -print-file-name=libstdc++.a)" $(DIST)/static
	@$(TOOLCHAIN)/clang -O2 -fPIC -c Packaging/arc4random.c -o $(DIST)/static/arc4random.o
	$(SWIFT) build -c release --product glow --static-swift-stdlib --scratch-path $(DIST) \
	  -Xcc -march=$(MARCH) -Xlinker -L$(CURDIR)/$(DIST)/static \
	  -Xlinker $(CURDIR)/$(DIST)/static/arc4random.o

# When the release was, as packages say it: that of the last commit, or of the sources where there is no repository.
SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2> /dev/null || date -r CHANGELOG.md +%s)
dist deb: export SOURCE_DATE_EPOCH := $(SOURCE_DATE_EPOCH)

also = @$(MAKE) --no-print-directory deps PACKAGES="$(1)"

dist: $(DIST)/release/glow ## Make a .tar.gz that runs where it is unpacked, with all libraries (docs/install.md).
	$(call also,binutils libexpat1-dev patchelf)
	@sh Packaging/dist.sh $< $(VERSION) $(DIST)

deb: $(DIST)/release/glow ## Make a Debian package.
	$(call also,binutils patchelf dpkg-dev lintian)
	@sh Packaging/deb.sh $< $(VERSION) $(DIST)
	lintian --fail-on error $(DIST)/glow_$(VERSION)_amd64.deb

try-packages: dist deb ## Try the packages in a minimal Debian and Ubuntu (needs root, and debootstrap's download).
	$(call also,debootstrap)
	@sh Packaging/try.sh $(VERSION) $(DIST)

# A fixed part, in the build that is made soonest: matrix products in C and all that works beside them, and damaged files.
sanitize-part: deps ## Run the tests of products, threads and damaged files under AddressSanitizer.
	GLOW_SANITIZED=1 ASAN_OPTIONS=detect_leaks=0 $(SWIFT) test --sanitize address --scratch-path .build-asan-part \
	  -Xcc -march=$(MARCH) \
	  --filter '^GlowKernelsTests\.(Product|Patches|Rectifier|Matrix|ThreadTeam|TeamLife)|^GlowFlowTests\.OpenBLASRows|^GlowFilesTests\.|Hostile'

# Small models that two threads train, tile after tile and in bands, in the least that has to be built for it.
sanitize-threads: deps ## Train small models under ThreadSanitizer.
	$(SWIFT) build -c release --sanitize thread --product GoldenList --scratch-path .build-tsan-part -Xcc -march=$(MARCH)
	rm -rf .build-tsan-part/runs && mkdir -p .build-tsan-part/runs
	TSAN_OPTIONS=halt_on_error=1 .build-tsan-part/release/GoldenList .build-tsan-part/runs packed \
	  three-levels large-batch bands bands-residual-recomputed clipped > .build-tsan-part/list
	@echo "ThreadSanitizer: $$(grep -vc '^#' .build-tsan-part/list) results, the same with one thread and with two, and no report"

demo: ## Train on the built-in faces for a few minutes, show what the model can do, and where the time went.
	@sh Studies/demo.sh $(GLOW) $(RUN) "$(MAKE)"

study-attributes: deps ## Measure what attribute vectors do to the faces of RUN (train it first, or make demo).
	@[ -e "$(RUN)" ] || { echo "$(RUN) is not there: train a model of the faces first, or run make demo" >&2; exit 64; }
	$(SWIFT) build -c release --product AttributeStudy -Xcc -march=$(MARCH)
	.build/release/AttributeStudy $(RUN) --out $(RUN)/attributes.png

bench: deps build ## Measure the speed of training, scoring and sampling.
	$(GLOW) bench --depth 8 --width 512 --batch 64
	$(GLOW) bench --depth 8 --width 128 --batch 64
	$(GLOW) bench --depth 32 --width 512 --batch 16

# LIBXSMM and oneDNN are compared where Debian's libxsmm-dev and libdnnl-dev are installed, BLIS where libblis4-serial is.
PRODUCTS = .build/products
where_there = $$([ ! -e $(1) ] || echo $(2))
bench-products: deps ## Measure matrix products of a conditioner's shapes: OpenBLAS, packed, and other libraries.
	@mkdir -p .build
	$(TOOLCHAIN)/clang -O2 -ISources/CGlowKernels/include -ISources/CGlowKernels \
	  Benchmarks/products/products.c Benchmarks/products/blis.c Sources/CGlowKernels/*.c -o $(PRODUCTS) \
	  $$(pkg-config --cflags --libs openblas) -lm -ldl \
	  $(call where_there,/usr/include/libxsmm.h,-DLIBXSMM Benchmarks/products/libxsmm.c -lxsmm -lxsmmnoblas -lpthread) \
	  $(call where_there,/usr/include/dnnl.h,-DONEDNN Benchmarks/products/onednn.c -ldnnl)
	OMP_NUM_THREADS=1 $(PRODUCTS)

# PEER_PYTHON=PYTHON uses a Python that has PyTorch, NumPy and safetensors; PEERS="--rounds 1 …" are options of compare.py.
PEER = Benchmarks/pytorch
PEER_LINES = .build/peers.jsonl
bench-peers: deps build $(if $(PEER_PYTHON),,$(PEER)/.venv/installed) ## Compare the speed with PyTorch's (not part of CI).
	$(or $(PEER_PYTHON),$(PEER)/.venv/bin/python) $(PEER)/check.py $(GLOW)
	$(or $(PEER_PYTHON),$(PEER)/.venv/bin/python) $(PEER)/compare.py --glow $(GLOW) --out $(PEER_LINES) $(PEERS)
	$(or $(PEER_PYTHON),$(PEER)/.venv/bin/python) Benchmarks/report.py $(PEER_LINES)

$(PEER)/.venv/installed: $(PEER)/requirements.txt
	python3 -m venv --clear $(PEER)/.venv
	$(PEER)/.venv/bin/pip install --no-deps -r $<
	touch $@

bench-check: deps build ## Compare shares of the peak and allocations with Benchmarks/thresholds.json (not part of CI).
	@command -v python3 > /dev/null || $(MAKE) --no-print-directory deps PACKAGES=python3
	$(TOOLCHAIN)/clang -O2 -shared -fPIC Benchmarks/allocations.c -o .build/allocations.so
	python3 Benchmarks/check.py $(GLOW) $(CURDIR)/.build/allocations.so

bench-sources: deps build ## Measure scoring from PNG, JPEG, archives, .npy and CIFAR-10 batches (DATA=FOLDER).
	@[ -n "$(DATA)" ] || { echo "give the folder of CIFAR-10's binary batches: make $@ DATA=FOLDER" >&2; exit 64; }
	CC=$(TOOLCHAIN)/clang Studies/sources.sh $(GLOW) "$(DATA)" "$(STUDIES)/sources"

study-gallery: deps build ## Make the pictures of docs/gallery.md (FACES=RUN CIFAR=RUN DIGITS=RUN DATA=CIFAR-10).
	@[ -n "$(FACES)" ] && [ -n "$(CIFAR)" ] && [ -n "$(DIGITS)" ] && [ -n "$(DATA)" ] || \
	  { echo "give runs and a folder: make $@ FACES=RUN CIFAR=RUN DIGITS=RUN DATA=CIFAR-10-BATCHES" >&2; exit 64; }
	Studies/gallery.sh $(GLOW) "$(FACES)" "$(CIFAR)" "$(DIGITS)" "$(DATA)" "$(STUDIES)/gallery"

study-detect: deps build ## Tell other images from CIFAR-10's (MODEL=RUN DATA=CIFAR-10 MNIST=FOLDER).
	@[ -n "$(MODEL)" ] && [ -n "$(DATA)" ] && [ -n "$(MNIST)" ] || \
	  { echo "give a model and folders: make $@ MODEL=RUN DATA=CIFAR-10-BATCHES MNIST=IDX-FILES" >&2; exit 64; }
	Studies/detect.sh $(GLOW) "$(MODEL)" "$(DATA)" "$(MNIST)" "$(STUDIES)/detect"

study-stability: deps build ## Count the runs at too-high rates that end in a usable model (360 runs; DATA=CIFAR-10).
	@[ -n "$(DATA)" ] || { echo "give the folder of CIFAR-10's binary batches: make $@ DATA=FOLDER" >&2; exit 64; }
	nice Studies/stability.sh $(GLOW) "$(DATA)" "$(STUDIES)/stability"

study-paper: deps build ## Make the table of Glow's paper, RealNVP beside it (DATA=CIFAR-10 SEEDS=3 BUDGET=4 core-hours a run).
	@[ -n "$(DATA)" ] || { echo "give the folder of CIFAR-10's binary batches: make $@ DATA=FOLDER" >&2; exit 64; }
	SEEDS="$(or $(SEEDS),3)" BUDGET="$(or $(BUDGET),4)" nice Studies/paper.sh $(GLOW) "$(DATA)" \
	  "$(STUDIES)/paper-$(or $(BUDGET),4)" "$(or $(RESULTS),$(STUDIES)/paper-$(or $(BUDGET),4)/results)"

study-budget: deps build ## Find what learns most in a given time, by successive halving (DATA=CIFAR-10 HOURS=0.25 ROUNDS=3).
	@[ -n "$(DATA)" ] || { echo "give the folder of CIFAR-10's binary batches: make $@ DATA=FOLDER" >&2; exit 64; }
	HOURS="$(or $(HOURS),0.25)" ROUNDS="$(or $(ROUNDS),3)" nice Studies/budget.sh $(GLOW) "$(DATA)" \
	  "$(STUDIES)/budget-$(or $(HOURS),0.25)" "$(or $(RESULTS),$(STUDIES)/budget-$(or $(HOURS),0.25)/results)"

study-many-cores: deps build ## Measure how speed grows with threads, as many as there are processors.
	Studies/many-cores.sh $(GLOW) "$(STUDIES)/many-cores"

study-simulated-cores: deps build ## Predict how speed grows with cores that are not here, and what limits it.
	Studies/simulated-cores.sh $(GLOW)

study-links: deps build ## Measure two processes over links of 1 and 10 Gbit/s, and through shared memory (needs root).
	Studies/links.sh $(GLOW) "$(STUDIES)/links"

PROSE = README.md CHANGELOG.md CONTRIBUTING.md Examples/README.md Sources/Glow/Glow.docc/Glow.md \
  $(wildcard docs/*.md)
python = @command -v python3 > /dev/null || $(MAKE) --no-print-directory deps PACKAGES=python3

format: ## Format the sources, and wrap the documents.
	$(SWIFT) format -i --recursive $(SWIFT_FILES)
	$(python)
	python3 Packaging/widths.py $(PROSE)

lint: ## Check the format of the sources, and the width of the documents.
	$(SWIFT) format lint --strict --recursive $(SWIFT_FILES)
	$(python)
	python3 Packaging/widths.py --check $(PROSE)

# Built as a user's package builds it.
.build-examples/debug/Modules: deps
	$(SWIFT) build --package-path Examples --scratch-path .build-examples -Xcc -march=$(MARCH)

examples: .build-examples/debug/Modules ## Build and run the programs of Examples, and compile those in the documents.
	sh Examples/run.sh .build-examples/debug .build-examples/runs
	sh Examples/snippets.sh .build-examples/debug .build-examples/snippets

docs: .build-examples/debug/Modules ## Make the site of library and documents (docs/site), and check what is public.
	$(python)
	@sh Packaging/docs.sh .build-examples/debug docs/site

clean: ## Remove what was built.
	rm -rf .build .build-*
