package scenario

import _ "embed" // of schema.json

// Schema is the format as a JSON Schema (draft 2020-12), for editors. It is
// made from the structs of this package by its tests, with the comments of
// their fields as descriptions; what no schema can say, such as that a group
// exists, Parse alone checks.
//
//go:embed schema.json
var Schema []byte
