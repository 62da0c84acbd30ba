# On a machine with Python 3.11+, make and gcc: `make demo` shows the whole chain, `make test` runs
# every test. Both make .venv first.
PYTHON ?= python3
BIN := .venv/bin
SOURCES := pyproject.toml

.PHONY: demo test lint million pictures peers peers-golden sanitize clean

demo: .venv/core
	$(BIN)/segbench demo --out demo

test: .venv/dev .venv/browser .venv/rar-samples
	$(BIN)/python -m pytest -n auto --dist loadgroup --max-worker-restart 0

# ruff (all rules), pyright (strict), the direction of imports
lint: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

# the pictures of the README, from the drawn dataset and the tables of results/
pictures: .venv/dev .venv/browser
	$(BIN)/python benchmark/tools/readme_pictures.py docs/pictures
	$(BIN)/python benchmark/tools/site_pictures.py docs/pictures

# the speed of segbench and of other tools on the same files: results/performance.md (2 GB of tools)
peers:
	$(PYTHON) benchmark/tools/peers/run.py

# how an evaluation grows to a million pairs: results/scale.md (a quarter of an hour, 20 GB of disk)
million: .venv/core
	$(BIN)/python benchmark/tools/peers/million.py build/million results/scale.md

# what other tools print on the same masks: tests/golden/dialects, docs/dialects.md (3 GB of tools)
peers-golden: .venv/core
	$(BIN)/python benchmark/tools/peers_golden/run.py

.venv/core: $(SOURCES)
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

.venv/dev: .venv/core $(SOURCES)
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

# Chromium for the tests of the page; where it cannot be installed they are skipped, and say so
.venv/browser: .venv/core
	@command -v chromium >/dev/null || command -v chromium-browser >/dev/null || \
	  { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
	    { apt-get install -y -qq chromium || { apt-get update -qq && apt-get install -y -qq chromium; }; } \
	    >/dev/null 2>&1; } || echo "no chromium: the tests of the page in a browser will be skipped"
	@touch $@

# what real programs packed, for the tests of RAR; where it cannot be had they are skipped, and say so
.venv/rar-samples: .venv/dev
	@[ -d $@ ] || $(BIN)/python benchmark/tools/rar_samples.py $@

# the kernels under the address and undefined-behaviour sanitizers
sanitize: .venv/dev
	rm -rf build/sanitize && mkdir -p build/sanitize && cp -r benchmark/segbench build/sanitize/
	cp -r datasets baselines build/sanitize/segbench/
	$(CC) -std=c11 -O1 -g -fPIC -shared -fsanitize=address,undefined -fno-sanitize-recover=all \
	  -fno-omit-frame-pointer -o build/sanitize/segbench/kernels/library.so \
	  benchmark/segbench/kernels/*.c -lm
	PYTHONPATH=build/sanitize PYTHONMALLOC=malloc ASAN_OPTIONS=detect_leaks=0 \
	  LD_PRELOAD=$$($(CC) -print-file-name=libasan.so) \
	  $(BIN)/python -m pytest tests/test_kernels.py tests/test_png_kernels.py tests/test_surface.py \
	  tests/test_png.py tests/test_mask_cache.py

clean:
	rm -rf .venv demo dist
