package scenario

import (
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"bettensor/node/bet"
	"bettensor/sim/fault"
	"bettensor/sim/population"
)

// Kinds that take a name besides their numbers.
const (
	copycat = "copycat" // of miners, a leader: a group
	copier  = "copier"  // of validators, a leader: a validator
	biased  = "biased"  // of validators, a leader and friends: a group of miners
	honest  = "honest"  // of validators, nothing
)

// kindNames lists the values of a discriminator: what a fault does, or the kind
// of a miner or of a validator.
func kindNames(form string) []string {
	var names []string
	if form == "fault" {
		for _, k := range fault.Kinds() {
			names = append(names, k.What)
		}
		return names
	}
	for _, k := range players(form) {
		names = append(names, k.Name)
	}
	return names
}

// players are the kinds of miners, or of validators.
func players(form string) []population.Kind {
	if form == "validator" {
		return population.Voters()
	}
	return population.Kinds()
}

// namesTaken are the parameters of a kind that name something.
func namesTaken(form, kind string) []string {
	switch {
	case form == "kind" && kind == copycat, form == "validator" && kind == copier:
		return []string{"leader"}
	case form == "validator" && kind == biased:
		return []string{"leader", "friends"}
	}
	return nil
}

// named is the field of an item that keeps such a parameter.
func named(item reflect.Value, key string) reflect.Value {
	return item.FieldByName(strings.ToUpper(key[:1]) + key[1:])
}

// takes lists the parameters of a discriminator's value with their defaults. An
// index of -1 marks those that are kept in a map.
func takes(form, value string) (list []field, ok bool) {
	if form == "fault" {
		k, ok := fault.KindOf(value)
		all := fieldsOf(reflect.TypeFor[fault.Params]())
		for _, p := range k.Params {
			f, _ := find(all, p.Key)
			f.def = p.Default
			list = append(list, f)
		}
		return list, ok
	}
	for _, k := range players(form) {
		if k.Name != value {
			continue
		}
		for _, name := range namesTaken(form, value) {
			list = append(list, field{key: name, form: "name", typ: reflect.TypeFor[string](), index: -1})
		}
		for _, p := range k.Params {
			list = append(list, kindParam(p))
		}
		return list, true
	}
	return nil, false
}

// kindParam is a parameter of a miner as a key of a file. Minutes are written as
// a duration, but where a negative number has a meaning of its own.
func kindParam(p population.Param) field {
	f := field{key: p.Name, typ: reflect.TypeFor[float64](), index: -1}
	switch {
	case p.Unit == "dollars":
		f.typ = centsType
	case p.Unit == "minutes" && p.Min >= 0:
		f.typ = durationType
	}
	text := func(x float64) string {
		v := reflect.New(f.typ).Elem()
		fromNumber(v, x)
		return formatValue(v)
	}
	f.def, f.bounds = text(p.Default), text(p.Min)+".."+text(p.Max)
	return f
}

// fromNumber and toNumber go between a file's types and a kind's unit.
func fromNumber(v reflect.Value, x float64) {
	switch v.Type() {
	case centsType:
		v.SetInt(int64(math.Round(x * 100)))
	case durationType:
		v.SetInt(int64(math.Round(x * float64(time.Minute))))
	default:
		v.SetFloat(x)
	}
}

func toNumber(v reflect.Value) float64 {
	switch x := v.Interface().(type) {
	case bet.Cents:
		return float64(x) / 100
	case time.Duration:
		return x.Minutes()
	}
	return v.Float()
}

// coefficientText is the text of a scheme's parameter in the one form that is
// kept; ok is false for what is neither a finite number nor a truth value.
func coefficientText(text string) (kept string, ok bool) {
	if text == "true" || text == "false" {
		return text, true
	}
	x, err := parseFloat(text)
	if err != nil {
		return "", false
	}
	return strconv.FormatFloat(x, 'f', -1, 64), true
}
