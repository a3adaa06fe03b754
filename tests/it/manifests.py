"""Checks Kubernetes objects against the schemas of the API and prints them as JSON: manifests.py SCHEMAS < YAML

SCHEMAS is a folder of kubernetes-validate's for one version, strict: a key that is not known is a mistake. Objects of
other APIs, which have none there, are passed on as they are. Run with Debian's Python, jsonschema and yaml.
"""

import json
import pathlib
import sys
import warnings

import jsonschema
import yaml

# Later releases resolve references in another way, which Debian's does not know yet.
warnings.simplefilter("ignore", DeprecationWarning)


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    objects = [one for one in yaml.safe_load_all(sys.stdin) if one]
    # References name it as if it were published.
    name = "https://kubernetes.io/api/_definitions.json"
    definitions = {name: json.loads((folder / "_definitions.json").read_text())}
    mistakes = []
    for one in objects:
        group, _, version = one["apiVersion"].rpartition("/")
        api = f"{group.split('.')[0]}-{version}" if group else version
        path = folder / f"{one['kind'].lower()}-{api}.json"
        if not path.exists():
            if not group.endswith(".k8s.io") and "." in group:
                continue
            sys.exit(f"{one['kind']} of {one['apiVersion']} is no object of the API: {path}")
        schema = json.loads(path.read_text())
        resolver = jsonschema.RefResolver.from_schema(schema, store=definitions)
        for error in jsonschema.Draft7Validator(schema, resolver=resolver).iter_errors(one):
            where = ".".join(map(str, error.absolute_path))
            mistakes.append(f"{one['kind']} {one['metadata']['name']}: {where}: {error.message}")
    if mistakes:
        sys.exit("\n".join(mistakes))
    json.dump(objects, sys.stdout)


main()
