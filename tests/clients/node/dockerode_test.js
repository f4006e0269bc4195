// dockerode's everyday work. Each test is run in a process of its own by test_node.py.
const assert = require("node:assert/strict");
const { mkdtempSync, writeFileSync } = require("node:fs");
const net = require("node:net");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { PassThrough } = require("node:stream");
const { buffer, text } = require("node:stream/consumers");
const { test } = require("node:test");
const Docker = require("dockerode");

const docker = new Docker({ socketPath: process.env.DOCKER_HOST.replace("unix://", "") });

// A container of busybox that is gone after the test.
async function made(t, command, options = {}) {
  const container = await docker.createContainer({ Image: "busybox", Cmd: command, ...options });
  t.after(() => container.remove({ force: true, v: true }).catch(() => {}));
  return container;
}

async function started(t, command, options) {
  const container = await made(t, command, options);
  await container.start();
  return container;
}

// The two streams of a multiplexed one, each as text.
async function separated(stream) {
  const out = new PassThrough(), err = new PassThrough();
  docker.modem.demuxStream(stream, out, err);
  stream.on("end", () => { out.end(); err.end(); });
  return Promise.all([text(out), text(err)]);
}

test("run gives both streams and the exit code", async () => {
  const out = new PassThrough(), err = new PassThrough();
  const [result, container] = await docker.run("busybox", ["sh", "-c", "echo out; echo err >&2; exit 4"], [out, err], { Tty: false });
  await container.remove();
  out.end(); err.end();
  assert.equal(result.StatusCode, 4);
  assert.equal(await text(out), "out\n");
  assert.equal(await text(err), "err\n");
});

test("a container is created started waited for and removed", async (t) => {
  const container = await made(t, ["true"], { name: "dockerode-life", Labels: { of: "dockerode" } });
  assert.equal((await container.inspect()).State.Status, "created");
  await container.start();
  assert.deepEqual((await container.wait()).StatusCode, 0);
  const [listed] = await docker.listContainers({ all: true, filters: { label: ["of=dockerode"] } });
  assert.deepEqual([listed.Names, listed.State], [["/dockerode-life"], "exited"]);
  await container.remove();
  await assert.rejects(container.inspect(), { statusCode: 404, reason: "no such container" });
});

test("a hijacked attach writes to stdin and reads the answer", async (t) => {
  const container = await made(t, ["cat"], { OpenStdin: true, StdinOnce: true, AttachStdin: true });
  const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  await container.start();
  const streams = separated(stream);
  stream.end("through\n");
  assert.deepEqual(await streams, ["through\n", ""]);
  assert.equal((await container.wait()).StatusCode, 0);
});

test("a terminal is attached and resized", async (t) => {
  const container = await made(t, ["sh"], { Tty: true, OpenStdin: true, AttachStdin: true });
  const stream = await container.attach({ stream: true, stdin: true, stdout: true, stderr: true, hijack: true });
  await container.start();
  await container.resize({ h: 41, w: 137 });
  stream.write("stty size; exit\n");
  assert.match(await text(stream), /41 137/);
});

test("exec has output exit code and stdin", async (t) => {
  const container = await started(t, ["sleep", "1000"]);
  const exec = await container.exec({ Cmd: ["sh", "-c", "read line; echo got $line; echo bad >&2; exit 7"],
    AttachStdin: true, AttachStdout: true, AttachStderr: true });
  const stream = await exec.start({ hijack: true, stdin: true });
  const streams = separated(stream);
  stream.end("it\n");
  assert.deepEqual(await streams, ["got it\n", "bad\n"]);
  const { ExitCode, Running } = await exec.inspect();
  assert.deepEqual([ExitCode, Running], [7, false]);
});

test("logs are followed to the end", async (t) => {
  const container = await started(t, ["sh", "-c", "echo first; sleep 0.2; echo last"]);
  const [out] = await separated(await container.logs({ follow: true, stdout: true, stderr: true }));
  assert.equal(out, "first\nlast\n");
  assert.equal((await container.logs({ stdout: true, tail: 1 })).subarray(8).toString(), "last\n");
});

test("events tell a containers life", async (t) => {
  const container = await made(t, ["true"]);
  const stream = await docker.getEvents({ filters: { container: [container.id], type: ["container"] } });
  const seen = [];
  const ended = new Promise((resolve) => stream.on("data", (data) => {
    for (const line of data.toString().trim().split("\n")) seen.push(JSON.parse(line).Action);
    if (seen.includes("destroy")) resolve();
  }));
  await container.start();
  await container.wait();
  await container.remove();
  await ended;
  stream.destroy();
  assert.deepEqual(seen, ["start", "die", "destroy"]);
});

test("a stream of stats has a sample a second", async (t) => {
  const container = await started(t, ["sleep", "1000"]);
  const stream = await container.stats({ stream: true });
  const sample = JSON.parse(await new Promise((resolve) => stream.once("data", resolve)));
  stream.destroy();
  assert.equal(sample.id, container.id);
  assert.ok(sample.cpu_stats.online_cpus > 0 && sample.memory_stats.limit > 0);
  assert.ok((await container.stats({ stream: false, "one-shot": true })).pids_stats.current >= 1);
});

test("a network is made joined left and removed", async (t) => {
  const network = await docker.createNetwork({ Name: "dockerode-net", Labels: { of: "dockerode" } });
  t.after(() => network.remove().catch(() => {}));
  const container = await started(t, ["sleep", "1000"]);
  await network.connect({ Container: container.id, EndpointConfig: { Aliases: ["other"] } });
  const address = (await container.inspect()).NetworkSettings.Networks["dockerode-net"].IPAddress;
  assert.equal(net.isIPv4(address), true);
  assert.ok(Object.keys((await network.inspect()).Containers).includes(container.id));
  assert.equal((await docker.listNetworks({ filters: { label: ["of=dockerode"] } })).length, 1);
  await assert.rejects(network.remove(), { statusCode: 403 });
  await network.disconnect({ Container: container.id });
  await network.remove();
});

test("a volume outlives its container", async (t) => {
  const volume = await docker.createVolume({ Name: "dockerode-volume" });
  t.after(() => docker.getVolume("dockerode-volume").remove().catch(() => {}));
  assert.equal(volume.name ?? volume.Name, "dockerode-volume");
  const HostConfig = { Binds: ["dockerode-volume:/data"], AutoRemove: true };
  const [written] = await docker.run("busybox", ["sh", "-c", "echo kept > /data/file"], new PassThrough(), { HostConfig });
  assert.equal(written.StatusCode, 0);
  const out = new PassThrough();
  await docker.run("busybox", ["cat", "/data/file"], out, { Tty: true, HostConfig });
  out.end();
  assert.equal(await text(out), "kept\r\n");
  assert.ok((await docker.listVolumes()).Volumes.some(({ Name }) => Name === "dockerode-volume"));
});

test("an image is saved loaded tagged and removed", async () => {
  const archive = await buffer(await docker.getImage("busybox").get());
  const progress = await docker.loadImage(archive);
  const lines = await new Promise((resolve, reject) => docker.modem.followProgress(progress, (error, all) => error ? reject(error) : resolve(all)));
  assert.match(lines.map(({ stream }) => stream).join(""), /Loaded image: busybox:latest/);
  await docker.getImage("busybox").tag({ repo: "dockerode/copy", tag: "one" });
  assert.equal((await docker.listImages({ filters: { reference: ["dockerode/copy"] } })).length, 1);
  assert.deepEqual(await docker.getImage("dockerode/copy:one").remove(), [{ Untagged: "dockerode/copy:one" }]);
  await assert.rejects(docker.getImage("dockerode/copy:one").inspect(), { statusCode: 404 });
});

test("a pull that fails is an error of the promise", async () => {
  await assert.rejects(docker.pull("127.0.0.1:9/nothing:here"), ({ statusCode }) => statusCode === 500);
});

test("files go in and come out as archives", async (t) => {
  const container = await started(t, ["sleep", "1000"]);
  const tar = require("tar-stream").pack();
  tar.entry({ name: "greeting", mode: 0o640 }, "hello\n");
  tar.finalize();
  await container.putArchive(tar, { path: "/tmp" });
  const found = {}, extract = require("tar-stream").extract();
  extract.on("entry", (header, stream, next) => text(stream).then((content) => { found[header.name] = content; next(); }));
  (await container.getArchive({ path: "/tmp/greeting" })).pipe(extract);
  await new Promise((resolve) => extract.on("finish", resolve));
  assert.deepEqual(found, { greeting: "hello\n" });
});

test("a container becomes healthy", async (t) => {
  const container = await started(t, ["sleep", "1000"], { Healthcheck: { Test: ["CMD", "true"], Interval: 1e8 } });
  const stream = await docker.getEvents({ since: 0, filters: { container: [container.id], event: ["health_status"] } });
  const event = JSON.parse(await new Promise((resolve) => stream.once("data", resolve)));
  stream.destroy();
  assert.equal(event.Action, "health_status: healthy");
  assert.equal((await container.inspect()).State.Health.Status, "healthy");
});

test("a conflict has the status and the words of docker", async (t) => {
  await made(t, ["true"], { name: "dockerode-twice" });
  await assert.rejects(made(t, ["true"], { name: "dockerode-twice" }),
    ({ statusCode, json }) => statusCode === 409 && json.message.startsWith('Conflict. The container name "/dockerode-twice" is already in use by container'));
});

test("a published port answers", async (t) => {
  const container = await started(t, ["nc", "-l", "-p", "80", "-e", "echo", "served"],
    { ExposedPorts: { "80/tcp": {} }, HostConfig: { PortBindings: { "80/tcp": [{ HostIp: "127.0.0.1" }] } } });
  const { NetworkSettings } = await container.inspect();
  const port = NetworkSettings.Ports["80/tcp"][0].HostPort;
  const ask = () => new Promise((resolve) => {
    const socket = net.connect(Number(port), "127.0.0.1");
    text(socket).then(resolve, () => setTimeout(() => ask().then(resolve), 50));
  });
  assert.equal(await ask(), "served\n");
});

test("an image is built and the stream tells its id", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "dockerode-"));
  writeFileSync(join(folder, "Dockerfile"), "FROM busybox\nARG WORD\nRUN echo $WORD > /word\nCOPY file /file\nCMD cat /word /file\n");
  writeFileSync(join(folder, "file"), "copied\n");
  const stream = await docker.buildImage({ context: folder, src: ["Dockerfile", "file"] }, { t: "dockerode-built:1", buildargs: { WORD: "argued" } });
  const lines = await new Promise((resolve, reject) => docker.modem.followProgress(stream, (error, all) => (error ? reject(error) : resolve(all))));
  t.after(() => docker.getImage("dockerode-built:1").remove({ force: true }));
  assert.equal((await docker.getImage("dockerode-built:1").inspect()).Id, lines.find((line) => line.aux).aux.ID);
  const out = new PassThrough();
  const [, container] = await docker.run("dockerode-built:1", [], out, {});
  await container.remove();
  out.end();
  assert.match(await text(out), /argued\s+copied/);
});

test("a build that fails ends its stream with the error", async () => {
  const folder = mkdtempSync(join(tmpdir(), "dockerode-"));
  writeFileSync(join(folder, "Dockerfile"), "FROM busybox\nRUN exit 3\n");
  const stream = await docker.buildImage({ context: folder, src: ["Dockerfile"] }, { forcerm: true });
  const failure = await new Promise((resolve) => docker.modem.followProgress(stream, (error, all) => resolve(error ?? all.at(-1))));
  assert.match(String(failure.message ?? failure.error), /The command '\/bin\/sh -c exit 3' returned a non-zero code: 3/);
});
