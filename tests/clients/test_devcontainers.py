"""The dev containers CLI, as editors call it, with images and with Dockerfiles."""
import json
import os

import pytest

CONFIGURATION = {
    "name": "dev", "image": "busybox", "workspaceFolder": "/workspaces/ws", "overrideCommand": True,
    "workspaceMount": "source=${localWorkspaceFolder},target=/workspaces/ws,type=bind",
    "mounts": ["source=dev-volume-${devcontainerId},target=/data,type=volume"], "runArgs": ["--label", "own=label", "--init"],
    "containerEnv": {"INSIDE": "yes"}, "remoteEnv": {"REMOTE": "${containerEnv:INSIDE}2"}, "capAdd": ["SYS_PTRACE"], "forwardPorts": [80],
    "onCreateCommand": "echo created >> /data/history", "postCreateCommand": {"one": "touch /tmp/one", "two": ["touch", "/tmp/two"]},
    "postStartCommand": "echo started >> /data/history",
}


@pytest.fixture(scope="module")
def devcontainer(engine, node, run):
    """Calls the CLI; the JSON of its last line for `up`."""
    program = os.path.join(os.environ["BERTH_CLIENTS"], "node_modules/@devcontainers/cli/devcontainer.js")

    def call(verb, *arguments, check=True):
        done = run(node, program, verb, *arguments, check=check)
        return json.loads(done.stdout.splitlines()[-1]) if verb in ("up", "read-configuration") else done

    return call


@pytest.fixture(scope="module")
def workspace(engine, tmp_path_factory):
    """Writes a workspace with a devcontainer.json and other files; its containers are removed after the tests."""
    made = []

    def write(configuration, **files):
        folder = tmp_path_factory.mktemp("ws")
        made.append(folder)
        (folder / ".devcontainer").mkdir()
        (folder / ".devcontainer/devcontainer.json").write_text(json.dumps(configuration))
        for name, content in files.items():
            (folder / ".devcontainer" / name).write_text(content)
        return str(folder)

    yield write
    for folder in made:
        for identity in engine.docker("ps", "-aq", "--filter", f"label=devcontainer.local_folder={folder}").stdout.split():
            engine.docker("rm", "-fv", identity)


@pytest.fixture(scope="module")
def up(devcontainer, workspace):
    """(folder, what `up` said) of a running dev container."""
    folder = workspace(CONFIGURATION)
    return folder, devcontainer("up", "--workspace-folder", folder)


pytestmark = pytest.mark.xdist_group("devcontainers")


def test_the_configuration_is_read_with_the_images_own(engine, devcontainer, workspace):
    metadata = json.dumps([{"remoteUser": "user", "init": True}])
    engine.docker("import", "--change", f"LABEL devcontainer.metadata='{metadata}'", "-", "dev-metadata", input=engine.docker(
        "image", "save", "busybox", text=False).stdout)
    folder = workspace({"image": "dev-metadata"})
    merged = devcontainer("read-configuration", "--workspace-folder", folder, "--include-merged-configuration")["mergedConfiguration"]
    assert merged["remoteUser"] == "user" and merged["init"] is True


def test_up_starts_the_container_and_runs_its_commands(engine, up):
    _, result = up
    assert (result["outcome"], result["remoteUser"], result["remoteWorkspaceFolder"]) == ("success", "root", "/workspaces/ws")
    done = engine.docker("exec", result["containerId"], "sh", "-c", "cat /data/history; ls /tmp").stdout.split()
    assert done[:2] == ["created", "started"] and {"one", "two"} <= set(done[2:])
    shown = engine.inspect(result["containerId"])
    assert shown["Config"]["Labels"]["own"] == "label" and shown["HostConfig"]["Init"] is True and "SYS_PTRACE" in shown["HostConfig"]["CapAdd"][0]


def test_up_again_finds_the_running_container(devcontainer, up):
    folder, result = up
    assert devcontainer("up", "--workspace-folder", folder)["containerId"] == result["containerId"]


def test_up_starts_a_stopped_container_and_only_the_start_command(engine, devcontainer, up):
    folder, result = up
    engine.docker("stop", "-t", "0", result["containerId"])
    assert devcontainer("up", "--workspace-folder", folder)["containerId"] == result["containerId"]
    assert engine.docker("exec", result["containerId"], "cat", "/data/history").stdout.split()[-2:] == ["started", "started"]


def test_exec_has_variables_a_directory_and_an_exit_code(devcontainer, up):
    folder, _ = up
    done = devcontainer("exec", "--workspace-folder", folder, "sh", "-c", "pwd; echo $INSIDE $REMOTE; exit 5", check=False)
    assert (done.returncode, done.stdout) == (5, "/workspaces/ws\nyes yes2\n")


def test_a_file_made_in_the_workspace_belongs_to_the_user(devcontainer, up):
    folder, _ = up
    devcontainer("exec", "--workspace-folder", folder, "touch", "made-inside")
    assert os.stat(os.path.join(folder, "made-inside")).st_uid == os.getuid()


def test_another_user_works_in_the_container(devcontainer, workspace):
    folder = workspace({"image": "busybox", "remoteUser": "user", "updateRemoteUserUID": False})
    assert devcontainer("up", "--workspace-folder", folder)["remoteUser"] == "user"
    assert devcontainer("exec", "--workspace-folder", folder, "id", "-u").stdout == "1000\n"


def test_remove_existing_container_makes_a_new_one(devcontainer, workspace):
    folder = workspace({"image": "busybox"})
    first = devcontainer("up", "--workspace-folder", folder)["containerId"]
    assert devcontainer("up", "--workspace-folder", folder, "--remove-existing-container")["containerId"] != first


def test_a_service_of_a_compose_project_is_the_dev_container(engine, redis, devcontainer, workspace):
    compose = "services:\n  app: {image: busybox, command: sleep 1000, init: true, depends_on: [db]}\n  db: {image: redis}\n"
    folder = workspace({"name": "project", "dockerComposeFile": "compose.yml", "service": "app", "workspaceFolder": "/"}, **{"compose.yml": compose})
    result = devcontainer("up", "--workspace-folder", folder)
    assert result["outcome"] == "success"
    assert devcontainer("exec", "--workspace-folder", folder, "nslookup", "db").stdout.count("Address") == 2
    for identity in engine.docker("ps", "-aq", "--filter", f"label=com.docker.compose.project={result['composeProjectName']}").stdout.split():
        engine.docker("rm", "-fv", identity)


def test_a_dockerfile_is_built_for_its_users_id(engine, devcontainer, workspace):
    folder = workspace({"build": {"dockerfile": "Dockerfile", "args": {"WORD": "argued"}}, "remoteUser": "user"},
                       Dockerfile="FROM busybox\nARG WORD\nRUN echo $WORD > /word\n")
    result = devcontainer("up", "--workspace-folder", folder)
    assert (result["outcome"], result["remoteUser"]) == ("success", "user")
    assert devcontainer("exec", "--workspace-folder", folder, "cat", "/word").stdout == "argued\n"
