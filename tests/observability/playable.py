"""Prints manifests of docker/kubernetes for podman, with unique names, as `kubectl apply -k` would apply them: with the
ConfigMap that kustomize generates, a Secret, and a Job as the pod that it starts.

POSTGRES is the address of the host name `postgres`, CONFIG the file for the ConfigMap.

usage: playable.py deployment|verifying|job|wave-NUMBER NAME IMAGE SECRET POSTGRES CONFIG
"""

import pathlib
import sys

import yaml

from kubernetes import with_component

FOLDER = pathlib.Path(__file__).parents[2] / "docker/kubernetes"
BASE = FOLDER / "base"


def main(what, name, image, secret, postgres, configuration):
    config = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": f"{name}-invoices-config"},
        "data": {"config.toml": pathlib.Path(configuration).read_text()},
    }
    password = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"{name}-invoices-database"},
        "data": {"password": secret},
    }
    if what == "job" or what.startswith("wave-"):
        file, number = ("job", 1) if what == "job" else ("waves", int(what.removeprefix("wave-")))
        job = list(yaml.safe_load_all((FOLDER / f"variants/{file}.yaml").read_text()))[number - 1]
        spec = job["spec"]["template"]["spec"]
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"{name}-{what}"}, "spec": spec}
        manifests = [config, with_unique_names(pod, spec, name, image, postgres)]
    else:
        deployment = yaml.safe_load((BASE / "deployment.yaml").read_text())
        if what == "verifying":
            component = yaml.safe_load((FOLDER / "component/kustomization.yaml").read_text())
            deployment = with_component(deployment, component)
        deployment["metadata"]["name"] = name
        manifests = [config, password, with_unique_names(deployment, deployment["spec"]["template"]["spec"], name, image, postgres)]
    print(yaml.safe_dump_all(manifests))


def with_unique_names(manifest, pod, name, image, postgres):
    """Makes names unique: podman shares volumes, also empty ones, among all pods."""
    for volume in pod["volumes"]:
        volume["name"] = f"{name}-{volume['name']}"
        if "configMap" in volume:
            volume["configMap"]["name"] = f"{name}-{volume['configMap']['name']}"
        if "secret" in volume:
            # podman 4.3 fails on a Secret without this key.
            volume["secret"] |= {"secretName": f"{name}-{volume['secret']['secretName']}", "optional": False}
    pod["hostAliases"] = [{"ip": postgres, "hostnames": ["postgres"]}]
    for container in pod["containers"]:
        container["image"] = image
        # podman would publish a container's port on the host.
        container.pop("ports", None)
        for mount in container["volumeMounts"]:
            mount["name"] = f"{name}-{mount['name']}"
    return manifest


if __name__ == "__main__":
    main(*sys.argv[1:])
