"""Prints the list of the libraries in the binary as CycloneDX 1.5 JSON.

python3 scripts/lib/sbom.py [TARGET]     reads Cargo.toml and Cargo.lock in the current folder
"""

import json
import subprocess
import sys
import tomllib


def metadata(target):
    command = ["cargo", "metadata", "--locked", "--format-version", "1"]
    if target:
        command += ["--filter-platform", target]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def linked(found):
    """The packages that the binary is linked with. What only tests or build scripts use is left
    out."""
    nodes = {node["id"]: node for node in found["resolve"]["nodes"]}
    waiting, seen = [found["resolve"]["root"]], set()
    while waiting:
        package = waiting.pop()
        if package in seen:
            continue
        seen.add(package)
        for dependency in nodes[package]["deps"]:
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return seen


def component(package, sums):
    name, version = package["name"], package["version"]
    told = {"type": "library", "name": name, "version": version,
            "purl": f"pkg:cargo/{name}@{version}", "bom-ref": f"{name}@{version}"}
    if package.get("license"):
        told["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
    if (name, version) in sums:
        told["hashes"] = [{"alg": "SHA-256", "content": sums[name, version]}]
    return told


def main():
    found = metadata(sys.argv[1] if len(sys.argv) > 1 else None)
    with open("Cargo.lock", "rb") as file:
        locked = tomllib.load(file)["package"]
    sums = {(one["name"], one["version"]): one["checksum"] for one in locked if "checksum" in one}
    wanted, root = linked(found), found["resolve"]["root"]
    packages = sorted((one for one in found["packages"] if one["id"] in wanted),
                      key=lambda one: (one["name"], one["version"]))
    [ours] = [one for one in packages if one["id"] == root]
    document = {
        "bomFormat": "CycloneDX", "specVersion": "1.5", "version": 1,
        "metadata": {"component": component(ours, sums) | {"type": "application"}},
        "components": [component(one, sums) for one in packages if one["id"] != root],
    }
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    main()
