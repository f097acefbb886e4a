package scenario_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"strconv"
	"strings"
	"testing"

	"bettensor/sim/fault"
	"bettensor/sim/metric"
	"bettensor/sim/population"
	"bettensor/sim/scenario"
)

// The document's prose is written by hand; what stands between these lines is
// made from the code.
const (
	docFile  = "../../docs/scenario.md"
	docBegin = "<!-- made from sim/scenario by its tests: go test ./sim/scenario -update -->\n"
	docEnd   = "<!-- end -->\n"
)

// TestDocument: docs/scenario.md says of every key what the code says.
func TestDocument(t *testing.T) {
	old, err := os.ReadFile(docFile)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(old), docBegin)
	_, tail, ok2 := strings.Cut(rest, docEnd)
	if !ok || !ok2 {
		t.Fatalf("%s lacks the lines %q and %q", docFile, docBegin, docEnd)
	}
	comments := map[string]string{}
	for _, file := range []string{"scenario.go", "swarm.go", "judgement.go", "load.go", "../fault/fault.go"} {
		fieldComments(t, file, comments)
	}

	fields := map[string]scenario.Field{}
	for _, f := range scenario.Fields() {
		fields[f.Path] = f
	}
	var b strings.Builder
	document(t, &b, reflect.TypeFor[scenario.Scenario](), "", fields, comments)
	kindsOfMiners(&b)
	kindsOfValidators(&b)
	kindsOfFaults(t, &b, comments)
	metricsAndProperties(&b)
	for path := range fields {
		t.Errorf("%s is not in the document", path)
	}
	golden(t, docFile, []byte(head+docBegin+b.String()+docEnd+tail))
}

// fieldComments reads the comments of struct fields, by Type.Field.
func fieldComments(t *testing.T, file string, to map[string]string) {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		spec, ok := n.(*ast.TypeSpec)
		if !ok {
			return true
		}
		if s, ok := spec.Type.(*ast.StructType); ok {
			for _, f := range s.Fields.List {
				for _, name := range f.Names {
					to[spec.Name.Name+"."+name.Name] = strings.Join(strings.Fields(f.Doc.Text()), " ")
				}
			}
		}
		return true
	})
}

// document writes the table of a struct, and then those of the structs in it.
func document(t *testing.T, b *strings.Builder, typ reflect.Type, path string, fields map[string]scenario.Field, comments map[string]string) {
	title := path
	if title == "" {
		title = "top level"
	}
	fmt.Fprintf(b, "\n### %s\n\n| key | what | default | range | meaning |\n|---|---|---|---|---|\n", title)
	type inner struct {
		typ  reflect.Type
		path string
	}
	var later []inner
	for i := range typ.NumField() {
		sf := typ.Field(i)
		key := sf.Tag.Get("key")
		if key == "" || key == "*" {
			continue
		}
		p := key
		if path != "" {
			p = path + "." + key
		}
		f, ok := fields[p]
		if !ok {
			t.Errorf("Fields lacks %s", p)
		}
		delete(fields, p)
		def := f.Default
		switch {
		case strings.HasPrefix(def, "="):
			def = "its " + def[1:]
		case f.Needed:
			def = "needed"
		}
		doc := comments[typ.Name()+"."+sf.Name]
		if doc == "" {
			t.Errorf("%s.%s has no comment", typ.Name(), sf.Name)
		}
		if key == "kind" || key == "what" && path != "load" {
			f.Range = "below"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", key, f.Type, def, strings.Replace(f.Range, "..", " to ", 1), strings.ReplaceAll(doc, "|", `\|`))
		in, q := sf.Type, p
		if in.Kind() == reflect.Slice {
			in, q = in.Elem(), p+"[]"
		}
		if in.Kind() == reflect.Struct && in.Name() != "Time" && sf.Tag.Get("of") == "" {
			later = append(later, inner{in, q})
		}
	}
	for _, l := range later {
		document(t, b, l.typ, l.path, fields, comments)
	}
}

func kindsOfMiners(b *strings.Builder) {
	b.WriteString("\n### Kinds of miners\n")
	for _, k := range population.Kinds() {
		fmt.Fprintf(b, "\n- `%s`: %s\n", k.Name, k.About)
		if k.Name == "copycat" {
			b.WriteString("  - `leader`: name of the group that is copied. Default: the first group of skilled miners.\n")
		}
		for _, p := range k.Params {
			fmt.Fprintf(b, "  - `%s`: %s. Default %s, from %s to %s.\n", p.Name, p.About, inUnit(p, p.Default), inUnit(p, p.Min), inUnit(p, p.Max))
		}
	}
}

func kindsOfValidators(b *strings.Builder) {
	b.WriteString("\n### Kinds of validators\n")
	for _, k := range population.Voters() {
		fmt.Fprintf(b, "\n- `%s`: %s\n", k.Name, k.About)
		if k.Name == "copier" || k.Name == "biased" {
			b.WriteString("  - `leader`: name of the validator whose weights it takes. Default: the first one.\n")
		}
		if k.Name == "biased" {
			b.WriteString("  - `friends`: name of the group of miners that is favoured. Needed.\n")
		}
		for _, p := range k.Params {
			fmt.Fprintf(b, "  - `%s`: %s. Default %s, from %s to %s.\n", p.Name, p.About, inUnit(p, p.Default), inUnit(p, p.Min), inUnit(p, p.Max))
		}
	}
}

func metricsAndProperties(b *strings.Builder) {
	b.WriteString("\n### Metrics\n\n| metric | type | unit | labels | meaning |\n|---|---|---|---|---|\n")
	for _, d := range metric.Definitions() {
		var labels []string
		for _, l := range d.Labels {
			text := "`" + l.Key + "`"
			if l.Names == metric.OneOf {
				text += " (" + strings.Join(l.Enum, ", ") + ")"
			}
			if l.Must {
				text += " needed"
			}
			labels = append(labels, text)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", d.Name, d.Type, d.Unit, strings.Join(labels, ", "), d.Doc)
	}
	b.WriteString("\n### Properties\n\n| property | meaning |\n|---|---|\n")
	for _, p := range metric.Properties() {
		fmt.Fprintf(b, "| `%s` | %s |\n", p.Name, p.Doc)
	}
}

// inUnit writes a number as a file does.
func inUnit(p population.Param, x float64) string {
	switch {
	case p.Unit == "dollars":
		return "$" + strconv.FormatFloat(x, 'f', -1, 64)
	case p.Unit == "minutes" && p.Min >= 0:
		return fmt.Sprintf("%vm", x)
	}
	return fmt.Sprint(x)
}

func kindsOfFaults(t *testing.T, b *strings.Builder, comments map[string]string) {
	b.WriteString("\n### Kinds of faults\n\n| what | meaning | hits | default target | parameters |\n|---|---|---|---|---|\n")
	for _, k := range fault.Kinds() {
		var params []string
		for _, p := range k.Params {
			params = append(params, fmt.Sprintf("`%s` %s", p.Key, p.Default))
		}
		target := k.Target
		if target == "" {
			target = "needed"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s | %s |\n", k.What, k.Doc, k.Hits, target, strings.Join(params, ", "))
	}
	b.WriteString("\n### Parameters of faults\n\n| key | range | meaning |\n|---|---|---|\n")
	typ := reflect.TypeFor[fault.Params]()
	for i := range typ.NumField() {
		sf := typ.Field(i)
		bounds := strings.Replace(sf.Tag.Get("range"), "..", " to ", 1) + strings.ReplaceAll(sf.Tag.Get("enum"), ",", ", ")
		doc := comments["Params."+sf.Name]
		if doc == "" {
			t.Errorf("Params.%s has no comment", sf.Name)
		}
		fmt.Fprintf(b, "| `%s` | %s | %s |\n", sf.Tag.Get("key"), bounds, doc)
	}
}
