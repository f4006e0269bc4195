// Testcontainers' everyday work. Each test is run in a process of its own by test_node.py; only the one of the reaper has a reaper.
const assert = require("node:assert/strict");
const { spawn } = require("node:child_process");
const { mkdtempSync, writeFileSync } = require("node:fs");
const net = require("node:net");
const { tmpdir } = require("node:os");
const { join } = require("node:path");
const { once } = require("node:events");
const { text } = require("node:stream/consumers");
const { after, test } = require("node:test");
const { DockerComposeEnvironment, GenericContainer, Network, Wait, getContainerRuntimeClient } = require("testcontainers");

// Streams of logs do not keep node awake.
const awake = setInterval(() => {}, 1000);
after(() => clearInterval(awake));

// Starts it and stops it after the test.
async function started(t, container) {
  const running = await container.start();
  t.after(() => running.stop({ timeout: 0 }).catch(() => {}));
  return running;
}

const busybox = (...command) => new GenericContainer("busybox").withCommand(command);
const idle = () => busybox("sleep", "1000");
const web = () => busybox("sh", "-c", "echo page > /tmp/index.html; exec httpd -f -v -p 80 -h /tmp").withExposedPorts(80);
const redis = () => new GenericContainer("redis").withExposedPorts(6379).withWaitStrategy(Wait.forLogMessage("Ready to accept connections"));
const page = async (container) => (await fetch(`http://${container.getHost()}:${container.getMappedPort(80)}/`)).text();

// One command in redis's own protocol.
async function ask(host, port, command) {
  const socket = net.connect(port, host);
  socket.end(command + "\r\n");
  return text(socket);
}

test("a database is ready when its log says so", async (t) => {
  const database = await started(t, redis());
  const port = database.getMappedPort(6379);
  assert.equal(await ask(database.getHost(), port, "set name value"), "+OK\r\n");
  assert.equal((await database.exec(["redis-cli", "get", "name"])).output.trim(), "value");
});

test("a server is ready when its port listens", async (t) => {
  assert.equal(await page(await started(t, web().withWaitStrategy(Wait.forListeningPorts()))), "page\n");
});

test("a server is ready when it answers", async (t) => {
  assert.equal(await page(await started(t, web().withWaitStrategy(Wait.forHttp("/", 80).forStatusCode(200)))), "page\n");
});

test("a container is ready when it is healthy", async (t) => {
  await started(t, idle().withHealthCheck({ test: ["CMD-SHELL", "test -e /tmp"], interval: 100, timeout: 5000, retries: 3 })
    .withWaitStrategy(Wait.forHealthCheck()));
});

test("a command in the container tells when it is ready", async (t) => {
  await started(t, busybox("sh", "-c", "sleep 0.3; touch /tmp/ready; sleep 1000").withWaitStrategy(Wait.forSuccessfulCommand("test -e /tmp/ready")));
});

test("a one shot container has ended when it is ready", async (t) => {
  const container = await started(t, busybox("echo", "migrated").withWaitStrategy(Wait.forOneShotStartup()));
  assert.equal(await text(await container.logs()), "migrated\n");
});

test("a container that never gets ready is an error with the reason", async () => {
  await assert.rejects(busybox("sh", "-c", "echo broken; exit 3").withWaitStrategy(Wait.forLogMessage("ready")).withStartupTimeout(10000).start(),
    /Log stream ended and message "ready" was not received/);
});

test("a container has what it was given", async (t) => {
  const container = await started(t, new GenericContainer("busybox").withEntrypoint(["sleep"]).withCommand(["1000"]).withName("tc-given")
    .withEnvironment({ NAME: "value" }).withLabels({ own: "label" }).withTmpFs({ "/scratch": "rw,size=1m" }).withUser("1000").withWorkingDir("/tmp")
    .withHostname("named").withExtraHosts([{ host: "other", ipAddress: "10.1.2.3" }]).withAddedCapabilities("NET_RAW")
    .withSharedMemorySize(8 << 20).withUlimits({ nofile: { soft: 100, hard: 200 } }));
  const { output, exitCode } = await container.exec(["sh", "-c",
    "echo $NAME; id -u; pwd; hostname; grep other /etc/hosts; ulimit -n; grep -c ' /scratch ' /proc/mounts"]);
  assert.deepEqual([output.split(/\s+/), exitCode], [["value", "1000", "/tmp", "named", "10.1.2.3", "other", "100", "1", ""], 0]);
  const { Config } = await (await getContainerRuntimeClient()).container.getById("tc-given").inspect();
  assert.equal(Config.Labels.own, "label");
});

test("exec has a user a directory variables and an exit code", async (t) => {
  const container = await started(t, idle());
  const { output, exitCode } = await container.exec(["sh", "-c", "id -u; pwd; echo $X; exit 9"], { user: "1000", workingDir: "/tmp", env: { X: "y" } });
  assert.deepEqual([output, exitCode], ["1000\n/tmp\ny\n", 9]);
});

test("containers of a network know each other by alias", async (t) => {
  const network = await new Network().start();
  const database = await started(t, redis().withNetwork(network).withNetworkAliases("database"));
  const client = await started(t, new GenericContainer("redis").withEntrypoint(["sleep", "1000"]).withNetwork(network));
  assert.equal((await client.exec(["redis-cli", "-h", "database", "ping"])).output.trim(), "PONG");
  assert.equal(net.isIPv4(client.getIpAddress(network.getName())), true);
  await Promise.all([client.stop({ timeout: 0 }), database.stop({ timeout: 0 })]);
  await network.stop();
});

test("files are copied in before the start and later and out again", async (t) => {
  const container = await started(t, idle().withCopyContentToContainer([{ content: "before\n", target: "/etc/before", mode: 0o640 }]));
  await container.copyContentToContainer([{ content: "later\n", target: "/srv/deep/later" }]);
  const { output } = await container.exec(["sh", "-c", "cat /etc/before /srv/deep/later; stat -c %a /etc/before"]);
  assert.equal(output, "before\nlater\n640\n");
  const found = {}, extract = require("tar-stream").extract();
  extract.on("entry", (header, stream, next) => text(stream).then((content) => { found[header.name] = content; next(); }));
  (await container.copyArchiveFromContainer("/srv/deep")).pipe(extract);
  await once(extract, "finish");
  assert.equal(found["deep/later"], "later\n");
});

test("a container is restarted and its ports are known again", async (t) => {
  const container = await started(t, web());
  await container.exec(["touch", "/tmp/kept"]);
  await container.restart({ timeout: 0 });
  assert.equal(await page(container), "page\n");
  assert.equal((await container.exec(["ls", "/tmp/kept"])).exitCode, 0);
});

test("a container is committed to an image", async (t) => {
  const container = await started(t, idle());
  await container.exec(["touch", "/marker"]);
  const image = await container.commit({ repo: "tc-committed", tag: "one", deleteOnExit: false });
  const { image: images } = await getContainerRuntimeClient();
  assert.equal(await images.exists({ string: "tc-committed:one" }), true, image);
  assert.equal((await (await started(t, new GenericContainer("tc-committed:one").withCommand(["sleep", "1000"]))).exec(["ls", "/marker"])).exitCode, 0);
});

test("a container is found again to be reused", async (t) => {
  const first = await started(t, idle().withReuse());
  assert.equal((await idle().withReuse().start()).getId(), first.getId());
});

test("logs are followed while the container runs", async (t) => {
  const container = await started(t, busybox("sh", "-c", "echo one; sleep 0.3; echo two; sleep 1000"));
  const lines = [];
  const stream = await container.logs();
  await new Promise((resolve) => stream.on("data", (line) => { lines.push(line.toString()); if (lines.join("").includes("two")) resolve(); }));
  stream.destroy();
  assert.equal(lines.join(""), "one\ntwo\n");
});

test("a compose project comes up and goes down", async () => {
  const directory = mkdtempSync(join(tmpdir(), "tc-compose-"));
  writeFileSync(join(directory, "compose.yml"), `
services:
  database: {image: redis, ports: ["127.0.0.1::6379"]}
  app: {image: busybox, command: "sleep 1000", init: true, depends_on: [database]}
`);
  const environment = await new DockerComposeEnvironment(directory, "compose.yml").withProjectName("tc-project")
    .withWaitStrategy("database-1", Wait.forLogMessage("Ready to accept connections")).up();
  try {
    const database = environment.getContainer("database-1");
    assert.equal(await ask(database.getHost(), database.getMappedPort(6379), "ping"), "+PONG\r\n");
  } finally {
    await environment.down({ timeout: 0 });
  }
});

// What a test run that is killed leaves behind.
const KILLED = `
const { GenericContainer, Network } = require("testcontainers");
(async () => {
  const network = await new Network().start();
  const container = await new GenericContainer("busybox").withCommand(["sleep", "1000"]).withNetwork(network).start();
  console.log(container.getId(), network.getId());
  setInterval(() => {}, 1000);
})();`;

test("the reaper removes what a killed test run left", async () => {
  const run = spawn(process.execPath, ["-e", KILLED], { stdio: ["ignore", "pipe", "inherit"], env: { ...process.env, TESTCONTAINERS_RYUK_DISABLED: "" } });
  const [line] = await once(run.stdout, "data");
  const [container, network] = line.toString().trim().split(" ");
  const { container: { dockerode } } = await getContainerRuntimeClient();
  assert.equal((await dockerode.getContainer(container).inspect()).State.Running, true);
  const gone = new Promise((resolve) => dockerode.getEvents({ filters: { event: ["destroy"] } }, (error, stream) => {
    stream.on("data", (data) => { if (data.includes('"type":"network"') || data.includes(network)) { stream.destroy(); resolve(); } });
    run.kill("SIGKILL");
  }));
  await gone;
  await assert.rejects(dockerode.getContainer(container).inspect(), { statusCode: 404 });
  await assert.rejects(dockerode.getNetwork(network).inspect(), { statusCode: 404 });
});

test("a container of a Dockerfile is built and serves", async (t) => {
  const folder = mkdtempSync(join(tmpdir(), "testcontainers-"));
  writeFileSync(join(folder, "Dockerfile"), "FROM busybox\nARG TEXT=none\nRUN mkdir /www && echo $TEXT > /www/index.html\nEXPOSE 80\nCMD [\"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/www\"]\n");
  const image = await GenericContainer.fromDockerfile(folder).withBuildArgs({ TEXT: "built" }).build();
  assert.equal(await page(await started(t, image.withExposedPorts(80))), "built\n");
});
