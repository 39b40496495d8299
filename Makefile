# Everything a user or developer types. The first call makes .venv; later ones start at once.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# embedded/ last: an installed ROS's own packages come before the stand-ins
export PYTHONPATH := $(CURDIR):$(if $(PYTHONPATH),$(PYTHONPATH):)$(CURDIR)/embedded
export ROS_AUTOMATIC_DISCOVERY_RANGE ?= LOCALHOST

.DEFAULT_GOAL := help
# make demo PART=bolt METHOD=felzenszwalb MODEL=nut FRAMES=<folder of recorded frames>
DEMO_ARGS = $(if $(PART),--part $(PART)) $(if $(METHOD),--method $(METHOD)) \
	$(if $(MODEL),--model $(MODEL)) $(if $(FRAMES),--frames $(FRAMES))

.PHONY: help demo collect-demo learn-demo pick-demo view test test-jazzy cases lint format type bench mutants \
	soak release-check clean

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 16

$(VENV)/.ready: requirements.txt requirements-ros.txt requirements-dev.txt
	@$(PYTHON) -c 'import sys; assert (3, 10) <= sys.version_info < (3, 15), sys.version' || \
		{ echo 'python 3.10 to 3.14 is needed; choose one with make PYTHON=...'; exit 1; }
	@$(PYTHON) -m venv $(VENV) || \
		{ echo 'python has no venv module; on Debian: apt install python3-venv'; exit 1; }
	@echo 'installing into .venv; the first time takes some minutes ...'
	@# pip as old as Python 3.10's looks for versions that agree for a quarter of an hour and more
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25'
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check \
		-r requirements.txt -r requirements-ros.txt -r requirements-dev.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@# so that .venv/bin/python benchmarks/node.py finds what ROS's wheels lack, too
	@echo '$(CURDIR)/embedded' > $$($(BIN)/python -c \
		'import sysconfig; print(sysconfig.get_path("purelib"))')/insegan_ros_embedded.pth
	@touch $@

demo: $(VENV)/.ready  ## segment a simulated bin, or FRAMES=<folder>, with real ROS 2 nodes
	@$(BIN)/python -m insegan_ros.demos.demo $(DEMO_ARGS)

collect-demo: $(VENV)/.ready  ## a simulated arm shakes a simulated bin until 20 frames are stored
	@$(BIN)/python -m insegan_ros.demos.collect_demo $(if $(PART),--part $(PART))

pick-demo: $(VENV)/.ready  ## a simulated cell empties a bin with the published picks, PART=cylinder
	@$(BIN)/python -m insegan_ros.demos.pick_demo $(if $(PART),--part $(PART))

learn-demo: $(VENV)/.ready  ## collect unlabelled frames, learn the part, segment: eight minutes on a CPU
	@$(BIN)/python -m insegan_ros.demos.learn_demo $(if $(PART),--part $(PART))

view: $(VENV)/.ready $(VENV)/.view  ## the same, live in the rerun viewer
	@$(BIN)/python -m insegan_ros.demos.view $(DEMO_ARGS)

$(VENV)/.view: requirements-view.txt | $(VENV)/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-view.txt
	@echo 'rerun sends anonymous usage data home; $(BIN)/rerun analytics disable stops that'
	@touch $@

test: $(VENV)/.ready  ## lint, types and every test that this machine can run
	$(BIN)/ruff check . && $(BIN)/ruff format --check .
	$(BIN)/mypy
	OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(BIN)/python -m pytest -n 2 --dist loadfile

# Libraries as old as Jazzy's, before those of .venv on the path: core and nodes must work with both.
JAZZY := $(VENV)/jazzy
# what the libraries' versions decide: geometry, the classical methods, images, messages, one node
JAZZY_TESTS := test/baselines test/data/test_images.py test/data/test_store.py test/data/test_depth_messages.py \
	test/evaluation/test_metrics.py test/inference/test_poses.py test/inference/test_models.py test/picks \
	test/nodes/test_messages.py test/nodes/test_segmenter.py test/test_parts_bin.py test/test_bin_tracker.py \
	test/test_camera.py test/test_crop.py test/test_optional.py

test-jazzy: $(VENV)/.jazzy  ## the core's and the nodes' tests with the libraries of ROS 2 Jazzy
	PYTHONPATH=$(JAZZY):$(PYTHONPATH) OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} \
		$(BIN)/python -m pytest -n 2 --dist loadfile $(JAZZY_TESTS)

$(VENV)/.jazzy: requirements-jazzy.txt | $(VENV)/.ready
	@$(BIN)/python -c 'import sys; assert sys.version_info < (3, 13), sys.version' || \
		{ echo "Jazzy's libraries have no wheels for this Python; 3.10 to 3.12 have them"; exit 1; }
	@rm -rf $(JAZZY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --target $(JAZZY) \
		-r requirements-jazzy.txt
	@touch $@

bench: $(VENV)/.ready  ## camera frames between processes; latency of each method; training images a second
	$(BIN)/python benchmarks/transport.py
	$(BIN)/python benchmarks/node.py
	$(BIN)/python benchmarks/training.py

soak: $(VENV)/.ready  ## 2,000 simulated captures: nothing lost, nothing doubled, memory flat; an hour
	@$(BIN)/python benchmarks/soak.py

release-check: $(VENV)/.ready  ## versions, installations, and rosdep's keys in ROSDISTRO=<a copy of rosdistro>
	$(if $(ROSDISTRO),$(BIN)/python tools/rosdep_keys.py $(ROSDISTRO))
	$(BIN)/python -m pytest test/test_release.py test/test_install.py test/test_optional.py

mutants: $(VENV)/.ready $(VENV)/.mutants  ## does a test notice each change of FILE=insegan_ros/floor.py, or of all?
	OMP_NUM_THREADS=1 $(BIN)/python -m mutmut run \
		$(if $(FILE),'$(subst /,.,$(basename $(FILE))).*'); $(BIN)/python -m mutmut results

$(VENV)/.mutants: requirements-mutants.txt | $(VENV)/.ready
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-mutants.txt
	@touch $@

cases: $(VENV)/.ready  ## run every run.sh below CASES=<folder>, troublesome recordings and files
	@$(BIN)/python test/run_cases.py $(CASES)

lint: $(VENV)/.ready  ## ruff's findings
	$(BIN)/ruff check .

format: $(VENV)/.ready  ## let ruff lay the code out
	$(BIN)/ruff format . && $(BIN)/ruff check --fix .

type: $(VENV)/.ready  ## mypy on the package
	$(BIN)/mypy

clean:  ## remove what was built, not datasets or runs
	rm -rf $(VENV) build install log demo .pytest_cache .mypy_cache .ruff_cache mutants
