"""The Dockerfile and the compose file: well formed, and about this repository as it is."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "docs" / "deploy"
SCRIPTS = Path(sys.executable).parent


def text(path: str) -> str:
    return (ROOT / path).read_text()


def test_the_dockerfile_has_nothing_that_hadolint_warns_of() -> None:
    done = subprocess.run(
        [SCRIPTS / "hadolint", "--failure-threshold", "style", DEPLOY / "Dockerfile"], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "")


def test_the_compose_file_is_of_the_compose_specification() -> None:
    schema = ["--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [SCRIPTS / "check-jsonschema", *schema, DEPLOY / "compose.yaml"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout


def test_the_image_has_every_package_and_the_versions_that_the_tests_ran_with() -> None:
    dockerfile, makefile, project = text("docs/deploy/Dockerfile"), text("Makefile"), text("pyproject.toml")
    copied = set(re.findall(r"^COPY (\w+)/ ", dockerfile, re.MULTILINE))
    packages = {folder.name for folder in ROOT.iterdir() if (folder / "__init__.py").exists()} - {"tests"}
    ignored = set(re.findall(r"^!(\w+)$", text("docs/deploy/Dockerfile.dockerignore"), re.MULTILINE))
    assert copied == packages
    assert packages <= ignored
    [torch] = re.findall(r"^TORCH := (\S+)", makefile, re.MULTILINE)
    assert f"{torch}+cpu" in dockerfile
    [vllm] = re.findall(r'"vllm==([\d.]+)', project)
    assert f"vllm/vllm-openai:v{vllm}" in text("docs/deploy/compose.yaml")
