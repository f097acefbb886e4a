package scenario

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"bettensor/sim/metric"

	"go.yaml.in/yaml/v4"
)

// node is a part of a schema; encoding/json writes its keys in order.
type node = map[string]any

// schemaMaker writes structs as schemas, with the comments of their fields.
type schemaMaker struct {
	t    *testing.T
	docs map[string]string // by Type.Field
}

func (m *schemaMaker) read(file string) {
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		m.t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					m.docs[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
				}
			}
		}
		return true
	})
}

// object is the schema of a struct.
func (m *schemaMaker) object(t reflect.Type) node {
	props, need := node{}, []string{}
	out := node{"type": "object", "additionalProperties": false, "properties": props}
	var variants []node
	for _, f := range fieldsOf(t) {
		if f.key == "*" {
			out["additionalProperties"] = node{"type": []string{"number", "boolean"}}
			continue
		}
		var one node
		if f.of != "" {
			one = node{"type": "object"}
			sibling, _ := find(fieldsOf(t), f.of)
			for _, value := range kindNames(sibling.form) {
				variants = append(variants, node{
					"if":   node{"properties": node{f.of: node{"const": value}}, "required": []string{f.of}},
					"then": node{"properties": node{f.key: m.params(sibling.form, value, f.typ)}},
				})
			}
		} else {
			one = m.field(f)
		}
		one["description"] = m.docs[t.Name()+"."+t.Field(f.index).Name]
		if f.def != "" && !strings.HasPrefix(f.def, "=") {
			one["default"] = m.literal(f)
		}
		props[f.key] = one
		if f.need {
			need = append(need, f.key)
		}
	}
	if len(need) > 0 {
		out["required"] = need
	}
	if variants != nil {
		out["allOf"] = variants
	}
	return out
}

// params are the parameters that a kind takes, in t.
func (m *schemaMaker) params(form, value string, t reflect.Type) node {
	props := node{}
	list, _ := takes(form, value)
	for _, p := range list {
		if t.Kind() == reflect.Map && t.Elem().Kind() == reflect.String {
			props[p.key] = node{"type": []string{"string", "number", "boolean"}} // a range
			continue
		}
		one := m.field(p)
		if t.Kind() == reflect.Struct {
			one["description"] = m.docs[t.Name()+"."+t.Field(p.index).Name]
		}
		if p.def != "" {
			one["default"] = m.literal(p)
		}
		props[p.key] = one
	}
	return node{"type": "object", "additionalProperties": false, "properties": props}
}

// literal is a default in JSON.
func (m *schemaMaker) literal(f field) any {
	switch f.typ.Kind() {
	case reflect.Bool, reflect.Int, reflect.Float64, reflect.Uint16:
		return json.RawMessage(f.def)
	case reflect.Uint64:
		if f.typ != raoType {
			return json.RawMessage(f.def)
		}
	}
	return f.def
}

// field is the schema of one value.
func (m *schemaMaker) field(f field) node {
	if f.typ.Kind() == reflect.Slice {
		inner := f
		inner.typ, inner.need = f.typ.Elem(), false
		out := node{"type": "array", "maxItems": MaxItems, "items": m.field(inner)}
		if f.need {
			out["minItems"] = 1
		}
		return out
	}
	switch {
	case !isScalar(f.typ):
		return m.object(f.typ)
	case f.enum != nil:
		return node{"enum": f.enum}
	case f.typ == durationType:
		return node{"type": "string", "pattern": `^-?([0-9]+(\.[0-9]+)?(w|d|h|m|s|ms|us|µs|ns|blk))+$`}
	case f.typ == bytesType:
		return node{"type": "string", "pattern": `^[0-9]+(B|kB|MB|GB|TB|KiB|MiB|GiB|TiB)$`}
	case f.typ == timeType:
		return node{"type": "string", "pattern": `^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.*)?$`}
	case f.typ == raoType, f.typ == centsType:
		return node{"type": []string{"number", "string"}}
	case f.form == "property":
		return node{"enum": metric.PropertyNames()}
	case f.form == "metric":
		return node{"type": "string", "pattern": `^\s*(` + strings.Join(metric.MetricNames(), "|") + `)\s*(\{.*)?$`, "maxLength": maxText}
	case f.form == "name":
		return node{"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9_-]*$", "maxLength": maxName}
	case f.form == "counts" || f.form == "shares":
		return node{"type": []string{"number", "string"}}
	case f.typ.Kind() == reflect.String:
		return node{"type": "string", "maxLength": maxText}
	case f.typ.Kind() == reflect.Bool:
		return node{"type": "boolean"}
	}
	out := node{"type": "integer"}
	if f.typ.Kind() == reflect.Float64 {
		out["type"] = "number"
	}
	if low, high, ok := strings.Cut(f.bounds, ".."); ok {
		out["minimum"], out["maximum"] = json.RawMessage(low), json.RawMessage(high)
	} else if f.typ.Kind() == reflect.Uint64 {
		out["minimum"] = 0
	}
	return out
}

// TestJSONSchema: schema.json is what the structs say.
func TestJSONSchema(t *testing.T) {
	m := &schemaMaker{t, map[string]string{}}
	for _, file := range []string{"scenario.go", "swarm.go", "judgement.go", "load.go", "../fault/fault.go"} {
		m.read(file)
	}
	root := m.object(reflect.TypeFor[Scenario]())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["title"] = "Scenario of the Bettensor simulator"
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	if err := e.Encode(root); err != nil {
		t.Fatal(err)
	}
	if flag.Lookup("update").Value.String() == "true" {
		if err := os.WriteFile("schema.json", b.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(b.Bytes(), Schema) {
		t.Error("schema.json is not what the structs say; go test ./sim/scenario -update writes it anew")
	}
}

// checkSchema is a reader of schemas as far as ours go, written apart from their
// maker. It returns what is wrong with v.
func checkSchema(schema node, v any, path string) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, path+": "+fmt.Sprintf(format, args...)) }
	if want, ok := schema["type"]; ok {
		types, _ := want.([]any)
		if one, ok := want.(string); ok {
			types = []any{one}
		}
		is := jsonType(v)
		if !slices.ContainsFunc(types, func(t any) bool { return t == is || t == "number" && is == "integer" }) {
			say("is %s, want %v", is, want)
			return wrong
		}
	}
	if enum, ok := schema["enum"].([]any); ok && !slices.Contains(enum, v) {
		say("%v is not one of %v", v, enum)
	}
	if want, ok := schema["const"]; ok && v != want {
		say("%v is not %v", v, want)
	}
	switch x := v.(type) {
	case string:
		if p, ok := schema["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(x) {
			say("%q is not %s", x, p)
		}
	case float64:
		if low, ok := schema["minimum"].(float64); ok && x < low {
			say("%v is below %v", x, low)
		}
		if high, ok := schema["maximum"].(float64); ok && x > high {
			say("%v is above %v", x, high)
		}
	case []any:
		if n, ok := schema["minItems"].(float64); ok && float64(len(x)) < n {
			say("has %d items", len(x))
		}
		if items, ok := schema["items"].(node); ok {
			for i := range x {
				wrong = append(wrong, checkSchema(items, x[i], fmt.Sprintf("%s[%d]", path, i))...)
			}
		}
	case node:
		props, _ := schema["properties"].(node)
		for key, value := range x {
			switch sub, ok := props[key].(node); {
			case ok:
				wrong = append(wrong, checkSchema(sub, value, path+"."+key)...)
			case schema["additionalProperties"] == false:
				say("has the key %s", key)
			}
		}
		need, _ := schema["required"].([]any)
		for _, key := range need {
			if _, ok := x[key.(string)]; !ok {
				say("lacks %v", key)
			}
		}
	}
	all, _ := schema["allOf"].([]any)
	for _, one := range all {
		rule := one.(node)
		if len(checkSchema(rule["if"].(node), v, path)) == 0 {
			wrong = append(wrong, checkSchema(rule["then"].(node), v, path)...)
		}
	}
	return wrong
}

func jsonType(v any) string {
	switch x := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case string:
		return "string"
	case []any:
		return "array"
	case float64:
		if x == math.Trunc(x) {
			return "integer"
		}
		return "number"
	}
	return "object"
}

// asJSON reads YAML into what JSON would have.
func asJSON(t *testing.T, data []byte) any {
	t.Helper()
	var v any
	if err := yaml.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	var plain func(v any) any
	plain = func(v any) any {
		switch x := v.(type) {
		case time.Time:
			return x.Format(time.RFC3339)
		case int:
			return float64(x)
		case []any:
			for i := range x {
				x[i] = plain(x[i])
			}
		case node:
			for k := range x {
				x[k] = plain(x[k])
			}
		}
		return v
	}
	return plain(v)
}

// unschemed has mistakes that a schema can find.
const unschemed = `
sead: 1
duration: 60
miners: [{kind: skiled}, {kind: late, parameters: {kelly: 1}}]
network: {loss: 1.5}
faults: [{what: feed.outage, at: 1}]
swarm: {}
sometimes: [weights_sett]
thresholds: [{metric: ginni, expect: value<1}]
`

// TestJSONSchemaTakesScenarios: what Parse takes, the schema takes, as a file of
// scenarios/ and as its canonical form; what has mistakes, it does not take.
func TestJSONSchemaTakesScenarios(t *testing.T) {
	var schema node
	if err := json.Unmarshal(Schema, &schema); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("../../scenarios/*.yaml")
	if err != nil || len(files) < 4 {
		t.Fatal(files, err)
	}
	wrong := checkSchema(schema, asJSON(t, []byte(unschemed)), "file")
	for _, want := range []string{"file.duration", "has the key sead", "file.miners[0].kind", "file.miners[1].parameters: has the key kelly", "file.network.loss",
		"file.faults[0]: lacks name", "file.faults[0].at", "file.swarm: lacks omit", "file.sometimes[0]: weights_sett", "file.thresholds[0].metric: "} {
		if !slices.ContainsFunc(wrong, func(w string) bool { return strings.Contains(w, want) }) {
			t.Errorf("the schema does not find %q; it finds %q", want, wrong)
		}
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := checkSchema(schema, asJSON(t, data), "file"); len(wrong) > 0 {
			t.Errorf("%s: %s", file, strings.Join(wrong, "\n"))
		}
		s, problems := Parse(file, data, nil, Option{})
		if len(problems) > 0 {
			t.Errorf("%v", problems)
			continue
		}
		if wrong := checkSchema(schema, asJSON(t, s.Canonical()), "canonical"); len(wrong) > 0 {
			t.Errorf("%s: %s", file, strings.Join(wrong, "\n"))
		}
	}
}
