# `make help` lists what can be made.

SWIFT ?= swift
RUN ?= runs/demo
GLOW = .build/release/glow
PACKAGES = libopenblas-dev liblapacke-dev libpng-dev zlib1g-dev pkg-config
# Tests run optimised; they have a build folder of their own because they need other compiler options.
TEST = $(SWIFT) test -c release -Xswiftc -enable-testing --scratch-path .build-tests

.DEFAULT_GOAL := help
.PHONY: help deps build test demo bench format lint docs clean study-stability

help: ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## Install the C libraries (Debian packages) that are missing.
	@missing=""; for package in $(PACKAGES); do \
	  dpkg-query -W -f '$${Status}' $$package 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	  sudo=""; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	  $$sudo apt-get update -qq && DEBIAN_FRONTEND=noninteractive $$sudo apt-get install -y -qq $$missing; \
	fi

build: ## Build the glow command (.build/release/glow).
	$(SWIFT) build -c release --product glow

test: deps ## Run the tests. GLOW_TEST_DATA=DIR adds those on real data sets.
	$(TEST)

demo: deps build ## Train on the built-in faces for a few minutes and show samples.
	rm -rf $(RUN)
	$(GLOW) train --data faces --out $(RUN) --levels 3 --depth 6 --width 96 --batch 32 --lr 1e-3 \
	  --warmup-epochs 0.1 --ema 0.995 --steps 1400 --log-every 100 --eval-every 700 --sample-every 350 --checkpoint-every 700
	$(GLOW) evaluate $(RUN) --data faces
	$(GLOW) sample $(RUN) --count 48 --temperature 0.7 --out $(RUN)/samples.png
	$(GLOW) reconstruct $(RUN) --data faces --out $(RUN)/reconstruction.png
	@echo "look at $(RUN)/samples.png and $(RUN)/reconstruction.png (originals above, decoded latents below)"

bench: deps build ## Measure the speed of training, scoring and sampling.
	$(GLOW) bench --width 512 --batch 64
	$(GLOW) bench --width 128 --batch 64
	$(GLOW) bench --depth 32 --width 512 --batch 16

study-stability: deps build ## Count the runs at too-high rates that end in a usable model (about an hour; needs GLOW_TEST_DATA).
	nice Studies/stability.sh $(GLOW) $(GLOW_TEST_DATA)/cifar-10-batches-bin runs/stability

format: ## Format the sources.
	$(SWIFT) format -i --recursive Sources Tests Package.swift

lint: ## Check the format of the sources.
	$(SWIFT) format lint --strict --recursive Sources Tests Package.swift

docs: ## List the documents.
	@ls docs/*.md

clean: ## Remove what was built.
	rm -rf .build .build-tests
