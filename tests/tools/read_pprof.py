"""read_pprof.py PROTO PROFILE: what protobuf's own runtime finds in a gzipped profile, as JSON.

The schema is google/pprof's, compiled here; a file that breaks what it says of ids is refused."""
import collections
import gzip
import importlib.resources
import json
import pathlib
import sys
import tempfile

from google.protobuf import descriptor_pb2, message_factory
from grpc_tools import protoc

proto = pathlib.Path(sys.argv[1])
with tempfile.TemporaryDirectory() as directory:
    compiled = f"{directory}/compiled"
    include = importlib.resources.files("grpc_tools") / "_proto"
    arguments = ["protoc", f"-I{proto.parent}", f"-I{include}", f"-o{compiled}", str(proto)]
    assert protoc.main(arguments) == 0, arguments
    schema = descriptor_pb2.FileDescriptorSet.FromString(pathlib.Path(compiled).read_bytes())
Profile = message_factory.GetMessages(schema.file)["perftools.profiles.Profile"]
profile = Profile.FromString(gzip.open(sys.argv[2]).read())


def by_id(messages):
    found = {message.id: message for message in messages}
    assert len(found) == len(messages) and 0 not in found, sorted(found)
    return found


strings = profile.string_table
assert strings[0] == "" and len(set(strings)) == len(strings), strings
mappings, locations = by_id(profile.mapping), by_id(profile.location)
functions = by_id(profile.function)
types = [f"{strings[it.type]}/{strings[it.unit]}" for it in profile.sample_type]
sums = dict.fromkeys(types, 0)
stacks = {name: collections.Counter() for name in types}
for sample in profile.sample:
    assert len(sample.value) == len(types), sample
    names = []
    for location in (locations[it] for it in sample.location_id):
        assert location.mapping_id == 0 or location.mapping_id in mappings, location
        names += [strings[functions[line.function_id].name] for line in location.line]
    for name, value in zip(types, sample.value):
        sums[name] += value
        stacks[name][";".join(reversed(names))] += value
stacks = {name: {stack: value for stack, value in of.items() if value} for name, of in stacks.items()}
default = strings[profile.default_sample_type]
print(json.dumps({"default": default, "sums": sums, "stacks": stacks}))
