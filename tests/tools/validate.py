"""validate.py JSON SCHEMA: exits with an error where the file does not fit the schema."""
import json
import sys

import jsonschema

document, schema = (json.load(open(path, encoding="utf-8")) for path in sys.argv[1:3])
jsonschema.validate(document, schema)
