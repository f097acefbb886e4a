// Package scale reads and writes what a Substrate chain speaks: SCALE, and the
// metadata by which a runtime describes its own types, storage, calls, events
// and errors. Nothing about a runtime is compiled in: every index, hasher and
// type comes from metadata V14, V15 or V16, read into one model.
//
// Read reader.go for the primitives, metadata.go for the model, value.go for
// values of types known only at run time, storage.go for keys, lookup.go for
// calls, events and errors by name, extrinsic.go for signed extrinsics, append.go
// for writing metadata back (a local chain publishes a subset of a real one's).
//
// All of it is pure: bytes in, values out. Bytes are hostile until decoded: no
// input makes it panic, recurse without bound, or allocate much more than the
// input's own size. The live client and a local chain's endpoint call it.
package scale
