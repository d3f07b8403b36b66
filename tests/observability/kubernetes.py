"""Checks manifests: Kubernetes' own schemas, the restricted pod security standard, and the requirements of a gate.

usage: kubernetes.py FOLDER
"""

import copy
import pathlib
import re
import sys

import kubernetes_validate
import yaml

VERSION = "1.31"
PERMANENT, RETRIED = {1, 77, 78}, {69, 75}
# The annotations that order resources.
ORDERS = ["helm.sh/hook-weight", "argocd.argoproj.io/sync-wave"]


def main(folder):
    files = {path: list(yaml.safe_load_all(path.read_text())) for path in sorted(folder.rglob("*.yaml"))}
    problems = []
    for path, documents in files.items():
        manifests = [document for document in documents if "kustomize" not in document["apiVersion"]]
        for manifest in manifests:
            problems += [f"{path.relative_to(folder)}: {what}" for what in checked(manifest)]
        problems += [f"{path.relative_to(folder)}: {what}" for what in out_of_order(manifests)]
    [deployment] = files[folder / "base/deployment.yaml"]
    for what in checked(with_component(deployment, files[folder / "component/kustomization.yaml"][0])):
        problems.append(f"base with component: {what}")
    print("\n".join(problems) or f"{len(files)} files are correct")
    return 1 if problems else 0


def checked(manifest):
    name = f"{manifest['kind']} {manifest['metadata']['name']}"
    try:
        kubernetes_validate.validate(manifest, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        yield f"{name}: {'/'.join(map(str, error.path))}: {error.message}"
        return
    spec = manifest.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    pod = spec if manifest["kind"] == "Pod" else spec.get("template", {}).get("spec")
    for what in pod and [*restricted(pod), *consistent(pod)] or []:
        yield f"{name}: {what}"
    if manifest["kind"] == "Deployment":
        yield from (f"{name}: {what}" for what in deployable(manifest["spec"], pod))
    if manifest["kind"] == "Job":
        yield from (f"{name}: {what}" for what in retryable(manifest["spec"], pod))


def restricted(pod):
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    security = pod.get("securityContext", {})
    if security.get("runAsNonRoot") is not True or security.get("runAsUser") == 0:
        yield "may run as root"
    if security.get("seccompProfile", {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield "has no seccomp profile"
    if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares a namespace of the host"
    if any("hostPath" in volume for volume in pod.get("volumes", [])):
        yield "mounts a path of the host"
    for container in pod.get("initContainers", []) + pod["containers"]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False:
            yield f"{container['name']} may gain privileges"
        if own.get("capabilities", {}).get("drop") != ["ALL"] or own["capabilities"].get("add"):
            yield f"{container['name']} keeps capabilities"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"{container['name']} may write to its image"


def consistent(pod):
    volumes = {volume["name"] for volume in pod.get("volumes", [])}
    for container in pod.get("initContainers", []) + pod["containers"]:
        for mount in container.get("volumeMounts", []):
            if mount["name"] not in volumes:
                yield f"{container['name']} mounts {mount['name']}, which is no volume"
        for variable in container.get("env", []):
            name, value = variable["name"], variable.get("value", "")
            if (value and "PASSWORD" in name and not name.endswith("_FILE")) or re.search("://[^/]*:[^/]*@", value):
                yield f"{container['name']} has a password in its manifest"
    if pod.get("terminationGracePeriodSeconds", 0) <= 8:
        yield "has a terminationGracePeriodSeconds that is not longer than a step's grace"


def deployable(spec, pod):
    for container in pod["containers"]:
        probe = container.get("startupProbe")
        if not probe:
            yield f"{container['name']} has no startupProbe"
            continue
        startup = probe["periodSeconds"] * probe["failureThreshold"]
        if spec.get("progressDeadlineSeconds", 600) <= startup:
            yield f"the rollout's deadline is not longer than the startupProbe's {startup} s"


def retryable(spec, pod):
    if pod.get("restartPolicy") != "Never":
        yield "a podFailurePolicy needs restartPolicy: Never"
    actions = {}
    for rule in spec.get("podFailurePolicy", {}).get("rules", []):
        for code in rule.get("onExitCodes", {}).get("values", []):
            actions[code] = rule["action"]
    for code in sorted(PERMANENT):
        if actions.get(code) != "FailJob":
            yield f"exit code {code} does not fail the Job"
    for code in sorted(RETRIED):
        if actions.get(code) != "Count":
            yield f"exit code {code} is not retried"


def out_of_order(manifests):
    for key in ORDERS:
        places = {
            (manifest["kind"], manifest["metadata"]["name"]): int(manifest["metadata"]["annotations"][key])
            for manifest in manifests
            if key in manifest["metadata"].get("annotations", {})
        }
        for manifest in manifests:
            place = places.get((manifest["kind"], manifest["metadata"]["name"]))
            if place is None or manifest["kind"] != "Job":
                continue
            for volume in manifest["spec"]["template"]["spec"].get("volumes", []):
                if "configMap" in volume:
                    needed = places.get(("ConfigMap", volume["configMap"]["name"]))
                    if needed is None or needed >= place:
                        yield f"Job {manifest['metadata']['name']} does not follow the ConfigMap that it needs"


def with_component(deployment, component):
    """The output of kustomize: every operation of the component appends to a list."""
    deployment = copy.deepcopy(deployment)
    for patch in component["patches"]:
        for operation in yaml.safe_load(patch["patch"]):
            *path, last = operation["path"].strip("/").split("/")
            assert operation["op"] == "add" and last == "-", operation
            place = deployment
            for key in path:
                place = place[int(key)] if isinstance(place, list) else place[key]
            place.append(operation["value"])
    names = [variable["name"] for variable in deployment["spec"]["template"]["spec"]["containers"][0]["env"]]
    assert {"SKIP_MIGRATIONS", "VERIFY_WAIT"} <= set(names) and len(names) == len(set(names)), names
    return deployment


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1])))
