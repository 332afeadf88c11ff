// What users of dockerode do with a swarm; prints "done" at the end.
"use strict";
const assert = require("assert");
const Docker = require("dockerode");

const [, , socketPath, image] = process.argv;
const docker = new Docker({ socketPath });

async function waitFor(look) {
  for (let i = 0; i < 600; i++) {
    if (await look()) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error("never: " + look);
}

async function services() {
  const options = {
    Name: "rode",
    TaskTemplate: {
      ContainerSpec: { Image: image, Command: ["sleep", "1000"], StopGracePeriod: 1e9 },
      Resources: { Limits: {}, Reservations: {} },
      RestartPolicy: { Condition: "any", MaxAttempts: 0 },
    },
    Mode: { Replicated: { Replicas: 1 } },
    EndpointSpec: { Mode: "vip" },
  };
  const service = await docker.createService(options);
  assert((await docker.listServices()).some((one) => one.ID === service.id));
  const shown = await service.inspect();
  assert.strictEqual(shown.Spec.Name, "rode");
  // dockerode sends the body in the query as well
  const changed = { ...shown.Spec, version: parseInt(shown.Version.Index), Labels: { a: "b" } };
  await service.update(changed);
  assert.deepStrictEqual((await service.inspect()).Spec.Labels, { a: "b" });
  await waitFor(async () => {
    const tasks = await docker.listTasks({ filters: { service: ["rode"] } });
    return tasks.some((task) => task.Status.State === "running");
  });
  const [task] = await docker.listTasks({ filters: { service: ["rode"] } });
  assert.strictEqual((await docker.getTask(task.ID).inspect()).ServiceID, service.id);
  const log = await service.logs({ stdout: true, stderr: true, follow: false });
  assert(log !== undefined);
  await service.remove();
  await assert.rejects(service.inspect(), (error) => error.statusCode === 404);
}

async function files() {
  const data = Buffer.from("topsecret").toString("base64");
  for (const [create, list, name] of [
    ["createSecret", "listSecrets", "rode-secret"],
    ["createConfig", "listConfigs", "rode-config"],
  ]) {
    const made = await docker[create]({ Name: name, Labels: { a: "1" }, Data: data });
    assert((await docker[list]()).some((one) => one.ID === made.id));
    const shown = await made.inspect();
    const spec = { ...shown.Spec, Labels: { a: "2" }, version: parseInt(shown.Version.Index) };
    await made.update(spec);
    assert.deepStrictEqual((await made.inspect()).Spec.Labels, { a: "2" });
    await made.remove();
    await assert.rejects(made.inspect(), (error) => error.statusCode === 404);
  }
}

async function nodes() {
  const all = await docker.listNodes();
  assert.strictEqual(all.length, 3);
  const worker = all.find((one) => one.Spec.Role === "worker");
  const node = docker.getNode(worker.ID);
  const shown = await node.inspect();
  await node.update({ ...shown.Spec, Labels: { rode: "1" }, version: shown.Version.Index });
  assert.deepStrictEqual((await node.inspect()).Spec.Labels, { rode: "1" });
  await assert.rejects(docker.getNode("nosuch").inspect(), (error) => error.statusCode === 404);
}

async function swarm() {
  const cluster = await docker.swarmInspect();
  assert(cluster.JoinTokens.Worker.startsWith("SWMTKN-1-"));
  await docker.swarmUpdate({ ...cluster.Spec, version: parseInt(cluster.Version.Index) });
  await assert.rejects(
    docker.swarmInit({ ListenAddr: "0.0.0.0:2377", AdvertiseAddr: "127.0.0.1" }),
    (error) => error.statusCode === 503,
  );
  const network = await docker.createNetwork({ Name: "rode-net", Driver: "overlay" });
  assert.strictEqual((await network.inspect()).Scope, "swarm");
  await network.remove();
}

(async () => {
  await services();
  await files();
  await nodes();
  await swarm();
  console.log("done");
})().catch((error) => {
  console.error(error);
  process.exit(1);
});
